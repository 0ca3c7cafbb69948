"""enrich_context: asks every source at once, each with its own deadline; what does not answer is a marked gap."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from sreops.agent.analysis_thread import aside
from sreops.agent.evidence.engine import engine_events_of, images_of
from sreops.agent.evidence.neighbour_logs import LINES_UNKNOWN, overheard
from sreops.agent.evidence.neighbours import neighbourhood
from sreops.agent.evidence.scope import Scene
from sreops.agent.patient import known_target, subject_of_incident
from sreops.agent.remediation.recovery import ended_meanwhile
from sreops.agent.state import State
from sreops.agent.visit import Visit
from sreops.domain.evidence import findings
from sreops.domain.evidence.changes import container_changes, lately, noted_changes
from sreops.domain.evidence.evidence import Evidence, LogLines
from sreops.domain.evidence.golden_signals import Signal, choose, merge
from sreops.domain.evidence.neighbours import Neighbour, calls_of
from sreops.domain.remediation.standing import standing_identity
from sreops.domain.suspects.live import over_at, ranking_evidence, suspect
from sreops.domain.suspects.trace_flow import Line
from sreops.errors import EngineRefused, EngineUnavailable, LeaseLost, SreopsError
from sreops.telemetry import log

_EARLIER = 3
_REPLICAS = 10  # of a service's containers, those that are ill first
Source = Callable[[Scene], Awaitable[Sequence[Evidence]]]


async def enrich_context(visit: Visit) -> State:
    """Gather evidence; none of it missing fails the run."""
    scene = Scene(visit)
    sources: dict[str, Source] = {
        "loki": _logs,
        "prometheus": _metrics,
        "docker": _container,
        "neighbours": neighbourhood,
        "grafana": _noted,
        "history": _history,
    }
    gathered = await asyncio.gather(*(_within(name, source, scene) for name, source in sources.items()))
    await _meet(visit, scene)
    own = findings.alert(scene.event, scene.redactor)
    # these ask about the neighbours, which must be known first
    events, images, suspects = await asyncio.gather(
        _within("docker events", engine_events_of, scene),
        _within("docker images", images_of, scene),
        _within("suspects", _suspects, scene),
    )
    later = (*events, *_replaced(scene), *images, *suspects)
    evidence = findings.number([own, *(item for items in gathered for item in items), *later])
    for item in evidence[1:]:
        told = item.finding if item.finding.startswith(item.source) else f"{item.source}: {item.finding}"
        visit.think(f"{item.id} {told}", evidence=item.id)
    await visit.write(evidence=evidence)
    return State(evidence_ids=[item.id for item in evidence], outcome=await ended_meanwhile(visit))


async def _meet(visit: Visit, scene: Scene) -> None:
    """Keep what the engine says the target is; where an older incident has the same, this one ends in it."""
    try:
        await scene.own_container()
        target = await known_target(visit.tools, subject_of_incident(visit), scene.patient)
    except (EngineRefused, EngineUnavailable):
        return  # it is told as a gap; the next episode asks again
    if target is None or visit.incident.storm_id is not None or visit.incident.storm_name is not None:
        return
    if older := await visit.tools.store.know_target(visit.lease, target, now=visit.now()):
        raise LeaseLost(f"incident {visit.incident.id} has the same target as {older}, and has joined it")


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
            scene.own_lines, scene.log_labels = found, labels
            break
    if found is None:
        return [
            findings.gap("loki", "none of the alert's labels exists there", "give alerts the label that logs carry")
        ]
    return [await _mined(scene, found, "loki")]


async def _mined(scene: Scene, found: LogLines, source: str) -> Evidence:
    # counting templates over thousands of lines is work for a thread, not for the loop
    return await aside(
        findings.logs, found, scene.event.service, scene.alert_at, scene.excerpt_chars, scene.redactor, source=source
    )


async def _container_logs(scene: Scene) -> Sequence[Evidence]:
    """Read the container's own log where there is no Loki."""
    containers, settings = scene.tools.containers, scene.tools.settings
    if containers is None:
        return []
    seen = await scene.own_container()
    if seen is None:
        return []
    found = await containers.logs(
        seen.id, since=scene.window.start, limit=settings.loki.max_lines, timeout_s=settings.docker.timeout_s
    )
    scene.own_lines = found
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
    return await asyncio.gather(*(scene.measure(scene.event.service, signal) for signal in signals))


async def _container(scene: Scene) -> Sequence[Evidence]:
    if scene.tools.containers is None:
        return _not_configured(scene, "docker")
    seen = await scene.own_container()
    states = scene.patient.states
    if seen is None and states:
        names = ", ".join(f"{one.name} ({standing_identity(one)})" for one in states[:_REPLICAS])
        cure = "label alerts with Compose project, Swarm stack or host"
        return [findings.gap("docker", f"{scene.event.service} may mean any of {names}", cure)]
    if seen is None:
        return [findings.gap("docker", f"no container is named {scene.event.service}", "label alerts with `container`")]
    others = [one for one in states if one.id != seen.id]
    return [findings.container(one, scene.now, scene.redactor) for one in (seen, *others)[:_REPLICAS]]


async def _suspects(scene: Scene) -> Sequence[Evidence]:
    lines = await _lines(scene)
    if not scene.seen and not lines:
        return []
    service, over = scene.event.service, await _over(scene)
    services = (service, *(one.service for one in scene.on_call_path if one.service not in over))
    seen = [one for one in scene.seen if one.service in services]
    heard = [line for line in lines if line[1] in services]
    calls = calls_of(service, scene.on_call_path)
    ranking = await aside(suspect, seen, services, calls, scene.alert_at, scene.window, lines=heard)
    return [ranking_evidence(ranking, scene.redactor, over=over)]


async def _over(scene: Scene) -> Mapping[str, datetime]:
    """Return the neighbours whose own trouble, of an earlier incident, lies in the window and was over at the alert."""

    async def ended(neighbour: Neighbour) -> datetime | None:
        store, now = scene.tools.store, scene.visit.incident.opened_at
        unsolved, _ = await store.incidents(status="open", service=neighbour.service, limit=1)
        earlier = await store.history(neighbour.service, before=now, limit=_EARLIER)
        return over_at([*unsolved, *earlier], scene.alert_at, scene.window)

    ends = await asyncio.gather(*(ended(neighbour) for neighbour in scene.on_call_path))
    return {one.service: at for one, at in zip(scene.on_call_path, ends, strict=True) if at is not None}


async def _lines(scene: Scene) -> Sequence[Line]:
    """Return the lines to compare; without an answer in half the time the ranking does without them."""
    try:
        async with asyncio.timeout(scene.tools.settings.evidence.deadline_s / 2):
            return await overheard(scene)
    except TimeoutError:
        log.warning(LINES_UNKNOWN, service=scene.event.service, error="no answer within the evidence's deadline")
        return []


async def _noted(scene: Scene) -> Sequence[Evidence]:
    """Ask for deployments and other changes that were noted; without Grafana there is nobody to ask, and no gap."""
    changes = scene.tools.changes
    if changes is None:
        return []
    window = lately(scene.alert_at, scene.now)
    notes = await changes.noted(window, timeout_s=scene.tools.settings.grafana.timeout_s)
    asked = f"annotations from {window.start.isoformat()} to {window.end.isoformat()}"
    services = (scene.event.service, *scene.tools.settings.topology.get(scene.event.service, ()))
    return [noted_changes(notes, services, scene.alert_at, asked, scene.redactor)]


def _replaced(scene: Scene) -> Sequence[Evidence]:
    """Tell which containers are new, of those that were looked at."""
    own = [(scene.event.service, scene.own)] if scene.own is not None else []
    near = [(one.service, one.state) for one in scene.neighbours if one.state is not None]
    return [container_changes([*own, *near], scene.alert_at, scene.redactor)] if own or near else []


async def _history(scene: Scene) -> Sequence[Evidence]:
    return [findings.history(await scene.history(), scene.now)]
