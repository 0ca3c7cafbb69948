"""The log lines of the service's neighbours, asked for beside its own: the ranking of suspects compares them all."""

import asyncio
from datetime import timedelta

from sreops.agent.analysis_thread import aside
from sreops.agent.evidence.scope import Scene
from sreops.domain.evidence.evidence import LogLines, Window
from sreops.domain.evidence.neighbours import Neighbour, near_labels
from sreops.domain.suspects.trace_flow import Line, comparable
from sreops.errors import SreopsError
from sreops.telemetry import log

LINES = 2_000
"""Of each service: with six neighbours that is what one thread compares in a fraction of a second."""
BEFORE_S = 300.0
"""How long before the alert the comparison begins (seconds): older lines would push out those that tell."""
LINES_UNKNOWN = "evidence.neighbour_lines_unknown"


async def overheard(scene: Scene) -> list[Line]:
    """Return the lines of the service and its neighbours that can be compared; none where there is nothing to compare.

    All neighbours are asked at once, each within the source's own timeout; one that does not answer is left out.
    """
    if not scene.own_lines.lines or not scene.on_call_path:
        return []
    began = max(scene.window.start, scene.alert_at - timedelta(seconds=BEFORE_S))
    window = Window(start=began, end=max(scene.window.end, began + timedelta(seconds=1)))
    answers = await asyncio.gather(*(_lines(scene, neighbour, window) for neighbour in scene.on_call_path))
    near = {one.service: lines for one, lines in zip(scene.on_call_path, answers, strict=True)}
    own = scene.own_lines
    # of its own lines those that a neighbour would have been asked for: as many, of the same time
    newest = tuple(line for line in own.lines if line.at >= began)[-LINES:]
    partial = len(newest) < len(own.lines) or own.partial
    found = {scene.event.service: LogLines(query=own.query, lines=newest, partial=partial), **near}
    return await aside(comparable, found)


async def _lines(scene: Scene, neighbour: Neighbour, window: Window) -> LogLines:
    try:
        return await _asked(scene, neighbour, window)
    except SreopsError as exc:
        log.warning(LINES_UNKNOWN, service=neighbour.service, error=str(exc))
        return LogLines(query="", lines=())


async def _asked(scene: Scene, neighbour: Neighbour, window: Window) -> LogLines:
    logs, containers, settings = scene.tools.logs, scene.tools.containers, scene.tools.settings
    if logs is not None:
        container = neighbour.state.name if neighbour.state is not None else ""
        labels = near_labels(scene.log_labels, neighbour.service, container)
        if not labels:
            return LogLines(query="", lines=())
        limit = min(LINES, settings.loki.max_lines)
        return await logs.lines(labels, window, limit=limit, timeout_s=settings.loki.timeout_s)
    if containers is None or neighbour.state is None:
        return LogLines(query="", lines=())
    return await containers.logs(
        neighbour.state.id, since=window.start, limit=LINES, timeout_s=settings.docker.timeout_s
    )
