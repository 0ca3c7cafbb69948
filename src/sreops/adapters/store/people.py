"""What people say of an incident, and do with it: acknowledge, close, give back, judge the cause, ask."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from sreops.adapters.store.columns import plain
from sreops.adapters.store.episodes import begin_anew
from sreops.adapters.store.leases import SqlPart, incident_row
from sreops.adapters.store.notices import put_out
from sreops.adapters.store.records import audit, tell
from sreops.adapters.store.rows import incidents_of
from sreops.adapters.store.tables import effects, endings, incident_alerts, incidents, work
from sreops.adapters.store.tickets import queue
from sreops.domain.incidents.closed_as import ClosedAs
from sreops.domain.incidents.incident import Incident, IncidentStatus
from sreops.domain.records.notice import closed as closed_notice
from sreops.domain.records.record import Action, Thought
from sreops.errors import DecisionConflict
from sreops.ports import TicketOp

_NODE = "people"


class SqlPeople(SqlPart):
    """Each is one transaction: look, refuse or change, audit."""

    async def acknowledge(self, incident_id: str, *, by: str, reason: str, now: datetime) -> Incident:
        """Note who knows of it; raises NotFound, DecisionConflict."""

        def acknowledge(connection: Connection, row: Row[Any]) -> Action:
            if row.status == IncidentStatus.resolved.value:
                raise DecisionConflict(f"incident {row.id} is resolved: there is nothing to acknowledge")
            _set(connection, row, acknowledged_by=by, acknowledged_at=now)
            _say(connection, row, f"{by} acknowledged: {reason}", now)
            return Action(action="acknowledge", phase="decision", target=row.service, by=by, detail=reason)

        return await self._said(incident_id, acknowledge, now)

    async def close_incident(
        self, incident_id: str, *, by: str, reason: str, was: ClosedAs, cause: str, now: datetime
    ) -> Incident:
        """End it as resolved, resolution ``closed``; raises NotFound, DecisionConflict."""

        def close(connection: Connection, row: Row[Any]) -> Action:
            if row.status == IncidentStatus.resolved.value:
                raise DecisionConflict(f"incident {row.id} is resolved already")
            if (target := _under_way(connection, row)) is not None:
                raise DecisionConflict(
                    f"incident {row.id}: the outcome of what was done to {target} is not known yet; close it then"
                )
            told = {"by": by, "was": was.value, "cause": cause, "reason": reason, "at": now.isoformat()}
            _set(
                connection,
                row,
                status=IncidentStatus.resolved.value,
                resolution=was.as_before.value,
                reason=None,
                ended_at=now,
                waiting_since=None,
                closed=told,
            )
            _stop(connection, row)
            _note_end(connection, row, was, now)
            words = f"{by} closed it as {was.value}: {reason}" + (f" (cause: {cause})" if cause else "")
            _say(connection, row, words, now)
            queue(connection, _closing_op(row, was, words), now)
            put_out(connection, closed_notice(_read(connection, row.id), by, was.value, cause), now)
            data = {"was": was.value, "cause": cause}
            return Action(action="close", phase="decision", target=row.service, by=by, detail=reason, data=data)

        return await self._said(incident_id, close, now)

    async def rerun(self, incident_id: str, *, by: str, reason: str, now: datetime) -> Incident:
        """Give it back to automation, in a new episode; raises NotFound, DecisionConflict."""

        def give_back(connection: Connection, row: Row[Any]) -> Action:
            if row.ended_at is None:
                raise DecisionConflict(f"incident {row.id} is {row.status}: sreops is working on it")
            storm = (row.decision or {}).get("storm")
            if storm:
                raise DecisionConflict(f"incident {row.id} is of a storm, which is not worked on by itself")
            alert = incident_alerts.c
            mine = connection.execute(select(alert.ended_at, alert.proven).where(alert.incident_id == row.id)).all()
            over = bool(mine) and all(alert_row.ended_at is not None for alert_row in mine)
            begin_anew(
                connection,
                row,
                now,
                all_resolved_at=now if over else None,
                resolve_proven=not over or all(alert_row.proven for alert_row in mine),
                given_back={"by": by, "reason": reason, "at": now.isoformat(), "episode": row.episode + 1},
            )
            _say(connection, row, f"{by} gave it back to sreops: {reason}", now)
            return Action(
                action="rerun",
                phase="decision",
                target=row.service,
                by=by,
                detail=reason,
                data={"episode": row.episode + 1},
            )

        return await self._said(incident_id, give_back, now)

    async def feed_back(
        self, incident_id: str, *, by: str, right: bool, cause: str, component: str, now: datetime
    ) -> Incident:
        """Note whether the cause was right, and what it was; raises NotFound."""

        def note(connection: Connection, row: Row[Any]) -> Action:
            told = {"by": by, "right": right, "cause": cause, "component": component, "at": now.isoformat()}
            _set(connection, row, feedback=told)
            verdict = "was right" if right else "was wrong"
            _say(connection, row, f"{by} says that the cause {verdict}" + (f": {cause}" if cause else ""), now)
            data = {"right": right, "cause": cause, "component": component}
            return Action(action="feedback", phase="decision", target=row.service, by=by, detail=cause, data=data)

        return await self._said(incident_id, note, now)

    async def asked(
        self, incident_id: str, *, by: str, question: str, answer: str, analyst: str, now: datetime
    ) -> None:
        """Note a question about it and its answer; raises NotFound."""

        def note(connection: Connection, row: Row[Any]) -> Action:
            data = {"question": question, "by": by, "analyst": analyst}
            tell(connection, row.id, Thought(node="ask", text=answer, data=data), now)
            return Action(action="ask", phase="decision", target=row.service, by=by, detail=question)

        await self._said(incident_id, note, now)

    async def _said(self, incident_id: str, say: Callable[[Connection, Row[Any]], Action], now: datetime) -> Incident:
        def work(connection: Connection) -> Incident:
            row = incident_row(connection, plain(incident_id))
            audit(connection, row.id, say(connection, row), now, self._audit_key)
            return _read(connection, row.id)

        return await self._db.write(work)


def _set(connection: Connection, row: Row[Any], **values: object) -> None:
    connection.execute(update(incidents).where(incidents.c.id == row.id).values(**values))


def _say(connection: Connection, row: Row[Any], words: str, now: datetime) -> None:
    tell(connection, row.id, Thought(node=_NODE, text=words), now)


def _read(connection: Connection, incident_id: str) -> Incident:
    [incident] = incidents_of(connection, [incident_row(connection, incident_id)])
    return incident


def _under_way(connection: Connection, row: Row[Any]) -> str | None:
    """Return the target of an effect whose outcome is not known while the incident is worked on."""
    if row.ended_at is not None:
        return None
    open_effect = select(effects.c.target).where(
        effects.c.incident_id == row.id, effects.c.episode == row.episode, effects.c.outcome.is_(None)
    )
    return connection.execute(open_effect.limit(1)).scalar()


def _stop(connection: Connection, row: Row[Any]) -> None:
    """End the work, whoever holds its lease: a graph that runs finds out at its next write."""
    connection.execute(
        update(work)
        .where(work.c.incident_id == row.id)
        .values(token=work.c.token + 1, lease_owner=None, lease_until=None, due_at=None, ready=False, timer=None)
    )


def _note_end(connection: Connection, row: Row[Any], was: ClosedAs, now: datetime) -> None:
    mine = (endings.c.incident_id == row.id) & (endings.c.episode == row.episode)
    there = connection.execute(select(func.count()).where(mine)).scalar_one()
    if there:  # it was handed over: that episode's end stays what it was, for the breaker
        return
    connection.execute(
        insert(endings).values(
            incident_id=row.id,
            episode=row.episode,
            service=row.service,
            status=IncidentStatus.resolved.value,
            resolution=was.as_before.value,
            reason=None,
            verification=row.verification,
            ended_at=now,
        )
    )


def _closing_op(row: Row[Any], was: ClosedAs, words: str) -> TicketOp:
    return TicketOp(
        op_id=f"{row.id}:{row.episode}:closed",
        incident_id=row.id,
        kind="close",
        body={
            "note": words,
            "add_labels": ["sreops-resolved", f"closed-{was.value}"],
            "remove_labels": ["sreops-escalated"],
        },
    )
