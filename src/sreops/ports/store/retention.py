"""What is forgotten, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class EndedIncident:
    """What retention needs to know of an ended incident; its threads are those of episodes 1 to ``episode``."""

    id: str
    episode: int
    ended_at: datetime


class RetentionStore(Protocol):
    """Ended incidents leave after their time, with all that belongs to them."""

    async def ended(
        self, *, after: tuple[datetime, str] | None, until: datetime, limit: int
    ) -> Sequence[EndedIncident]:
        """Return incidents that ended by ``until``, in order of their end and id, from behind ``after`` on."""
        ...

    async def prunable(self, *, before: datetime, now: datetime, limit: int) -> Sequence[EndedIncident]:
        """Return incidents that ended before then and may be forgotten, oldest first.

        Not those that something is still owed to (a copy, a ticket write, a worker), that still hear of their
        alert, or that hold a breaker open: that is for a person to reset.
        """
        ...

    async def forget(self, incident_ids: Sequence[str], *, before: datetime, now: datetime) -> int:
        """Delete these incidents with all that belongs to them, unless one began anew meanwhile; return how many."""
        ...

    async def prune_inbox(self, *, before: datetime, limit: int) -> int:
        """Delete events that are of no incident, or only repeat what an ended one knows; return how many."""
        ...

    async def inbox_bytes(self) -> int:
        """Return the size of the events that wait: not correlated, or of an incident that has not ended."""
        ...
