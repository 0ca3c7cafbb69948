"""What correlation is told of incidents: read once for a row of events, and again where one of them changes it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, select

from sreops.adapters.store.columns import plain
from sreops.adapters.store.prepared import Prepared
from sreops.adapters.store.rows import chunks, known_of
from sreops.adapters.store.tables import incident_alerts, incidents
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident
from sreops.domain.incidents.incident import incident_id_of

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
_COUNTS_ONLY = frozenset({Disposition.repeat, Disposition.stale})
_OPENS_AGAIN = frozenset({Disposition.refire, Disposition.requeue})


class Known:
    """The incidents that the events of one transaction may concern; ``since``: those that ended before are old.

    Kept between its events, because in a storm they ask for the same few: most of what an event takes is this.
    """

    def __init__(self, connection: Connection, events: Iterable[AlertEvent], since: datetime) -> None:
        self._connection = connection
        self._since = since
        self._by_service: dict[str, list[str]] = {}
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
        ids = dict.fromkeys((*self._of_print(plain(event.fingerprint)), *self._of_service(event.service)))
        own = incident_id_of(event)
        if own not in self._absent and (own in self._rows or self._take(_OF_ID.all(self._connection, of_id=own))):
            ids[own] = None
        rows = sorted((self._rows[one] for one in ids), key=lambda row: (row.opened_at, row.id), reverse=True)
        missing = [row for row in rows if row.id not in self._incidents]
        if missing:
            self._incidents |= {one.id: one for one in known_of(self._connection, missing)}
        return [self._incidents[row.id] for row in rows]

    def note(self, event: AlertEvent, made: Correlation) -> None:
        """Take note of what was made of an event: what it has changed is read again."""
        if made.disposition in _COUNTS_ONLY or made.incident_id is None:
            return
        if made.disposition in _OPENS_AGAIN:  # for its service, and for every alert that it holds
            for kept in (self._by_service, self._by_print, self._rows, self._incidents):
                kept.clear()
            return
        if made.disposition is Disposition.open:
            self._by_service.pop(event.service, None)
        self._by_print.pop(plain(event.fingerprint), None)
        self._incidents.pop(made.incident_id, None)
        self._rows.pop(made.incident_id, None)
        self._absent.discard(made.incident_id)
        self._take(_OF_ID.all(self._connection, of_id=made.incident_id))

    def _look_up(self, events: Iterable[AlertEvent]) -> None:
        """Read the holders of all fingerprints, and the incidents of all ids, in a few statements."""
        own = {incident_id_of(event) for event in events}
        holders: dict[str, list[str]] = {plain(event.fingerprint): [] for event in events}
        print_, holder = incident_alerts.c.fingerprint, incident_alerts.c.incident_id
        for chunk in chunks(list(holders)):
            for row in self._connection.execute(select(print_, holder).where(print_.in_(chunk))):
                holders[row.fingerprint].append(row.incident_id)
        # of more than the limit the newest count, which only the database can tell cheaply
        self._by_print = {one: ids for one, ids in holders.items() if len(ids) < KNOWN_LIMIT}
        wanted = own.union(*self._by_print.values())
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
            rows = [row for query in _OF_PRINT for row in query.all(self._connection, print=fingerprint)]
            found = self._by_print[fingerprint] = self._take(rows)
        return found

    def _take(self, rows: Iterable[Row[Any]]) -> list[str]:
        ids = []
        for row in rows:
            self._rows.setdefault(row.id, row)
            ids.append(row.id)
        return ids
