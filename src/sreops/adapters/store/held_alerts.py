"""The alerts that incidents hold, as one transaction sees and changes them: read once, written once.

What an alert costs does not grow with its incident: of each incident only the alerts that the transaction's events
speak of are read, and whether any other one fires.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Integer, Row, bindparam, func, insert, select, update

from sreops.adapters.store.columns import plain
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.rows import chunks
from sreops.adapters.store.tables import incident_alerts
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.severity import RANK
from sreops.domain.incidents.correlation import KnownAlert, ended_at_of
from sreops.domain.incidents.joins import FLAP_WINDOW_S

_ALERT = incident_alerts.c
_OF_INCIDENT = _ALERT.incident_id == bindparam("of_incident")
_FIRING = Prepared(
    select(_ALERT.fingerprint).where(_OF_INCIDENT, _ALERT.ended_at.is_(None)).limit(bindparam("at_most", type_=Integer))
)
_NAMED = Prepared(select(_ALERT.position).where(_OF_INCIDENT, _ALERT.alertname == bindparam("name")).limit(1))
_WORST_FIRING = Prepared(select(func.min(_ALERT.rank)).where(_OF_INCIDENT, _ALERT.ended_at.is_(None)))
_WORST = Prepared(select(func.min(_ALERT.rank)).where(_OF_INCIDENT))
_UNPROVEN = Prepared(select(_ALERT.position).where(_OF_INCIDENT, _ALERT.proven.is_(False)).limit(1))
_FIRES = Prepared(select(_ALERT.position).where(_OF_INCIDENT, _ALERT.ended_at.is_(None)).limit(1))
_INSERT = Prepared(insert(incident_alerts))
_UPDATE = Prepared(
    update(incident_alerts).where(_OF_INCIDENT, _ALERT.fingerprint == bindparam("of_print")).values(
        starts_at=bindparam("starting"),
        ended_at=bindparam("ending"),
        proven=bindparam("is_proven"),
        last_event_id=bindparam("of_event"),
        alertname=bindparam("called"),
        rank=bindparam("how_bad"),
        times=bindparam("how_often"),
        times_from=bindparam("since"),
    )
)  # fmt: skip


@dataclass
class HeldAlert:
    """An alert of an incident; ``times``: how often it began to fire since ``times_from``."""

    starts_at: datetime
    ended_at: datetime | None
    proven: bool
    last_event_id: str
    alertname: str | None
    rank: int | None
    times: int
    times_from: datetime
    is_new: bool = False

    @classmethod
    def read(cls, row: Row[tuple[object, ...]]) -> "HeldAlert":
        """Make it of its row; one of 0.1 lacks the later columns."""
        return cls(
            row.starts_at,
            row.ended_at,
            row.proven,
            row.last_event_id,
            row.alertname,
            row.rank,
            row.times or 1,
            row.times_from or row.starts_at,
        )

    def known(self, fingerprint: str) -> KnownAlert:
        """Return it as correlation sees it."""
        return KnownAlert.model_construct(fingerprint=fingerprint, starts_at=self.starts_at, ended_at=self.ended_at)


class HeldAlerts:
    """Of all incidents, the alerts with the fingerprints of one transaction's events."""

    def __init__(self, connection: Connection, events: Iterable[AlertEvent], *, no_data_recovers: bool = False) -> None:
        self._connection = connection
        self._no_data_recovers = no_data_recovers
        self._prints = list(dict.fromkeys(plain(event.fingerprint) for event in events))
        self._by_incident: dict[str, dict[str, HeldAlert]] = defaultdict(dict)
        self._holders: dict[str, list[str]] = {fingerprint: [] for fingerprint in self._prints}
        self._firing: dict[str, set[str]] = {}  # by incident, of our fingerprints
        self._others: dict[str, bool] = {}  # by incident: whether an alert of none of our fingerprints fires
        self._names: dict[tuple[str, str], bool] = {}
        self._changed: dict[tuple[str, str], HeldAlert] = {}
        for chunk in chunks(self._prints):
            for row in connection.execute(select(incident_alerts).where(_ALERT.fingerprint.in_(chunk))):
                self._by_incident[row.incident_id][row.fingerprint] = HeldAlert.read(row)
                self._holders[row.fingerprint].append(row.incident_id)

    def holders(self, fingerprint: str) -> list[str]:
        """Return the ids of the incidents that hold an alert of this fingerprint, in no order."""
        return self._holders[plain(fingerprint)]

    def of(self, incident_id: str, fingerprint: str) -> HeldAlert | None:
        """Return the incident's alert of this fingerprint."""
        return self._by_incident[incident_id].get(plain(fingerprint))

    def others_fire(self, incident_id: str, fingerprint: str) -> bool:
        """Say whether another alert of the incident than this one fires."""
        firing = self._firing_of(incident_id)
        return self._others[incident_id] or len(firing) > (plain(fingerprint) in firing)

    def is_named(self, incident_id: str, alertname: str) -> bool:
        """Say whether the incident holds an alert of this name."""
        key = incident_id, plain(alertname)
        if key not in self._names:
            self._names[key] = _NAMED.first(self._connection, of_incident=incident_id, name=alertname) is not None
        return self._names[key]

    def fires(self, incident_id: str, event: AlertEvent) -> HeldAlert | None:
        """Note the alert as firing; return None where a later firing of it is known already (a late event)."""
        firing = self._firing_of(incident_id)
        fingerprint = plain(event.fingerprint)
        alert = self._by_incident[incident_id].get(fingerprint)
        rank, name = RANK[event.severity], event.alertname
        if alert is None:
            alert = HeldAlert(event.starts_at, None, True, event.event_id, name, rank, 1, event.starts_at, is_new=True)
            self._by_incident[incident_id][fingerprint] = alert
            self._holders[fingerprint].append(incident_id)
        elif event.starts_at < alert.starts_at:
            return None
        else:
            if event.starts_at > alert.starts_at:
                _count(alert, event.starts_at)
            alert.starts_at, alert.ended_at, alert.proven = event.starts_at, None, True
            alert.last_event_id, alert.alertname, alert.rank = event.event_id, name, rank
        self._changed[incident_id, fingerprint] = alert
        firing.add(fingerprint)
        self._names[incident_id, plain(name)] = True
        return alert

    def ends(self, incident_id: str, event: AlertEvent) -> None:
        """Note the alert as resolved."""
        firing = self._firing_of(incident_id)
        fingerprint = plain(event.fingerprint)
        alert = self._by_incident[incident_id].get(fingerprint)
        if alert is None:
            return
        alert.ended_at, alert.last_event_id = ended_at_of(event), event.event_id
        alert.proven = event.proves_recovery(no_data_recovers=self._no_data_recovers)
        self._changed[incident_id, fingerprint] = alert
        firing.discard(fingerprint)

    def fires_still(self, incident_id: str) -> bool:
        """Say whether any alert of the incident fires; asks the database, as the next three do."""
        self.write()
        return _FIRES.first(self._connection, of_incident=incident_id) is not None

    def all_proven(self, incident_id: str) -> bool:
        """Say whether no alert of the incident ended without a proof of recovery."""
        self.write()
        return _UNPROVEN.first(self._connection, of_incident=incident_id) is None

    def worst(self, incident_id: str) -> int | None:
        """Return the rank of the worst firing alert; where none fires any more, of the worst of all."""
        self.write()
        for query in (_WORST_FIRING, _WORST):
            row = query.first(self._connection, of_incident=incident_id)
            if row is not None and row[0] is not None:
                return int(row[0])
        return None

    def write(self) -> None:
        """Write what has changed since the last time."""
        new: list[dict[str, object]] = []
        known: list[dict[str, object]] = []
        for (incident_id, fingerprint), alert in self._changed.items():
            (new if alert.is_new else known).append(_row(incident_id, fingerprint, alert))
            alert.is_new = False
        self._changed = {}
        _INSERT.run_all(self._connection, new)
        _UPDATE.run_all(self._connection, [_as_update(row) for row in known])

    def _firing_of(self, incident_id: str) -> set[str]:
        """Return which of our fingerprints fire there, and find out whether any other does."""
        found = self._firing.get(incident_id)
        if found is None:
            ours = self._by_incident[incident_id]
            found = {fingerprint for fingerprint, alert in ours.items() if alert.ended_at is None}
            rows = _FIRING.all(self._connection, of_incident=incident_id, at_most=len(ours) + 1)
            self._firing[incident_id] = found
            self._others[incident_id] = any(row.fingerprint not in ours for row in rows)
        return found


def _count(alert: HeldAlert, starts_at: datetime) -> None:
    """Count one more start, or count anew where the first that was counted is long ago."""
    if starts_at - alert.times_from > timedelta(seconds=FLAP_WINDOW_S):
        alert.times, alert.times_from = 1, starts_at
    else:
        alert.times += 1


def _row(incident_id: str, fingerprint: str, alert: HeldAlert) -> dict[str, object]:
    return {
        "incident_id": incident_id,
        "fingerprint": fingerprint,
        "starts_at": alert.starts_at,
        "ended_at": alert.ended_at,
        "proven": alert.proven,
        "last_event_id": alert.last_event_id,
        "alertname": alert.alertname,
        "rank": alert.rank,
        "times": alert.times,
        "times_from": alert.times_from,
    }


def _as_update(row: dict[str, object]) -> dict[str, object]:
    names = ("of_incident", "of_print", "starting", "ending", "is_proven", "of_event", "called", "how_bad", "how_often",
             "since")  # fmt: skip
    return dict(zip(names, row.values(), strict=True))
