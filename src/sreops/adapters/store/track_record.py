"""What each runbook has done, by the ledger and by how its episodes ended."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, exists, select

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.tables import approvals, effects, endings
from sreops.domain.incidents.incident import IncidentStatus, VerificationResult
from sreops.domain.records.track_record import Run, TrackRecord, in_a_row, track_records

_MOST_RUNS = 5000
_RECORD_BACK = 500  # runs that are looked through for what a runbook has earned


def _runs(*done: ColumnElement[bool], most: int) -> Select[*tuple[Any, ...]]:
    """Return the query of the episodes in which a runbook did such things, and how they ended, newest first."""
    of = (
        select(effects.c.runbook_id, effects.c.service, effects.c.incident_id, effects.c.episode)
        .where(*done)
        .distinct()
        .subquery()
    )
    approved = exists().where(
        approvals.c.incident_id == endings.c.incident_id,
        approvals.c.episode == endings.c.episode,
        approvals.c.decision == "approved",
    )
    return (
        select(
            of.c.runbook_id,
            of.c.service,
            endings.c.ended_at,
            endings.c.status,
            endings.c.verification,
            approved.label("approved"),
        )
        .join(of, and_(of.c.incident_id == endings.c.incident_id, of.c.episode == endings.c.episode))
        .order_by(endings.c.ended_at.desc(), endings.c.incident_id.desc(), endings.c.episode.desc())
        .limit(most)
    )


_ALL = _runs(effects.c.runbook_id.is_not(None), most=_MOST_RUNS)
_OF_ONE = Prepared(
    _runs(
        effects.c.service == bindparam("of_service"), effects.c.runbook_id == bindparam("of_runbook"), most=_RECORD_BACK
    )
)


def fixes_in_a_row(connection: Connection, service: str, runbook_id: str) -> int:
    """Return the verified fixes under approval of a runbook on a service since the last that failed or is unknown."""
    return in_a_row(_run(row) for row in _OF_ONE.all(connection, of_service=service, of_runbook=runbook_id))


def _run(row: Row[Any]) -> Run:
    return Run(
        runbook_id=row.runbook_id,
        service=row.service,
        ended_at=row.ended_at,
        fixed=row.verification == VerificationResult.fixed.value,
        handed_over=row.status == IncidentStatus.escalated.value,
        approved=bool(row.approved),
    )


class SqlTrackRecords(SqlPart):
    """The record of runbooks."""

    async def track_records(self) -> Sequence[TrackRecord]:
        """Return what each runbook has done on each service, the last used first; the newest 5000 runs count."""
        return await self._db.read(lambda connection: track_records(map(_run, connection.execute(_ALL))))
