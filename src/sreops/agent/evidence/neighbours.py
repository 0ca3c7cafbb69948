"""The alerted service's neighbours as evidence: found by labels, networks and the topology, looked at all at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from sreops.agent.evidence.scope import Scene
from sreops.domain.evidence.evidence import ContainerState, Evidence
from sreops.domain.evidence.golden_signals import Signal, choose, merge
from sreops.domain.evidence.neighbours import Neighbour, neighbour_evidence, neighbours_of
from sreops.errors import SreopsError
from sreops.telemetry import log

_SIGNALS = 3
_TELLING = ("error_ratio", "latency_p95", "memory", "cpu", "disk")
NEIGHBOURS_UNKNOWN = "evidence.neighbours_unknown"


async def neighbourhood(scene: Scene) -> Sequence[Evidence]:
    """Return one piece of evidence per neighbour; none where no neighbour is known."""
    own, around = await _containers(scene)
    topology = scene.tools.settings.topology
    found = neighbours_of(scene.event.service, own, around, topology, scene.tools.settings.docker.peer_labels)
    scene.neighbours = tuple(await asyncio.gather(*(_with_container(scene, neighbour) for neighbour in found)))
    return await asyncio.gather(*(_look(scene, neighbour) for neighbour in scene.neighbours))


async def _containers(scene: Scene) -> tuple[ContainerState | None, Sequence[ContainerState]]:
    """Ask the engine; where it does not answer, the topology may still name neighbours (the gap is told elsewhere)."""
    containers = scene.tools.containers
    try:
        own = await scene.own_container()
        if containers is None or own is None:
            return own, ()
        return own, await containers.neighbours(own, timeout_s=scene.tools.settings.docker.timeout_s)
    except SreopsError as exc:
        log.warning(NEIGHBOURS_UNKNOWN, error=str(exc))
        return None, ()


async def _with_container(scene: Scene, neighbour: Neighbour) -> Neighbour:
    containers = scene.tools.containers
    if neighbour.state is not None or containers is None:
        return neighbour
    try:
        state = await containers.find(neighbour.service, timeout_s=scene.tools.settings.docker.timeout_s)
    except SreopsError as exc:
        log.warning(NEIGHBOURS_UNKNOWN, service=neighbour.service, error=str(exc))
        return neighbour
    return replace(neighbour, state=state)


async def _look(scene: Scene, neighbour: Neighbour) -> Evidence:
    signals = await _signals(scene, neighbour)
    measured = await asyncio.gather(*(scene.measure(neighbour.service, signal) for signal in signals))
    why = "" if scene.tools.containers is not None else "no container engine is configured"
    return neighbour_evidence(neighbour, measured, scene.redactor, why_unseen=why)


async def _signals(scene: Scene, neighbour: Neighbour) -> Sequence[Signal]:
    """Choose errors, latency and saturation of what exists under the neighbour's name."""
    metrics, timeout_s = scene.tools.metrics, scene.tools.settings.prometheus.timeout_s
    if metrics is None:
        return ()

    async def known(labels: dict[str, str]) -> Sequence[Signal]:
        try:
            names = await metrics.names(labels, scene.window, timeout_s=timeout_s)
        except SreopsError as exc:
            log.warning(NEIGHBOURS_UNKNOWN, service=neighbour.service, error=str(exc))
            return ()
        return choose(labels, names)

    found = merge(await asyncio.gather(*(known(labels) for labels in neighbour.metric_labels)))
    telling = [signal for name in _TELLING for signal in found if signal.id == name]
    telling += [signal for signal in found if signal.id.startswith("errors:")]
    return telling[:_SIGNALS]
