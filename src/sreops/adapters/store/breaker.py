"""The breaker's count: remediations that failed or did not help, in a row."""

from sqlalchemy import ColumnElement, Connection, and_, exists, select

from sreops.adapters.store.tables import effects, endings
from sreops.domain.incident import IncidentStatus, VerificationResult

_FAR_BACK = 50  # the breaker opens at three; more than this makes no difference


def failures_in_a_row(connection: Connection, service: str, runbook_id: str) -> int:
    """Return the failures since the last success, on the service or the runbook, whichever is more."""
    return max(
        _count(connection, effects.c.service == service),
        _count(connection, effects.c.runbook_id == runbook_id),
    )


def _count(connection: Connection, touched: ColumnElement[bool]) -> int:
    of_episode = and_(effects.c.incident_id == endings.c.incident_id, effects.c.episode == endings.c.episode)
    query = (
        select(endings.c.status, endings.c.verification)
        .where(exists().where(of_episode, touched))
        .order_by(endings.c.ended_at.desc(), endings.c.incident_id.desc(), endings.c.episode.desc())
        .limit(_FAR_BACK)
    )
    failures = 0
    for row in connection.execute(query):
        if row.verification == VerificationResult.fixed.value:
            break
        # resolved without ``fixed``: it recovered by itself, which speaks neither for nor against the remediation
        failures += row.status == IncidentStatus.escalated.value
    return failures
