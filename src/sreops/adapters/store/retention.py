"""Retention: what has ended, has been told, and is old enough goes, an incident whole; what is open stays."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select

from sreops.adapters.store.columns import octet_length
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.rows import chunks
from sreops.adapters.store.tables import (
    effects,
    endings,
    inbox,
    incidents,
    metadata,
    records,
    tickets,
    work,
)
from sreops.domain.incidents.correlation import Disposition
from sreops.domain.incidents.incident import IncidentStatus, VerificationResult
from sreops.ports import EndedIncident

_BELONGING = tuple(table for table in reversed(metadata.sorted_tables) if "incident_id" in table.columns)
"""Every table with rows of an incident, children first: one that is added later is pruned too."""


class SqlRetention(SqlPart):
    """Deleting, in batches that hold the writers' lock for a moment only."""

    async def ended(
        self, *, after: tuple[datetime, str] | None, until: datetime, limit: int
    ) -> Sequence[EndedIncident]:
        """Return incidents that ended by ``until``, in order of their end, from behind ``after`` on."""
        query = select(incidents.c.id, incidents.c.episode, incidents.c.ended_at).where(incidents.c.ended_at <= until)
        if after is not None:
            at, last_id = after
            query = query.where(incidents.c.ended_at >= at, or_(incidents.c.ended_at > at, incidents.c.id > last_id))
        query = query.order_by(incidents.c.ended_at, incidents.c.id).limit(limit)
        return await self._db.read(lambda connection: _ended(connection.execute(query)))

    async def prunable(self, *, before: datetime, now: datetime, limit: int) -> Sequence[EndedIncident]:
        """Return incidents that may be forgotten, those that ended first before the others.

        Not those that something is still owed to (a copy, a ticket write, a worker), that still hear of their alert,
        or that hold a breaker open: that is for a person to reset.
        """
        query = (
            select(incidents.c.id, incidents.c.episode, incidents.c.ended_at)
            .where(*_forgettable(before, now))
            .order_by(incidents.c.ended_at, incidents.c.id)
            .limit(limit)
        )
        return await self._db.read(lambda connection: _ended(connection.execute(query)))

    async def forget(self, incident_ids: Sequence[str], *, before: datetime, now: datetime) -> int:
        """Delete these incidents with all that belongs to them, unless one began anew meanwhile; return how many."""

        def forget(connection: Connection) -> int:
            gone = 0
            for chunk in chunks(incident_ids):
                still = select(incidents.c.id).where(incidents.c.id.in_(chunk), *_forgettable(before, now))
                ids = connection.execute(still).scalars().all()
                for table in _BELONGING:
                    connection.execute(delete(table).where(table.c.incident_id.in_(ids)))
                connection.execute(delete(incidents).where(incidents.c.id.in_(ids)))
                gone += len(ids)
            return gone

        return await self._db.write(forget) if incident_ids else 0

    async def prune_inbox(self, *, before: datetime, limit: int) -> int:
        """Delete events that are of no incident, or only repeat what an ended one knows; return how many."""
        of_ended = exists().where(incidents.c.id == inbox.c.incident_id, incidents.c.ended_at.is_not(None))
        oldest = (
            select(inbox.c.seq)
            .where(
                inbox.c.correlated_at < before,
                or_(
                    inbox.c.incident_id.is_(None),
                    and_(inbox.c.disposition == Disposition.repeat.value, of_ended),
                ),
            )
            .order_by(inbox.c.correlated_at, inbox.c.seq)
            .limit(limit)
        )

        def prune(connection: Connection) -> int:
            seqs = connection.execute(oldest).scalars().all()
            for chunk in chunks(seqs):
                connection.execute(delete(inbox).where(inbox.c.seq.in_(chunk)))
            return len(seqs)

        if not await self._db.read(lambda connection: connection.execute(oldest.limit(1)).first()):
            return 0
        return await self._db.write(prune)

    async def inbox_bytes(self) -> int:
        """Return the size of the events that wait: not correlated, or of an incident that has not ended."""
        size = func.coalesce(func.sum(octet_length(inbox.c.payload)), 0)
        waiting = select(size).where(inbox.c.correlated_at.is_(None))
        at_work = select(size).join(incidents, incidents.c.id == inbox.c.incident_id)
        at_work = at_work.where(incidents.c.ended_at.is_(None), inbox.c.correlated_at.is_not(None))

        def measure(connection: Connection) -> int:
            return int(connection.execute(waiting).scalar_one()) + int(connection.execute(at_work).scalar_one())

        return await self._db.read(measure)


def _ended(rows: Iterable[Any]) -> list[EndedIncident]:
    return [EndedIncident(id=row.id, episode=row.episode, ended_at=row.ended_at) for row in rows]


def _forgettable(before: datetime, now: datetime) -> tuple[ColumnElement[bool], ...]:
    of_incident = {table: table.c.incident_id == incidents.c.id for table in (records, tickets, work, inbox)}
    return (
        incidents.c.ended_at < before,
        ~exists().where(of_incident[records], records.c.published.is_(False)),
        ~exists().where(of_incident[tickets], tickets.c.done_at.is_(None)),
        ~exists().where(of_incident[work], work.c.lease_owner.is_not(None), work.c.lease_until >= now),
        ~exists().where(of_incident[inbox], or_(inbox.c.taken_at >= before, inbox.c.correlated_at.is_(None))),
        ~_holds_a_breaker(),
    )


def _holds_a_breaker() -> ColumnElement[bool]:
    """Whether a remediation of the incident failed, and none on its service, or by its runbook, has helped since."""
    mine, failed = effects.alias("mine"), endings.alias("failed")
    later, fixed = effects.alias("later"), endings.alias("fixed")

    def mended(touched: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(
            touched,
            fixed.c.incident_id == later.c.incident_id,
            fixed.c.episode == later.c.episode,
            fixed.c.verification == VerificationResult.fixed.value,
            fixed.c.ended_at > failed.c.ended_at,
        )

    return exists().where(
        mine.c.incident_id == incidents.c.id,
        failed.c.incident_id == mine.c.incident_id,
        failed.c.episode == mine.c.episode,
        failed.c.status == IncidentStatus.escalated.value,
        or_(
            ~mended(later.c.service == mine.c.service),
            and_(mine.c.runbook_id.is_not(None), ~mended(later.c.runbook_id == mine.c.runbook_id)),
        ),
    )
