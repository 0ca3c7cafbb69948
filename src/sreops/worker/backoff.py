"""Waiting longer after each failure in a row, within bounds."""

import asyncio


class Backoff:
    """``first_s`` after the first failure, then doubled up to ``last_s``."""

    def __init__(self, first_s: float, last_s: float) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._next_s = first_s

    async def wait(self, wake: asyncio.Event | None = None) -> None:
        """Sleep for the next delay, or until ``wake`` is set."""
        delay_s, self._next_s = self._next_s, min(self._next_s * 2, self._last_s)
        if wake is None:
            await asyncio.sleep(delay_s)
            return
        try:
            async with asyncio.timeout(delay_s):
                await wake.wait()
        except TimeoutError:
            return

    def reset(self) -> None:
        """Begin again with the first delay: something has worked."""
        self._next_s = self._first_s
