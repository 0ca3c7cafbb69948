"""What each runbook has done, by the ledger and by how its episodes ended."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, exists, select

from sreops.adapters.store.leases import Part
from sreops.adapters.store.tables import approvals, effects, endings
from sreops.domain.incidents.incident import IncidentStatus, VerificationResult
from sreops.domain.records.track_record import Run, TrackRecord, track_records

_MOST_RUNS = 5000

_DONE = (
    select(effects.c.runbook_id, effects.c.service, effects.c.incident_id, effects.c.episode)
    .where(effects.c.runbook_id.is_not(None))
    .distinct()
    .subquery()
)
_RUNS = (
    select(
        _DONE.c.runbook_id,
        _DONE.c.service,
        endings.c.ended_at,
        endings.c.status,
        endings.c.verification,
        exists()
        .where(
            approvals.c.incident_id == endings.c.incident_id,
            approvals.c.episode == endings.c.episode,
            approvals.c.decision == "approved",
        )
        .label("approved"),
    )
    .join(endings, and_(endings.c.incident_id == _DONE.c.incident_id, endings.c.episode == _DONE.c.episode))
    .order_by(endings.c.ended_at.desc(), endings.c.incident_id.desc(), endings.c.episode.desc())
    .limit(_MOST_RUNS)
)


class TrackRecords(Part):
    """The record of runbooks."""

    async def track_records(self) -> Sequence[TrackRecord]:
        """Return what each runbook has done on each service, the last used first; the newest 5000 runs count."""

        def read(connection: Connection) -> list[TrackRecord]:
            return track_records(
                Run(
                    runbook_id=row.runbook_id,
                    service=row.service,
                    ended_at=row.ended_at,
                    fixed=row.verification == VerificationResult.fixed.value,
                    handed_over=row.status == IncidentStatus.escalated.value,
                    approved=bool(row.approved),
                )
                for row in connection.execute(_RUNS)
            )

        return await self._db.read(read)
