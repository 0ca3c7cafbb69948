"""execute_remediation: one step per visit; remediation decides, and this node writes.

what is known (Request) ──▶ remediation: the next thing (Decision) ──▶ told, written, and left in the state
an effect: its intent into the ledger ──▶ sent, or looked for ──▶ its outcome into the ledger
"""

from datetime import timedelta
from typing import Final

from sreops.agent.remediation.before_effect import before_effect, others_up
from sreops.agent.remediation.checks import check_step
from sreops.agent.remediation.decision import (
    Ask,
    Decision,
    Escalate,
    GiveUp,
    Next,
    Proceed,
    Prove,
    Recovered,
    WaitUntil,
)
from sreops.agent.remediation.effects import follow, in_words, intended, left_behind, send
from sreops.agent.remediation.limits import limits_of
from sreops.agent.remediation.request import Request, request_of
from sreops.agent.remediation.undo import undo
from sreops.agent.resolve import ended_meanwhile
from sreops.agent.state import State
from sreops.agent.tickets import drain_quietly
from sreops.agent.visit import Visit, escalated, resolved, wait, waiting
from sreops.domain.causes.analysis import Analysis
from sreops.domain.incidents.incident import (
    Effect,
    EffectOutcome,
    IncidentStatus,
    Reason,
    Resolution,
    VerificationResult,
)
from sreops.domain.remediation.effects import Settled
from sreops.domain.runbooks.runbook import OnFailure, Plan
from sreops.errors import EffectBlocked
from sreops.telemetry import EFFECTS, log

EFFECT_ENDED: Final = "effect.ended"


async def execute_remediation(visit: Visit) -> State:
    """Carry out the running step, or a part of it that does not wait."""
    due = wait(visit.state, visit.now())
    plan = Plan.model_validate(visit.state["plan"])
    request = request_of(visit.tools, visit.incident, visit.event, plan, visit.state)
    if request.effect is not None:
        return await _go_on(visit, request, request.effect)
    if visit.incident.all_resolved_at is not None and request.begun:
        return await _write(
            visit, request, Prove(thought="The alert was resolved after a step: no further step is taken")
        )
    if outcome := await ended_meanwhile(visit):
        return State(outcome=outcome, wait_until=None)
    if not due:
        return State()
    if not request.step.action.disruptive:
        return await _write(visit, request, await check_step(request))
    analysis = Analysis.model_validate(visit.state["analysis"])
    decided = await before_effect(request, await visit.alerts(), analysis)
    if not isinstance(decided, Proceed):
        return await _write(visit, request, decided)
    first = await _first(visit, decided)
    if visit.control.drain_requested:
        return State()  # the process shuts down: what can't be ended in time is better not begun
    if (held := await others_up(request)) is not None:
        return {**first, **await _write(visit, request, held)}
    return {**first, **await carry_out(visit, request)}


async def _first(visit: Visit, decided: Proceed) -> State:
    """Keep what the plan's first effect is compared with afterwards."""
    if decided.baseline is None:
        return State()
    if visit.incident.status is not IncidentStatus.remediating:
        await visit.write({"status": IncidentStatus.remediating})
    return State(baseline=decided.baseline.model_dump(mode="json"), proof=list(decided.proof), wait_until=None)


async def carry_out(visit: Visit, request: Request) -> State:
    """Write the intent, act, write the outcome."""
    intent = await intended(request)
    if isinstance(intent, Escalate):
        return await _write(visit, request, intent)
    try:
        effect = await visit.tools.store.begin_effect(
            visit.lease,
            intent,
            limits_of(visit.tools.settings),
            now=visit.now(),
            cooldown_s=request.plan.cooldown_s,
            doubted_resolve_at=visit.doubted_resolve_at,
        )
    except EffectBlocked as exc:
        return await _blocked(visit, request, exc)
    if effect.intent_at != intent.intent_at or effect.outcome is not None:
        # it stood in the ledger before: whatever this visit had seen of the incident, it may be done already
        return await _go_on(visit, request, effect)
    visit.think(f"{effect.action} {effect.target} now (runbook {request.plan.runbook_id})")
    await visit.write()
    return await _settle(visit, request, effect, await send(request, effect))


async def _blocked(visit: Visit, request: Request, exc: EffectBlocked) -> State:
    """Wait where only a slot is missing, or a pause holds what a person approved; else the end."""
    if exc.wait or (request.approved and (await visit.tools.store.pause_state())["paused"]):
        settings = visit.tools.settings.policy
        return waiting(visit.now() + timedelta(seconds=settings.slot_retry_s), "slot")
    await visit.refresh()
    ended = await ended_meanwhile(visit) or escalated(Reason.policy_denied, str(exc))
    return State(outcome=ended, wait_until=None)


async def _go_on(visit: Visit, request: Request, effect: Effect) -> State:
    """Go on with an effect that was begun by an earlier visit: to what follows its outcome, or to its outcome."""
    if effect.outcome is not None:
        return await _after(visit, request, effect)
    return await _settle(visit, request, effect, await follow(request, effect))


async def _settle(visit: Visit, request: Request, effect: Effect, found: Settled | WaitUntil) -> State:
    """Write what became of an effect, and go on after it; or leave the time of the next look."""
    if isinstance(found, WaitUntil):
        return await _write(visit, request, found)
    assert found.outcome is not None  # an open one is waited for
    effect = await visit.tools.store.end_effect(
        visit.lease, effect.effect_id, found.outcome, found.why, now=visit.now()
    )
    EFFECTS.labels(effect.action, found.outcome.value).inc()
    log.info(EFFECT_ENDED, action=effect.action, target=effect.target, outcome=found.outcome.value, detail=found.why)
    return await _after(visit, request, effect)


async def _after(visit: Visit, request: Request, effect: Effect) -> State:
    """Go on after a written outcome: the next step, or a person."""
    text = await in_words(request, effect)
    visit.think(text)
    visit.note(f"step-{effect.step}", text)
    await visit.write()
    await drain_quietly(visit.tools.tickets, visit.incident.id)
    if effect.outcome is EffectOutcome.unknown:
        return await _write(visit, request, Escalate(reason=Reason.outcome_unknown, why=text))
    if effect.outcome is EffectOutcome.failed and not request.step.may_fail:
        return await _write(visit, request, GiveUp(reason=Reason.step_failed, why=text))
    left_as, pulse, now = dict(visit.state.get("left_as", {})), await left_behind(request), visit.now().isoformat()
    if pulse is not None:
        left_as[request.step.target] = {"at": now, "pulse": pulse.model_dump(mode="json")}
    return State(step=effect.step + 1, step_began=None, answer_lost="", acted_at=now, left_as=left_as, wait_until=None)


async def _write(visit: Visit, request: Request, decided: Decision) -> State:
    """Tell what was decided, and return what the state keeps of it: the one place where a decision is written."""
    if decided.thought:
        visit.think(decided.thought)
    if decided.note:
        visit.note(f"step-{request.index}", decided.note)
    await visit.write()
    match decided:
        case WaitUntil():
            return _waits(decided)
        case Ask():
            asked_at = visit.now().isoformat()
            return State(approval="needed", approval_why=list(decided.reasons), asked_at=asked_at, wait_until=None)
        case GiveUp():
            return await _give_up(visit, request, decided)
        case Escalate():
            return State(outcome=escalated(decided.reason, decided.why), wait_until=None)
        case Recovered():
            return State(outcome=resolved(Resolution.recovered, decided.why), wait_until=None)
        case Next():
            return State(step=request.index + 1, step_began=None, wait_until=None)
        case Prove():
            return State(step=len(request.plan.steps), step_began=None, wait_until=None)
        case Proceed():
            return State()


def _waits(decided: WaitUntil) -> State:
    state = waiting(decided.until, decided.timer)
    if decided.step_began is not None:
        state["step_began"] = decided.step_began.isoformat()
    if decided.answer_lost:
        state["answer_lost"] = decided.answer_lost
    return state


async def _give_up(visit: Visit, request: Request, decided: GiveUp) -> State:
    """Hand over in the middle of a plan, and take back what can be taken back, unless the step says otherwise."""
    if decided.reason is Reason.remediation_ineffective:
        await visit.write({"verification": VerificationResult.not_fixed})
    why = decided.why
    if request.step.on_failure is not OnFailure.stop and (undone := await undo(request, visit.lease)):
        why = f"{why}; {undone}"
        visit.think(f"Handed over, and taken back what could be: {undone}")
        await visit.write()
    return State(outcome=escalated(decided.reason, why), wait_until=None)
