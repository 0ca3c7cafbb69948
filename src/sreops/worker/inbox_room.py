"""The room in the inbox: what bounds intake is the disk, and nothing else does."""

import asyncio
import math
import time
from typing import Final

from sreops.domain.alerts.routing import INFO, WARNING
from sreops.errors import StoreUnavailable
from sreops.ports import Health, IncidentStore
from sreops.telemetry import BACKLOG, log

READING_PAUSED: Final = "intake.reading_paused"
READING_RESUMED: Final = "intake.reading_resumed"
INBOX_READ_FAILED: Final = "intake.inbox_read_failed"

SHARES: Final = {INFO: 0.5, WARNING: 0.8}
"""So full the inbox takes nothing more of these topics: a flood of them leaves room for what is worse."""

_CURE = "see what holds incidents open, or raise SREOPS_WORKER__MAX_INBOX_BYTES"


class InboxRoom:
    """Lets events in up to ``max_bytes`` of those that wait; above it the event log keeps the rest.

    Measuring reads the inbox, so it is done once per room that was used up, and every ``look_s`` while there is none.
    """

    def __init__(self, store: IncidentStore, max_bytes: int, look_s: float) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._look_s = look_s
        self._left_bytes = 0
        self._measured_at = -math.inf  # time.monotonic
        self.full: Health | None = None
        """Set while reading is held back."""

    async def wait(self) -> None:
        """Return when there is room. A broker that is not asked for minutes may give our partitions to others."""
        if self.closed_to() and time.monotonic() - self._measured_at > self._look_s:
            self._left_bytes = 0  # some of it may be free again
        while self._left_bytes <= 0:
            try:
                used = await self._store.inbox_bytes()
            except StoreUnavailable as exc:
                log.warning(INBOX_READ_FAILED, error=str(exc))
                await asyncio.sleep(self._look_s)
                continue
            BACKLOG.labels("inbox_bytes").set(used)
            self._left_bytes = self._max_bytes - used
            self._measured_at = time.monotonic()
            if self._left_bytes > 0:
                break
            if self.full is None:
                log.warning(READING_PAUSED, inbox_bytes=used, max_inbox_bytes=self._max_bytes)
            told = (
                f"reading waits: the inbox holds {used} bytes of at most {self._max_bytes}, the event log has the rest"
            )
            self.full = Health("down", told, _CURE)
            await asyncio.sleep(self._look_s)
        if self.full is not None:
            log.warning(READING_RESUMED, room_bytes=self._left_bytes)
            self.full = None

    def closed_to(self) -> frozenset[str]:
        """Return the topics of which nothing more is taken in: information pauses first, what is critical last."""
        used = 1 - self._left_bytes / self._max_bytes
        return frozenset(topic for topic, share in SHARES.items() if used >= share)

    def take(self, size_bytes: int) -> None:
        """Take note of what was put into the inbox."""
        self._left_bytes -= size_bytes
