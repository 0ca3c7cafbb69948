"""Alerts that join an incident: its severity follows those that fire, and what is new is told and analysed."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.episodes import begin_rejoin, joins_of
from sreops.adapters.store.held_alerts import HeldAlert, HeldAlerts
from sreops.adapters.store.known_incidents import KnownIncidents
from sreops.adapters.store.notices import put_out_worse
from sreops.adapters.store.records import tell
from sreops.adapters.store.tables import incidents, work
from sreops.adapters.store.tickets import queue, queue_lines
from sreops.domain.alerts.alert import AlertEvent, Severity
from sreops.domain.alerts.severity import RANK, SEVERITY_OF_RANK
from sreops.domain.incidents.incident import IncidentStatus, storm_of
from sreops.domain.incidents.joins import Joined, Joins, News, Standing, flapping, news_of
from sreops.domain.records.record import Thought
from sreops.ports import TicketOp

_NODE = "correlate"
_HAS_BEGUN = Prepared(select(work.c.lease_owner, work.c.woken_by).where(work.c.incident_id == bindparam("of_incident")))


class Joining:
    """Those who joined in one transaction, by incident; judged together at its end."""

    def __init__(self, connection: Connection, known: KnownIncidents, alerts: HeldAlerts, now: datetime) -> None:
        self._connection = connection
        self._known = known
        self._alerts = alerts
        self._now = now
        self._joined: dict[str, list[Joined]] = {}
        self._lines: dict[str, list[str]] = defaultdict(list)
        self._flapping: dict[str, HeldAlert] = {}
        self._events: dict[str, AlertEvent] = {}  # by event_id

    def touched(self, incident_id: str) -> None:
        """Take note that alerts of the incident have changed: its severity may."""
        self._joined.setdefault(incident_id, [])

    def joins(self, incident_id: str, event: AlertEvent, *, anew: bool = False) -> bool:
        """Let an alert join; return False where it is old news of a firing that is known.

        ``anew``: it begins an episode, whose analysis is about it anyway.
        """
        new_name = not self._alerts.is_named(incident_id, event.alertname)
        alert = self._alerts.fires(incident_id, event)
        self.touched(incident_id)
        if alert is None:
            return False
        if not anew:
            self._joined[incident_id].append(Joined.of(event, new_name=new_name))
            self._events[event.event_id] = event
        if flapping(event.alertname, alert.times, alert.times_from) is not None:
            self._flapping[incident_id] = alert
        return True

    def line(self, incident_id: str, line: str) -> None:
        """List a line on the incident's issue."""
        self._lines[incident_id].append(line)

    def settle(self) -> None:
        """Write what the transaction's joining has changed, once for each incident."""
        for incident_id, lines in self._lines.items():
            queue_lines(self._connection, incident_id, lines, self._now)
        for incident_id, joined in self._joined.items():
            self._settle_one(self._known.row(incident_id), joined)

    def _settle_one(self, row: Row[Any], joined: list[Joined]) -> None:
        before = Severity(row.severity)
        rank = self._alerts.worst(row.id)
        severity = before if rank is None else SEVERITY_OF_RANK[rank]
        joins = joins_of(row)
        if (alert := self._flapping.get(row.id)) is not None:
            flaps = flapping(alert.alertname or row.alertname, alert.times, alert.times_from)
            joins = joins.model_copy(update={"flapping": flaps})
        news = News(joins=joins)
        if joined:
            news = news_of(self._standing(row, before), joined, joins, self._now)
        changes: dict[str, Any] = {}
        if severity is not before:
            changes["severity"] = severity.value
            connection_rank = update(work).where(work.c.incident_id == row.id).values(rank=RANK[severity])
            self._connection.execute(connection_rank)
        if news.joins != joins_of(row):
            pending = news.joins.pending
            changes |= {
                "joins": news.joins.model_dump(mode="json"),
                "rejoin_at": None if pending is None else pending.due_at,
            }
        if changes:
            self._connection.execute(update(incidents).where(incidents.c.id == row.id).values(**changes))
            self._known.is_changed(row.id)
        self._tell(row, before, severity, news)
        if news.joins.pending is not None and begin_rejoin(self._connection, self._known.row(row.id), self._now):
            self._known.is_changed(row.id)

    def _standing(self, row: Row[Any], severity: Severity) -> Standing:
        found = _HAS_BEGUN.first(self._connection, of_incident=row.id)
        waits = found is None or (found.lease_owner is None and found.woken_by == "start")
        return Standing(
            status=IncidentStatus(row.status),
            severity=severity,
            begun=not waits,
            is_storm=storm_of(row.decision) is not None,
        )

    def _tell(self, row: Row[Any], before: Severity, severity: Severity, news: News) -> None:
        """Tell people: on the page, on the issue, and by a notice."""
        labels = _labels(before, severity)
        if news.told:
            says = f"{news.why}: {_what_follows(news.joins, row, self._now)}"
            data = {"severity": severity.value, "worse": news.worse, "alertnames": list(news.names)}
            tell(self._connection, row.id, Thought(node=_NODE, text=f"Heard: {says}", data=data), self._now)
            body = {"note": f"**Heard**: {says}.", **labels}
            self._queue(row, "reopen", body)  # a person may have closed it: what gets worse is open again
            event = self._events[news.event_id]
            put_out_worse(self._connection, self._known.row(row.id), event, news.why, self._now)
            self._known.is_changed(row.id)
        elif labels:
            self._queue(row, "labels", labels)

    def _queue(self, row: Row[Any], kind: str, body: dict[str, Any]) -> None:
        op_id = f"{row.id}:{row.episode}:{kind}:{row.event_count}:{self._now.isoformat()}"
        queue(self._connection, TicketOp(op_id=op_id, incident_id=row.id, kind=kind, body=body), self._now)


def _labels(before: Severity, severity: Severity) -> dict[str, Any]:
    if before is severity:
        return {}
    return {
        "add_labels": [f"severity-{severity.value}"],
        "remove_labels": [f"severity-{before.value}"],
        "severity": severity.value,
    }


def _what_follows(joins: Joins, row: Row[Any], now: datetime) -> str:
    if joins.pending is not None:
        at_once = joins.pending.due_at <= now
        return "it is analysed again" if at_once else f"it is analysed again at {joins.pending.due_at:%H:%M:%S} UTC"
    if row.status == IncidentStatus.investigating.value:
        return "its analysis takes that in"
    return f"it is not analysed again ({joins.analyses} times so far)"
