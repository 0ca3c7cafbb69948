"""Taking back: what of a plan that did not help can be undone is undone, through the ledger."""

from collections.abc import Callable, Sequence
from typing import Any

from sreops.agent.remediation.engine_commands import intent_of, send, wanted_of
from sreops.agent.remediation.limits import limits_of
from sreops.agent.remediation.request import Request
from sreops.agent.remediation.targets import Target, find_target
from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.runbooks.runbook import PlannedStep, StepAction
from sreops.errors import EffectBlocked, EngineRefused, EngineUnavailable, OutcomeUnknown
from sreops.ports import Lease

UNDO_STEPS = 1000
"""Ledger step numbers from here on are undo steps: 1000 + the step that is undone."""
TargetIs = Callable[[Target | None], bool]


async def undo(request: Request, lease: Lease) -> str:
    """Take back, through the ledger, what of this episode's effects can be; say what was done.

    Scaling is set back to the replicas of its snapshot, and what was stopped is started. A restart can't be undone,
    and nothing is said of it here. What somebody else has changed meanwhile is left alone.
    """
    sentences: list[str] = []
    for effect in await _ledger(request):  # as it is now: a visit that has just written an outcome sees it here
        if effect.step < UNDO_STEPS and effect.outcome is EffectOutcome.succeeded:
            if effect.action == StepAction.scale_container:
                sentences.append(await _scaled_back(request, lease, effect))
            elif effect.action == StepAction.stop_container:
                sentences.append(await _started_again(request, lease, effect))
    return "; ".join(sentences)


async def _scaled_back(request: Request, lease: Lease, effect: Effect) -> str:
    before, step = int(effect.snapshot["replicas"]), request.plan.steps[effect.step]
    asked = {name: value for name, value in step.params.items() if name not in ("by", "min", "max")}
    params: dict[str, Any] = {**asked, "replicas": before}

    def as_left(target: Target | None) -> bool:
        return isinstance(target, ServiceState) and target.replicas == wanted_of(step, effect)

    def is_back(target: Target | None) -> bool:
        return isinstance(target, ServiceState) and target.replicas == before

    failed = await _undone(request, lease, effect, step.model_copy(update={"params": params}), as_left, is_back)
    if failed is None:
        return f"{effect.target} was scaled back to {before}"
    return f"{effect.target} was not scaled back to {before}: {failed}"


async def _started_again(request: Request, lease: Lease, effect: Effect) -> str:
    step = request.plan.steps[effect.step].model_copy(update={"action": StepAction.start_container})

    def as_left(target: Target | None) -> bool:
        return isinstance(target, ContainerState) and target.id == effect.snapshot["id"] and not target.running

    def is_back(target: Target | None) -> bool:
        return isinstance(target, ContainerState) and target.id == effect.snapshot["id"] and target.running

    failed = await _undone(request, lease, effect, step, as_left, is_back)
    return f"{effect.target} was started again" if failed is None else f"{effect.target} stays stopped: {failed}"


async def _undone(
    request: Request, lease: Lease, effect: Effect, back: PlannedStep, as_left: TargetIs, is_back: TargetIs
) -> str | None:
    """Carry out the step that takes an effect back, where its target is ``as_left``; why it is not undone, if so.

    One that a crash cut short is taken up again: it was done where the target ``is_back``, and else it is asked for
    once more, since each of these twice is the same as once.
    """
    store, number = request.tools.store, UNDO_STEPS + effect.step
    intent = next((entry for entry in await _ledger(request) if entry.step == number), None)
    if intent is not None and intent.outcome is not None:
        return None if intent.outcome is EffectOutcome.succeeded else intent.detail
    looked_at = request.now()
    try:
        target = await find_target(request.tools, back)
        if intent is not None and is_back(target):
            outcome, why = EffectOutcome.succeeded, "undone"
        elif target is None or not as_left(target):
            outcome, why = EffectOutcome.failed, f"{effect.target} was changed by somebody else meanwhile"
        else:
            wanted, limits = intent_of(request, number, back, target), limits_of(request.tools.settings)
            intent = await store.begin_effect(lease, wanted, limits, now=request.now())
            await send(request, back, intent, looked_at=looked_at)
            outcome, why = EffectOutcome.succeeded, "undone"
    except OutcomeUnknown as exc:
        outcome, why = EffectOutcome.unknown, str(exc)
    except (EngineUnavailable, EngineRefused, EffectBlocked) as exc:
        outcome, why = EffectOutcome.failed, str(exc)
    if intent is not None:
        intent = await store.end_effect(lease, intent.effect_id, outcome, why, now=request.now())
        outcome, why = intent.outcome or outcome, intent.detail
    return None if outcome is EffectOutcome.succeeded else why


async def _ledger(request: Request) -> Sequence[Effect]:
    return await request.tools.store.effects(request.incident.id, request.incident.episode)
