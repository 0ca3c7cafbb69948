"""The spool in front of an event log: what is accepted and not yet acknowledged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sreops.ports.event_log import StoredRecord


@dataclass(frozen=True)
class SpoolState:
    """What waits in the spool: accepted by the bridge, not yet acknowledged by the event log.

    ``size_bytes`` counts keys, values and headers; ``oldest_at`` is None where nothing waits.
    """

    records: int = 0
    size_bytes: int = 0
    oldest_at: datetime | None = None

    def age_s(self, now: datetime) -> float:
        """Return for how many seconds the oldest record has waited."""
        return max(0.0, (now - self.oldest_at).total_seconds()) if self.oldest_at else 0.0


class Spool(Protocol):
    """The outbox in front of an event log: its records leave it in order per topic, once the log has them."""

    topics: Sequence[str]

    async def waiting(
        self, topic: str, *, max_records: int, max_bytes: int, timeout_s: float
    ) -> Sequence[StoredRecord]:
        """Return the oldest records of a topic (at least one, whatever its size), or none after ``timeout_s``.

        Raises EventLogUnavailable where the spool can't be read.
        """
        ...

    async def forwarded(self, records: Sequence[StoredRecord]) -> None:
        """Remove records that the event log has acknowledged: all that ``waiting`` returned, of one topic."""
        ...

    def not_forwarded(self, topic: str) -> None:
        """Take note that the event log does not take this topic's records now."""
        ...

    def state(self) -> SpoolState:
        """Say what waits, without I/O."""
        ...
