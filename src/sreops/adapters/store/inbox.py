"""The inbox: events as they came from the topics, once each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from sreops.adapters.store.columns import plain
from sreops.adapters.store.part import Part
from sreops.adapters.store.rows import chunks, parsed
from sreops.adapters.store.tables import inbox
from sreops.domain.alert import AlertEvent
from sreops.ports import StoredRecord


def inbox_values(event: AlertEvent, record: StoredRecord | None, now: datetime) -> dict[str, Any]:
    """Return an inbox row; ``record`` is where the event came from, if from a topic."""
    return {
        "event_id": event.event_id,
        "payload": event.model_dump(mode="json"),
        "topic": record.topic if record else None,
        "partition": record.partition if record else None,
        "offset": record.offset if record else None,
        "taken_at": now,
    }


class Inbox(Part):
    """Taking events in."""

    async def take_in(self, records: Sequence[tuple[AlertEvent, StoredRecord]], *, now: datetime) -> int:
        """Write events to the inbox, once each by ``event_id``; return how many were new."""
        first: dict[str, tuple[AlertEvent, StoredRecord]] = {}
        for event, record in records:
            first.setdefault(plain(event.event_id), (event, record))

        def work(connection: Connection) -> int:
            there: set[str] = set()
            for chunk in chunks(list(first)):
                there |= set(connection.execute(select(inbox.c.event_id).where(inbox.c.event_id.in_(chunk))).scalars())
            new = [
                inbox_values(event, record, now) for event_id, (event, record) in first.items() if event_id not in there
            ]
            if new:
                connection.execute(insert(inbox), new)
            return len(new)

        return await self._db.write(work) if first else 0

    async def uncorrelated(self, limit: int) -> Sequence[AlertEvent]:
        """Return inbox events not yet correlated, in the order they were taken in."""
        query = select(inbox.c.payload).where(inbox.c.correlated_at.is_(None)).order_by(inbox.c.seq).limit(limit)
        return await self._db.read(
            lambda connection: [parsed(AlertEvent, payload) for payload in connection.execute(query).scalars()]
        )
