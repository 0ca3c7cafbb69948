"""The breaker's count: remediations that failed or did not help, in a row.

A person resets it by resuming automation (``POST /api/automation/resume``), whether or not it was paused: what
failed before counts no more. The switch's audited record says who and why.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, and_, bindparam, select

from sreops.adapters.store.automation import pause_state_of
from sreops.adapters.store.columns import EPOCH
from sreops.adapters.store.prepared import Prepared
from sreops.adapters.store.tables import effects, endings
from sreops.domain.incidents.incident import IncidentStatus, VerificationResult

_FAR_BACK = 50  # the breaker opens at three; more than this makes no difference


def _endings(touched: Column[str]) -> Prepared:
    """Return the query of how the episodes ended in which something was done to or by one thing, newest first.

    From the effects to their endings, because of endings there are many more: most end without an effect.
    """
    of = select(effects.c.incident_id, effects.c.episode).where(touched == bindparam("of_name")).distinct().subquery()
    return Prepared(
        select(endings.c.status, endings.c.verification)
        .join(of, and_(of.c.incident_id == endings.c.incident_id, of.c.episode == endings.c.episode))
        .where(endings.c.ended_at > bindparam("since"))
        .order_by(endings.c.ended_at.desc(), endings.c.incident_id.desc(), endings.c.episode.desc())
        .limit(_FAR_BACK)
    )


_OF_SERVICE, _OF_RUNBOOK = _endings(effects.c.service), _endings(effects.c.runbook_id)


def failures_in_a_row(connection: Connection, service: str, runbook_id: str) -> int:
    """Return the failures since the last success or reset, on the service or the runbook, whichever is more."""
    switch = pause_state_of(connection)
    since = EPOCH if switch["paused"] or switch["at"] is None else switch["at"]
    return max(
        _count(_OF_SERVICE.all(connection, of_name=service, since=since)),
        _count(_OF_RUNBOOK.all(connection, of_name=runbook_id, since=since)),
    )


def _count(newest_first: Sequence[Row[Any]]) -> int:
    failures = 0
    for row in newest_first:
        if row.verification == VerificationResult.fixed.value:
            break
        # resolved without ``fixed``: it recovered by itself, which speaks neither for nor against the remediation
        failures += row.status == IncidentStatus.escalated.value
    return failures
