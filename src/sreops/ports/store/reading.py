"""What is read of incidents."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.routing import NotWorkedOn
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.incidents.incident import Incident, IncidentAlert
from sreops.domain.incidents.needs import Need
from sreops.domain.incidents.search import ANYTHING, Search


@dataclass(frozen=True)
class Recorded:
    """An alert that was taken and is not worked on, and why."""

    event: AlertEvent
    reason: NotWorkedOn


class ReadingStore(Protocol):
    """Incidents with what belongs to them."""

    async def incident(self, incident_id: str) -> Incident:
        """Return the incident with its effects (all episodes); raises NotFound."""
        ...

    async def incidents(
        self,
        *,
        status: str | None = None,
        service: str | None = None,
        needs: Collection[Need] = (),
        search: Search = ANYTHING,
        now: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[Sequence[Incident], str | None]:
        """Return a page, newest first, and the next cursor. ``status`` is one status, or ``open``.

        ``needs``: only those that need one of these at ``now``; ``search``: only those that are like it.
        """
        ...

    async def needs_counts(self, *, now: datetime) -> Mapping[Need, int]:
        """Count the incidents that need a person, by what they need."""
        ...

    async def still_firing(self, *, limit: int) -> Sequence[Incident]:
        """Return incidents that were handed to people and of which an alert still fires: storms, then the newest."""
        ...

    async def events(self, incident_id: str, *, newest: int | None = None) -> Sequence[tuple[AlertEvent, str]]:
        """Return the incident's events with their dispositions, oldest first; the ``newest`` of them, or all."""
        ...

    async def recorded(self, *, limit: int, cursor: str | None = None) -> tuple[Sequence[Recorded], str | None]:
        """Return a page of the alerts that are not worked on, newest first, and the next cursor."""
        ...

    async def alerts(self, incident_id: str, *, limit: int) -> Sequence[IncidentAlert]:
        """Return alerts of the incident: those that fire before the others, the worst first."""
        ...

    async def evidence(self, incident_id: str) -> Sequence[Evidence]:
        """Return the evidence, by id."""
        ...

    async def history(self, service: str, *, before: datetime, limit: int) -> Sequence[Incident]:
        """Return earlier ended incidents of a service, newest first."""
        ...
