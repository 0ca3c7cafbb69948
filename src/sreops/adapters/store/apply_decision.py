"""What a correlation decision changes: the incident, its alerts, its work, what is told."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.episodes import begin_anew, begins, joins_of
from sreops.adapters.store.held_alerts import HeldAlerts
from sreops.adapters.store.joining import Joining
from sreops.adapters.store.known_incidents import KnownIncidents
from sreops.adapters.store.notices import put_out
from sreops.adapters.store.records import tell_all
from sreops.adapters.store.rows import incidents_of
from sreops.adapters.store.tables import inbox, incidents, work
from sreops.adapters.store.waking import wake_row
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.severity import RANK
from sreops.domain.alerts.subject import Subject
from sreops.domain.incidents.correlation import Correlation, Disposition, ended_at_of
from sreops.domain.incidents.incident import Incident, IncidentStatus, Reason, incident_id_of
from sreops.domain.incidents.storms import group_of
from sreops.domain.records.notice import came_back, cleared
from sreops.domain.records.record import Thought
from sreops.errors import NotFound

_NODE = "correlate"
_RESOLVED = IncidentStatus.resolved.value
_ENDED_AT = Prepared(select(incidents.c.ended_at).where(incidents.c.id == bindparam("of_incident")))
_NEW_INCIDENT, _NEW_WORK = Prepared(insert(incidents)), Prepared(insert(work))

_COUNT = Prepared(
    update(incidents)
    .where(incidents.c.id == bindparam("of_incident"))
    .values(event_count=incidents.c.event_count + bindparam("more"))
)
_CORRELATED = Prepared(
    update(inbox)
    .where(inbox.c.event_id == bindparam("of_event"))
    .values(
        correlated_at=bindparam("at_now"),
        correlation=bindparam("decision"),
        disposition=bindparam("how"),
        incident_id=bindparam("into"),
    )
)


class Log:
    """What is the same for every event that was applied: written once for all of a transaction, in their order."""

    def __init__(self) -> None:
        self._made: list[tuple[AlertEvent, Correlation]] = []

    def add(self, event: AlertEvent, made: Correlation) -> None:
        """Take note of a decision as applied."""
        self._made.append((event, made))

    def write(self, connection: Connection, now: datetime) -> None:
        """Count the events, mark them correlated, and tell of them."""
        counts = Counter(
            made.incident_id
            for _, made in self._made
            if made.incident_id is not None and made.disposition is not Disposition.open
        )
        for incident_id, count in counts.items():
            if not _COUNT.run(connection, of_incident=incident_id, more=count):
                raise NotFound(f"there is no incident {incident_id!r}")
        tell_all(
            connection,
            [(made.incident_id, _thought(event, made)) for event, made in self._made if made.incident_id],
            now,
        )
        _CORRELATED.run_all(
            connection,
            [
                {
                    "of_event": event.event_id,
                    "at_now": now,
                    "decision": made.model_dump(mode="json"),
                    "how": made.disposition.value,
                    "into": made.incident_id,
                }
                for event, made in self._made
            ],
        )


class Applying:
    """Applies the decisions of one transaction, one after the other; ``end`` writes what they have in common."""

    def __init__(self, connection: Connection, known: KnownIncidents, alerts: HeldAlerts, now: datetime) -> None:
        self._connection = connection
        self._known = known
        self._alerts = alerts
        self._now = now
        self._joining = Joining(connection, known, alerts, now)
        self._log = Log()
        self._how: Mapping[Disposition, Callable[[Row[Any], AlertEvent, Correlation], None]] = {
            Disposition.attach: self._attach,
            Disposition.repeat: self._repeat,
            Disposition.refire: self._refire,
            Disposition.requeue: self._requeue,
            Disposition.resolve: self._resolve,
        }

    def apply(self, event: AlertEvent, decision: Correlation) -> Correlation:
        """Apply a decision; return it as applied."""
        decision = self._possible(event, decision)
        self._log.add(event, decision)
        if decision.incident_id is None or decision.disposition is Disposition.stale:
            return decision
        if decision.disposition is Disposition.open:
            self._open(decision.incident_id, event, decision)
        else:
            self._how[decision.disposition](self._known.row(decision.incident_id), event, decision)
        self._known.holds(decision.incident_id, event.fingerprint)
        return decision

    def end(self) -> None:
        """Write the alerts, count the events, tell of them, and hear who joined."""
        self._alerts.write()
        self._log.write(self._connection, self._now)
        self._joining.settle()

    def list_member(self, incident_id: str, event: AlertEvent) -> None:
        """List an alert on the incident's issue."""
        self._joining.line(incident_id, _member(event))

    def _possible(self, event: AlertEvent, decision: Correlation) -> Correlation:
        if decision.disposition is not Disposition.open:
            if decision.incident_id is None and decision.disposition is not Disposition.stale:
                raise NotFound(
                    f"correlation decided {decision.disposition.value} for {event.event_id!r}, of no incident"
                )
            return decision
        decision = decision.model_copy(update={"incident_id": decision.incident_id or incident_id_of(event)})
        there = _ENDED_AT.first(self._connection, of_incident=decision.incident_id)
        if there is None:
            return decision
        instead = Disposition.repeat if there.ended_at is None else Disposition.refire
        why = f"{decision.why} (its incident exists)".strip()
        return decision.model_copy(update={"disposition": instead, "why": why})

    def _open(self, incident_id: str, event: AlertEvent, decision: Correlation) -> None:
        storm = decision.storm
        _NEW_INCIDENT.run(
            self._connection,
            id=incident_id,
            episode=1,
            status=IncidentStatus.investigating.value,
            service=event.service,
            subject=event.subject.model_dump(mode="json"),
            alertname=event.alertname,
            severity=event.severity.value,
            tier=event.tier.value,
            event_count=1,
            opened_at=self._now,
            episode_at=self._now,
            resolve_proven=True,
            waited_us=0,
            reason=None if storm is None else Reason.storm.value,
            decision=None if storm is None else {"storm": {"shared": dict(storm)}},
            group_key=group_of(event),
            storm_id=decision.storm_id,
        )
        self._alerts.fires(incident_id, event)
        _NEW_WORK.run(
            self._connection,
            incident_id=incident_id,
            service=event.service,
            rank=RANK[event.severity],
            wakes=0,
            wakes_seen=0,
            token=0,
            **begins(1, self._now),
        )
        self._known.is_changed(incident_id)

    def _attach(self, incident: Row[Any], event: AlertEvent, decision: Correlation) -> None:
        joined = self._joining.joins(incident.id, event)
        if joined and (incident.all_resolved_at is not None or incident.cleared_at is not None):
            self._update(incident.id, all_resolved_at=None, resolve_proven=True, cleared_at=None)
        self._learn_scope(incident, event)
        self.list_member(incident.id, event)

    def _repeat(self, incident: Row[Any], event: AlertEvent, _: Correlation) -> None:
        """Hear a repeated notification only where it says that the alert is worse than it was, as annotations may."""
        alert = self._alerts.of(incident.id, event.fingerprint)
        if alert is None or alert.ended_at is not None or alert.starts_at > event.starts_at:
            return
        if alert.rank is not None and RANK[event.severity] < alert.rank and incident.status != _RESOLVED:
            self._joining.joins(incident.id, event.model_copy(update={"starts_at": alert.starts_at}))

    def _refire(self, incident: Row[Any], event: AlertEvent, _: Correlation) -> None:
        self._joining.joins(incident.id, event, anew=True)
        self._learn_scope(incident, event)
        begin_anew(self._connection, incident, self._now, all_resolved_at=None, resolve_proven=True, cleared_at=None)
        self._known.is_changed(incident.id)
        put_out(self._connection, came_back(self._as_it_is(incident.id), event, _ended_as(incident)), self._now)

    def _requeue(self, incident: Row[Any], event: AlertEvent, _: Correlation) -> None:
        """Begin anew with the alerts as they are known now: those resolved meanwhile stay so."""
        over = not self._alerts.fires_still(incident.id) and self._alerts.worst(incident.id) is not None
        begin_anew(
            self._connection,
            incident,
            self._now,
            all_resolved_at=self._now if over else None,
            resolve_proven=not over or self._alerts.all_proven(incident.id),
        )
        self._known.is_changed(incident.id)

    def _resolve(self, incident: Row[Any], event: AlertEvent, decision: Correlation) -> None:
        self._alerts.ends(incident.id, event)
        self._joining.touched(incident.id)
        changes: dict[str, object] = {"cleared_at": ended_at_of(event)} if decision.all_resolved else {}
        if decision.all_resolved and incident.rejoin_at is not None:  # who joined is over, too
            changes |= {"rejoin_at": None, "joins": joins_of(incident).settled().model_dump(mode="json")}
        if incident.ended_at is not None:
            if incident.status == IncidentStatus.escalated.value:
                if decision.all_resolved:
                    put_out(self._connection, cleared(self._as_it_is(incident.id)), self._now)
                still = "" if decision.all_resolved else ", others still fire"
                self._joining.line(incident.id, f"- **{event.alertname}** of {event.service} was resolved{still}")
        elif decision.all_resolved:
            proven = self._alerts.all_proven(incident.id)
            changes |= {"all_resolved_at": self._now, "resolve_proven": proven}
            wake_row(self._connection, incident.id, woken_by="resolved", at=self._now)
        if changes:
            self._update(incident.id, **changes)

    def _learn_scope(self, incident: Row[Any], event: AlertEvent) -> None:
        """Add what an alert says of the incident's subject: of another's, as in a storm, nothing."""
        known = Subject.model_validate(incident.subject or {"name": incident.service})
        if (learnt := known.joined_by(event.subject)) != known:
            self._update(incident.id, subject=learnt.model_dump(mode="json"))

    def _as_it_is(self, incident_id: str) -> Incident:
        self._alerts.write()
        [incident] = incidents_of(self._connection, [self._known.row(incident_id)])
        return incident

    def _update(self, incident_id: str, **values: object) -> None:
        self._connection.execute(update(incidents).where(incidents.c.id == incident_id).values(**values))
        self._known.is_changed(incident_id)


def _ended_as(incident: Row[Any]) -> str:
    return "closed by a person" if incident.closed else incident.resolution or incident.reason or incident.status


def _member(event: AlertEvent) -> str:
    instance = event.labels.get("instance") or event.labels.get("pod") or ""
    where = f" at {instance}" if instance and instance != event.service else ""
    since = event.starts_at.isoformat()
    return f"- **{event.alertname}** of {event.service} ({event.severity.value}){where}, since {since}"


def _thought(event: AlertEvent, decision: Correlation) -> Thought:
    what = {
        Disposition.open: "opened this incident",
        Disposition.attach: "joined this incident",
        Disposition.repeat: "was repeated",
        Disposition.refire: "fires again: a new episode begins",
        Disposition.requeue: "was put back by a person: a new episode begins",
        Disposition.resolve: "was resolved" + (", the last one that fired" if decision.all_resolved else ""),
        Disposition.stale: "says nothing new",
    }[decision.disposition]
    why = f" ({decision.why})" if decision.why else ""
    return Thought(
        node=_NODE,
        text=f"Alert {event.alertname} {what}{why}",
        data={
            "event_id": event.event_id,
            "disposition": decision.disposition.value,
            "fingerprint": event.fingerprint,
            "starts_at": event.starts_at.isoformat(),
        },
    )
