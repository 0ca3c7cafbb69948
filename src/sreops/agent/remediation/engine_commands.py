"""Commands to the container engine: what a step's effect asks of it, and how its target is looked at afterwards."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sreops.agent.remediation import run_command
from sreops.agent.remediation.request import Request
from sreops.agent.remediation.targets import Target, find_target, grace_of, idle, unfit, why_refused
from sreops.domain.evidence.evidence import ServiceState
from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.remediation.effects import Settled, settle
from sreops.domain.remediation.scaling import wanted_replicas
from sreops.domain.remediation.stopping import waited_for_s
from sreops.domain.remediation.target_identity import read_identity, standing_identity
from sreops.domain.runbooks.runbook import PlannedStep, StepAction
from sreops.errors import EngineRefused, LeaseLost

_SHORTEST_HOLD_UP_S = 5.0
_WANTED = "wanted"


def refuse_when_late(request: Request, effect: Effect, looked_at: datetime | None = None) -> None:
    """Raise LeaseLost where this process was held up since the intent: another may have settled it as not done.

    Whoever takes over looks until the stop timeout and the margin have passed since the intent, so it sees a
    request that was sent within half the margin. For a request that may be sent twice, the time counts from
    ``looked_at``.
    """
    late_s = max(_SHORTEST_HOLD_UP_S, request.tools.settings.docker.settle_margin_s / 2)
    if request.now() > (looked_at or effect.intent_at) + timedelta(seconds=late_s):
        raise LeaseLost(
            f"{effect.action} {effect.target}: held up for more than {late_s:g} s since its intent; not sent"
        )


async def intended(request: Request) -> Effect:
    """Return the step's intent on its target as it is now; raises EngineUnavailable, EngineRefused."""
    step = request.step
    target = await find_target(request.tools, step)
    if target is None:
        raise EngineRefused("the engine knows no such target any more")
    if why := unfit(step, target) or idle(step, target):
        raise EngineRefused(why)
    return intent_of(request, request.index, step, target, await _prepared(request, target))


def intent_of(
    request: Request, index: int, step: PlannedStep, target: Target, more: Mapping[str, Any] | None = None
) -> Effect:
    """Return the intent of a step on its target as it is now; ``more`` is what else it can be settled by."""
    snapshot = {**target.snapshot(), **(more or {})}
    default_s = request.tools.settings.docker.stop_timeout_s
    snapshot["stop_timeout_s"] = waited_for_s(grace_of(step, target, default_s))
    snapshot["own_stop_timeout"] = target.stop_timeout_s is not None
    return request.intent(index, step, snapshot, standing_identity(target))


async def _prepared(request: Request, target: Target) -> dict[str, Any]:
    """Do what has to stand before the intent, and return what of it the intent keeps."""
    step = request.step
    if step.action is StepAction.exec_in_container:
        return await run_command.prepared(request, target.id)
    if why := await why_refused(request.tools, step, target, request.incident.id):
        raise EngineRefused(why)
    if step.action is StepAction.scale_container and isinstance(target, ServiceState):
        return {_WANTED: wanted_replicas(step.params, target.replicas)}
    return {}


def patience_s(step: PlannedStep) -> float:
    """Return how long this step's work in the engine may take by itself, besides a stop."""
    return step.timeout_s if step.action is StepAction.exec_in_container else 0.0


async def send(request: Request, step: PlannedStep, effect: Effect, *, looked_at: datetime | None = None) -> Settled:
    """Ask the engine for it; raises EngineUnavailable, EngineRefused, OutcomeUnknown as its port says."""
    refuse_when_late(request, effect, looked_at)
    if step.action is StepAction.exec_in_container:
        return await run_command.start(request, effect)
    await _ask(request, step, effect)
    return Settled(outcome=EffectOutcome.succeeded, why="")


async def _ask(request: Request, step: PlannedStep, effect: Effect) -> None:
    containers, settings = request.tools.engine, request.tools.settings.docker
    target_id = effect.snapshot["id"]
    timeout_s = min(settings.timeout_s, step.timeout_s)  # what comes later is found by looking
    if step.action is StepAction.restart_container and "replicas" in effect.snapshot:
        await containers.restart_service(target_id, timeout_s=timeout_s)
    elif step.action in (StepAction.restart_container, StepAction.stop_container):
        stops = containers.restart if step.action is StepAction.restart_container else containers.stop
        grace_s = float(effect.snapshot["stop_timeout_s"])
        # a ``t`` outranks the container's own StopTimeout: it is said only for those that say nothing
        said = None if effect.snapshot["own_stop_timeout"] else settings.stop_timeout_s
        # what takes longer than a run may is settled by looking: the engine goes on without us
        await stops(target_id, stop_timeout_s=said, timeout_s=min(grace_s + timeout_s, request.longest_request_s))
    elif step.action is StepAction.rollback_service:
        spec, previous = str(effect.snapshot["spec"]), str(effect.snapshot["previous_spec"])
        await containers.roll_back(target_id, spec=spec, previous=previous, timeout_s=timeout_s)
    elif step.action is StepAction.start_container:
        await containers.start(target_id, timeout_s=timeout_s)
    else:
        wanted, before = wanted_of(step, effect), int(effect.snapshot["replicas"])
        # a Compose service is scaled container by container, each of which may take its time to stop
        each_s = timeout_s + float(effect.snapshot["stop_timeout_s"])
        longest_s = min(each_s * max(1, abs(wanted - before)), request.longest_request_s)
        timeout_s = longest_s if read_identity(target_id) else timeout_s
        await containers.scale(target_id, replicas=wanted, timeout_s=timeout_s, before=before)


def wanted_of(step: PlannedStep, effect: Effect) -> int:
    """Return the replicas that a scale was to bring about; 0.1 kept none, and knew no other way than a number."""
    before = int(effect.snapshot["replicas"])
    return int(effect.snapshot.get(_WANTED, wanted_replicas(step.params, before)))


async def follow(request: Request, effect: Effect) -> Settled:
    """Say by looking what became of it; raises EngineUnavailable, EngineRefused where that can't be asked now."""
    step = request.step
    if step.action is StepAction.exec_in_container:
        return await run_command.look(request, effect)
    margin_s = request.tools.settings.docker.settle_margin_s
    wanted = wanted_of(step, effect) if step.action is StepAction.scale_container else None
    seen = await _see(request, effect)
    return settle(effect, seen, wanted_replicas=wanted, now=request.now(), margin_s=margin_s)


async def _see(request: Request, effect: Effect) -> Target | None:
    containers = request.tools.engine
    if "replicas" in effect.snapshot:
        seen = await find_target(request.tools, request.step)
        return seen if isinstance(seen, ServiceState) else None
    return await containers.inspect(effect.snapshot["id"], timeout_s=request.tools.settings.docker.timeout_s)
