"""What one step of the agent writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sreops.domain.evidence.evidence import Evidence
from sreops.domain.incidents.incident import Incident
from sreops.domain.incidents.target import KnownTarget
from sreops.domain.records.record import Action, Thought
from sreops.ports.store.dispatch import Lease
from sreops.ports.store.tickets import TicketOp


@dataclass(frozen=True)
class Changes:
    """What one step of the agent writes, in one transaction: incident fields, what is told, what is queued.

    ``covered_until``, with an end as resolved: alerts that joined after it, and still fire, are not covered by what was
    looked at; where there is one, nothing of this is written, and the incident is analysed again because of it.
    """

    incident: Mapping[str, Any] = field(default_factory=dict)
    thoughts: Sequence[Thought] = ()
    actions: Sequence[Action] = ()
    tickets: Sequence[TicketOp] = ()
    evidence: Sequence[Evidence] = ()
    covered_until: datetime | None = None


class AgentStore(Protocol):
    """The writes of a worker that holds the lease."""

    async def write(self, lease: Lease, changes: Changes, *, now: datetime) -> Incident:
        """Apply ``changes`` in one transaction; return the incident as it is then.

        Action records are chained (``domain/records/audit.py``). ``changes.incident`` keys are fields of Incident
        (status, resolution, reason, ended_at, …, decision). Evidence replaces that of the same id.
        Ticket ops are inserted once per ``op_id``.
        """
        ...

    async def know_target(self, lease: Lease, target: KnownTarget, *, now: datetime) -> str | None:
        """Keep what the engine says the incident's target is, so that alerts under each of its names join it.

        Returns the older open incident of the same target that this one has joined, with its alerts, and ended as
        ``merged``; None where there is none.
        """
        ...
