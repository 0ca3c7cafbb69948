"""enrich_context: asks every source, each with its own deadline; what does not answer is a marked gap.

The question is the same for all and frozen. Each source returns what it found; what builds on another's finding
takes it as an argument: the engine's view of the container first, then logs, metrics and neighbours by it, then
what compares all of these.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from sreops.agent.evidence.deployments import deployments_of
from sreops.agent.evidence.engine import OwnContainers, container_evidence, engine_events_of, images_of, own_containers
from sreops.agent.evidence.logs import OwnLogs, own_logs
from sreops.agent.evidence.metrics import own_metrics
from sreops.agent.evidence.neighbours import Neighbourhood, neighbourhood
from sreops.agent.evidence.question import Measured, Question, history_of, question_of
from sreops.agent.evidence.suspects import suspects_of
from sreops.agent.patient import known_target, subject_of
from sreops.agent.resolve import ended_meanwhile
from sreops.agent.state import State
from sreops.agent.visit import Visit
from sreops.domain.evidence import findings
from sreops.domain.evidence.changes import container_changes, lately, noted_changes
from sreops.domain.evidence.evidence import ContainerState, Evidence
from sreops.errors import EngineRefused, EngineUnavailable, LeaseLost, SreopsError
from sreops.telemetry import log

SOURCE_FAILED: Final = "evidence.source_failed"
T = TypeVar("T")


@dataclass(frozen=True)
class SourceAnswer(Generic[T]):
    """What a source found, or with ``gap`` why it did not."""

    found: T
    gap: Evidence | None = None

    @property
    def gaps(self) -> Sequence[Evidence]:
        """The gap, if there is one."""
        return [] if self.gap is None else [self.gap]


async def enrich_context(visit: Visit) -> State:
    """Gather evidence; none of it missing fails the run."""
    if visit.incident.episode > 1:  # what is left of an earlier one may have been masked by a process that is gone
        earlier = await visit.tools.store.evidence(visit.incident.id)
        redactor = visit.tools.redactors.of(visit.incident.id)
        redactor.skip(text for item in earlier for text in (item.finding, item.text))
    question = question_of(visit.tools, visit.incident, visit.event)
    own = await _within(question, "docker", own_containers(question), OwnContainers())
    if own.gap is None:  # else it is told as a gap, and the next episode asks again
        await _meet(visit, own.found)
    evidence = findings.number(await gather(question, own))
    for item in evidence[1:]:
        told = item.finding if item.finding.startswith(item.source) else f"{item.source}: {item.finding}"
        visit.think(f"{item.id} {told}", evidence=item.id)
    await visit.write(evidence=evidence)
    return State(evidence_ids=[item.id for item in evidence], outcome=await ended_meanwhile(visit))


async def _meet(visit: Visit, own: OwnContainers) -> None:
    """Keep what the engine says the target is; where an older incident has the same, this one ends in it."""
    try:
        target = await known_target(visit.tools, subject_of(visit.event, visit.incident), own.patient)
    except (EngineRefused, EngineUnavailable):
        return
    if target is None or visit.incident.storm_id is not None or visit.incident.storm_name is not None:
        return
    if older := await visit.tools.store.know_target(visit.lease, target, now=visit.now()):
        raise LeaseLost(f"incident {visit.incident.id} has the same target as {older}, and has joined it")


async def gather(question: Question, own: SourceAnswer[OwnContainers]) -> Sequence[Evidence]:
    """Return all that was found, the alert itself first, in the order in which people read it."""
    nothing: Sequence[Evidence] = []
    state = own.found.state
    logs, metrics, near, noted, history = await asyncio.gather(
        _within(question, "loki", own_logs(question, state), OwnLogs()),
        _within(question, "prometheus", own_metrics(question, state), Measured()),
        _within(question, "neighbours", neighbourhood(question, state), Neighbourhood()),
        _within(question, "grafana", _noted(question), nothing),
        _within(question, "history", _history(question), nothing),
    )
    neighbours = near.found.neighbours
    events, images, suspects, deployed = await asyncio.gather(
        _within(question, "docker events", engine_events_of(question, own.found, neighbours), nothing),
        _within(question, "docker images", images_of(question, state), nothing),
        _within(question, "suspects", suspects_of(question, logs.found, metrics.found, near.found), nothing),
        _within(question, "gitlab", deployments_of(question, state, logs.found.lines), nothing),
    )
    return [
        findings.alert(question.event, question.redactor),
        *(*logs.found.evidence, *logs.gaps),
        *(*metrics.found.evidence, *metrics.gaps),
        *(own.gaps or container_evidence(question, own.found)),
        *(*near.found.evidence, *near.gaps),
        *(*deployed.found, *deployed.gaps),
        *(*noted.found, *noted.gaps),
        *(*history.found, *history.gaps),
        *(*events.found, *events.gaps),
        *_replaced(question, state, near.found),
        *(*images.found, *images.gaps),
        *(*suspects.found, *suspects.gaps),
    ]


async def _within(question: Question, name: str, source: Awaitable[T], nothing: T) -> SourceAnswer[T]:
    deadline_s = question.tools.settings.evidence.deadline_s
    try:
        async with asyncio.timeout(deadline_s):
            return SourceAnswer(await source)
    except TimeoutError:
        why, cure = f"no answer within {deadline_s:g} s", "see its own health; SREOPS_EVIDENCE__DEADLINE_S is the limit"
    except SreopsError as exc:
        why, cure = str(exc), "python -m sreops check names the cause"
    log.warning(SOURCE_FAILED, source=name, error=why)
    return SourceAnswer(nothing, findings.gap(name, why, cure))


async def _noted(question: Question) -> Sequence[Evidence]:
    """Ask for deployments and other changes that were noted; without Grafana there is nobody to ask, and no gap."""
    changes, settings = question.tools.changes, question.tools.settings
    if changes is None:
        return []
    window = lately(question.alert_at, question.now)
    notes = await changes.noted(window, timeout_s=settings.grafana.timeout_s)
    asked = f"annotations from {window.start.isoformat()} to {window.end.isoformat()}"
    services = (question.event.service, *settings.topology.get(question.event.service, ()))
    return [noted_changes(notes, services, question.alert_at, asked, question.redactor)]


def _replaced(question: Question, state: ContainerState | None, near: Neighbourhood) -> Sequence[Evidence]:
    """Tell which containers are new, of those that were looked at."""
    own = [(question.event.service, state)] if state is not None else []
    around = [(neighbour.service, neighbour.state) for neighbour in near.neighbours if neighbour.state is not None]
    looked = [*own, *around]
    return [container_changes(looked, question.alert_at, question.redactor)] if looked else []


async def _history(question: Question) -> Sequence[Evidence]:
    return [findings.history(await history_of(question), question.now)]
