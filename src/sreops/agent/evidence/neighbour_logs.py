"""The log lines of the service's neighbours, asked for beside its own: the ranking of suspects compares them all."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sreops.agent.analysis_thread import in_analysis_thread
from sreops.agent.evidence.logs import OwnLogs
from sreops.agent.evidence.question import Question
from sreops.domain.evidence.evidence import LogLines, Window
from sreops.domain.evidence.neighbours import Neighbour, near_labels
from sreops.domain.suspects.trace_flow import Line, comparable
from sreops.errors import SreopsError
from sreops.telemetry import log

LINES = 2_000
"""Of each service: with six neighbours that is what one thread compares in a fraction of a second."""
BEFORE_S = 300.0
"""How long before the alert the comparison begins (seconds): older lines would push out those that tell."""
LINES_UNKNOWN: Final = "evidence.neighbour_lines_unknown"


async def comparable_lines(question: Question, own: OwnLogs, near: Sequence[Neighbour]) -> list[Line]:
    """Return the lines of the service and its neighbours that can be compared; none where there is nothing to compare.

    All neighbours are asked at once, each within the source's own timeout; one that does not answer is left out.
    """
    if not own.lines.lines or not near:
        return []
    began = max(question.window.start, question.alert_at - timedelta(seconds=BEFORE_S))
    window = Window(start=began, end=max(question.window.end, began + timedelta(seconds=1)))
    answers = await asyncio.gather(*(_lines(question, own.labels, neighbour, window) for neighbour in near))
    around = {neighbour.service: lines for neighbour, lines in zip(near, answers, strict=True)}
    # of its own lines those that a neighbour would have been asked for: as many, of the same time
    newest = tuple(line for line in own.lines.lines if line.at >= began)[-LINES:]
    partial = len(newest) < len(own.lines.lines) or own.lines.partial
    found = {question.event.service: LogLines(query=own.lines.query, lines=newest, partial=partial), **around}
    return await in_analysis_thread(comparable, found)


async def _lines(question: Question, own: dict[str, str], neighbour: Neighbour, window: Window) -> LogLines:
    try:
        return await _asked(question, own, neighbour, window)
    except SreopsError as exc:
        log.warning(LINES_UNKNOWN, service=neighbour.service, error=str(exc))
        return LogLines(query="", lines=())


async def _asked(question: Question, own: dict[str, str], neighbour: Neighbour, window: Window) -> LogLines:
    logs, containers, settings = question.tools.logs, question.tools.containers, question.tools.settings
    if logs is not None:
        container = neighbour.state.name if neighbour.state is not None else ""
        labels = near_labels(own, neighbour.service, container)
        if not labels:
            return LogLines(query="", lines=())
        limit = min(LINES, settings.loki.max_lines)
        return await logs.lines(labels, window, limit=limit, timeout_s=settings.loki.timeout_s)
    if containers is None or neighbour.state is None:
        return LogLines(query="", lines=())
    return await containers.logs(
        neighbour.state.id, since=window.start, limit=LINES, timeout_s=settings.docker.timeout_s
    )
