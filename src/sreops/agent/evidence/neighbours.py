"""The alerted service's neighbours as evidence: found by labels, networks and the topology, looked at all at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sreops.agent.evidence.metrics import select_series, signals_of
from sreops.agent.evidence.question import Measured, Question, measure
from sreops.domain.evidence.evidence import ContainerState, Evidence
from sreops.domain.evidence.golden_signals import Signal
from sreops.domain.evidence.identity import identity_of_neighbour
from sreops.domain.evidence.neighbours import Neighbour, NeighbourRole, neighbour_evidence, neighbours_of
from sreops.domain.suspects.live import Seen
from sreops.errors import SreopsError
from sreops.telemetry import log

_SIGNALS = 3
_TELLING = ("error_ratio", "latency_p95", "memory", "cpu", "disk")
NEIGHBOURS_UNKNOWN: Final = "evidence.neighbours_unknown"


@dataclass(frozen=True)
class Neighbourhood:
    """The neighbours that were found, a piece of evidence of each, and the series that were measured of them."""

    neighbours: Sequence[Neighbour] = ()
    evidence: Sequence[Evidence] = ()
    seen: Sequence[Seen] = ()

    @property
    def on_call_path(self) -> tuple[Neighbour, ...]:
        """Those of which it is known who calls whom: peers may be ill for reasons of their own."""
        return tuple(neighbour for neighbour in self.neighbours if neighbour.role is not NeighbourRole.peer)


async def neighbourhood(question: Question, own: ContainerState | None) -> Neighbourhood:
    """Return the neighbours of the subject's container, and of its name in the topology; none where none is known."""
    around = await _around(question, own)
    topology, peer_labels = question.tools.settings.topology, question.tools.settings.docker.peer_labels
    found = neighbours_of(question.event.service, own, around, topology, peer_labels)
    neighbours = tuple(await asyncio.gather(*(_with_container(question, neighbour) for neighbour in found)))
    looked = await asyncio.gather(*(_look(question, neighbour) for neighbour in neighbours))
    evidence = [item for measured in looked for item in measured.evidence]
    return Neighbourhood(neighbours, evidence, [seen for measured in looked for seen in measured.seen])


async def _around(question: Question, own: ContainerState | None) -> Sequence[ContainerState]:
    """Ask the engine; where it does not answer, the topology may still name neighbours (the gap is told elsewhere)."""
    containers = question.tools.containers
    if containers is None or own is None:
        return ()
    try:
        return await containers.neighbours(own, timeout_s=question.tools.settings.docker.timeout_s)
    except SreopsError as exc:
        log.warning(NEIGHBOURS_UNKNOWN, error=str(exc))
        return ()


async def _with_container(question: Question, neighbour: Neighbour) -> Neighbour:
    containers = question.tools.containers
    if neighbour.state is not None or containers is None:
        return neighbour
    try:
        state = await containers.find(neighbour.service, timeout_s=question.tools.settings.docker.timeout_s)
    except SreopsError as exc:
        log.warning(NEIGHBOURS_UNKNOWN, service=neighbour.service, error=str(exc))
        return neighbour
    return replace(neighbour, state=state)


async def _look(question: Question, neighbour: Neighbour) -> Measured:
    signals = await _signals(question, neighbour)
    measured = await asyncio.gather(*(measure(question, neighbour.service, signal) for signal in signals))
    why = "" if question.tools.containers is not None else "no container engine is configured"
    items = [item for answer in measured for item in answer.evidence]
    told = neighbour_evidence(neighbour, items, question.redactor, why_unseen=why)
    return Measured([told], [seen for answer in measured for seen in answer.seen])


async def _signals(question: Question, neighbour: Neighbour) -> Sequence[Signal]:
    """Choose errors, latency and saturation of what exists under the neighbour's name."""
    metrics, timeout_s = question.tools.metrics, question.tools.settings.prometheus.timeout_s
    if metrics is None:
        return ()
    identity = identity_of_neighbour(neighbour.service, neighbour.state)
    try:
        selected = await select_series(metrics, identity, {}, question.window, timeout_s)
    except SreopsError as exc:
        log.warning(NEIGHBOURS_UNKNOWN, service=neighbour.service, error=str(exc))
        return ()
    found = signals_of(selected.own)
    telling = [signal for name in _TELLING for signal in found if signal.id == name]
    telling += [signal for signal in found if signal.id.startswith("errors:")]
    return telling[:_SIGNALS]
