"""The inbox of alert events, and what each means for the incidents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.routing import NotWorkedOn
from sreops.domain.incidents.correlation import Correlation, KnownIncident, Windows
from sreops.ports.event_log import StoredRecord


@dataclass(frozen=True)
class UnreadableEvent:
    """An inbox row that is no event to this version of sreops: what a newer one wrote, or damage."""

    event_id: str
    topic: str
    payload: bytes
    error: str


class IntakeStore(Protocol):
    """Events come in once, and are correlated once."""

    async def take_in(
        self,
        records: Sequence[tuple[AlertEvent, StoredRecord]],
        *,
        now: datetime,
        recorded: Mapping[str, NotWorkedOn] | None = None,
    ) -> int:
        """Write events to the inbox, once each by ``event_id``; return how many were new.

        Those in ``recorded`` (by their ids, with the reason) are kept to be shown, and never correlated.

        A record with the header ``requeued`` counts as new though its event is known: it is correlated again,
        and once only for each such record, however often it is delivered.
        """
        ...

    async def set_aside(self, event_id: str, *, now: datetime) -> None:
        """Take an event that can't be correlated out of the way of the others: it is in the dead letter."""
        ...

    async def uncorrelated(self, limit: int) -> Sequence[AlertEvent | UnreadableEvent]:
        """Return inbox rows not yet correlated, in the order they were taken in; an unreadable one holds up none."""
        ...

    async def correlate(
        self,
        event: AlertEvent,
        decide: Callable[[AlertEvent, Sequence[KnownIncident]], Correlation],
        *,
        now: datetime,
        windows: Windows | None = None,
    ) -> Correlation:
        """Correlate one inbox event and apply the decision, atomically and once per ``event_id``.

        With ``windows``, an ``open`` too many within ``storm_window_s`` is gathered (``domain/incidents/storms.py``).

        ``decide`` gets the incidents that hold the event's fingerprint and those of its service (open, or
        ended within the longest window), newest first. Applying: ``open`` inserts the incident with its
        alert and a work row that wakes now; ``attach`` adds the alert; ``repeat`` counts; ``refire``
        begins a new episode (status investigating, end cleared) with its alert and a work row; ``resolve``
        ends the alert and, with ``all_resolved``, sets ``all_resolved_at``/``resolve_proven`` and wakes
        the incident (``woken_by="resolved"``) where it has not ended; ``stale`` only counts. Each leaves a
        thought on its incident; attach, and resolve of an escalated one, also a ticket note.
        A decision that repeats for an ``event_id`` already correlated returns the first one.
        """
        ...

    async def correlate_all(
        self,
        events: Sequence[AlertEvent],
        decide: Callable[[AlertEvent, Sequence[KnownIncident]], Correlation],
        *,
        now: datetime,
        windows: Windows | None = None,
    ) -> Sequence[Correlation]:
        """Do what ``correlate`` does for events one after the other, in one transaction: all of them, or none.

        Raises what befell the first that failed.
        """
        ...

    async def begin_rejoins(self, *, now: datetime) -> Sequence[str]:
        """Begin the analyses that are due because of who joined, of incidents that wait or were handed over.

        Each is a new episode of its incident; return the ids.
        """
        ...
