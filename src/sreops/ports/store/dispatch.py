"""Who works on which incident, and when: leases, timers, and what waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

AGEING_S = 600.0
"""For so long critical incidents go before a warning that was opened earlier (seconds); twice that before an info."""


@dataclass(frozen=True)
class Lease:
    """The right to work on one incident; writes under a lapsed lease raise LeaseLost.

    ``token`` grows with every claim (a fencing token). ``attempts`` counts failures in a row.
    ``woken_by`` is ``start``, ``timer``, ``resolved``, ``decision`` or ``takeover`` (the last owner vanished).
    ``opened_at`` is when the episode began. ``starts`` counts runs in a row that were begun from one checkpoint and
    ended without a word, the first of them not counted where only one did.
    """

    incident_id: str
    episode: int
    service: str
    token: int
    attempts: int
    woken_by: str
    opened_at: datetime | None = None
    starts: int = 0


@dataclass(frozen=True)
class Backlog:
    """Work that waits, as counts; ages in seconds of the oldest.

    ``inbox``: events not yet correlated; ``outbox`` and ``tickets``: records and ticket writes not yet copied out.
    """

    inbox: int = 0
    ready: int = 0
    running: int = 0
    waiting: int = 0
    open_incidents: int = 0
    oldest_ready_s: float = 0.0
    oldest_open_s: float = 0.0
    outbox: int = 0
    tickets: int = 0


class DispatchStore(Protocol):
    """Incidents that are due are leased to one worker at a time."""

    async def claim(
        self, owner: str, *, now: datetime, lease_s: float, limit: int, ageing_s: float = AGEING_S
    ) -> Sequence[Lease]:
        """Lease up to ``limit`` incidents that are due and free, or whose lease lapsed.

        Critical before warning before info, oldest first, never two of one service at a time over all replicas.
        One that has been open for ``ageing_s`` longer goes before one of the next higher severity.
        """
        ...

    async def renew(self, leases: Sequence[Lease], *, now: datetime, lease_s: float) -> Sequence[Lease]:
        """Renew; return those that are still ours."""
        ...

    async def begin_again(self, lease: Lease, *, place: str) -> int:
        """Count a start after a run that ended without a word (its process died), before the graph runs.

        Return which start from this ``place`` (a checkpoint's name) it is, the first being the one that died there.
        Any end of a lease begins the count anew.
        """
        ...

    async def park(self, lease: Lease, *, wake_at: datetime, timer: str) -> None:
        """End the lease and sleep until ``wake_at`` (a timer row of that kind), or until woken.

        Where the incident was woken (resolve, decision) after the lease was claimed, it is due at once instead.
        """
        ...

    async def retry(self, lease: Lease, *, wake_at: datetime, error: str) -> int:
        """End the lease after a failure; count the attempt, wake at ``wake_at``; return attempts so far."""
        ...

    async def release(self, lease: Lease) -> None:
        """End the lease with nothing done (shutdown): due again at once, attempts unchanged."""
        ...

    async def finish(self, lease: Lease) -> None:
        """End the lease and the work: the incident has ended."""
        ...

    async def overdue(self, *, now: datetime, max_incident_s: float) -> Sequence[str]:
        """Return ids of incidents open longer than that, time awaiting approval not counted."""
        ...

    async def wake(self, incident_id: str, *, woken_by: str) -> None:
        """Make a sleeping incident due now; a no-op for one that has ended."""
        ...

    async def backlog(self, *, now: datetime) -> Backlog:
        """Count what waits."""
        ...


class ChoreStore(Protocol):
    """Whose turn it is at a chore."""

    async def take_turn(self, name: str, owner: str, *, now: datetime, lease_s: float) -> bool:
        """Take or keep the turn at a chore for ``lease_s``; False while another owner has it."""
        ...

    async def end_turn(self, name: str, owner: str) -> None:
        """Give the turn up; a no-op where it is not ours."""
        ...
