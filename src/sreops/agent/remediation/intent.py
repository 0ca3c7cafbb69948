"""The intent of an effect: what is written before it is done, with a snapshot that a crash can be settled by."""

from collections.abc import Mapping
from typing import Any

from sreops.agent.remediation.targets import Target, grace_of
from sreops.agent.visit import Visit
from sreops.domain.incidents.incident import Effect
from sreops.domain.remediation.standing import standing_identity
from sreops.domain.remediation.stopping import waited_for_s
from sreops.domain.runbooks.runbook import Plan, PlannedStep


def intent_of(
    visit: Visit, plan: Plan, index: int, step: PlannedStep, target: Target, more: Mapping[str, Any] | None = None
) -> Effect:
    """Return the intent of a step on its target as it is now; ``more`` is what else it can be settled by."""
    snapshot = {**target.snapshot(), **(more or {})}
    default_s = visit.tools.settings.docker.stop_timeout_s
    snapshot["stop_timeout_s"] = waited_for_s(grace_of(step, target, default_s))
    snapshot["own_stop_timeout"] = target.stop_timeout_s is not None
    return written_before(visit, plan, index, step, snapshot, standing_identity(target))


def written_before(
    visit: Visit, plan: Plan, index: int, step: PlannedStep, snapshot: Mapping[str, Any], standing: str
) -> Effect:
    """Return the effect as it stands in the ledger before it is done: of this step, now, without an outcome."""
    return Effect(
        effect_id=f"{visit.incident.id}:{visit.incident.episode}:{index}",
        incident_id=visit.incident.id,
        episode=visit.incident.episode,
        step=index,
        action=step.action.value,
        target=step.target,
        service=visit.incident.service,
        runbook_id=plan.runbook_id,
        snapshot=dict(snapshot),
        intent_at=visit.now(),
        standing=standing,
    )
