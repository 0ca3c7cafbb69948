"""Who is suspected: the ranking over the subject and its neighbours, by the series and the lines of all of them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from sreops.agent.analysis_thread import in_analysis_thread
from sreops.agent.evidence.logs import OwnLogs
from sreops.agent.evidence.neighbour_logs import LINES_UNKNOWN, comparable_lines
from sreops.agent.evidence.neighbours import Neighbourhood
from sreops.agent.evidence.question import Measured, Question
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.evidence.neighbours import Neighbour, calls_of
from sreops.domain.suspects.live import over_at, ranking_evidence, suspect
from sreops.domain.suspects.trace_flow import Line
from sreops.telemetry import log

_EARLIER = 3


async def suspects_of(
    question: Question, own_lines: OwnLogs, own_series: Measured, near: Neighbourhood
) -> Sequence[Evidence]:
    """Return the ranking; nothing where there is nothing to rank by."""
    lines = await _lines(question, own_lines, near.on_call_path)
    measured = [*own_series.seen, *near.seen]
    if not measured and not lines:
        return []
    service, over = question.event.service, await _over(question, near.on_call_path)
    services = (service, *(neighbour.service for neighbour in near.on_call_path if neighbour.service not in over))
    seen = [series for series in measured if series.service in services]
    compared = [line for line in lines if line[1] in services]
    calls = calls_of(service, near.on_call_path)
    ranking = await in_analysis_thread(
        suspect, seen, services, calls, question.alert_at, question.window, lines=compared
    )
    return [ranking_evidence(ranking, question.redactor, over=over)]


async def _over(question: Question, near: Sequence[Neighbour]) -> Mapping[str, datetime]:
    """Return the neighbours whose own trouble, of an earlier incident, lies in the window and was over at the alert."""

    async def ended(neighbour: Neighbour) -> datetime | None:
        store, now = question.tools.store, question.incident.opened_at
        unsolved, _ = await store.incidents(status="open", service=neighbour.service, limit=1)
        earlier = await store.history(neighbour.service, before=now, limit=_EARLIER)
        return over_at([*unsolved, *earlier], question.alert_at, question.window)

    ends = await asyncio.gather(*(ended(neighbour) for neighbour in near))
    return {neighbour.service: at for neighbour, at in zip(near, ends, strict=True) if at is not None}


async def _lines(question: Question, own: OwnLogs, near: Sequence[Neighbour]) -> Sequence[Line]:
    """Return the lines to compare; without an answer in half the time the ranking does without them."""
    try:
        async with asyncio.timeout(question.tools.settings.evidence.deadline_s / 2):
            return await comparable_lines(question, own, near)
    except TimeoutError:
        log.warning(LINES_UNKNOWN, service=question.event.service, error="no answer within the evidence's deadline")
        return []
