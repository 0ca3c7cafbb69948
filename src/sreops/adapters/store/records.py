"""Thoughts and actions: told in the transaction of what they tell, copied out later."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from sreops.adapters.store.columns import plain
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart, incident_row
from sreops.adapters.store.rows import chunks, record_of
from sreops.adapters.store.tables import records
from sreops.domain.records.audit import chain_hash
from sreops.domain.records.record import Action, Record, RecordKind, Thought

_UNPUBLISHED = records.c.published.is_(False)
_APPEND = Prepared(insert(records))
_HEAD = Prepared(
    select(records.c.hash)
    .where(records.c.incident_id == bindparam("of_incident"), records.c.kind == RecordKind.action.value)
    .order_by(records.c.seq.desc())
    .limit(1)
)


def tell(connection: Connection, incident_id: str, thought: Thought, now: datetime) -> None:
    """Append a thought."""
    _append(connection, incident_id, RecordKind.thought, thought.model_dump(mode="json"), now)


def tell_all(connection: Connection, thoughts: Sequence[tuple[str, Thought]], now: datetime) -> None:
    """Append thoughts of several incidents, in this order."""
    _APPEND.run_all(
        connection,
        [
            {
                "incident_id": incident_id,
                "kind": RecordKind.thought.value,
                "at": now,
                "body": thought.model_dump(mode="json"),
                "prev_hash": None,
                "hash": None,
                "published": False,
            }
            for incident_id, thought in thoughts
        ],
    )


def audit(connection: Connection, incident_id: str, action: Action, now: datetime, key: bytes | None) -> str:
    """Append an action to the incident's hash chain, return its hash; writers are serial, so the chain can't fork."""
    newest = _HEAD.first(connection, of_incident=incident_id)
    head = newest.hash if newest is not None else None
    body: dict[str, Any] = _chainable(action.model_dump(mode="json"))
    this_hash = chain_hash(head, incident_id=incident_id, at=now, body=body, key=key)
    _append(connection, incident_id, RecordKind.action, body, now, head, this_hash)
    return this_hash


def _chainable(value: Any) -> Any:
    """Write NaN and the infinities as words: the chain takes JSON numbers only, and an effect must get its record."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _chainable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_chainable(inner) for inner in value]
    return value


def _append(
    connection: Connection,
    incident_id: str,
    kind: RecordKind,
    body: dict[str, Any],
    now: datetime,
    prev_hash: str | None = None,
    this_hash: str | None = None,
) -> None:
    _APPEND.run(
        connection,
        incident_id=incident_id,
        kind=kind.value,
        at=now,
        body=body,
        prev_hash=prev_hash,
        hash=this_hash,
        published=False,
    )


class SqlRecords(SqlPart):
    """Reading what was told, and the outbox of copies."""

    async def records(
        self,
        *,
        after: int = 0,
        incident_id: str | None = None,
        kind: str | None = None,
        limit: int = 500,
        newest: bool = False,
    ) -> Sequence[Record]:
        """Return records by sequence; ``newest`` gives the last ``limit`` of them, still ascending."""
        query = select(records).where(records.c.seq > after).limit(max(0, limit))
        if incident_id is not None:
            query = query.where(records.c.incident_id == incident_id)
        if kind is not None:
            query = query.where(records.c.kind == kind)
        query = query.order_by(records.c.seq.desc() if newest else records.c.seq)

        def work(connection: Connection) -> list[Record]:
            rows = [record_of(row) for row in connection.execute(query)]
            return rows[::-1] if newest else rows

        return await self._db.read(work)

    async def note_thought(self, incident_id: str, thought: Thought, *, now: datetime) -> None:
        """Append a thought to an incident's account, whoever works on it; raises NotFound."""

        def note(connection: Connection) -> None:
            tell(connection, incident_row(connection, plain(incident_id)).id, thought, now)

        await self._db.write(note)

    async def unpublished(self, limit: int) -> Sequence[Record]:
        """Return records whose copy on the topics is still due, in order."""
        query = select(records).where(_UNPUBLISHED).order_by(records.c.seq).limit(limit)
        return await self._db.read(lambda connection: [record_of(row) for row in connection.execute(query)])

    async def published(self, seqs: Sequence[int]) -> None:
        """Mark copies as made."""

        def work(connection: Connection) -> None:
            for chunk in chunks(seqs):
                connection.execute(update(records).where(records.c.seq.in_(chunk)).values(published=True))

        if seqs:
            await self._db.write(work)
