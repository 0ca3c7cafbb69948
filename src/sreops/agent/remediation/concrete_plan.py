"""Making a plan concrete.

The engine is asked which container or service each step means, and which replica where there are several.
"""

from collections.abc import Sequence

from sreops.agent.context import Tools
from sreops.agent.patient import Patient, find_patient
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.subject import Subject
from sreops.domain.alerts.subject_labels import SubjectKind
from sreops.domain.evidence.evidence import ServiceState
from sreops.domain.evidence.peers import SERVICE_LABEL
from sreops.domain.remediation.target_identity import standing_identity
from sreops.domain.runbooks.plan import NAMES_TARGET, ON_A_TARGET, make_plan, needs_container, target_meant
from sreops.domain.runbooks.runbook import Plan, PlannedStep, Runbook, StepAction
from sreops.errors import EngineRefused, EngineUnavailable, PlanRefused

_HOST_ONLY = frozenset({"host"})


async def concrete_plan(tools: Tools, subject: Subject, runbook: Runbook, event: AlertEvent) -> Plan:
    """Return the runbook made concrete for the alert, with its targets as the engine names them.

    Raises PlanRefused, also where ``{{ container }}`` is asked for and the engine knows no single target.
    """
    container = await _real_name(tools, subject, target_meant(runbook, event)) if needs_container(runbook) else ""
    return await _with_targets_named(tools, subject, make_plan(runbook, event, container=container))


async def _real_name(tools: Tools, subject: Subject, step: PlannedStep) -> str:
    steps = await _as_named(tools, subject, step)
    names = sorted({found.target for found in steps if found.standing})
    if len(names) == 1:
        return names[0]
    told = (
        f"the engine knows {len(names)} of them ({', '.join(names)})" if names else "the engine knows none, or several"
    )
    raise PlanRefused([f"'{{{{ container }}}}' needs the one target that {step.target!r} means, and {told}"])


async def _with_targets_named(tools: Tools, subject: Subject, plan: Plan) -> Plan:
    """Return the plan with its targets named as the engine names them; a step on all replicas becomes one for each.

    What the engine can't name stays as it is: policy asks it again, and denies what it does not know.
    """
    steps: list[PlannedStep] = []
    for step in plan.steps:
        steps += await _as_named(tools, subject, step) if step.action in ON_A_TARGET else [step]
    return plan.model_copy(update={"steps": tuple(steps)})


async def _as_named(tools: Tools, subject: Subject, step: PlannedStep) -> Sequence[PlannedStep]:
    scoped = step.model_copy(update={"scope": dict(subject.scope)})
    try:
        patient = await _patient(tools, step, subject)
        service = await _swarm_service(tools, step, subject, patient)
    except (EngineRefused, EngineUnavailable):
        return [scoped]
    if service is not None:
        return [_named(scoped, service.name, standing_identity(service), service.replicas)]
    if not patient.states or len(patient.targets) > 1:
        return [scoped]
    [standing], number = patient.targets, len(patient.states)
    if step.action is StepAction.scale_container:
        project = patient.states[0].labels.get(SERVICE_LABEL)
        return [_named(scoped, project, standing, number)] if project else [scoped]
    if step.all:
        return [_named(scoped, state.name, standing, number) for state in patient.states]
    single = scoped.model_copy(update={"all": False})
    return [_named(single, patient.one.name, standing, number)] if patient.one is not None else [single]


def _named(step: PlannedStep, name: str, standing: str, number: int) -> PlannedStep:
    return step.model_copy(update={"target": name, "standing": standing, "of": max(1, number)})


async def _patient(tools: Tools, step: PlannedStep, subject: Subject) -> Patient:
    """Find whom a step means: what its author names exactly may lie outside the subject's project."""
    named = any(name in step.params for name in NAMES_TARGET) and step.target != subject.name
    exact, now = named or subject.kind is SubjectKind.container, tools.clock.now()
    found = await find_patient(tools, step.target, subject.scope, now, exact=exact)
    if found.states or not named:
        return found
    host = {key: value for key, value in subject.scope.items() if key in _HOST_ONLY}
    return await find_patient(tools, step.target, host, now, exact=True)


async def _swarm_service(tools: Tools, step: PlannedStep, subject: Subject, patient: Patient) -> ServiceState | None:
    """Return the Swarm service that is meant: that of the tasks found here, or of this name; None where none is."""
    containers, timeout_s = tools.containers, tools.settings.docker.timeout_s
    if containers is None or len(patient.targets) > 1:
        return None
    if patient.states:
        first = patient.states[0]
        if not first.swarm_service:
            return None
        return await containers.service(first.swarm_service, engine=first.engine, timeout_s=timeout_s)
    stack = subject.scope.get("swarm_stack")
    for name in (*([f"{stack}_{step.target}"] if stack else []), step.target):
        if (found := await containers.service(name, timeout_s=timeout_s)) is not None:
            return found
    return None
