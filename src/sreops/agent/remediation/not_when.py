"""Asking ``not_when`` anew, by queries of its own: evidence is an excerpt, and an approval may take hours."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sreops.agent.alerts import Alerts
from sreops.agent.analysis_thread import in_analysis_thread
from sreops.agent.evidence.engine import OwnContainers, container_evidence, engine_events_of, own_containers
from sreops.agent.evidence.logs import select_own
from sreops.agent.evidence.question import Question, question_of
from sreops.agent.remediation.request import Request
from sreops.domain.causes.analysis import Analysis
from sreops.domain.evidence.evidence import Evidence, EvidenceKind, LogLine, LogLines
from sreops.domain.evidence.identity import identity_of
from sreops.domain.evidence.log_selection import LogSelector
from sreops.domain.runbooks.matching import in_words, matches, may_match
from sreops.domain.runbooks.runbook import When
from sreops.domain.text.patterns import pattern_matches
from sreops.errors import QueryRefused, SreopsError
from sreops.telemetry import log

NOT_WHEN_UNKNOWN: Final = "agent.not_when_unknown"

_LINES = 200  # of one pattern: one is enough, the rest shows when it began
_MOST_REPLICAS = 10


class NotWhenAnswer(NamedTuple):
    """Why ``not_when`` holds now, and why it can't be known; both empty: it does not hold."""

    holds: str = ""
    unknown: str = ""


async def ask_not_when(request: Request, alerts: Alerts, analysis: Analysis) -> NotWhenAnswer:
    """Say whether the plan's ``not_when`` holds now: over the alerts, the engine and the logs as they are now."""
    no = _not_when(request)
    if no is None or no.empty:
        return NotWhenAnswer()
    deadline_s = request.tools.settings.evidence.deadline_s
    try:
        async with asyncio.timeout(deadline_s):
            return await _ask(request, alerts, analysis, no)
    except (SreopsError, TimeoutError) as exc:
        why = str(exc) or f"no answer within {deadline_s:g} s"
        log.warning(NOT_WHEN_UNKNOWN, error=why)
        return NotWhenAnswer(unknown=_unknown(no, why))


def _not_when(request: Request) -> When | None:
    plan = request.plan
    if plan.not_when is not None:
        return plan.not_when
    return next((runbook.not_when for runbook in request.tools.runbooks if runbook.id == plan.runbook_id), None)


def _unknown(no: When, why: str) -> str:
    return f"the runbook's not_when ({in_words(no)}) can't be asked now: {why}"


async def _ask(request: Request, alerts: Alerts, analysis: Analysis, no: When) -> NotWhenAnswer:
    question = question_of(request.tools, request.incident, request.event)
    events = tuple(reversed(alerts.delivered)) or (request.event,)
    evidence = tuple(await request.tools.store.evidence(request.incident.id))
    own = await own_containers(question) if no.findings or no.logs else OwnContainers()
    if no.findings and own.states:
        evidence += (*container_evidence(question, own), *await engine_events_of(question, own, ()))
    if matches(no, events, analysis, evidence):
        return NotWhenAnswer(holds=in_words(no))
    if not may_match(no, events, analysis, evidence):
        return NotWhenAnswer()
    found, gaps = await _lines(question, own, no.logs)
    matched = await in_analysis_thread(_matched, no.logs, found)
    if matched is not None:
        line = Evidence(id="", kind=EvidenceKind.logs, source="", finding="", text=matched.text)
        if matches(no, events, analysis, (*evidence, line)):
            return NotWhenAnswer(holds=f"{in_words(no)}: a line of {_clock(matched.at)}")
    return NotWhenAnswer(unknown=_unknown(no, "; ".join(gaps))) if gaps else NotWhenAnswer()


def _matched(patterns: Sequence[str], lines: Sequence[LogLine]) -> LogLine | None:
    return next(
        (line for line in reversed(lines) if any(pattern_matches(pattern, line.text) for pattern in patterns)), None
    )


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


async def _lines(
    question: Question, own: OwnContainers, patterns: Sequence[str]
) -> tuple[Sequence[LogLine], Sequence[str]]:
    """Return the subject's lines that may match, from before the alert to now, and what could not be read."""
    logs, settings = question.tools.logs, question.tools.settings.loki
    if logs is not None:
        identity = identity_of(question.event, own.state)
        found = await select_own(logs, identity, question.event.labels, question.window, 1, settings.timeout_s)
        if found.selector is not None and found.lines.lines:
            answers = [await _search(question, found.selector, pattern) for pattern in patterns]
            return _joined(answers)
    if question.tools.containers is None or not own.states:
        return (), ["no log of the subject's own is known"]
    since, limit = question.window.start, settings.max_lines
    timeout_s = question.tools.settings.docker.timeout_s
    read = [
        await question.tools.containers.logs(state.id, since=since, limit=limit, timeout_s=timeout_s)
        for state in own.states[:_MOST_REPLICAS]
    ]
    return _joined(read)


async def _search(question: Question, selector: LogSelector, pattern: str) -> LogLines:
    """Ask Loki for the lines in which a pattern is found; where it can't read the pattern, for the newest lines."""
    logs, settings = question.tools.logs, question.tools.settings.loki
    assert logs is not None
    try:
        found = await logs.select(
            selector.searching(f"(?i){pattern}"), question.window, limit=_LINES, timeout_s=settings.timeout_s
        )
    except QueryRefused:
        return await logs.select(selector, question.window, limit=settings.max_lines, timeout_s=settings.timeout_s)
    # at the limit there are more matching lines, but one is enough: nothing is left open
    return found.model_copy(update={"partial": False}) if len(found.lines) >= _LINES else found


def _joined(answers: Sequence[LogLines]) -> tuple[Sequence[LogLine], Sequence[str]]:
    lines = [line for answer in answers for line in answer.lines]
    return lines, [note for answer in answers if answer.partial for note in answer.notes]
