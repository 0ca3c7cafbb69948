"""Approvals: asked once, decided once."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from sreops.adapters.store.leases import SqlPart, held, incident_row
from sreops.adapters.store.records import audit
from sreops.adapters.store.rows import approval_of
from sreops.adapters.store.tables import approvals
from sreops.adapters.store.waking import wake_row
from sreops.domain.incidents.incident import IncidentStatus
from sreops.domain.records.record import Action
from sreops.errors import DecisionConflict
from sreops.ports import Approval, Lease

_EXPIRED = "expired"


class SqlApprovals(SqlPart):
    """Asking a person, and what they say."""

    async def request_approval(self, lease: Lease, *, plan_hash: str, now: datetime, expires_at: datetime) -> Approval:
        """Ask once per episode and plan; a second call returns what is there, decided or not.

        One that finds it past its time takes it back in the same transaction: a decision that another replica's
        clock, or a queue, brings a moment later is told so, and not thanked for what nobody will do.
        """

        def request(connection: Connection) -> Approval:
            held(connection, lease)
            query = select(approvals).where(
                approvals.c.incident_id == lease.incident_id,
                approvals.c.episode == lease.episode,
                approvals.c.plan_hash == plan_hash,
            )
            there = connection.execute(query).one_or_none()
            if there is None:
                connection.execute(
                    insert(approvals).values(
                        incident_id=lease.incident_id,
                        episode=lease.episode,
                        plan_hash=plan_hash,
                        requested_at=now,
                        expires_at=expires_at,
                        by="",
                        reason="",
                    )
                )
                there = connection.execute(query).one()
            elif there.decision is None and now >= there.expires_at:
                expired = update(approvals).where(approvals.c.id == there.id)
                connection.execute(expired.values(decision=_EXPIRED, decided_at=now))
                there = connection.execute(query).one()
            return approval_of(there)

        return await self._db.write(request)

    async def approval(self, incident_id: str, episode: int) -> Approval | None:
        """Return the latest request of the episode."""

        def find(connection: Connection) -> Approval | None:
            row = _latest(connection, incident_id, episode)
            return None if row is None else approval_of(row)

        return await self._db.read(find)

    async def decide(
        self, incident_id: str, *, approve: bool, by: str, reason: str, plan_hash: str, now: datetime
    ) -> Approval:
        """Decide by compare-and-set, audit it, wake the incident."""

        def decide(connection: Connection) -> Approval:
            incident = incident_row(connection, incident_id)
            waiting = _undecided(incident, _latest(connection, incident_id, incident.episode), plan_hash, now)
            done = connection.execute(
                update(approvals)
                .where(approvals.c.id == waiting.id, approvals.c.decision.is_(None))
                .values(decision="approved" if approve else "rejected", by=by, reason=reason, decided_at=now)
            )
            if done.rowcount != 1:
                raise DecisionConflict(f"incident {incident_id}: somebody else has just decided")
            action = Action(
                action="approve" if approve else "reject",
                phase="decision",
                target=incident.service,
                by=by,
                detail=reason,
                data={"plan_hash": plan_hash, "episode": incident.episode},
            )
            audit(connection, incident_id, action, now, self._audit_key)
            wake_row(connection, incident_id, woken_by="decision", at=now)
            return approval_of(connection.execute(select(approvals).where(approvals.c.id == waiting.id)).one())

        return await self._db.write(decide)


def _latest(connection: Connection, incident_id: str, episode: int) -> Row[Any] | None:
    return connection.execute(
        select(approvals)
        .where(approvals.c.incident_id == incident_id, approvals.c.episode == episode)
        .order_by(approvals.c.id.desc())
        .limit(1)
    ).one_or_none()


def _undecided(incident: Row[Any], row: Row[Any] | None, plan_hash: str, now: datetime) -> Row[Any]:
    """Return the request that waits for exactly this decision, else raise DecisionConflict."""
    name = f"incident {incident.id}"
    if incident.ended_at is not None:
        raise DecisionConflict(f"{name} has ended as {incident.status}: nothing waits for a decision")
    if incident.status == IncidentStatus.verifying.value:
        raise DecisionConflict(f"{name} is being verified: nothing waits for a decision")
    if row is None:
        raise DecisionConflict(f"{name} does not wait for a decision")
    if row.decision == _EXPIRED:
        raise DecisionConflict(f"{name}: the request expired at {row.expires_at.isoformat()}")
    if row.decision is not None:
        raise DecisionConflict(f"{name} was {row.decision} by {row.by} already, at {row.decided_at.isoformat()}")
    if row.plan_hash != plan_hash:
        raise DecisionConflict(f"{name} now waits for plan {row.plan_hash}, not for {plan_hash}: look at it again")
    if now >= row.expires_at:
        raise DecisionConflict(f"{name}: the request expired at {row.expires_at.isoformat()}")
    return row
