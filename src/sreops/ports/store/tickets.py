"""Writes to the ticket that are still to be made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sreops.domain.incidents.incident import Issue


@dataclass(frozen=True)
class TicketOp:
    """One write to the ticket, done in order per incident; ``op_id`` is the marker that keeps it single.

    ``kind`` is ``create``, ``note``, ``list`` (a note that has gathered lines), ``labels``, ``close``, ``reopen`` or
    ``escalate``; ``body`` its arguments. ``issue`` is the incident's, as far as it is known when the write is due.
    """

    op_id: str
    incident_id: str
    kind: str
    body: Mapping[str, Any]
    attempts: int = 0
    issue: Issue | None = field(default=None, compare=False)


class TicketStore(Protocol):
    """The queue of ticket writes: in order per incident, each claimed by one replica."""

    async def due_tickets(self, *, now: datetime, incident_id: str | None = None) -> Sequence[TicketOp]:
        """Return undone writes that are due and unclaimed, at most the first undone one of each incident."""
        ...

    async def claim_ticket(self, op_id: str, owner: str, *, now: datetime, lease_s: float) -> bool:
        """Claim an undone write for ``lease_s``, or keep it; False where it is done, not due, or another's."""
        ...

    async def ticket_done(self, op_id: str, *, issue: Issue | None, now: datetime) -> bool:
        """Mark done; ``issue`` is set on the incident where it is given. Say whether the incident has more to write."""
        ...

    async def ticket_failed(self, op_id: str, *, error: str, retry_at: datetime | None, now: datetime) -> None:
        """Try again at ``retry_at``; None: GitLab refuses it for good, go on with the next one."""
        ...

    async def issue_gone(self, incident_id: str, *, now: datetime) -> bool:
        """Write everything again, to an issue that takes the place of one that was deleted; once, then False."""
        ...

    async def stale_issues(self, *, limit: int) -> Sequence[str]:
        """Return incidents with an issue that does not show their latest records, the newest first."""
        ...

    async def issue_shown(self, incident_id: str, seq: int) -> None:
        """Note that the issue shows the records up to ``seq``."""
        ...
