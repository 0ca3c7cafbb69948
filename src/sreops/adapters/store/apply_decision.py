"""What a correlation decision changes: the incident, its alerts, its work, what is told."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from sreops.adapters.store.leases import incident_row
from sreops.adapters.store.notices import put_out
from sreops.adapters.store.prepared import Prepared
from sreops.adapters.store.records import tell_all
from sreops.adapters.store.rows import incidents_of
from sreops.adapters.store.tables import inbox, incident_alerts, incidents, work
from sreops.adapters.store.tickets import queue, queue_line
from sreops.adapters.store.waking import wake_row
from sreops.domain.alerts.alert import AlertEvent, Severity
from sreops.domain.alerts.subject import Subject
from sreops.domain.incidents.correlation import Correlation, Disposition, ended_at_of
from sreops.domain.incidents.incident import INCIDENT_NAMESPACE, Incident, IncidentStatus, Reason, incident_id_of
from sreops.domain.records.notice import came_back, cleared
from sreops.domain.records.record import Thought
from sreops.errors import NotFound
from sreops.ports import TicketOp

RANK = {Severity.critical: 0, Severity.warning: 1, Severity.info: 2}
_NODE = "correlate"


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


def apply(connection: Connection, event: AlertEvent, decision: Correlation, now: datetime, log: Log) -> Correlation:
    """Apply a decision in the caller's transaction; return it as applied. The caller writes the log."""
    decision = _possible(connection, event, decision)
    log.add(event, decision)
    if decision.incident_id is None or decision.disposition in _COUNTED_ONLY:
        return decision
    if decision.disposition is Disposition.open:
        _open(connection, decision.incident_id, event, now, decision.storm)
    else:
        incident = incident_row(connection, decision.incident_id)
        _APPLY[decision.disposition](connection, incident, event, decision, now)
    return decision


def _possible(connection: Connection, event: AlertEvent, decision: Correlation) -> Correlation:
    if decision.disposition is not Disposition.open:
        if decision.incident_id is None and decision.disposition is not Disposition.stale:
            raise NotFound(f"correlation decided {decision.disposition.value} for {event.event_id!r}, of no incident")
        return decision
    decision = decision.model_copy(update={"incident_id": decision.incident_id or incident_id_of(event)})
    there = connection.execute(select(incidents.c.ended_at).where(incidents.c.id == decision.incident_id)).first()
    if there is None:
        return decision
    instead = Disposition.repeat if there[0] is None else Disposition.refire
    return decision.model_copy(update={"disposition": instead, "why": f"{decision.why} (its incident exists)".strip()})


def _open(
    connection: Connection, incident_id: str, event: AlertEvent, now: datetime, storm: Mapping[str, str] | None
) -> None:
    connection.execute(
        insert(incidents).values(
            id=incident_id,
            episode=1,
            status=IncidentStatus.investigating.value,
            service=event.service,
            subject=event.subject.model_dump(mode="json"),
            alertname=event.alertname,
            severity=event.severity.value,
            tier=event.tier.value,
            event_count=1,
            opened_at=now,
            episode_at=now,
            resolve_proven=True,
            waited_us=0,
            reason=None if storm is None else Reason.storm.value,
            decision=None if storm is None else {"storm": {"shared": dict(storm)}},
        )
    )
    _fires(connection, incident_id, event)
    connection.execute(
        insert(work).values(
            incident_id=incident_id,
            service=event.service,
            rank=RANK[event.severity],
            wakes=0,
            wakes_seen=0,
            token=0,
            **_begins(1, now),
        )
    )


def _begins(episode: int, now: datetime) -> dict[str, Any]:
    """Return the work row's part that each episode begins with; its token goes on growing."""
    return {
        "episode": episode,
        "opened_at": now,
        "due_at": now,
        "ready": True,
        "timer": None,
        "woken_by": "start",
        "seen_at": now,
        "lease_owner": None,
        "lease_until": None,
        "attempts": 0,
        "last_error": None,
        "starts": 0,
        "started_from": None,
    }


def _attach(
    connection: Connection, incident: Row[Any], event: AlertEvent, decision: Correlation, now: datetime
) -> None:
    if _fires(connection, incident.id, event):
        _update(connection, incident, all_resolved_at=None, resolve_proven=True, cleared_at=None)
    _learn_scope(connection, incident, event)
    if decision.storm is not None:
        told = {**(incident.decision or {}), "storm": {"shared": decision.storm}}
        _update(connection, incident, decision=told)
        queue_line(connection, incident.id, "Joined the storm:", _member(event), now)
        return
    words = f"Alert **{event.alertname}** of {event.service} joined, firing since {event.starts_at.isoformat()}."
    _note(connection, incident, event, words, now)


def _refire(connection: Connection, incident: Row[Any], event: AlertEvent, _: Correlation, now: datetime) -> None:
    _fires(connection, incident.id, event)
    _learn_scope(connection, incident, event)
    begin_anew(connection, incident, now, all_resolved_at=None, resolve_proven=True, cleared_at=None)
    put_out(connection, came_back(_as_it_is(connection, incident.id), event, _ended_as(incident)), now)


def _requeue(connection: Connection, incident: Row[Any], event: AlertEvent, _: Correlation, now: datetime) -> None:
    """Begin anew with the alerts as they are known now: those resolved meanwhile stay so."""
    alert = incident_alerts.c
    alerts = connection.execute(select(alert.ended_at, alert.proven).where(alert.incident_id == incident.id)).all()
    over = bool(alerts) and all(row.ended_at is not None for row in alerts)
    begin_anew(
        connection,
        incident,
        now,
        all_resolved_at=now if over else None,
        resolve_proven=not over or all(row.proven for row in alerts),
    )


def begin_anew(connection: Connection, incident: Row[Any], now: datetime, **changes: object) -> None:
    """Begin the incident's next episode, which is worked on from its first node."""
    _update(
        connection,
        incident,
        episode=incident.episode + 1,
        episode_at=now,
        status=IncidentStatus.investigating.value,
        resolution=None,
        reason=None,
        ended_at=None,
        verification=None,
        plan_hash=None,
        decision=None,
        waited_us=0,
        waiting_since=None,
        acknowledged_by=None,
        acknowledged_at=None,
        closed=None,
        **changes,
    )
    connection.execute(
        update(work)
        .where(work.c.incident_id == incident.id)
        # a lease of the episode before is fenced off by its token
        .values(token=work.c.token + 1, **_begins(incident.episode + 1, now))
    )


def _resolve(
    connection: Connection, incident: Row[Any], event: AlertEvent, decision: Correlation, now: datetime
) -> None:
    alert = incident_alerts.c
    connection.execute(
        update(incident_alerts)
        .where(alert.incident_id == incident.id, alert.fingerprint == event.fingerprint)
        .values(ended_at=ended_at_of(event), proven=event.proves_recovery, last_event_id=event.event_id)
    )
    if decision.all_resolved:
        _update(connection, incident, cleared_at=ended_at_of(event))
    if incident.ended_at is not None:
        if incident.status == IncidentStatus.escalated.value:
            if decision.all_resolved:
                put_out(connection, cleared(_as_it_is(connection, incident.id)), now)
            still = "" if decision.all_resolved else " Others still fire."
            _note(connection, incident, event, f"Alert **{event.alertname}** was resolved.{still}", now)
        return
    if decision.all_resolved:
        proven = connection.execute(select(alert.proven).where(alert.incident_id == incident.id)).scalars().all()
        _update(connection, incident, all_resolved_at=now, resolve_proven=all(proven))
        wake_row(connection, incident.id, woken_by="resolved", at=now)


_APPLY: Mapping[Disposition, Callable[[Connection, Row[Any], AlertEvent, Correlation, datetime], None]] = {
    Disposition.attach: _attach,
    Disposition.refire: _refire,
    Disposition.requeue: _requeue,
    Disposition.resolve: _resolve,
}
_COUNTED_ONLY = frozenset({Disposition.repeat, Disposition.stale})
"""A repeated notification says nothing new."""


def _fires(connection: Connection, incident_id: str, event: AlertEvent) -> bool:
    """Write the alert as firing; return False where a later firing of it is known already (a late event)."""
    alert = incident_alerts.c
    mine = (alert.incident_id == incident_id) & (alert.fingerprint == event.fingerprint)
    there = connection.execute(select(alert.starts_at).where(mine)).first()
    fields = {"starts_at": event.starts_at, "ended_at": None, "proven": True, "last_event_id": event.event_id}
    if there is None:
        key = {"incident_id": incident_id, "fingerprint": event.fingerprint}
        connection.execute(insert(incident_alerts).values(**key, **fields))
        return True
    if event.starts_at < there[0]:
        return False
    connection.execute(update(incident_alerts).where(mine).values(**fields))
    return True


def _learn_scope(connection: Connection, incident: Row[Any], event: AlertEvent) -> None:
    """Add what an alert says of the incident's subject: of another's, as in a storm, nothing."""
    known = Subject.model_validate(incident.subject or {"name": incident.service})
    if (learnt := known.joined_by(event.subject)) != known:
        _update(connection, incident, subject=learnt.model_dump(mode="json"))


def _update(connection: Connection, incident: Row[Any], **values: object) -> None:
    connection.execute(update(incidents).where(incidents.c.id == incident.id).values(**values))


def _as_it_is(connection: Connection, incident_id: str) -> Incident:
    [incident] = incidents_of(connection, [incident_row(connection, incident_id)])
    return incident


def _ended_as(incident: Row[Any]) -> str:
    return "closed by a person" if incident.closed else incident.resolution or incident.reason or incident.status


def _member(event: AlertEvent) -> str:
    return f"- **{event.alertname}** of {event.service} ({event.severity.value}), since {event.starts_at.isoformat()}"


def _note(connection: Connection, incident: Row[Any], event: AlertEvent, words: str, now: datetime) -> None:
    op_id = str(uuid.uuid5(INCIDENT_NAMESPACE, f"note\n{event.event_id}"))  # a redelivery gives the same
    queue(connection, TicketOp(op_id=op_id, incident_id=incident.id, kind="note", body={"note": words}), now)


def _thought(event: AlertEvent, decision: Correlation) -> Thought:
    said = {
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
        text=f"Alert {event.alertname} {said}{why}",
        data={
            "event_id": event.event_id,
            "disposition": decision.disposition.value,
            "fingerprint": event.fingerprint,
            "starts_at": event.starts_at.isoformat(),
        },
    )
