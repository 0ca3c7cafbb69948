"""Settling effects by looking: what became of an intent whose outcome was never written.

The engine does not cancel a restart when its client vanishes, and its StartedAt may change many
seconds later (measured: more than 8 s). So "nothing changed" is an answer only after the stop timeout
plus a margin has passed since the intent.
"""

from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.runbooks.runbook import StepAction


class Settled(BaseModel):
    """What looking told: an outcome, or ``look_again_at`` while the engine may still be at it."""

    model_config = ConfigDict(frozen=True)
    outcome: EffectOutcome | None
    why: str
    look_again_at: AwareDatetime | None = None

    @classmethod
    def succeeded(cls, why: str) -> "Settled":
        """It was done."""
        return cls(outcome=EffectOutcome.succeeded, why=why)

    @classmethod
    def failed(cls, why: str) -> "Settled":
        """It was not done, or ended ill."""
        return cls(outcome=EffectOutcome.failed, why=why)

    @classmethod
    def unknown(cls, why: str) -> "Settled":
        """A person has to look."""
        return cls(outcome=EffectOutcome.unknown, why=why)

    @classmethod
    def later(cls, why: str, look_again_at: datetime) -> "Settled":
        """It is still open."""
        return cls(outcome=None, why=why, look_again_at=look_again_at)


def settle(
    effect: Effect,
    seen: ContainerState | ServiceState | None,
    *,
    wanted_replicas: int | None,
    now: datetime,
    margin_s: float,
    look_every_s: float = 1.0,
) -> Settled:
    """Compare the target with the snapshot of the intent; ``margin_s`` is added to its stop timeout."""
    stop_timeout_s = float(effect.snapshot.get("stop_timeout_s", 0.0))
    until = effect.intent_at + timedelta(seconds=stop_timeout_s + margin_s)
    happened = _happened(effect, seen, wanted_replicas)
    if happened is not None:
        return Settled(outcome=happened[0], why=happened[1])
    if now < until:
        again = min(until, now + timedelta(seconds=look_every_s))
        return Settled(outcome=None, why="the engine may still be at it", look_again_at=again)
    if (left := _left_down(effect, seen)) is not None:
        return Settled(outcome=EffectOutcome.failed, why=left)
    return Settled(
        outcome=EffectOutcome.unknown,
        why=f"nothing on the target shows that {effect.action} happened within {stop_timeout_s + margin_s:.0f} s, "
        "and nothing shows that it will not: look at the target before doing anything again",
    )


def _happened(
    effect: Effect, seen: ContainerState | ServiceState | None, wanted_replicas: int | None
) -> tuple[EffectOutcome, str] | None:
    before: dict[str, Any] = effect.snapshot
    if seen is None or seen.id != before.get("id"):
        return EffectOutcome.unknown, "the target is gone or was replaced by another since the intent"
    if isinstance(seen, ServiceState):
        return _to_service(effect, seen, wanted_replicas)
    return _to_container(effect, seen)


def _to_service(effect: Effect, seen: ServiceState, wanted_replicas: int | None) -> tuple[EffectOutcome, str] | None:
    before = effect.snapshot
    if effect.action == StepAction.restart_container:
        if seen.force_update > int(before.get("force_update") or 0):
            return EffectOutcome.succeeded, "Swarm was told to replace the service's tasks"
        return None
    if effect.action == StepAction.rollback_service:
        if (seen.spec, seen.previous_spec) == (before.get("previous_spec"), before.get("spec")):
            return EffectOutcome.succeeded, "the service has gone back to its previous specification"
        return None
    if seen.replicas == wanted_replicas:
        if seen.project and seen.running < seen.replicas:
            return None  # made, and not started yet
        if seen.project:
            return EffectOutcome.succeeded, f"the service has {seen.replicas} containers"
        return EffectOutcome.succeeded, f"the service is declared with {seen.replicas} replicas"
    return None


def _to_container(effect: Effect, seen: ContainerState) -> tuple[EffectOutcome, str] | None:
    before = effect.snapshot
    if effect.action == StepAction.stop_container:
        if seen.running or seen.status == "restarting":
            return None
        ended = f" with exit code {seen.exit_code}" if seen.exit_code is not None else ""
        return EffectOutcome.succeeded, f"the container ran at the intent and has ended since{ended}"
    if seen.restart_count > int(before.get("restart_count") or 0):
        # a restart that is asked for sets the count to 0: here the container's restart policy was at work,
        # and a new StartedAt says nothing of ours
        return None
    started = seen.started_at.isoformat() if seen.started_at else None
    if started != before.get("started_at") and seen.running:
        return EffectOutcome.succeeded, f"the container has started anew at {started}"
    if effect.action == StepAction.start_container and seen.running:
        return EffectOutcome.succeeded, "the container is running"
    if before.get("status") == "running" and seen.error and (left := _left_down(effect, seen)) is not None:
        return EffectOutcome.failed, left  # it ran at the intent, so this error is of the start after it
    return None


def _left_down(effect: Effect, seen: ContainerState | ServiceState | None) -> str | None:
    """Say that a container which was to be started is not up: the engine knows it, though its answer was lost."""
    if effect.action not in (StepAction.restart_container, StepAction.start_container):
        return None
    if not isinstance(seen, ContainerState) or seen.running or seen.status == "restarting":
        return None
    why = f": {seen.error[:300]}" if seen.error else ""
    return f"the container is {seen.status}: it could not be started{why}"
