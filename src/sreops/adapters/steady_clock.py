"""The clock of the process: the wall clock, except that it never goes back.

Timers, leases and windows are stored as times. Where somebody sets the system clock back by an hour they would all
be an hour late: a lease that lapsed not taken over, a settle time that does not end. So this clock goes on from where
it was, at half the speed, until the wall clock has caught up; and it says so.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sreops.ports import Health
from sreops.telemetry import log

SET_BACK: Final = "clock.set_back"
NOT_BELIEVED: Final = "clock.stored_time_not_believed"

TOLD_FROM_S: Final = 5.0
"""Less is what time synchronisation does every day."""
MOST_AHEAD: Final = timedelta(days=1)
"""A longer step back is the correction of a clock that was wrong: then the wall clock is right."""


def _wall() -> datetime:
    return datetime.now(UTC)


class SteadyClock:
    """Implements ``ports.Clock``; ``wall`` and ``monotonic`` (seconds) are what it reads."""

    def __init__(self, wall: Callable[[], datetime] = _wall, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._last = wall()
        self._read_at = monotonic()
        self._told = False
        self._distrusted = ""

    def now(self) -> datetime:
        """Return aware UTC, never before what an earlier call has returned (but see MOST_AHEAD)."""
        wall, read_at = self._wall(), self._monotonic()
        slowly = self._last + timedelta(seconds=(read_at - self._read_at) / 2)
        self._read_at = read_at
        self._last = wall if wall >= slowly or slowly - wall > MOST_AHEAD else slowly
        ahead_s = (self._last - wall).total_seconds()
        if ahead_s >= TOLD_FROM_S and not self._told:
            log.warning(SET_BACK, by_s=round(ahead_s))
        self._told = ahead_s >= TOLD_FROM_S
        return self._last

    def not_before(self, stored: datetime) -> None:
        """Take note of the latest time in the store: the clock may have been set back while nobody was running."""
        ahead = stored - self._wall()
        if ahead > MOST_AHEAD:
            self._distrusted = (
                f"the store holds times up to {stored.isoformat(timespec='seconds')}, "
                f"{ahead.total_seconds() / 3600:.0f} hours ahead of the system clock: timers set then are that late"
            )
            log.error(NOT_BELIEVED, stored=stored.isoformat(), ahead_s=round(ahead.total_seconds()))
            return
        self._last = max(self._last, stored)

    async def health(self) -> Health:
        """Say whether the wall clock is behind."""
        ahead_s = (self.now() - self._wall()).total_seconds()
        if ahead_s >= TOLD_FROM_S:
            told = f"the system clock was set back: sreops is {ahead_s:.0f} s ahead of it, until it has caught up"
            return Health("down", told, "set the clock of this machine right, and keep it so (NTP)")
        if self._distrusted:
            return Health("down", self._distrusted, "set the clock of this machine right, and keep it so (NTP)")
        return Health("up", "steady")
