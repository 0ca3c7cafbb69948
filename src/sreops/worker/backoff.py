"""Waiting longer after each failure in a row, within bounds."""

import asyncio


class Backoff:
    """``first_s`` after the first failure, then doubled up to ``last_s``."""

    def __init__(self, first_s: float, last_s: float) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._next_s = first_s

    async def wait(self) -> None:
        """Sleep for the next delay."""
        delay_s, self._next_s = self._next_s, min(self._next_s * 2, self._last_s)
        await asyncio.sleep(delay_s)

    def reset(self) -> None:
        """Begin again with the first delay: something has worked."""
        self._next_s = self._first_s
