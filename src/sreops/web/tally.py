"""A line in the log that is written at most once a second, however often its cause occurs."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

TOLD_EVERY_S: Final = 1.0
"""Seconds between two lines of one tally: one for each request took a seventh of the bridge's time."""


class Tally:
    """Tells the first occurrence at once, and those of the second that follows in one line after it.

    Counts are summed; of what is shown beside them (an address, a reason) the line has the latest.
    """

    def __init__(self, event: str, tell: Callable[..., Any], *, every_s: float = TOLD_EVERY_S) -> None:
        self._event = event
        self._write = tell
        self._every_s = every_s
        self._sums: dict[str, int] = {}
        self._shown: dict[str, str | int] = {}
        self._waits = False

    def add(self, counts: dict[str, int], **shown: str | int) -> None:
        """Count; needs a running loop."""
        for name, count in counts.items():
            self._sums[name] = self._sums.get(name, 0) + count
        self._shown.update(shown)
        if not self._waits:
            self._tell()

    def _tell(self) -> None:
        self._waits = bool(self._sums)
        if self._sums:
            told, self._sums = {**self._shown, **self._sums}, {}
            self._shown = {}
            self._write(self._event, **told)
            asyncio.get_running_loop().call_later(self._every_s, self._tell)
