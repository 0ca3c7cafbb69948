"""The outbox of what people are told: put out with the state that it tells, worded once, sent to each channel once."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update

from sreops.adapters.store.columns import plain
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.rows import incidents_of, parsed
from sreops.adapters.store.tables import deliveries, incidents, notices
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.records.notice import Notice, NoticeKind, got_worse
from sreops.ports.store.notices import Delivery, Overdue, Telling

_OF_ID = Prepared(select(notices.c.seq).where(notices.c.notice_id == bindparam("of_notice")))
_PUT_OUT = Prepared(insert(notices))
_MAYBE = "may have arrived: "
_MOST = 1000  # undone deliveries that are looked at, the oldest first


def put_out(connection: Connection, notice: Notice, now: datetime) -> None:
    """Write a notice in the transaction of what it tells; one with this ``notice_id`` that is there stays."""
    if _OF_ID.first(connection, of_notice=plain(notice.notice_id)) is not None:
        return
    _PUT_OUT.run(
        connection,
        notice_id=notice.notice_id,
        incident_id=notice.incident_id,
        episode=notice.episode,
        kind=notice.kind.value,
        severity=notice.severity.value,
        at=now,
        facts=dict(notice.facts),
    )


def put_out_worse(connection: Connection, incident: Row[Any], event: AlertEvent, why: str, now: datetime) -> None:
    """Tell people that an alert has made the incident worse, and ask for their attention again.

    ``incident`` is its row as it is now, severity and all; ``why`` is for people.
    """
    known = update(incidents).where(incidents.c.id == incident.id)
    connection.execute(known.values(acknowledged_by=None, acknowledged_at=None))
    [as_it_is] = incidents_of(connection, [incident])
    put_out(connection, got_worse(as_it_is, event, why), now)


class SqlNotices(SqlPart):
    """Wording what is put out, and sending it."""

    async def unplanned_notices(self, limit: int = 100) -> Sequence[Notice]:
        """Return what is put out and was not given to its channels yet, in order."""
        query = select(notices).where(notices.c.planned_at.is_(None)).order_by(notices.c.seq).limit(limit)
        return await self._db.read(lambda connection: [_notice_of(row) for row in connection.execute(query)])

    async def plan_notice(
        self,
        seq: int,
        *,
        message: Mapping[str, Any] | None,
        quiet: str | None,
        channels: Sequence[tuple[str, bool, datetime]],
        now: datetime,
    ) -> bool:
        """Give a notice to its channels (name, whether as a part of a digest, when due), once; False: it was already.

        ``quiet`` says why nobody is told.
        """

        def plan(connection: Connection) -> bool:
            mine = update(notices).where(notices.c.seq == seq, notices.c.planned_at.is_(None))
            if not connection.execute(mine.values(planned_at=now, message=message, quiet=quiet)).rowcount:
                return False
            incident_id = connection.execute(select(notices.c.incident_id).where(notices.c.seq == seq)).scalar_one()
            for channel, digest, due_at in channels:
                connection.execute(
                    insert(deliveries).values(
                        notice_seq=seq,
                        incident_id=incident_id,
                        channel=channel,
                        digest=digest,
                        due_at=due_at,
                        attempts=0,
                    )
                )
            return True

        return await self._db.write(plan)

    async def deliveries(self, incident_id: str) -> Sequence[Telling]:
        """Return who was told what of an incident, oldest first; a notice that nobody is told has one of no channel."""
        query = (
            select(notices, deliveries.c.channel, deliveries.c.digest, deliveries.c.done_at, deliveries.c.outcome)
            .add_columns(deliveries.c.error, deliveries.c.attempts, deliveries.c.due_at)
            .outerjoin(deliveries, deliveries.c.notice_seq == notices.c.seq)
            .where(notices.c.incident_id == incident_id)
            .order_by(notices.c.seq, deliveries.c.seq)
        )

        def read(connection: Connection) -> list[Telling]:
            return [
                Telling(
                    notice=_notice_of(row),
                    quiet=row.quiet,
                    channel=row.channel,
                    digest=bool(row.digest),
                    due_at=row.due_at,
                    done_at=row.done_at,
                    outcome=row.outcome,
                    error=row.error,
                    attempts=row.attempts or 0,
                )
                for row in connection.execute(query)
            ]

        return await self._db.read(read)

    async def undone_deliveries(self) -> Sequence[Delivery]:
        """Return what is still to be sent, in the order in which it was planned."""
        query = (
            select(deliveries, notices.c.message, notices.c.kind, notices.c.at.label("told_at"))
            .join(notices, notices.c.seq == deliveries.c.notice_seq)
            .where(deliveries.c.done_at.is_(None))
            .order_by(deliveries.c.seq)
            .limit(_MOST)
        )
        return await self._db.read(lambda connection: [_delivery_of(row) for row in connection.execute(query)])

    async def claim_deliveries(
        self, seqs: Sequence[int], *, attempt_id: str, owner: str, now: datetime, lease_s: float
    ) -> bool:
        """Claim all of these for one sending, or none of them: where one is done, not due, or another's."""

        def claim(connection: Connection) -> bool:
            free = connection.execute(
                select(func.count()).where(
                    deliveries.c.seq.in_(seqs),
                    deliveries.c.done_at.is_(None),
                    deliveries.c.due_at <= now,
                    or_(deliveries.c.claimed_until.is_(None), deliveries.c.claimed_until < now),
                )
            ).scalar_one()
            if free != len(seqs):
                return False
            values = {"attempt_id": attempt_id, "claimed_by": owner, "claimed_until": now + timedelta(seconds=lease_s)}
            connection.execute(update(deliveries).where(deliveries.c.seq.in_(seqs)).values(**values))
            return True

        return await self._db.write(claim)

    async def deliveries_sent(self, attempt_id: str, *, now: datetime) -> int:
        """Note that a sending has arrived; return how many deliveries it held."""
        return await self._end_attempt(attempt_id, done_at=now, outcome="sent", error=None)

    async def deliveries_failed(
        self, attempt_id: str, *, error: str, retry_at: datetime | None, now: datetime, maybe_arrived: bool = False
    ) -> int:
        """Note that a sending did not arrive, for all we know: again at ``retry_at``, or (None) given up."""
        end = {"done_at": now, "outcome": "given_up"} if retry_at is None else {"due_at": retry_at}
        told = f"{_MAYBE}{error}" if maybe_arrived else error
        return await self._end_attempt(attempt_id, attempts=deliveries.c.attempts + 1, error=told[:2000], **end)

    async def drop_deliveries(self, seqs: Sequence[int], *, why: str, now: datetime) -> None:
        """Send these no more."""
        query = update(deliveries).where(deliveries.c.seq.in_(seqs), deliveries.c.done_at.is_(None))

        def drop(connection: Connection) -> None:
            connection.execute(query.values(done_at=now, outcome="dropped", error=why))

        await self._db.write(drop)

    async def move_deliveries(self, seqs: Sequence[int], channels: Sequence[str], *, why: str, now: datetime) -> None:
        """Give what was for a channel that is no more to these instead, unless they have the notice already."""

        def move(connection: Connection) -> None:
            gone = connection.execute(
                select(deliveries).where(deliveries.c.seq.in_(seqs), deliveries.c.done_at.is_(None))
            ).all()
            for row in gone:
                has = select(deliveries.c.channel).where(deliveries.c.notice_seq == row.notice_seq)
                there = set(connection.execute(has).scalars())
                for channel in channels:
                    if channel in there:
                        continue
                    values = {name: getattr(row, name) for name in ("notice_seq", "incident_id", "digest", "due_at")}
                    connection.execute(insert(deliveries).values(channel=channel, attempts=0, **values))
                done = update(deliveries).where(deliveries.c.seq == row.seq)
                connection.execute(done.values(done_at=now, outcome="dropped", error=why))

        await self._db.write(move)

    async def overdue_deliveries(self, *, before: datetime) -> Sequence[Overdue]:
        """Count what should have been sent by then, by channel, with the last error."""
        query = (
            select(deliveries.c.channel, func.count().label("n"), func.min(deliveries.c.due_at).label("since"))
            .add_columns(func.max(deliveries.c.error).label("error"))
            .join(notices, notices.c.seq == deliveries.c.notice_seq)
            .where(deliveries.c.done_at.is_(None), deliveries.c.attempts > 0, notices.c.at < before)
            .group_by(deliveries.c.channel)
        )
        return await self._db.read(
            lambda connection: [
                Overdue(row.channel, row.n, row.since, row.error or "") for row in connection.execute(query)
            ]
        )

    async def _end_attempt(self, attempt_id: str, **values: Any) -> int:
        query = update(deliveries).where(deliveries.c.attempt_id == attempt_id, deliveries.c.done_at.is_(None))
        query = query.values(claimed_by=None, claimed_until=None, **values)
        return await self._db.write(lambda connection: connection.execute(query).rowcount)


def _notice_of(row: Row[Any]) -> Notice:
    fields = {name: getattr(row, name) for name in Notice.model_fields}
    return parsed(Notice, fields)


def _delivery_of(row: Row[Any]) -> Delivery:
    return Delivery(
        seq=row.seq,
        notice_seq=row.notice_seq,
        incident_id=row.incident_id,
        channel=row.channel,
        kind=NoticeKind(row.kind),
        digest=row.digest,
        due_at=row.due_at,
        told_at=row.told_at,
        attempts=row.attempts,
        attempt_id=row.attempt_id,
        claimed_by=row.claimed_by,
        claimed_until=row.claimed_until,
        message=row.message or {},
        maybe_again=(row.error or "").startswith(_MAYBE),
    )
