"""The breaker's count: remediations that failed or did not help, in a row.

A person resets it by resuming automation (``POST /api/automation/resume``), whether or not it was paused: what
failed before counts no more. The switch's audited record says who and why.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, select

from sreops.adapters.store.automation import pause_state_of
from sreops.adapters.store.tables import effects, endings
from sreops.domain.incident import IncidentStatus, VerificationResult

_FAR_BACK = 50  # the breaker opens at three; more than this makes no difference


def failures_in_a_row(connection: Connection, service: str, runbook_id: str) -> int:
    """Return the failures since the last success or reset, on the service or the runbook, whichever is more."""
    switch = pause_state_of(connection)
    reset_at = None if switch["paused"] else switch["at"]
    return max(
        _count(connection, effects.c.service == service, reset_at),
        _count(connection, effects.c.runbook_id == runbook_id, reset_at),
    )


def _count(connection: Connection, touched: ColumnElement[bool], reset_at: datetime | None) -> int:
    of_episode = and_(effects.c.incident_id == endings.c.incident_id, effects.c.episode == endings.c.episode)
    query = (
        select(endings.c.status, endings.c.verification)
        .where(exists().where(of_episode, touched))
        .order_by(endings.c.ended_at.desc(), endings.c.incident_id.desc(), endings.c.episode.desc())
        .limit(_FAR_BACK)
    )
    if reset_at is not None:
        query = query.where(endings.c.ended_at > reset_at)
    failures = 0
    for row in connection.execute(query):
        if row.verification == VerificationResult.fixed.value:
            break
        # resolved without ``fixed``: it recovered by itself, which speaks neither for nor against the remediation
        failures += row.status == IncidentStatus.escalated.value
    return failures
