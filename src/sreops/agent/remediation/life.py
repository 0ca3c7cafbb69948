"""Taking the pulse of targets and of the alerted service: what the engine says of their lives."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sreops.agent.context import NO_ENGINE, Tools
from sreops.agent.patient import subject_of, subjects_patient
from sreops.agent.remediation.request import Request
from sreops.agent.remediation.targets import find_target
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.subject import Subject
from sreops.domain.evidence.changes import lately
from sreops.domain.evidence.engine_events import MOST_EVENTS
from sreops.domain.evidence.evidence import ContainerEvent, ContainerState, EvidenceKind, ServiceState
from sreops.domain.incidents.incident import Incident
from sreops.domain.remediation.life import Pulse, as_stopped, gone, pulse_of, unseen
from sreops.domain.runbooks.runbook import PlannedStep, StepAction
from sreops.errors import SreopsError
from sreops.telemetry import log

TARGET_UNSEEN: Final = "agent.target_unseen"
ENGINE_EVENTS_UNKNOWN: Final = "agent.engine_events_unknown"


async def pulses(request: Request) -> tuple[Pulse, ...]:
    """Take the pulses of the plan's targets, and of the alerted service where it is none of them."""
    steps = {step.target: step for step in request.plan.steps if step.action.on_engine}
    found = [await target_pulse(request.tools, step) for step in steps.values()]
    known = {pulse.id for pulse in found if pulse.id}
    # a container that is found under two names counts once, as the plan's target: that is judged more strictly
    others = await subject_pulses(request.tools, request.incident, request.event)
    found += [pulse for pulse in others if pulse.id not in known and pulse.target not in steps]
    return tuple(found)


async def target_pulse(tools: Tools, step: PlannedStep) -> Pulse:
    """Take the pulse of a step's target, which the engine had when the plan was made."""
    if tools.containers is None:
        return unseen(step.target, NO_ENGINE)
    try:
        seen = await find_target(tools, step)
        found = pulse_of(step.target, seen, await _events(tools, seen))
    except SreopsError as exc:
        log.warning(TARGET_UNSEEN, target=step.target, error=str(exc))
        return unseen(step.target, str(exc))
    if found is not None and step.action is StepAction.stop_container:
        return as_stopped(found)
    return found or gone(step.target)


async def subject_pulses(tools: Tools, incident: Incident, event: AlertEvent) -> Sequence[Pulse]:
    """Take the pulses of the alerted service's containers; none where no configured engine holds or held it."""
    subject = subject_of(event, incident)
    if tools.containers is None:
        return ()
    try:
        seen_as = await _names_seen(tools, incident)
        there = await _found(tools, subject, seen_as, tools.clock.now())
        found = [pulse_of(seen.name, seen, await _events(tools, seen)) for seen in there]
        if found:
            return [pulse for pulse in found if pulse is not None]
        was_there = bool(seen_as) or bool(await events_of(tools, subject.name))
    except SreopsError as exc:
        log.warning(TARGET_UNSEEN, target=subject.name, error=str(exc))
        return [unseen(subject.name, str(exc))]
    return [gone(subject.name)] if was_there else ()


async def _found(
    tools: Tools, subject: Subject, seen_as: Sequence[str], now: datetime
) -> Sequence[ContainerState | ServiceState]:
    assert tools.containers is not None
    if states := (await subjects_patient(tools, subject, now)).states:
        return states
    timeout_s = tools.settings.docker.timeout_s
    for name in dict.fromkeys(seen_as):
        if states := await tools.containers.matching(name, subject.scope, exact=True, timeout_s=timeout_s):
            return states
    swarm = await tools.containers.service(subject.name, timeout_s=timeout_s)
    return [swarm] if swarm is not None else []


async def _names_seen(tools: Tools, incident: Incident) -> Sequence[str]:
    """Return the names under which this incident's evidence has found the service's own container."""
    evidence = await tools.store.evidence(incident.id)
    return [item.query for item in evidence if item.kind is EvidenceKind.container and item.query]


async def _events(tools: Tools, seen: ContainerState | ServiceState | None) -> Sequence[ContainerEvent]:
    return await events_of(tools, seen.name, engine=seen.engine) if isinstance(seen, ContainerState) else ()


async def events_of(tools: Tools, name: str, *, engine: str | None = None) -> Sequence[ContainerEvent]:
    """Return the engine's events of the last hour; none where it does not tell: StartedAt and RestartCount do then."""
    assert tools.containers is not None
    now = tools.clock.now()
    try:
        answer = await tools.containers.events(
            [name], lately(now, now), limit=MOST_EVENTS, timeout_s=tools.settings.docker.timeout_s, engine=engine
        )
    except SreopsError as exc:
        log.warning(ENGINE_EVENTS_UNKNOWN, target=name, error=str(exc))
        return ()
    return answer.events
