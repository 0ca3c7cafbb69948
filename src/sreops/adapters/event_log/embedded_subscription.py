"""Reading of the embedded event log by a consumer group."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from sreops.errors import EventLogUnavailable
from sreops.ports import Health, StoredRecord

CURE = (
    "Free disk space, or point SREOPS_DATA_DIR at a directory that can be written; a damaged file must be moved away."
)


class ReadableLog(Protocol):
    """What a subscription needs of the log; every read and write raises EventLogUnavailable."""

    @property
    def stopped(self) -> bool:
        """Whether the log was stopped."""
        ...

    def leads(self, subscription: "EmbeddedSubscription") -> bool:
        """Say whether this subscription is the one that reads for its group."""
        ...

    async def read(
        self, group: str, starts: dict[str, int], topics: Sequence[str], limit: int, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        """Return up to ``limit`` records from each topic's start (its committed offset where there is none)."""
        ...

    async def begin_recently(self, group: str, recent_s: Mapping[str, float]) -> None:
        """Let the group begin so many seconds back in those of the topics that it has never read."""
        ...

    async def save(self, group: str, ends: dict[str, int]) -> None:
        """Save where the group goes on in each topic."""
        ...

    async def count(self, group: str, starts: dict[str, int], topics: Sequence[str]) -> int:
        """Count the records that wait from each topic's start on."""
        ...


class EmbeddedSubscription:
    """Reading of some topics for one group; the first topic's records come before the others'."""

    def __init__(
        self,
        event_log: ReadableLog,
        topics: Sequence[str],
        group: str,
        recent_s: Mapping[str, float] | None = None,
    ) -> None:
        self.group = group
        self._log = event_log
        self._topics = tuple(topics)
        self._paused: frozenset[str] = frozenset()
        self._recent_s = recent_s or {}  # until the group has its place in them
        self._next: dict[str, int] = {}  # where reading goes on; a topic that is not in it: at the committed offset
        self._arrived = asyncio.Event()
        self._health = Health("up", "embedded")

    def wake(self) -> None:
        """Look again: records have come, or the group may be ours now."""
        self._arrived.set()

    async def poll(self, *, max_records: int, timeout_s: float) -> Sequence[StoredRecord]:
        """Return the next records, or none after ``timeout_s``; a file that can't be read is told by ``health``."""
        deadline = time.monotonic() + timeout_s
        while not self._log.stopped:
            self._arrived.clear()  # before reading: what comes meanwhile wakes us again
            records = await self._read(max_records)
            if records:
                return records
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await self._arrived.wait()
            except TimeoutError:
                return ()
        await asyncio.sleep(timeout_s)  # a reader of a stopped log must not spin
        return ()

    def pause(self, topics: Collection[str]) -> None:
        """Leave these topics, and no others, as they are."""
        if frozenset(topics) != self._paused:
            self._paused = frozenset(topics)
            self.wake()

    async def commit(self, records: Sequence[StoredRecord]) -> None:
        """Save the offset behind the last of these in each topic."""
        ends: dict[str, int] = {}
        for record in records:
            ends[record.topic] = max(ends.get(record.topic, 0), record.offset + 1)
        if ends:
            await self._log.save(self.group, ends)

    def health(self) -> Health:
        """Say what the last read said."""
        return self._health

    async def lag(self) -> int | None:
        """Count the unread records; None where the file can't be read."""
        try:
            return await self._log.count(self.group, dict(self._next), self._topics)
        except EventLogUnavailable:
            return None

    async def _read(self, limit: int) -> Sequence[StoredRecord]:
        if not self._log.leads(self):
            self._next.clear()  # once it is ours, go on from what the other has committed
            return ()
        try:
            if self._recent_s:
                await self._log.begin_recently(self.group, self._recent_s)
                self._recent_s = {}
            topics = [topic for topic in self._topics if topic not in self._paused]
            records = await self._log.read(self.group, dict(self._next), topics, limit)
        except EventLogUnavailable as exc:
            self._health = Health("down", str(exc), CURE)
            return ()
        self._health = Health("up", "embedded")
        for record in records:
            self._next[record.topic] = record.offset + 1
        return records
