"""Looking for the second kind of proof: the targets of a plan as the engine has them now, and the incident's series."""

from collections.abc import Sequence
from typing import Final

from sreops.agent.patient import subject_of, subjects_patient
from sreops.agent.remediation.life import events_of
from sreops.agent.remediation.request import Request
from sreops.agent.remediation.targets import find_target
from sreops.domain.causes.analysis import Category
from sreops.domain.evidence import findings
from sreops.domain.evidence.engine_events import engine_events
from sreops.domain.evidence.evidence import ContainerEvents, ContainerState, Evidence
from sreops.domain.remediation.proof import Suspected, change_proofs, led_to_the_present_start, proofs
from sreops.domain.remediation.target_identity import names_of
from sreops.domain.runbooks.runbook import PlannedStep, StepAction
from sreops.errors import SreopsError
from sreops.telemetry import log

PROOF_UNKNOWN: Final = "agent.proof_unknown"

_ROLLBACKS = frozenset({StepAction.rollback_deployment, StepAction.rollback_service})


async def second_proof(request: Request, cause: Category, evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Return what bears out the cause besides log text, for every target of the plan; empty where one has none."""
    max_age_s = request.tools.settings.policy.max_event_age_s
    sentences: list[str] = []
    for step in {step.target: step for step in request.plan.steps if step.action.disruptive}.values():
        if step.action in _ROLLBACKS and (changed := change_proofs(cause, evidence)):
            sentences += [proof.told for proof in changed]
            continue
        try:
            target = await _suspected(request, step)
        except SreopsError as exc:
            log.warning(PROOF_UNKNOWN, target=step.target, error=str(exc))
            return ()
        found = proofs(cause, target, evidence, now=request.now(), max_age_s=max_age_s) if target else ()
        if not found:
            return ()
        sentences += [proof.told for proof in found]
    return tuple(dict.fromkeys(sentences))


async def _suspected(request: Request, step: PlannedStep) -> Suspected | None:
    if step.action.on_engine:
        seen = await find_target(request.tools, step)
    else:  # what is acted on is elsewhere: the cause is borne out by the alerted service itself
        seen = (await subjects_patient(request.tools, subject_of(request.event, request.incident), request.now())).one
    if seen is None:
        return None
    if not isinstance(seen, ContainerState):
        return Suspected(names=names_of(seen))
    now, redactor = request.now(), request.tools.redactors.of(request.incident.id)
    events = await events_of(request.tools, seen.name, engine=seen.engine)

    def told(some: Sequence[object]) -> ContainerEvents:
        return ContainerEvents.model_validate({"query": "", "events": tuple(some)})

    return Suspected(
        names=names_of(seen),
        started_at=seen.started_at,
        restart_count=seen.restart_count,
        state=findings.container(seen, now, redactor),
        events=engine_events(seen.name, told(events), now, redactor),
        led_here=engine_events(seen.name, told(led_to_the_present_start(events)), now, redactor),
    )
