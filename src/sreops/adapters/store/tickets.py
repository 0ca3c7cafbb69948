"""The queue of ticket writes: in order per incident, each once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    bindparam,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.rows import parsed
from sreops.adapters.store.tables import incidents, records, tickets
from sreops.domain.incidents.incident import Issue
from sreops.ports import TicketOp

_CREATE, _LIST = "create", "list"
_GATHERED_FOR = timedelta(seconds=5)
_SENT_SOON = timedelta(seconds=1)  # other replicas' clocks may be that far ahead
_COUNTED_FOR = timedelta(minutes=5)
_LINES = 100
LISTED = 200
"""So many alerts of an incident are listed on its issue."""
_KNOWN = Prepared(select(tickets.c.seq).where(tickets.c.op_id == bindparam("of_op")))
_QUEUE = Prepared(insert(tickets))
_NEWEST_LIST = Prepared(
    select(tickets.c.seq, tickets.c.body, tickets.c.attempts, tickets.c.due_at)
    .where(tickets.c.incident_id == bindparam("of_incident"), tickets.c.kind == _LIST)
    .order_by(tickets.c.seq.desc())
    .limit(1)
)


def queue(connection: Connection, op: TicketOp, now: datetime) -> None:
    """Queue a write, due at ``now``; one with this ``op_id`` that is there already stays as it is."""
    if _KNOWN.first(connection, of_op=op.op_id) is not None:
        return
    _QUEUE.run(
        connection,
        op_id=op.op_id,
        incident_id=op.incident_id,
        kind=op.kind,
        body=dict(op.body),
        attempts=0,
        due_at=now,
        refused=False,
    )


def queue_lines(connection: Connection, incident_id: str, lines: Sequence[str], now: datetime) -> None:
    """Queue lines about alerts on the issue: those of the next seconds go out as one note.

    The first ``LISTED`` are listed, the others counted, in a note every few minutes: nobody reads ten thousand.
    A note gathers lines only while it is not due, because from then on it may be on its way.
    """
    newest = _NEWEST_LIST.first(connection, of_incident=incident_id)
    body: dict[str, Any] = {"lines": [], "before": 0, "more": 0, "number": -1}
    body |= newest.body if newest is not None else {}
    gathers = newest is not None and newest.attempts == 0 and newest.due_at > now + _SENT_SOON
    while lines:
        room = min(LISTED - body["before"], _LINES) - len(body["lines"])
        if not gathers or (room <= 0 and body["before"] + len(body["lines"]) < LISTED):
            before = body["before"] + len(body["lines"])
            body = {"lines": [], "before": before, "more": 0, "number": body["number"] + 1}
            room = min(LISTED - before, _LINES)
            newest, gathers = None, True
        taken, lines = lines[: max(0, room)], lines[max(0, room) :]
        body["lines"] = [*body["lines"], *taken]
        if body["before"] + len(body["lines"]) >= LISTED:
            body["more"] += len(lines)
            lines = []
        _write_list(connection, incident_id, newest, body, now)


def _write_list(
    connection: Connection, incident_id: str, newest: Row[Any] | None, body: dict[str, Any], now: datetime
) -> None:
    more = f"\n\n… and {body['more']} more, which are counted and not listed." if body["more"] else ""
    body["note"] = "\n".join(["Alerts of this incident:", "", *body["lines"]]) + more
    if newest is not None:
        connection.execute(update(tickets).where(tickets.c.seq == newest.seq).values(body=body))
        return
    op = TicketOp(op_id=f"{incident_id}:alerts:{body['number']}", incident_id=incident_id, kind=_LIST, body=body)
    queue(connection, op, now + (_GATHERED_FOR if body["lines"] else _COUNTED_FOR))


def _op_of(row: Row[Any]) -> TicketOp:
    return TicketOp(
        op_id=row.op_id,
        incident_id=row.incident_id,
        kind=row.kind,
        body=row.body,
        attempts=row.attempts,
        issue=None if row.issue is None else parsed(Issue, row.issue),
    )


def _due_query(*, of_one: bool) -> Prepared:
    now: BindParameter[datetime] = bindparam("now")
    creation_first = case((tickets.c.kind == _CREATE, 0), else_=1)
    place = func.row_number().over(partition_by=tickets.c.incident_id, order_by=(creation_first, tickets.c.seq))
    undone = select(tickets, place.label("place")).where(tickets.c.done_at.is_(None))
    if of_one:
        undone = undone.where(tickets.c.incident_id == bindparam("of_incident"))
    first = undone.subquery()
    other = tickets.alias("other")
    return Prepared(
        select(first, incidents.c.issue)
        .join(incidents, incidents.c.id == first.c.incident_id)
        .where(
            first.c.place == 1,
            first.c.due_at <= now,
            or_(first.c.claimed_until.is_(None), first.c.claimed_until < now),
            or_(
                first.c.kind == _CREATE,
                incidents.c.ended_at.is_not(None),
                exists().where(other.c.incident_id == first.c.incident_id, other.c.kind == _CREATE),
                incidents.c.issue.is_not(None),
            ),
        )
        .order_by(first.c.seq)
    )


_DUE, _DUE_OF_ONE = _due_query(of_one=False), _due_query(of_one=True)
_OF_OP = Prepared(select(tickets.c.incident_id).where(tickets.c.op_id == bindparam("of_op")))
_UNDONE = Prepared(
    select(tickets.c.seq).where(tickets.c.incident_id == bindparam("of_incident"), tickets.c.done_at.is_(None)).limit(1)
)
_DONE = Prepared(update(tickets).where(tickets.c.op_id == bindparam("of_op"), tickets.c.done_at.is_(None)))
_ISSUE = Prepared(update(incidents).where(incidents.c.id == bindparam("of_incident")))


class SqlTickets(SqlPart):
    """Carrying the queue out."""

    async def due_tickets(self, *, now: datetime, incident_id: str | None = None) -> Sequence[TicketOp]:
        """Return undone writes that are due and that nobody is sending, at most the first of each incident.

        ``create`` is the first whenever it was queued: correlation may note an attached alert before the graph
        has come to it. Until there is a ``create`` the others wait, unless the incident ended without one.
        """

        def due(connection: Connection) -> list[TicketOp]:
            if incident_id is None:
                return [_op_of(row) for row in _DUE.all(connection, now=now)]
            return [_op_of(row) for row in _DUE_OF_ONE.all(connection, now=now, of_incident=incident_id)]

        return await self._db.read(due)

    async def claim_ticket(self, op_id: str, owner: str, *, now: datetime, lease_s: float) -> bool:
        """Claim an undone write for ``lease_s``, or keep it; False where it is done, not due, or another's."""
        query = (
            update(tickets)
            .where(
                tickets.c.op_id == op_id,
                tickets.c.done_at.is_(None),
                tickets.c.due_at <= now,
                or_(tickets.c.claimed_until.is_(None), tickets.c.claimed_until < now, tickets.c.claimed_by == owner),
            )
            .values(claimed_by=owner, claimed_until=now + timedelta(seconds=lease_s))
        )
        return await self._db.write(lambda connection: connection.execute(query).rowcount == 1)

    async def ticket_done(self, op_id: str, *, issue: Issue | None, now: datetime) -> bool:
        """Mark done; ``issue`` is set on the incident where it is given. Say whether the incident has more to write."""

        def done(connection: Connection) -> bool:
            row = _OF_OP.first(connection, of_op=op_id)
            if row is None:
                return False
            _DONE.run(connection, of_op=op_id, done_at=now)
            if issue is not None:
                _ISSUE.run(connection, of_incident=row.incident_id, issue=issue.model_dump(mode="json"))
            return _UNDONE.first(connection, of_incident=row.incident_id) is not None

        return await self._db.write(done)

    async def ticket_failed(self, op_id: str, *, error: str, retry_at: datetime | None, now: datetime) -> None:
        """Try again at ``retry_at``; None: GitLab refuses it for good, go on with the next one."""
        given_up = retry_at is None
        query = (
            update(tickets)
            .where(tickets.c.op_id == op_id, tickets.c.done_at.is_(None))
            .values(
                attempts=tickets.c.attempts + 1,
                error=error[:2000],
                claimed_by=None,
                claimed_until=None,
                due_at=tickets.c.due_at if retry_at is None else retry_at,
                done_at=now if given_up else None,
                refused=given_up,
            )
        )

        def failed(connection: Connection) -> None:
            connection.execute(query)

        await self._db.write(failed)

    async def issue_gone(self, incident_id: str, *, now: datetime) -> bool:
        """Write everything again, to an issue that takes the place of one that was deleted; once, then False."""

        def again(connection: Connection) -> bool:
            op_id = f"{incident_id}:replaced"
            if _KNOWN.first(connection, of_op=op_id) is not None:
                return False
            mine = update(tickets).where(tickets.c.incident_id == incident_id)
            anew = {"done_at": None, "refused": False, "attempts": 0, "error": None, "due_at": now}
            connection.execute(mine.values(claimed_by=None, claimed_until=None, **anew))
            connection.execute(update(incidents).where(incidents.c.id == incident_id).values(issue=None, shown_seq=0))
            words = "The issue before this one was deleted: what stood there is written here again."
            queue(connection, TicketOp(op_id=op_id, incident_id=incident_id, kind="note", body={"note": words}), now)
            return True

        return await self._db.write(again)

    async def stale_issues(self, *, limit: int) -> Sequence[str]:
        """Return incidents with an issue that does not show their latest records, the newest first."""
        more = exists().where(records.c.incident_id == incidents.c.id, records.c.seq > incidents.c.shown_seq)
        query = (
            select(incidents.c.id)
            .where(incidents.c.issue.is_not(None), more)
            .order_by(incidents.c.opened_at.desc(), incidents.c.id.desc())
            .limit(limit)
        )
        return await self._db.read(lambda connection: list(connection.execute(query).scalars()))

    async def issue_shown(self, incident_id: str, seq: int) -> None:
        """Note that the issue shows the records up to ``seq``."""
        query = update(incidents).where(incidents.c.id == incident_id, incidents.c.shown_seq < seq)

        def note(connection: Connection) -> None:
            connection.execute(query.values(shown_seq=seq))

        await self._db.write(note)
