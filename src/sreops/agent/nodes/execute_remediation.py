"""execute_remediation: one step per visit; what disrupts goes through policy, ledger and audit."""

from datetime import timedelta

from sreops.agent.remediation.checks import check_step
from sreops.agent.remediation.effects import carry_out, go_on
from sreops.agent.remediation.errands import go_on_errand, run_errand
from sreops.agent.remediation.measure import alerts_now, look
from sreops.agent.remediation.one_by_one import others_up
from sreops.agent.remediation.permission import ask_policy
from sreops.agent.remediation.recovery import ended_meanwhile
from sreops.agent.state import Outcome, State
from sreops.agent.visit import Visit, escalated, resolved, wait, waiting
from sreops.domain.incidents.incident import IncidentStatus, Reason, Resolution
from sreops.domain.incidents.joins import REJOIN_TIMER
from sreops.domain.remediation.policy import Verdict
from sreops.domain.remediation.verification import already_met
from sreops.domain.runbooks.runbook import Plan, StepAction

_FOR_A_NEW_ANALYSIS_S = 30.0  # the store begins it within a second or two; until then nothing is done


async def execute_remediation(visit: Visit) -> State:
    """Carry out the running step, or a part of it that does not wait."""
    due = wait(visit.state, visit.now())
    plan = Plan.model_validate(visit.state["plan"])
    index = visit.state["step"]
    step = plan.steps[index]
    mine = {effect.step: effect for effect in visit.incident.effects if effect.episode == visit.incident.episode}
    if index in mine:
        if not step.action.on_engine:
            return await go_on_errand(visit, step, mine[index])
        return await go_on(visit, plan, step, mine[index])
    if visit.incident.all_resolved_at is not None and mine:
        visit.think("The alert was resolved after a step: no further step is taken")
        await visit.write()
        return State(step=len(plan.steps), wait_until=None)
    if outcome := await ended_meanwhile(visit):
        return State(outcome=outcome, wait_until=None)
    if not due:
        return State()
    if not step.action.disruptive:
        return await check_step(visit, plan, index, step)
    stop = await _look_again(visit, plan, first=not mine)
    if "outcome" in stop or "approval" in stop or "step" in stop or stop.get("wait_until"):
        return stop
    if visit.control.drain_requested:
        return State()  # the process shuts down: what can't be ended in time is better not begun
    kept_up = step.all and step.action is not StepAction.stop_container  # what is stopped anyway waits for no other
    if kept_up and (held := await others_up(visit, step)) is not None:
        return {**stop, **held}
    act = carry_out if step.action.on_engine else run_errand
    return {**stop, **await act(visit, plan, index, step)}


async def _look_again(visit: Visit, plan: Plan, *, first: bool) -> State:
    """Look again right before an effect: policy, age, and whether it is needed at all."""
    approved = visit.state.get("approval") == "approved"
    verdict, trouble, proof, _ = await ask_policy(visit, plan, approved=approved, begun=not first)
    if verdict.verdict is Verdict.deny and verdict.wait:
        return await _held(visit, "Approved, and automation is paused: it is done once that is lifted", "paused")
    if verdict.verdict is Verdict.deny:
        if first and await _nothing_fires(visit):
            return State(outcome=_recovered(), wait_until=None)
        return State(outcome=escalated(Reason.policy_denied, "; ".join([*verdict.reasons, trouble]).strip("; ")))
    if verdict.verdict is Verdict.needs_approval:
        asked_at = visit.now().isoformat()
        return State(approval="needed", approval_why=list(verdict.reasons), asked_at=asked_at, wait_until=None)
    if verdict.wait:
        return await _held(visit, f"Waits for a free slot: {'; '.join(verdict.reasons)}", "slot")
    if not first:
        return await _needless(visit, plan)
    due_at = visit.incident.rejoin_at
    if due_at is not None and due_at <= visit.now() and not approved:
        visit.think("Somebody has joined since the analysis: it is made again before anything is done")
        await visit.write()
        return waiting(visit.now() + timedelta(seconds=_FOR_A_NEW_ANALYSIS_S), REJOIN_TIMER)
    baseline = await look(visit, plan)
    if baseline.nothing_fires:
        return State(outcome=_recovered(), wait_until=None)
    if already_met(baseline):
        why = "the runbook's conditions hold already, so its effect could prove nothing"
        return State(outcome=escalated(Reason.already_healthy, why))
    if visit.incident.status is not IncidentStatus.remediating:
        await visit.write({"status": IncidentStatus.remediating})
    return State(baseline=baseline.model_dump(mode="json"), proof=list(proof), wait_until=None)


async def _needless(visit: Visit, plan: Plan) -> State:
    """Go to the proof where the steps taken were enough for every alert to end."""
    if not await _nothing_fires(visit):
        return State()
    visit.think("No alert of the incident fires any more: no further step is taken")
    await visit.write()
    return State(step=len(plan.steps), step_began=None, wait_until=None)


async def _nothing_fires(visit: Visit) -> bool:
    return all(alert.firing is False for alert in await alerts_now(visit))


def _recovered() -> Outcome:
    return resolved(Resolution.recovered, "no alert of the incident fires any more")


async def _held(visit: Visit, why: str, timer: str) -> State:
    if visit.state.get("wait_timer") != timer:  # told once, not at every look
        visit.think(why)
        await visit.write()
    return waiting(visit.now() + timedelta(seconds=visit.tools.settings.policy.slot_retry_s), timer)
