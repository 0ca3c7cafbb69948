"""Effects: intent before, outcome after; what was lost in between is settled by looking."""

from datetime import timedelta
from typing import NamedTuple

from sreops.agent.remediation.engine_commands import follow, patience_s, prepare, send
from sreops.agent.remediation.intent import intent_of
from sreops.agent.remediation.life import target_pulse
from sreops.agent.remediation.limits import limits_of
from sreops.agent.remediation.recovery import ended_meanwhile
from sreops.agent.remediation.targets import find_target, idle, unfit
from sreops.agent.remediation.undo import give_up
from sreops.agent.state import State
from sreops.agent.tickets import drain_quietly
from sreops.agent.visit import Visit, escalated, waiting
from sreops.domain.incidents.incident import Effect, EffectOutcome, Reason
from sreops.domain.remediation.effects import Settled
from sreops.domain.runbooks.runbook import Plan, PlannedStep
from sreops.errors import EffectBlocked, EngineRefused, EngineUnavailable, OutcomeUnknown
from sreops.telemetry import EFFECTS, log


async def carry_out(visit: Visit, plan: Plan, index: int, step: PlannedStep) -> State:
    """Write the intent, act, write the outcome."""
    try:
        target = await find_target(visit.tools, step)
    except (EngineUnavailable, EngineRefused) as exc:
        return State(outcome=escalated(Reason.step_failed, f"{step.action.value} {step.target}: {exc}"))
    if target is None or (why := unfit(step, target) or idle(step, target)):
        why = why if target is not None else "the engine knows no such target any more"
        return State(outcome=escalated(Reason.step_failed, f"{step.action.value} {step.target}: {why}"))
    try:
        prepared = await prepare(visit, step, target)
    except (EngineUnavailable, EngineRefused) as exc:
        return State(outcome=escalated(Reason.step_failed, f"{step.action.value} {step.target}: {exc}"))
    begun = await begin(visit, plan, step, intent_of(visit, plan, index, step, target, prepared))
    if begun.effect is None:
        return begun.instead
    return await (go_on(visit, plan, step, begun.effect) if begun.stood else _act(visit, step, begun.effect))


class Begun(NamedTuple):
    """An effect whose intent is written, or what to do instead; ``stood``: an earlier visit wrote it."""

    effect: Effect | None
    instead: State
    stood: bool = False


async def begin(visit: Visit, plan: Plan, step: PlannedStep, intent: Effect) -> Begun:
    """Write the intent of an effect that is carried out right afterwards."""
    try:
        effect = await visit.tools.store.begin_effect(
            visit.lease,
            intent,
            limits_of(visit.tools.settings),
            now=visit.now(),
            cooldown_s=plan.cooldown_s,
            doubted_resolve_at=visit.doubted_resolve_at,
        )
    except EffectBlocked as exc:
        if exc.wait or await _paused_meanwhile(visit):
            until = visit.now() + timedelta(seconds=visit.tools.settings.policy.slot_retry_s)
            return Begun(None, waiting(until, "slot"))
        await visit.refresh()
        ended = await ended_meanwhile(visit) or escalated(Reason.policy_denied, str(exc))
        return Begun(None, State(outcome=ended))
    if effect.intent_at != intent.intent_at or effect.outcome is not None:
        # it stood in the ledger before: whatever this visit had seen of the incident, it may be done already
        return Begun(effect, State(), stood=True)
    visit.think(f"{step.action.value} {step.target} now (runbook {plan.runbook_id})")
    await visit.write()
    return Begun(effect, State())


async def _paused_meanwhile(visit: Visit) -> bool:
    """Whether what a person approved was stopped by a pause alone: that is waited for, and policy asked again."""
    return visit.state.get("approval") == "approved" and bool((await visit.tools.store.pause_state())["paused"])


async def go_on(visit: Visit, plan: Plan, step: PlannedStep, effect: Effect) -> State:
    """Go on with an effect that was begun by an earlier visit: to what follows its outcome, or to its outcome."""
    if effect.outcome is None:
        return await settle_by_looking(visit, plan, step, effect)
    return await advance(visit, step, effect)


async def _act(visit: Visit, step: PlannedStep, effect: Effect) -> State:
    try:
        settled = await send(visit, step, effect)
    except (EngineUnavailable, EngineRefused) as exc:
        return await write_outcome(visit, step, effect, EffectOutcome.failed, str(exc))
    except OutcomeUnknown as exc:
        return await look_instead(visit, effect, exc, whose="The engine's answer")
    return await _after(visit, step, effect, settled)


async def look_instead(visit: Visit, effect: Effect, exc: OutcomeUnknown, *, whose: str = "The answer") -> State:
    """Note that an answer was lost, and leave the time of the first look: nothing is sent again."""
    log.warning("effect.answer_lost", target=effect.target, error=str(exc))
    visit.think(f"{whose} was lost ({exc}): looking instead of repeating")
    await visit.write()
    return State(answer_lost=str(exc), **waiting(visit.now() + timedelta(seconds=1), "settling"))


async def _after(visit: Visit, step: PlannedStep, effect: Effect, settled: Settled) -> State:
    """Write the outcome, or leave the time of the next look."""
    if settled.outcome is None:
        return waiting(settled.look_again_at or visit.now() + timedelta(seconds=1), "settling")
    return await write_outcome(visit, step, effect, settled.outcome, settled.why)


async def settle_by_looking(visit: Visit, plan: Plan, step: PlannedStep, effect: Effect) -> State:
    """Settle an intent without an outcome: compare the target with its snapshot."""
    settings, now = visit.tools.settings.docker, visit.now()
    try:
        settled = await follow(visit, step, effect)
    except (EngineUnavailable, EngineRefused) as exc:
        grace_s = max(patience_s(step), float(effect.snapshot.get("stop_timeout_s", settings.stop_timeout_s)))
        if now < effect.intent_at + timedelta(seconds=grace_s + settings.settle_margin_s + 60):
            return waiting(now + timedelta(seconds=2), "settling")
        why = f"the engine does not answer, so what became of it can't be known: {exc}"
        return await write_outcome(visit, step, effect, EffectOutcome.unknown, why)
    lost = visit.state.get("answer_lost")
    detail = f"settled by looking: {settled.why}" + (f" (the engine's answer: {lost})" if lost else "")
    return await _after(visit, step, effect, settled.model_copy(update={"why": detail}))


async def write_outcome(visit: Visit, step: PlannedStep, effect: Effect, outcome: EffectOutcome, detail: str) -> State:
    """Write what became of an effect, and go on after it."""
    effect = await visit.tools.store.end_effect(visit.lease, effect.effect_id, outcome, detail, now=visit.now())
    EFFECTS.labels(effect.action, outcome.value).inc()
    log.info("effect.ended", action=effect.action, target=effect.target, outcome=outcome.value, detail=detail)
    return await advance(visit, step, effect)


async def advance(visit: Visit, step: PlannedStep, effect: Effect) -> State:
    """Go on after a written outcome: the next step, or a person."""
    outcome = effect.outcome
    text = f"{effect.action} {effect.target}: {outcome.value if outcome else 'unknown'}"
    if effect.detail:
        text += f" ({effect.detail})"
    if outcome is not EffectOutcome.succeeded and step.action.on_engine:
        text = await _down_first(visit, step, text)
    visit.think(text)
    visit.note(f"step-{effect.step}", text)
    await visit.write()
    await drain_quietly(visit.tools.tickets, visit.incident.id)
    if outcome is EffectOutcome.unknown:
        return State(outcome=escalated(Reason.outcome_unknown, text), wait_until=None)
    if outcome is EffectOutcome.failed and not step.may_fail:
        return await give_up(visit, step, Reason.step_failed, text)
    # what is compared with later: a death between the effect and the first poll shows against this look
    left_as = dict(visit.state.get("left_as", {}))
    pulse = await target_pulse(visit.tools, step) if step.action.on_engine else None
    now = visit.now().isoformat()
    if pulse is not None:
        left_as[step.target] = {"at": now, "pulse": pulse.model_dump(mode="json")}
    return State(step=effect.step + 1, step_began=None, answer_lost="", acted_at=now, left_as=left_as, wait_until=None)


async def _down_first(visit: Visit, step: PlannedStep, text: str) -> str:
    """Say first that the target is down, where it is: after our hand that outranks all else."""
    pulse = await target_pulse(visit.tools, step)
    return f"DOWN: {pulse.told} after {step.action.value}; {text}" if pulse.vital.dead else text
