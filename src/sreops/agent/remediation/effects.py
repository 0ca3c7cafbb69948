"""Effects: intent before, outcome after; what was lost in between is settled by looking."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sreops.agent.remediation.life import target_pulse
from sreops.agent.remediation.permission import limits_of
from sreops.agent.remediation.recovery import ended_meanwhile
from sreops.agent.remediation.targets import Target, find_target, grace_of, unfit
from sreops.agent.state import State
from sreops.agent.tickets import drain_quietly
from sreops.agent.visit import Visit, escalated, waiting
from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.incidents.incident import Effect, EffectOutcome, Reason
from sreops.domain.remediation.effects import settle
from sreops.domain.remediation.standing import standing_identity
from sreops.domain.remediation.stopping import waited_for_s
from sreops.domain.runbooks.runbook import OnFailure, Plan, PlannedStep, StepAction
from sreops.errors import EffectBlocked, EngineRefused, EngineUnavailable, LeaseLost, OutcomeUnknown
from sreops.telemetry import EFFECTS, log

_SHORTEST_HOLD_UP_S = 5.0
_SHARE_OF_A_RUN = 0.8
UNDO_STEPS = 1000
"""Ledger step numbers from here on are undo steps: 1000 + the step that is undone."""


async def carry_out(visit: Visit, plan: Plan, index: int, step: PlannedStep) -> State:
    """Write the intent, act, write the outcome."""
    try:
        target = await find_target(visit.tools, step)
    except (EngineUnavailable, EngineRefused) as exc:
        return State(outcome=escalated(Reason.step_failed, f"{step.action.value} {step.target}: {exc}"))
    if target is None or unfit(step, target):
        why = unfit(step, target) or "the engine knows no such target any more"
        return State(outcome=escalated(Reason.step_failed, f"{step.action.value} {step.target}: {why}"))
    intent = _intent(visit, plan, index, step, target)
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
            return waiting(until, "slot")
        await visit.refresh()
        return State(outcome=await ended_meanwhile(visit) or escalated(Reason.policy_denied, str(exc)))
    if effect.intent_at != intent.intent_at or effect.outcome is not None:
        # it stood in the ledger before: whatever this visit had seen of the incident, it may be done already
        return await go_on(visit, plan, step, effect)
    visit.think(f"{step.action.value} {step.target} now (runbook {plan.runbook_id})")
    await visit.write()
    return await _act(visit, step, effect)


async def _paused_meanwhile(visit: Visit) -> bool:
    """Whether what a person approved was stopped by a pause alone: that is waited for, and policy asked again."""
    return visit.state.get("approval") == "approved" and bool((await visit.tools.store.pause_state())["paused"])


async def go_on(visit: Visit, plan: Plan, step: PlannedStep, effect: Effect) -> State:
    """Go on with an effect that was begun by an earlier visit: to what follows its outcome, or to its outcome."""
    if effect.outcome is None:
        return await settle_by_looking(visit, plan, step, effect)
    return await advance(visit, step, effect)


def _intent(visit: Visit, plan: Plan, index: int, step: PlannedStep, target: Target) -> Effect:
    snapshot = target.snapshot()
    default_s = visit.tools.settings.docker.stop_timeout_s
    snapshot["stop_timeout_s"] = waited_for_s(grace_of(step, target, default_s))
    snapshot["own_stop_timeout"] = target.stop_timeout_s is not None
    return Effect(
        effect_id=f"{visit.incident.id}:{visit.incident.episode}:{index}",
        incident_id=visit.incident.id,
        episode=visit.incident.episode,
        step=index,
        action=step.action.value,
        target=step.target,
        service=visit.incident.service,
        runbook_id=plan.runbook_id,
        snapshot=snapshot,
        intent_at=visit.now(),
        standing=standing_identity(target),
    )


async def _act(visit: Visit, step: PlannedStep, effect: Effect) -> State:
    try:
        await _command(visit, step, effect)
    except (EngineUnavailable, EngineRefused) as exc:
        return await _write_outcome(visit, step, effect, EffectOutcome.failed, str(exc))
    except OutcomeUnknown as exc:
        log.warning("effect.answer_lost", target=effect.target, error=str(exc))
        visit.think(f"The engine's answer was lost ({exc}): looking instead of repeating")
        await visit.write()
        return State(answer_lost=str(exc), **waiting(visit.now() + timedelta(seconds=1), "settling"))
    return await _write_outcome(visit, step, effect, EffectOutcome.succeeded, "")


def _refuse_when_late(visit: Visit, effect: Effect) -> None:
    """Raise LeaseLost where this process was held up since the intent: another may have settled it as not done.

    Whoever takes over looks until the stop timeout and the margin have passed since the intent; what is sent
    in half the margin is seen.
    """
    late_s = max(_SHORTEST_HOLD_UP_S, visit.tools.settings.docker.settle_margin_s / 2)
    if visit.now() > effect.intent_at + timedelta(seconds=late_s):
        raise LeaseLost(
            f"{effect.action} {effect.target}: held up for more than {late_s:g} s since its intent; not sent"
        )


async def _command(visit: Visit, step: PlannedStep, effect: Effect) -> None:
    containers, settings = visit.tools.containers, visit.tools.settings.docker
    if containers is None:
        raise EngineUnavailable("no container engine is configured (SREOPS_DOCKER__HOST)")
    _refuse_when_late(visit, effect)
    target_id = effect.snapshot["id"]
    if step.action is StepAction.restart_container and "replicas" in effect.snapshot:
        await containers.restart_service(target_id, timeout_s=settings.timeout_s)
    elif step.action is StepAction.restart_container:
        grace_s = float(effect.snapshot["stop_timeout_s"])
        # a ``t`` outranks the container's own StopTimeout: it is said only for those that say nothing
        said = None if effect.snapshot["own_stop_timeout"] else settings.stop_timeout_s
        # what takes longer than a run may is settled by looking: the engine goes on without us
        longest_s = _SHARE_OF_A_RUN * visit.tools.settings.worker.max_run_s
        await containers.restart(target_id, stop_timeout_s=said, timeout_s=min(grace_s + settings.timeout_s, longest_s))
    elif step.action is StepAction.start_container:
        await containers.start(target_id, timeout_s=settings.timeout_s)
    else:
        await containers.scale(target_id, replicas=wanted_replicas(step), timeout_s=settings.timeout_s)


def wanted_replicas(step: PlannedStep) -> int:
    """Return the replicas that a scale step asks for."""
    return int(step.params["replicas"])


async def settle_by_looking(visit: Visit, plan: Plan, step: PlannedStep, effect: Effect) -> State:
    """Settle an intent without an outcome: compare the target with its snapshot."""
    settings, now = visit.tools.settings.docker, visit.now()
    try:
        seen = await _see(visit, step, effect)
    except (EngineUnavailable, EngineRefused) as exc:
        grace_s = float(effect.snapshot.get("stop_timeout_s", settings.stop_timeout_s))
        if now < effect.intent_at + timedelta(seconds=grace_s + settings.settle_margin_s + 60):
            return waiting(now + timedelta(seconds=2), "settling")
        why = f"the engine does not answer, so what became of it can't be known: {exc}"
        return await _write_outcome(visit, step, effect, EffectOutcome.unknown, why)
    wanted = wanted_replicas(step) if step.action is StepAction.scale_container else None
    settled = settle(effect, seen, wanted_replicas=wanted, now=now, margin_s=settings.settle_margin_s)
    if settled.outcome is None:
        return waiting(settled.look_again_at or now + timedelta(seconds=1), "settling")
    lost = visit.state.get("answer_lost")
    detail = f"settled by looking: {settled.why}" + (f" (the engine's answer: {lost})" if lost else "")
    return await _write_outcome(visit, step, effect, settled.outcome, detail)


async def _see(visit: Visit, step: PlannedStep, effect: Effect) -> ContainerState | ServiceState | None:
    containers = visit.tools.containers
    if containers is None:
        raise EngineUnavailable("no container engine is configured (SREOPS_DOCKER__HOST)")
    if "replicas" in effect.snapshot:
        seen = await find_target(visit.tools, step)
        return seen if isinstance(seen, ServiceState) else None
    return await containers.inspect(effect.snapshot["id"], timeout_s=visit.tools.settings.docker.timeout_s)


async def _write_outcome(visit: Visit, step: PlannedStep, effect: Effect, outcome: EffectOutcome, detail: str) -> State:
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


async def give_up(visit: Visit, step: PlannedStep, reason: Reason, why: str) -> State:
    """Hand over in the middle of a plan, and take back what of it can be taken back, unless the step says otherwise."""
    plan = Plan.model_validate(visit.state["plan"])
    if step.on_failure is OnFailure.stop:
        return State(outcome=escalated(reason, why), wait_until=None)
    if undone := await undo_scaling(visit, plan):
        why = f"{why}; {undone}"
        visit.think(f"Handed over, and taken back what could be: {undone}")
        await visit.write()
    return State(outcome=escalated(reason, why), wait_until=None)


async def undo_scaling(visit: Visit, plan: Plan) -> str:
    """Set failed scaling back to the replicas of its snapshot, through the ledger; say what was done.

    A restart can't be undone, and nothing is said of it here. A service that somebody else has scaled
    meanwhile is left alone.
    """
    told: list[str] = []
    for effect in await _ledger(visit):  # as it is now: a visit that has just written an outcome sees it here
        if effect.action != StepAction.scale_container or effect.step >= UNDO_STEPS:
            continue
        if effect.outcome is EffectOutcome.succeeded:
            told.append(await _undo_one(visit, plan, effect))
    return "; ".join(told)


async def _undo_one(visit: Visit, plan: Plan, effect: Effect) -> str:
    before, number = int(effect.snapshot["replicas"]), UNDO_STEPS + effect.step
    step = plan.steps[effect.step]
    params: dict[str, Any] = {**step.params, "replicas": before}
    back = step.model_copy(update={"params": params})
    # one that a crash cut short is taken up again: setting a number of replicas twice sets it once
    undo = next((one for one in await _ledger(visit) if one.step == number), None)
    try:
        target = await find_target(visit.tools, back)
        wanted = {wanted_replicas(step)} if undo is None else {wanted_replicas(step), before}
        if not isinstance(target, ServiceState) or target.replicas not in wanted:
            outcome, why = EffectOutcome.failed, f"{effect.target} was changed by somebody else meanwhile"
        else:
            intent = _intent(visit, plan, number, back, target)
            limits = limits_of(visit.tools.settings)
            undo = await visit.tools.store.begin_effect(visit.lease, intent, limits, now=visit.now())
            await _command(visit, back, undo)
            outcome, why = EffectOutcome.succeeded, "undone"
    except OutcomeUnknown as exc:
        outcome, why = EffectOutcome.unknown, str(exc)
    except (EngineUnavailable, EngineRefused, EffectBlocked) as exc:
        outcome, why = EffectOutcome.failed, str(exc)
    if undo is not None:
        undo = await visit.tools.store.end_effect(visit.lease, undo.effect_id, outcome, why, now=visit.now())
        outcome, why = undo.outcome or outcome, undo.detail
    if outcome is EffectOutcome.succeeded:
        return f"{effect.target} was scaled back to {before}"
    return f"{effect.target} was not scaled back to {before}: {why}"


async def _ledger(visit: Visit) -> Sequence[Effect]:
    return await visit.tools.store.effects(visit.incident.id, visit.incident.episode)
