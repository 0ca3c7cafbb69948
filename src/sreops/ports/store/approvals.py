"""Requests for approval and their decisions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sreops.ports.store.dispatch import Lease


@dataclass(frozen=True)
class Approval:
    """A request for approval and its decision (``approved``, ``rejected``, ``expired`` or None)."""

    incident_id: str
    episode: int
    plan_hash: str
    requested_at: datetime
    expires_at: datetime
    decision: str | None = None
    by: str = ""
    reason: str = ""
    decided_at: datetime | None = None


class ApprovalStore(Protocol):
    """A plan waits here for a person."""

    async def request_approval(self, lease: Lease, *, plan_hash: str, now: datetime, expires_at: datetime) -> Approval:
        """Ask once per episode and plan; a second call returns what is there, decided or not."""
        ...

    async def approval(self, incident_id: str, episode: int) -> Approval | None:
        """Return the latest request of the episode."""
        ...

    async def decide(
        self, incident_id: str, *, approve: bool, by: str, reason: str, plan_hash: str, now: datetime
    ) -> Approval:
        """Decide by compare-and-set, audit it, wake the incident.

        Raises NotFound, or DecisionConflict where nothing waits, it expired, or the plan is another.
        """
        ...
