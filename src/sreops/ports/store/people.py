"""What people say of an incident, and do with it, besides deciding about a plan."""

from datetime import datetime
from typing import Protocol

from sreops.domain.incidents.closed_as import ClosedAs
from sreops.domain.incidents.incident import Incident


class PeopleStore(Protocol):
    """Every call is audited in its transaction and returns the incident as it is then.

    All raise NotFound; DecisionConflict says why it can't be done to an incident in that state.
    """

    async def acknowledge(self, incident_id: str, *, by: str, reason: str, now: datetime) -> Incident:
        """Note who knows of it: it asks for no attention until it gets worse or is handed over again.

        Refused for what is resolved. The second one who acknowledges takes the first one's place.
        """
        ...

    async def close_incident(
        self, incident_id: str, *, by: str, reason: str, was: ClosedAs, cause: str, now: datetime
    ) -> Incident:
        """End it as resolved, resolution ``closed``; work in flight stops at its next write.

        Refused for what is resolved, and while the outcome of an effect is not known.
        """
        ...

    async def rerun(self, incident_id: str, *, by: str, reason: str, now: datetime) -> Incident:
        """Give it back to automation: a new episode begins. Refused while it is being worked on."""
        ...

    async def feed_back(
        self, incident_id: str, *, by: str, right: bool, cause: str, component: str, now: datetime
    ) -> Incident:
        """Note whether the cause was right, and what it was; the latest counts."""
        ...

    async def asked(
        self, incident_id: str, *, by: str, question: str, answer: str, analyst: str, now: datetime
    ) -> None:
        """Note a question about it and its answer."""
        ...
