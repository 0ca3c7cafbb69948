"""Reading: incidents, what belongs to them, and the counts."""

import asyncio
import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from sreops.adapters.store.columns import micros, moment
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart, incident_row
from sreops.adapters.store.rows import incidents_of, parsed
from sreops.adapters.store.searching import IS_STORM, conditions_of
from sreops.adapters.store.tables import (
    evidence,
    heartbeat,
    inbox,
    incident_alerts,
    incidents,
    records,
    tickets,
    work,
)
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.routing import NotWorkedOn
from sreops.domain.alerts.severity import SEVERITY_OF_RANK
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.incidents.incident import Incident, IncidentAlert, IncidentStatus
from sreops.domain.incidents.needs import ATTENTION_LASTS, Need
from sreops.domain.incidents.search import ANYTHING, Search
from sreops.errors import PayloadRejected, StoreUnavailable
from sreops.ports import Backlog, Health, Recorded

MAX_PAGE = 500
_HEALTH_TIMEOUT_S = 2.0
_EVENTS = Prepared(
    select(inbox.c.payload, inbox.c.disposition)
    .where(inbox.c.incident_id == bindparam("of_incident"))
    .order_by(inbox.c.correlated_at, inbox.c.seq)
)
_NEWEST_EVENTS = Prepared(
    select(inbox.c.payload, inbox.c.disposition)
    .where(inbox.c.incident_id == bindparam("of_incident"))
    .order_by(inbox.c.correlated_at.desc(), inbox.c.seq.desc())
    .limit(bindparam("at_most", type_=Integer))
)
_EVIDENCE = Prepared(select(evidence.c.body).where(evidence.c.incident_id == bindparam("of_incident")))
_HISTORY = Prepared(
    select(incidents)
    .where(incidents.c.service == bindparam("of_service"), incidents.c.ended_at < bindparam("before"))
    .order_by(incidents.c.ended_at.desc(), incidents.c.id.desc())
    .limit(bindparam("at_most", type_=Integer))
)


class SqlReading(SqlPart):
    """Everything that is only looked at."""

    async def incident(self, incident_id: str) -> Incident:
        """Return the incident with its effects (all episodes); raises NotFound."""
        return await self._db.read(
            lambda connection: incidents_of(connection, [incident_row(connection, incident_id)])[0]
        )

    async def incidents(
        self,
        *,
        status: str | None = None,
        service: str | None = None,
        needs: Collection[Need] = (),
        search: Search = ANYTHING,
        now: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[Sequence[Incident], str | None]:
        """Return a page, newest first, and the next cursor; a bad status or cursor is PayloadRejected(422).

        ``needs``: only those that need one of these at ``now``; ``search``: only those that are like it.
        """
        limit = max(1, min(limit, MAX_PAGE))
        conditions = [*_with_status(status), *conditions_of(search)]
        if needs and now is not None:
            conditions.append(or_(*(_needing(need, now) for need in needs)))
        if service is not None:
            conditions.append(incidents.c.service == service)
        if cursor is not None:
            conditions.append(_older(*_read_cursor(cursor)))
        query = (
            select(incidents)
            .where(*conditions)
            .order_by(incidents.c.opened_at.desc(), incidents.c.id.desc())
            .limit(limit + 1)
        )

        def page(connection: Connection) -> tuple[Sequence[Incident], str | None]:
            rows = connection.execute(query).all()
            last = rows[limit - 1] if len(rows) > limit else None
            return incidents_of(connection, rows[:limit]), _cursor(last.opened_at, last.id) if last else None

        return await self._db.read(page)

    async def still_firing(self, *, limit: int) -> Sequence[Incident]:
        """Return incidents that were handed to people and of which an alert still fires: storms, then the newest."""
        fires = exists().where(incident_alerts.c.incident_id == incidents.c.id, incident_alerts.c.ended_at.is_(None))
        query = (
            select(incidents)
            .where(incidents.c.status == IncidentStatus.escalated, fires)
            .order_by(case((IS_STORM, 0), else_=1), incidents.c.opened_at.desc(), incidents.c.id.desc())
            .limit(max(1, min(limit, MAX_PAGE)))
        )
        return await self._db.read(lambda connection: incidents_of(connection, connection.execute(query).all()))

    async def events(self, incident_id: str, *, newest: int | None = None) -> Sequence[tuple[AlertEvent, str]]:
        """Return the incident's events with their dispositions, oldest first; the ``newest`` of them, or all."""

        def read(connection: Connection) -> list[tuple[AlertEvent, str]]:
            if newest is None:
                rows = _EVENTS.all(connection, of_incident=incident_id)
            else:
                rows = _NEWEST_EVENTS.all(connection, of_incident=incident_id, at_most=newest)[::-1]
            return [(parsed(AlertEvent, row.payload), row.disposition) for row in rows]

        return await self._db.read(read)

    async def recorded(self, *, limit: int, cursor: str | None = None) -> tuple[Sequence[Recorded], str | None]:
        """Return a page of the alerts that are not worked on, newest first, and the next cursor."""
        limit = max(1, min(limit, MAX_PAGE))
        query = select(inbox.c.seq, inbox.c.payload, inbox.c.recorded).where(inbox.c.recorded.is_not(None))
        if cursor is not None:
            if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
                raise PayloadRejected(422, "cursor is not one that a page of recorded alerts has given")
            query = query.where(inbox.c.seq < int(cursor))
        query = query.order_by(inbox.c.seq.desc()).limit(limit + 1)

        def page(connection: Connection) -> tuple[Sequence[Recorded], str | None]:
            rows = connection.execute(query).all()
            found = [Recorded(parsed(AlertEvent, row.payload), NotWorkedOn(row.recorded)) for row in rows[:limit]]
            return found, str(rows[limit - 1].seq) if len(rows) > limit else None

        return await self._db.read(page)

    async def alerts(self, incident_id: str, *, limit: int) -> Sequence[IncidentAlert]:
        """Return alerts of the incident: those that fire before the others, the worst first."""
        alert = incident_alerts.c
        query = (
            select(alert.alertname, alert.rank, alert.starts_at, alert.ended_at, incidents.c.alertname.label("opener"))
            .join(incidents, incidents.c.id == alert.incident_id)
            .where(alert.incident_id == incident_id)
            .order_by(case((alert.ended_at.is_(None), 0), else_=1), alert.rank, alert.position)
            .limit(limit)
        )

        def read(connection: Connection) -> list[IncidentAlert]:
            return [
                IncidentAlert(
                    alertname=row.alertname or row.opener,
                    severity=None if row.rank is None else SEVERITY_OF_RANK[row.rank],
                    starts_at=row.starts_at,
                    ended_at=row.ended_at,
                )
                for row in connection.execute(query)
            ]

        return await self._db.read(read)

    async def evidence(self, incident_id: str) -> Sequence[Evidence]:
        """Return the evidence, by id (E2 before E10)."""

        def read(connection: Connection) -> list[Evidence]:
            found = [parsed(Evidence, row.body) for row in _EVIDENCE.all(connection, of_incident=incident_id)]
            return sorted(found, key=lambda piece: (len(piece.id), piece.id))

        return await self._db.read(read)

    async def history(self, service: str, *, before: datetime, limit: int) -> Sequence[Incident]:
        """Return earlier ended incidents of a service, newest first."""

        def read(connection: Connection) -> list[Incident]:
            rows = _HISTORY.all(connection, of_service=service, before=before, at_most=limit)
            return incidents_of(connection, rows)

        return await self._db.read(read)

    async def backlog(self, *, now: datetime) -> Backlog:
        """Count what waits."""
        unleased = or_(work.c.lease_owner.is_(None), work.c.lease_until < now)

        def count(connection: Connection) -> Backlog:
            def number(*conditions: ColumnElement[bool]) -> int:
                return connection.execute(select(func.count()).where(*conditions)).scalar_one()

            def age_s(first: ColumnElement[datetime], *conditions: ColumnElement[bool]) -> float:
                oldest = connection.execute(select(func.min(first)).where(*conditions)).scalar_one()
                return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())

            ready = and_(work.c.due_at <= now, unleased)
            is_open = incidents.c.ended_at.is_(None)
            return Backlog(
                inbox=number(inbox.c.correlated_at.is_(None)),
                ready=number(ready),
                running=number(work.c.lease_owner.is_not(None), work.c.lease_until >= now),
                waiting=number(work.c.due_at > now, unleased),
                open_incidents=number(is_open),
                oldest_ready_s=age_s(work.c.due_at, ready),
                oldest_open_s=age_s(incidents.c.episode_at, is_open),
                outbox=number(records.c.published.is_(False)),
                tickets=number(tickets.c.done_at.is_(None)),
            )

        return await self._db.read(count)

    async def needs_counts(self, *, now: datetime) -> Mapping[Need, int]:
        """Count the incidents that need a person, by what they need."""

        def count(connection: Connection) -> dict[Need, int]:
            return {
                need: connection.execute(select(func.count()).where(_needing(need, now))).scalar_one() for need in Need
            }

        return await self._db.read(count)

    async def health(self) -> Health:
        """Write and read something small (bounded)."""
        cure = "see that its disk has space and is ours to write, or that PostgreSQL runs"
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                await self._db.write(_beat)
        except TimeoutError:
            return Health("down", f"{self._db.place} did not take a write within {_HEALTH_TIMEOUT_S:g} s", cure)
        except StoreUnavailable as exc:
            return Health("down", str(exc), cure)
        return Health("up", self._db.place)


def _beat(connection: Connection) -> None:
    beat = update(heartbeat).where(heartbeat.c.id == 1).values(beats=heartbeat.c.beats + 1)
    if not connection.execute(beat).rowcount:
        connection.execute(insert(heartbeat).values(id=1, beats=1))
    connection.execute(select(heartbeat.c.beats)).scalar_one()


def _with_status(status: str | None) -> Sequence[ColumnElement[bool]]:
    if status is None:
        return ()
    if status == "open":
        return (incidents.c.ended_at.is_(None),)
    if status not in set(IncidentStatus):
        raise PayloadRejected(422, f"status is 'open' or one of {', '.join(IncidentStatus)}")
    return (incidents.c.status == status,)


def _needing(need: Need, now: datetime) -> ColumnElement[bool]:
    """Say the same as ``domain/incidents/needs.py``, which a test holds it to."""
    if need is Need.approval:
        return incidents.c.status == IncidentStatus.awaiting_approval.value
    return and_(
        incidents.c.status == IncidentStatus.escalated.value,
        incidents.c.acknowledged_by.is_(None),
        or_(incidents.c.cleared_at.is_(None), incidents.c.cleared_at > now - ATTENTION_LASTS),
        incidents.c.storm_id.is_(None),
        incidents.c.merged_into.is_(None),
    )


def _older(opened_at: datetime, incident_id: str) -> ColumnElement[bool]:
    at = incidents.c.opened_at
    return or_(at < opened_at, and_(at == opened_at, incidents.c.id < incident_id))


def _cursor(opened_at: datetime, incident_id: str) -> str:
    return base64.urlsafe_b64encode(f"{micros(opened_at)}:{incident_id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        opened_us, incident_id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().split(":", 1)
        return moment(int(opened_us)), incident_id
    except (binascii.Error, ValueError, OverflowError) as exc:
        raise PayloadRejected(422, "cursor is not one that a page of incidents has given") from exc
