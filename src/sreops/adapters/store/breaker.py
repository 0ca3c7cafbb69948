"""The breaker's count: remediations that failed or did not help, in a row.

A person resets it by resuming automation (``POST /api/automation/resume``), whether or not it was paused: what
failed before counts no more. The switch's audited record says who and why.
"""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, false, or_, select

from sreops.adapters.store.automation import pause_state_of
from sreops.adapters.store.columns import EPOCH, PlainText
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.tables import effects, endings
from sreops.domain.incidents.incident import IncidentStatus, VerificationResult

_FAR_BACK = 50  # the breaker opens at three; more than this makes no difference
_EFFECTS_BACK = 200  # of so many effects, a runbook's few steps each, there are enough endings


def touched(names: int, standings: int) -> ColumnElement[bool]:
    """Return the condition that an effect was done to one of so many targets.

    By standing identity; rows of 0.1 have none, and match by any name. ``standing || ''`` keeps the database from
    its index of standing identities, where all of these rows share the empty one: the index of names is shorter.
    """
    one_of = [bindparam(f"name_{number}", type_=PlainText()) for number in range(names)]
    of_0_1 = (effects.c.standing + "") == ""
    by_standing = [bindparam(f"standing_{number}", type_=PlainText()) for number in range(standings)]
    return or_(
        effects.c.standing.in_(by_standing) if by_standing else false(),
        and_(effects.c.target.in_(one_of), of_0_1),
        and_(effects.c.service.in_(one_of), of_0_1),
    )


def _endings(done_to: ColumnElement[bool], most: int | None = None) -> Prepared:
    """Return the query of how the episodes ended in which something was done to or by one thing, newest first.

    From the effects to their endings, because of endings there are many more: most end without an effect. ``most``:
    of the newest effects only, where an index has them in order and a runbook may have had many thousands.
    """
    episodes = select(effects.c.incident_id, effects.c.episode).where(done_to)
    if most is not None:
        episodes = select(episodes.order_by(effects.c.intent_at.desc()).limit(most).subquery())
    of = episodes.distinct().subquery()
    return Prepared(
        select(endings.c.status, endings.c.verification)
        .join(of, and_(of.c.incident_id == endings.c.incident_id, of.c.episode == endings.c.episode))
        .where(endings.c.ended_at > bindparam("since"))
        .order_by(endings.c.ended_at.desc(), endings.c.incident_id.desc(), endings.c.episode.desc())
        .limit(_FAR_BACK)
    )


_OF_SERVICE = _endings(effects.c.service == bindparam("of_name"), _EFFECTS_BACK)
_OF_RUNBOOK = _endings(effects.c.runbook_id == bindparam("of_name"), _EFFECTS_BACK)


@cache
def _of_target(names: int) -> Prepared:
    return _endings(touched(names, 1))


def failures_in_a_row(
    connection: Connection,
    service: str,
    runbook_id: str,
    names: Collection[str] = (),
    standings: Collection[str] = (),
) -> int:
    """Return the failures since the last success or reset: on the service, the runbook, a target; the most of them."""
    switch = pause_state_of(connection)
    since = EPOCH if switch["paused"] or switch["at"] is None else switch["at"]
    named = {f"name_{number}": name for number, name in enumerate(sorted(names))}
    return max(
        _count(_OF_SERVICE.all(connection, of_name=service, since=since)),
        _count(_OF_RUNBOOK.all(connection, of_name=runbook_id, since=since)),
        *(
            _count(_of_target(len(named)).all(connection, standing_0=standing, since=since, **named))
            for standing in standings
        ),
    )


def _count(newest_first: Sequence[Row[Any]]) -> int:
    failures = 0
    for row in newest_first:
        if row.verification == VerificationResult.fixed.value:
            break
        # resolved without ``fixed``: it recovered by itself, which speaks neither for nor against the remediation
        failures += row.status == IncidentStatus.escalated.value
    return failures
