"""Effects outside the engine: the intent, one request, and an end that is found by looking."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Protocol

from sreops.agent.context import Tools
from sreops.agent.remediation.effects import advance, begin, look_instead, write_outcome
from sreops.agent.remediation.engine_commands import refuse_when_late
from sreops.agent.remediation.gitlab_acts import PlayJob, RollbackDeployment, RunPipeline
from sreops.agent.remediation.intent import written_before
from sreops.agent.remediation.webhook_call import ERRAND_TIMER, WebhookCall
from sreops.agent.state import State
from sreops.agent.visit import Visit, escalated, waiting
from sreops.domain.incidents.incident import Effect, Reason
from sreops.domain.remediation.effects import Settled
from sreops.domain.remediation.policy import TargetFacts
from sreops.domain.runbooks.runbook import Plan, PlannedStep, StepAction
from sreops.errors import OutcomeUnknown, Refused, SreopsError, Unavailable


class Errand(Protocol):
    """One kind of effect outside the engine."""

    async def facts(self, tools: Tools, step: PlannedStep) -> TargetFacts:
        """Return what policy needs to know of the target."""
        ...

    async def before(self, visit: Visit, step: PlannedStep) -> tuple[str, Mapping[str, Any]]:
        """Look right before: standing identity and snapshot; raises SreopsError where it must not be begun."""
        ...

    async def send(self, visit: Visit, step: PlannedStep, effect: Effect) -> Settled:
        """Send the request, once. Raises Unavailable or Refused where nothing was done, else OutcomeUnknown."""
        ...

    async def look(self, visit: Visit, step: PlannedStep, effect: Effect) -> Settled:
        """Find out what became of it; raises Unavailable or Refused where that can't be asked now."""
        ...


ERRANDS: Final[Mapping[StepAction, Errand]] = {
    StepAction.rollback_deployment: RollbackDeployment(),
    StepAction.play_job: PlayJob(),
    StepAction.run_pipeline: RunPipeline(),
    StepAction.call_webhook: WebhookCall(),
}


async def errand_facts(tools: Tools, step: PlannedStep) -> TargetFacts:
    """Return what policy needs to know of the target of a step outside the engine."""
    return await ERRANDS[step.action].facts(tools, step)


async def run_errand(visit: Visit, plan: Plan, index: int, step: PlannedStep) -> State:
    """Write the intent, send, and write the outcome or leave the time of the next look."""
    errand = ERRANDS[step.action]
    try:
        standing, snapshot = await errand.before(visit, step)
    except SreopsError as exc:
        return State(outcome=escalated(Reason.step_failed, f"{step.action.value} {step.target}: {exc}"))
    begun = await begin(visit, plan, step, written_before(visit, plan, index, step, snapshot, standing))
    if begun.effect is None:
        return begun.instead
    if begun.stood:
        return await go_on_errand(visit, step, begun.effect)
    effect = begun.effect
    try:
        refuse_when_late(visit, effect)
        settled = await errand.send(visit, step, effect)
    except (Unavailable, Refused) as exc:
        settled = Settled.failed(str(exc))
    except OutcomeUnknown as exc:
        return await look_instead(visit, effect, exc)
    return await _after(visit, step, effect, settled)


async def go_on_errand(visit: Visit, step: PlannedStep, effect: Effect) -> State:
    """Go on with an errand that was begun by an earlier visit: to what follows its outcome, or to its outcome."""
    if effect.outcome is not None:
        return await advance(visit, step, effect)
    now = visit.now()
    try:
        settled = await ERRANDS[step.action].look(visit, step, effect)
    except (Unavailable, Refused) as exc:
        until = effect.intent_at + timedelta(seconds=step.timeout_s + visit.tools.settings.docker.settle_margin_s + 60)
        if now < until:
            return waiting(now + timedelta(seconds=2), "settling")
        settled = Settled.unknown(f"what became of it can't be known: {exc}")
    return await _after(visit, step, effect, settled)


async def _after(visit: Visit, step: PlannedStep, effect: Effect, settled: Settled) -> State:
    if settled.outcome is None:
        if visit.state.get("wait_timer") != ERRAND_TIMER:  # told once, not at every look
            visit.think(settled.why)
            await visit.write()
        return waiting(settled.look_again_at or visit.now() + timedelta(seconds=2), ERRAND_TIMER)
    lost = visit.state.get("answer_lost")
    detail = settled.why + (f" (the first answer: {lost})" if lost else "")
    return await write_outcome(visit, step, effect, settled.outcome, detail)
