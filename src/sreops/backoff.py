"""Waiting longer after each failure in a row, within bounds: the one formula of every try that is made again."""

import asyncio

_MOST_DOUBLINGS = 30  # more would only make numbers that no bound needs


def delay_s(failures: int, first_s: float, last_s: float) -> float:
    """Return the wait after so many failures in a row (1 or more): ``first_s``, then doubled up to ``last_s``."""
    return min(last_s, first_s * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS))


class Backoff:
    """Counts the failures in a row of one thing, and waits ``delay_s`` after each."""

    def __init__(self, first_s: float, last_s: float) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._failures = 0

    async def wait(self, wake: asyncio.Event | None = None) -> None:
        """Sleep for the next delay, or until ``wake`` is set."""
        self._failures += 1
        wait_s = delay_s(self._failures, self._first_s, self._last_s)
        if wake is None:
            await asyncio.sleep(wait_s)
            return
        try:
            async with asyncio.timeout(wait_s):
                await wake.wait()
        except TimeoutError:
            return

    def reset(self) -> None:
        """Begin again with the first delay: something has worked."""
        self._failures = 0
