"""The event log: records, and who appends and reads them (Kafka, or the embedded log)."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sreops.ports.health import Health

MAX_RECORD_BYTES = 1_000_000
"""What key, value and headers of one record may have together: Kafka's default ``message.max.bytes``, less framing."""


@dataclass(frozen=True)
class LogRecord:
    """A record to append: ``key`` orders it within its topic; headers are ``(name, bytes)``."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def size_bytes(self) -> int:
        """Count the bytes of key, value and headers."""
        headers = sum(len(name) * 4 + len(value) for name, value in self.headers)
        return len(self.key) * 4 + len(self.value) + headers  # 4: the longest UTF-8 of a character


@dataclass(frozen=True)
class StoredRecord(LogRecord):
    """A record as read back; ``at`` is when the log took it."""

    partition: int = 0
    offset: int = 0
    at: datetime | None = None


class Subscription(Protocol):
    """A consumer group's reading of some topics. Unread or uncommitted records come again after a restart."""

    async def poll(self, *, max_records: int, timeout_s: float) -> Sequence[StoredRecord]:
        """Return the next records in order per key, or none after ``timeout_s``; never raises for a lost broker."""
        ...

    def pause(self, topics: Collection[str]) -> None:
        """Leave the records of these topics, and of no others, where they are until it is called again."""
        ...

    async def commit(self, records: Sequence[StoredRecord]) -> None:
        """Mark these and everything before them in their partitions as done.

        Raises EventLogUnavailable; losing a partition in between is not an error (they come again elsewhere).
        """
        ...

    def health(self) -> Health:
        """Say whether reading works, without I/O."""
        ...

    async def lag(self) -> int | None:
        """Return how many records wait unread, or None where that can't be known now."""
        ...


class EventLog(Protocol):
    """An ordered, durable log of topics. ``name`` is ``kafka`` or ``embedded``."""

    name: str

    async def start(self) -> None:
        """Begin to connect, in the background: an absent broker is no error, ``health`` says so."""
        ...

    async def stop(self) -> None:
        """Flush within a bound and close."""
        ...

    async def append(self, records: Sequence[LogRecord], *, timeout_s: float) -> None:
        """Append all; on return every record is durable (Kafka: acks=all; embedded: committed and synced).

        Raises EventLogUnavailable where that is not known within ``timeout_s``: some may be durable all the same.
        Raises EventLogRefused, and appends nothing, where a record is larger than MAX_RECORD_BYTES.
        """
        ...

    def subscribe(
        self, topics: Sequence[str], *, group: str, recent_s: Mapping[str, float] | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Read the topics as a member of ``group``, from the earliest record that it has not committed.

        A topic in ``recent_s`` that the group has never read is read from so many seconds back only.
        """
        ...

    async def health(self) -> Health:
        """Say whether appending would work now (bounded, about two seconds)."""
        ...
