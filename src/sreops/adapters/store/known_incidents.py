"""What correlation is told of incidents: read once for a row of events, and again where one of them changes it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, or_, select

from sreops.adapters.store.columns import plain
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.held_alerts import HeldAlerts
from sreops.adapters.store.leases import incident_row
from sreops.adapters.store.rows import chunks, known_of
from sreops.adapters.store.tables import incident_alerts, incidents, target_names
from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.incidents.correlation import KnownIncident
from sreops.domain.incidents.incident import IncidentStatus, incident_id_of

KNOWN_LIMIT = 50

_OPEN = incidents.c.ended_at.is_(None)
_HOLDS = incidents.c.id.in_(
    select(incident_alerts.c.incident_id).where(incident_alerts.c.fingerprint == bindparam("print"))
)
_OF_SERVICE = incidents.c.service == bindparam("of_service")
_RECENT = incidents.c.ended_at >= bindparam("since")


def _newest(*conditions: ColumnElement[bool]) -> Prepared:
    newest: Select[Any] = select(incidents).where(*conditions)
    return Prepared(newest.order_by(incidents.c.opened_at.desc(), incidents.c.id.desc()).limit(KNOWN_LIMIT))


# The limits are apart, so that a service that flaps can't push out the incident that holds this alert.
_OF_PRINT = (_newest(_OPEN, _HOLDS), _newest(_HOLDS))
_OPEN_OF_SERVICE = _newest(_OPEN, _OF_SERVICE)
_RECENT_OF_SERVICE = _newest(_RECENT, _OF_SERVICE)
_OF_ID = Prepared(select(incidents).where(incidents.c.id == bindparam("of_id")))


class KnownIncidents:
    """The incidents that the events of one transaction may concern; ``since``: those that ended before are old.

    Kept between its events, because in a storm they ask for the same few: most of what an event takes is this.
    """

    def __init__(
        self, connection: Connection, events: Sequence[AlertEvent], since: datetime, alerts: HeldAlerts
    ) -> None:
        self._connection = connection
        self._since = since
        self._alerts = alerts
        self._by_service: dict[str, list[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        self._by_print: dict[str, list[str]] = {}
        self._rows: dict[str, Row[Any]] = {}
        self._absent: set[str] = set()
        self._incidents: dict[str, KnownIncident] = {}
        self._look_up(events)

    def of(self, event: AlertEvent) -> list[KnownIncident]:
        """Return what ``domain/incidents/correlation.py`` asks for, newest first.

        Of the service, those that are open or have recently ended; those with the fingerprint or the event's id
        come of whatever age.
        """
        service = plain(event.service)
        ids = dict.fromkeys(
            (*self._of_print(plain(event.fingerprint)), *self._of_service(service), *self._by_name.get(service, ()))
        )
        own = incident_id_of(event)
        if own not in self._absent and (own in self._rows or self._take(_OF_ID.all(self._connection, of_id=own))):
            ids[own] = None
        rows = sorted(
            (self._rows[incident_id] for incident_id in ids), key=lambda row: (row.opened_at, row.id), reverse=True
        )
        missing = [row for row in rows if row.id not in self._incidents]
        self._incidents |= {incident.id: incident for incident in known_of(self._connection, missing)}
        return [self._with_alert(self._incidents[row.id], event) for row in rows]

    def row(self, incident_id: str) -> Row[Any]:
        """Return the incident's row as it is now, else raise NotFound."""
        row = self._rows.get(incident_id)
        if row is None:
            row = self._rows[incident_id] = incident_row(self._connection, incident_id)
        return row

    def is_changed(self, incident_id: str) -> None:
        """Take note that the incident's row has been written: it is read again, and who asks for it finds it."""
        row = self._rows[incident_id] = incident_row(self._connection, incident_id)
        self._incidents.pop(incident_id, None)
        self._absent.discard(incident_id)
        if row.service in self._by_service and incident_id not in self._by_service[row.service]:
            self._by_service[row.service].append(incident_id)

    def holds(self, incident_id: str, fingerprint: str) -> None:
        """Take note that the incident holds an alert of this fingerprint from now on."""
        held = self._by_print.get(plain(fingerprint))
        if held is not None and incident_id not in held:
            held.append(incident_id)

    def _with_alert(self, incident: KnownIncident, event: AlertEvent) -> KnownIncident:
        """Add the event's own alert; and whether others fire, where that decides anything."""
        alert = self._alerts.of(incident.id, event.fingerprint)
        ends = alert is not None and event.status is AlertStatus.resolved
        asks = ends or incident.status is IncidentStatus.escalated
        if alert is None and not asks:
            return incident
        others = asks and self._alerts.others_fire(incident.id, event.fingerprint)
        alerts = () if alert is None else (alert.known(event.fingerprint),)
        return incident.model_copy(update={"alerts": alerts, "others_fire": others})

    def _look_up(self, events: Sequence[AlertEvent]) -> None:
        """Read the holders of all fingerprints, and the incidents of all ids, in a few statements."""
        services = {plain(event.service) for event in events}
        lately = or_(incidents.c.ended_at.is_(None), incidents.c.ended_at >= self._since)
        for chunk in chunks(list(services)):
            some = select(incidents.c.service).where(incidents.c.service.in_(chunk), lately).distinct()
            there = set(self._connection.execute(some).scalars())
            self._by_service |= {service: [] for service in chunk if service not in there}
            named = select(target_names).where(target_names.c.name.in_(chunk), lately)
            for row in self._connection.execute(named.join(incidents, incidents.c.id == target_names.c.incident_id)):
                self._by_name.setdefault(row.name, []).append(row.incident_id)
        own = {incident_id_of(event) for event in events}
        holders = {
            fingerprint: self._alerts.holders(fingerprint)
            for fingerprint in {plain(event.fingerprint) for event in events}
        }
        # of more than the limit the newest count, which only the database can tell cheaply
        self._by_print = {fingerprint: list(ids) for fingerprint, ids in holders.items() if len(ids) < KNOWN_LIMIT}
        wanted = own.union(*self._by_print.values(), *self._by_name.values())
        for chunk in chunks(list(wanted)):
            self._take(self._connection.execute(select(incidents).where(incidents.c.id.in_(chunk))))
        self._absent = own - self._rows.keys()

    def _of_service(self, service: str) -> Sequence[str]:
        found = self._by_service.get(service)
        if found is None:
            rows = [
                *_OPEN_OF_SERVICE.all(self._connection, of_service=service),
                *_RECENT_OF_SERVICE.all(self._connection, of_service=service, since=self._since),
            ]
            found = self._by_service[service] = self._take(rows)
        return found

    def _of_print(self, fingerprint: str) -> Sequence[str]:
        found = self._by_print.get(fingerprint)
        if found is None:
            self._alerts.write()
            rows = [row for query in _OF_PRINT for row in query.all(self._connection, print=fingerprint)]
            found = self._by_print[fingerprint] = self._take(rows)
        return found

    def _take(self, rows: Iterable[Row[Any]]) -> list[str]:
        ids = []
        for row in rows:
            self._rows.setdefault(row.id, row)
            ids.append(row.id)
        return ids
