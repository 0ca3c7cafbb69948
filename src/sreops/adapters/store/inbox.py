"""The inbox: events as they came from the topics, once each."""

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import (
    Connection,
    Integer,
    Row,
    Text,
    bindparam,
    case,
    exists,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from sreops.adapters.store.columns import plain
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.rows import chunks
from sreops.adapters.store.tables import inbox
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.event_record import event_json
from sreops.domain.alerts.routing import CRITICAL, REQUEUED_HEADER, NotWorkedOn
from sreops.domain.incidents.correlation import Correlation, Disposition
from sreops.ports import StoredRecord, UnreadableEvent

SET_ASIDE = "dead_letter"
"""The disposition of an event that trips our own code: it lies in the dead letter, and waits for a person."""
REQUEUED = "requeued"
"""The disposition of an event that a person has put back, until it is correlated again."""
_SERVICES = 500  # whose turn is looked for at once
_NEWEST = 50  # among which a critical one that has just come is looked for


_PUT_IN = Prepared(insert(inbox).values(payload=bindparam("event_json", type_=Text())))
_WAITS = inbox.c.correlated_at.is_(None)
_WAITING = select(inbox.c.event_id, inbox.c.topic, type_coerce(inbox.c.payload, Text()).label("payload"))
_OLDEST = Prepared(_WAITING.where(_WAITS).order_by(inbox.c.seq).limit(bindparam("at_most", type_=Integer)))
_OF_NOBODY = Prepared(select(inbox.c.seq).where(_WAITS, inbox.c.service.is_(None)).limit(1))


def _first_in_line() -> Prepared:
    """Return the query of the first event of each service that has any waiting, the critical ones first.

    It steps along the index from one service to the next, however many events each of them has.
    """
    # "> ''" of the first one, too: only so does SQLite take the index that has the services
    turn = select(func.min(inbox.c.service).label("service")).where(_WAITS, inbox.c.service >= "")
    turns = turn.cte("turn", recursive=True)
    later = inbox.alias("later")
    behind = later.c.correlated_at.is_(None), later.c.service > turns.c.service
    following = select(func.min(later.c.service)).where(*behind)
    turns = turns.union_all(select(following.scalar_subquery()).where(turns.c.service.is_not(None)))
    first = inbox.alias("first")
    its_own = first.c.correlated_at.is_(None), first.c.service == turns.c.service
    its_first = select(func.min(first.c.seq)).where(*its_own)
    services = select(its_first.scalar_subquery().label("seq")).where(turns.c.service.is_not(None)).limit(_SERVICES)
    heads = services.subquery()
    critical_first = case((inbox.c.topic == CRITICAL, 0), else_=1)
    return Prepared(
        _WAITING.join(heads, heads.c.seq == inbox.c.seq)
        .order_by(critical_first, inbox.c.seq)
        .limit(bindparam("at_most", type_=Integer))
    )


def _just_come() -> Prepared:
    """Return the query of critical events among the newest that are the first of their service.

    In a flood of ten thousand services each of them is the first of its line; what comes behind it still passes.
    """
    newest = _WAITING.add_columns(inbox.c.seq, inbox.c.service).where(_WAITS).order_by(inbox.c.seq.desc())
    newest_few = newest.limit(_NEWEST).subquery()
    before = inbox.alias("before")
    is_behind = exists().where(
        before.c.correlated_at.is_(None), before.c.service == newest_few.c.service, before.c.seq < newest_few.c.seq
    )
    return Prepared(
        select(newest_few.c.event_id, newest_few.c.topic, newest_few.c.payload)
        .where(newest_few.c.topic == CRITICAL, ~is_behind)
        .order_by(newest_few.c.seq)
    )


_JUST_COME = _just_come()
_FIRST_IN_LINE = _first_in_line()


def put_in(
    connection: Connection,
    events: Sequence[tuple[AlertEvent, StoredRecord | None]],
    now: datetime,
    recorded: Mapping[str, NotWorkedOn] | None = None,
) -> None:
    """Insert inbox rows; the record is where the event came from, if from a topic; ``recorded``: is not worked on."""
    recorded = recorded or {}
    _PUT_IN.run_all(
        connection,
        [
            _place_of(event, record, now)
            | {"event_json": _written(event)}
            | _handled(recorded.get(event.event_id), now)
            for event, record in events
        ],
    )


def _handled(why: NotWorkedOn | None, now: datetime) -> dict[str, Any]:
    """Return what makes a row one that is only looked at: correlated already, also to a sreops that knows no more."""
    if why is None:
        return {"correlated_at": None, "recorded": None, "correlation": None}
    stale = Correlation(disposition=Disposition.stale, incident_id=None, why=why.words).model_dump(mode="json")
    return {"correlated_at": now, "recorded": why.value, "correlation": stale, "disposition": Disposition.stale.value}


def _place_of(event: AlertEvent, record: StoredRecord | None, now: datetime) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "topic": record.topic if record else None,
        "partition": record.partition if record else None,
        "offset": record.offset if record else None,
        "taken_at": now,
        "disposition": REQUEUED if _is_requeued(record) else None,
        "service": event.service,
    }


def _written(event: AlertEvent) -> str:
    """Return the event as the payload's column type writes it; the fast way where that comes to the same."""
    # event_json writes null for NaN, which is no number when it is read again, and holds up all that lie behind it
    if all(map(math.isfinite, (event.escalate_threshold, *(event.values or {}).values()))):
        with contextlib.suppress(ValueError):  # a lone surrogate
            return event_json(event).decode()
    return json.dumps(event.model_dump(mode="json"), separators=(",", ":"))


def _read(row: Row[Any]) -> AlertEvent | UnreadableEvent:
    with contextlib.suppress(ValidationError):  # a lone surrogate's escape: pydantic's parser takes none
        return AlertEvent.model_validate_json(row.payload)
    try:
        return AlertEvent.model_validate(json.loads(row.payload))
    except ValueError as exc:
        error = f"the inbox row of event {row.event_id} does not read: {exc}"
        return UnreadableEvent(row.event_id, row.topic or "", row.payload.encode("utf-8", "surrogatepass"), error)


def _is_requeued(record: StoredRecord | None) -> bool:
    return record is not None and any(name == REQUEUED_HEADER for name, _ in record.headers)


def _requeue(connection: Connection, event: AlertEvent, record: StoredRecord, now: datetime) -> bool:
    """Let a known event be correlated again; False for a record that has done so before (a redelivery)."""
    mine = inbox.c.event_id == event.event_id
    row = connection.execute(select(inbox).where(mine)).one()
    here = (row.topic, row.partition) == (record.topic, record.partition)
    if here and row.offset is not None and record.offset <= row.offset:
        return False
    values = _place_of(event, record, now) | {"payload": event.model_dump(mode="json")}
    if row.correlated_at is None:
        values["disposition"] = row.disposition  # it waits already: then this is only its newer place
    connection.execute(update(inbox).where(mine).values(**values, correlated_at=None, correlation=None))
    return True


class Inbox(SqlPart):
    """Taking events in."""

    async def take_in(
        self,
        records: Sequence[tuple[AlertEvent, StoredRecord]],
        *,
        now: datetime,
        recorded: Mapping[str, NotWorkedOn] | None = None,
    ) -> int:
        """Write events to the inbox, once each by ``event_id``; return how many were new.

        One that a person has put back from the dead letter counts as new, once for each time it was put back; those
        in ``recorded`` are kept to be shown, and never correlated.
        """
        only_recorded = recorded or {}
        first: dict[str, tuple[AlertEvent, StoredRecord]] = {}
        for event, record in records:
            first.setdefault(plain(event.event_id), (event, record))
        again = [
            (event, record) for event, record in records if _is_requeued(record) and event.event_id not in only_recorded
        ]

        def work(connection: Connection) -> int:
            there: set[str] = set()
            for chunk in chunks(list(first)):
                there |= set(connection.execute(select(inbox.c.event_id).where(inbox.c.event_id.in_(chunk))).scalars())
            new = [pair for event_id, pair in first.items() if event_id not in there]
            put_in(connection, new, now, only_recorded)
            return len(new) + sum(_requeue(connection, event, record, now) for event, record in again)

        return await self._db.write(work) if first else 0

    async def set_aside(self, event_id: str, *, now: datetime) -> None:
        """Take an event that can't be correlated out of the way of the others: it is in the dead letter."""
        query = (
            update(inbox)
            .where(inbox.c.event_id == event_id, inbox.c.correlated_at.is_(None))
            .values(correlated_at=now, disposition=SET_ASIDE)
        )

        def work(connection: Connection) -> None:
            connection.execute(query)

        await self._db.write(work)

    async def uncorrelated(self, limit: int) -> Sequence[AlertEvent | UnreadableEvent]:
        """Return inbox rows not yet correlated: criticals that have just come, the first of each service, the oldest.

        So of one service they come in the order in which they were taken in, and a flood of one service holds up
        no other. An unreadable one holds up none.
        """

        def read(connection: Connection) -> list[AlertEvent | UnreadableEvent]:
            rows: dict[str, Row[Any]] = {}
            # beside a 0.1, whose rows name no service, only the order of arrival is sure to keep that of each service
            if _OF_NOBODY.first(connection) is None:
                rows = {row.event_id: row for row in _JUST_COME.all(connection)}
                for row in _FIRST_IN_LINE.all(connection, at_most=limit):
                    rows.setdefault(row.event_id, row)
            for row in _OLDEST.all(connection, at_most=limit):
                if len(rows) >= limit:
                    break
                rows.setdefault(row.event_id, row)
            return [_read(row) for row in list(rows.values())[:limit]]

        return await self._db.read(read)
