"""The room in the inbox: what bounds intake is the disk, and nothing else does."""

import asyncio
from typing import Final

from sreops.errors import StoreUnavailable
from sreops.ports import Health, IncidentStore
from sreops.telemetry import BACKLOG, log

READING_PAUSED: Final = "intake.reading_paused"
READING_RESUMED: Final = "intake.reading_resumed"
MEASURING_FAILED: Final = "intake.inbox_read_failed"

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
        self.full: Health | None = None
        """Set while reading is held back."""

    async def wait(self) -> None:
        """Return when there is room. A broker that is not asked for minutes may give our partitions to others."""
        while self._left_bytes <= 0:
            try:
                used = await self._store.inbox_bytes()
            except StoreUnavailable as exc:
                log.warning(MEASURING_FAILED, error=str(exc))
                await asyncio.sleep(self._look_s)
                continue
            BACKLOG.labels("inbox_bytes").set(used)
            self._left_bytes = self._max_bytes - used
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

    def take(self, size_bytes: int) -> None:
        """Take note of what was put into the inbox."""
        self._left_bytes -= size_bytes
