"""Thoughts and actions in one sequence, and their copies on the topics."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sreops.domain.records.record import Record, Thought


class RecordStore(Protocol):
    """The journal of all incidents."""

    async def records(
        self,
        *,
        after: int = 0,
        incident_id: str | None = None,
        kind: str | None = None,
        limit: int = 500,
        newest: bool = False,
    ) -> Sequence[Record]:
        """Return records by sequence; ``newest`` gives the last ``limit`` of them, still ascending."""
        ...

    async def note_thought(self, incident_id: str, thought: Thought, *, now: datetime) -> None:
        """Append a thought to an incident's account, whoever works on it; raises NotFound."""
        ...

    async def unpublished(self, limit: int) -> Sequence[Record]:
        """Return records whose copy on the topics is still due, in order."""
        ...

    async def published(self, seqs: Sequence[int]) -> None:
        """Mark copies as made."""
        ...
