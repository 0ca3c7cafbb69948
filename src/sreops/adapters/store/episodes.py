"""Beginning an episode anew: after a refire, by a person, because of who joined."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.records import tell
from sreops.adapters.store.rows import parsed
from sreops.adapters.store.tables import approvals, inbox, incident_alerts, incidents, work
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.incidents.incident import IncidentStatus
from sreops.domain.incidents.joins import REJOIN_TIMER, Joined, Joins, is_safe_point
from sreops.domain.records.record import Thought

_DUE = Prepared(
    select(incidents).where(incidents.c.rejoin_at.is_not(None), incidents.c.rejoin_at <= bindparam("now")).limit(100)
)
_JOINED_SINCE = Prepared(
    select(inbox.c.payload)
    .join(incident_alerts, incident_alerts.c.last_event_id == inbox.c.event_id)
    .where(
        inbox.c.incident_id == bindparam("of_incident"),
        incident_alerts.c.incident_id == inbox.c.incident_id,
        incident_alerts.c.ended_at.is_(None),
        inbox.c.correlated_at > bindparam("since"),
    )
    .order_by(incident_alerts.c.rank, inbox.c.seq)
    .limit(100)
)
_WORK = Prepared(select(work).where(work.c.incident_id == bindparam("of_incident")))


def joins_of(row: Row[Any]) -> Joins:
    """Return what the incident remembers of those who joined."""
    return Joins() if row.joins is None else parsed(Joins, row.joins)


def begins(episode: int, now: datetime) -> dict[str, Any]:
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


def begin_anew(connection: Connection, incident: Row[Any], now: datetime, **values: object) -> None:
    """Begin the next episode: nothing of the one before stands but what ``values`` keep."""
    fresh: dict[str, object] = {
        "episode": incident.episode + 1,
        "episode_at": now,
        "status": IncidentStatus.investigating.value,
        "resolution": None,
        "reason": None,
        "ended_at": None,
        "verification": None,
        "plan_hash": None,
        "decision": None,
        "waited_us": 0,
        "waiting_since": None,
        "acknowledged_by": None,
        "acknowledged_at": None,
        "closed": None,
        "rejoin_at": None,
        "joins": joins_of(incident).fresh().model_dump(mode="json"),
    }
    connection.execute(update(incidents).where(incidents.c.id == incident.id).values(fresh | values))
    connection.execute(
        update(work)
        .where(work.c.incident_id == incident.id)
        # a lease of the episode before is fenced off by its token
        .values(token=work.c.token + 1, **begins(incident.episode + 1, now))
    )


def is_due(connection: Connection, now: datetime) -> bool:
    """Say whether any incident is due to be analysed again, so that looking costs no writer's lock."""
    return _DUE.first(connection, now=now) is not None


def begin_due(connection: Connection, now: datetime) -> list[str]:
    """Begin the analyses that are due because of who joined, where their incidents stand still; return their ids."""
    return [row.id for row in _DUE.all(connection, now=now) if begin_rejoin(connection, row, now)]


def begin_rejoin(connection: Connection, incident: Row[Any], now: datetime) -> bool:
    """Analyse an incident again because of who joined it, if that is due and it stands still.

    A plan that waits for a person goes on waiting, with its time, until the new analysis brings another.
    """
    joins = joins_of(incident)
    if joins.pending is None or joins.pending.due_at > now:
        return False
    row = _WORK.first(connection, of_incident=incident.id)
    if row is None or (row.lease_owner is not None and row.lease_until >= now):
        return False
    status = IncidentStatus(incident.status)
    if not is_safe_point(status) and row.timer != REJOIN_TIMER:
        return False
    values: dict[str, object] = {"joins": joins.begun(now).model_dump(mode="json")}
    if status is IncidentStatus.awaiting_approval:
        waiting = _waiting_plan(connection, incident)
        if waiting is None:  # decided, and the worker is about to hear of it
            return False
        values |= {"plan_hash": incident.plan_hash, "decision": {"standing": _standing(incident)}}
        connection.execute(insert(approvals).values(**waiting, episode=incident.episode + 1))
    begin_anew(connection, incident, now, **values)
    return True


def stays_open(connection: Connection, incident: Row[Any], covered_until: datetime, now: datetime) -> bool:
    """Begin the incident anew, instead of closing it, where an alert fires that joined after it was last looked at."""
    rows = _JOINED_SINCE.all(connection, of_incident=incident.id, since=covered_until)
    if not rows:
        return False
    events = [parsed(AlertEvent, row.payload) for row in rows]
    joins = joins_of(incident).uncovered([Joined.of(event, new_name=True) for event in events], now).begun(now)
    begin_anew(connection, incident, now, joins=joins.model_dump(mode="json"))
    tell(connection, incident.id, Thought(node="close_or_escalate", text=f"Not closed: {joins.began_why}"), now)
    return True


def _waiting_plan(connection: Connection, incident: Row[Any]) -> Mapping[str, Any] | None:
    row = connection.execute(
        select(approvals).where(
            approvals.c.incident_id == incident.id,
            approvals.c.episode == incident.episode,
            approvals.c.plan_hash == incident.plan_hash,
            approvals.c.decision.is_(None),
        )
    ).one_or_none()
    if row is None:
        return None
    names = ("incident_id", "plan_hash", "requested_at", "expires_at", "by", "reason")
    return {name: getattr(row, name) for name in names}


def _standing(incident: Row[Any]) -> dict[str, Any]:
    """Return the waiting plan as the next episode is told of it."""
    decision = incident.decision or {}
    return {
        "plan": decision.get("plan"),
        "plan_hash": incident.plan_hash,
        "runbook_id": incident.runbook_id,
        "why": (decision.get("policy") or {}).get("reasons", []),
    }
