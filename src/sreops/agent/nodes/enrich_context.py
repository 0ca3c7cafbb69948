"""enrich_context: asks every source at once, each with its own deadline; what does not answer is a marked gap."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from sreops.agent.state import State
from sreops.agent.visit import Visit
from sreops.domain import findings
from sreops.domain.evidence import Evidence, LogLines, Window
from sreops.domain.golden_signals import Signal, choose, merge
from sreops.errors import SreopsError
from sreops.telemetry import log

_HISTORY = 20
_POINTS = 120  # of a range query: enough to see an onset, small enough to keep
_MIN_STEP_S = 5.0
Source = Callable[["Scene"], Awaitable[Sequence[Evidence]]]


class Scene:
    """What every source is asked about: the visit, the alert's window, one redactor for the whole incident."""

    def __init__(self, visit: Visit) -> None:
        settings = visit.tools.settings.evidence
        self.visit = visit
        self.tools = visit.tools
        self.event = visit.event
        self.now = visit.now()
        self.window = findings.evidence_window(
            self.event.starts_at, self.now, settings.lookback_s, settings.lookahead_s
        )
        self.redactor = visit.tools.redactors.of(visit.incident.id)
        self.excerpt_chars = settings.excerpt_chars

    @property
    def alert_at(self) -> datetime:
        """When the alert began, within the window."""
        return min(max(self.event.starts_at, self.window.start), self.window.end)


async def enrich_context(visit: Visit) -> State:
    """Gather evidence; none of it missing fails the run."""
    scene = Scene(visit)
    sources: dict[str, Source] = {"loki": _logs, "prometheus": _metrics, "docker": _container, "history": _history}
    gathered = await asyncio.gather(*(_within(name, source, scene) for name, source in sources.items()))
    own = findings.alert(scene.event, scene.redactor)
    evidence = findings.number([own, *(item for items in gathered for item in items)])
    for item in evidence[1:]:
        visit.think(f"{item.id} {item.source}: {item.finding}", evidence=item.id)
    await visit.write(evidence=evidence)
    await visit.refresh()
    return State(evidence_ids=[item.id for item in evidence], outcome=visit.ended_meanwhile())


async def _within(name: str, source: Source, scene: Scene) -> Sequence[Evidence]:
    deadline_s = scene.tools.settings.evidence.deadline_s
    try:
        async with asyncio.timeout(deadline_s):
            return await source(scene)
    except TimeoutError:
        why, cure = f"no answer within {deadline_s:g} s", "see its own health; SREOPS_EVIDENCE__DEADLINE_S is the limit"
    except SreopsError as exc:
        why, cure = str(exc), "python -m sreops check names the cause"
    log.warning("evidence.source_failed", source=name, error=why)
    return [findings.gap(name, why, cure)]


def _not_configured(scene: Scene, name: str) -> Sequence[Evidence]:
    health = (scene.tools.missing or {}).get(name)
    return [findings.gap(name, "not configured", health.cure if health else "")]


async def _logs(scene: Scene) -> Sequence[Evidence]:
    logs, settings = scene.tools.logs, scene.tools.settings.loki
    if logs is None:
        return [*_not_configured(scene, "loki"), *await _container_logs(scene)]
    try:
        names = await logs.label_names(scene.window, timeout_s=settings.timeout_s)
    except SreopsError as exc:
        log.warning("evidence.labels_unknown", error=str(exc))
        names = None
    found: LogLines | None = None
    for labels in findings.log_label_candidates(scene.event, names):
        found = await logs.lines(labels, scene.window, limit=settings.max_lines, timeout_s=settings.timeout_s)
        if found.lines:
            break
    if found is None:
        return [
            findings.gap("loki", "none of the alert's labels exists there", "give alerts the label that logs carry")
        ]
    return [await _mined(scene, found, "loki")]


async def _mined(scene: Scene, found: LogLines, source: str) -> Evidence:
    # counting templates over thousands of lines is work for a thread, not for the loop
    return await asyncio.to_thread(
        findings.logs, found, scene.event.service, scene.alert_at, scene.excerpt_chars, scene.redactor, source=source
    )


async def _container_logs(scene: Scene) -> Sequence[Evidence]:
    """Read the container's own log where there is no Loki."""
    containers, settings = scene.tools.containers, scene.tools.settings
    if containers is None:
        return []
    seen = await containers.find(scene.event.service, timeout_s=settings.docker.timeout_s)
    if seen is None:
        return []
    found = await containers.logs(
        seen.id, since=scene.window.start, limit=settings.loki.max_lines, timeout_s=settings.docker.timeout_s
    )
    return [await _mined(scene, found, "docker")]


async def _metrics(scene: Scene) -> Sequence[Evidence]:
    metrics, settings = scene.tools.metrics, scene.tools.settings.prometheus
    if metrics is None:
        return _not_configured(scene, "prometheus")
    chosen: list[Sequence[Signal]] = []
    for labels in findings.metric_label_candidates(scene.event):
        names = await metrics.names(labels, scene.window, timeout_s=settings.timeout_s)
        if names:
            chosen.append(choose(labels, names))
    signals = merge(chosen)
    if not signals:
        return [findings.gap("prometheus", "no metric is known by the alert's labels", "label metrics by service")]
    return await asyncio.gather(*(_signal(scene, signal) for signal in signals))


async def _signal(scene: Scene, signal: Signal) -> Evidence:
    metrics, settings = scene.tools.metrics, scene.tools.settings.prometheus
    assert metrics is not None
    window = Window(start=scene.window.start, end=min(scene.now, scene.window.end + timedelta(seconds=60)))
    step_s = max(_MIN_STEP_S, window.span_s() / _POINTS)
    try:
        found = await metrics.range(signal.promql, window, step_s=step_s, timeout_s=settings.timeout_s)
        limit = None
        if signal.limit:
            limit = await metrics.instant(signal.limit, at=window.end, timeout_s=settings.timeout_s)
    except SreopsError as exc:
        return findings.gap("prometheus", f"{signal.title}: {exc}", "", query=signal.promql)
    return findings.metric(signal, found, scene.alert_at, limit=limit)


async def _container(scene: Scene) -> Sequence[Evidence]:
    containers = scene.tools.containers
    if containers is None:
        return _not_configured(scene, "docker")
    seen = await containers.find(scene.event.service, timeout_s=scene.tools.settings.docker.timeout_s)
    if seen is None:
        return [findings.gap("docker", f"no container is named {scene.event.service}", "label alerts with `container`")]
    return [findings.container(seen, scene.now, scene.redactor)]


async def _history(scene: Scene) -> Sequence[Evidence]:
    incident = scene.visit.incident
    earlier = await scene.tools.store.history(incident.service, before=incident.opened_at, limit=_HISTORY)
    return [findings.history(earlier, scene.now)]
