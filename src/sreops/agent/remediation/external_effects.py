"""Effects outside the engine: what each kind looks at before, sends, and looks for afterwards."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from sreops.agent.context import Tools
from sreops.agent.remediation.gitlab_acts import PlayJob, RollbackDeployment, RunPipeline
from sreops.agent.remediation.request import Request
from sreops.agent.remediation.webhook_call import EXTERNAL_TIMER, WebhookCall
from sreops.domain.incidents.incident import Effect
from sreops.domain.remediation.effects import Settled
from sreops.domain.remediation.policy import TargetFacts
from sreops.domain.runbooks.runbook import PlannedStep, StepAction

__all__ = ["EXTERNAL_EFFECTS", "EXTERNAL_TIMER", "ExternalEffect", "external_facts"]


class ExternalEffect(Protocol):
    """One kind of effect outside the engine."""

    async def facts(self, tools: Tools, step: PlannedStep) -> TargetFacts:
        """Return what policy needs to know of the target."""
        ...

    async def before(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        """Look right before: standing identity and snapshot; raises SreopsError where it must not be begun."""
        ...

    async def send(self, request: Request, effect: Effect) -> Settled:
        """Send the request, once. Raises Unavailable or Refused where nothing was done, else OutcomeUnknown."""
        ...

    async def look(self, request: Request, effect: Effect) -> Settled:
        """Find out what became of it; raises Unavailable or Refused where that can't be asked now."""
        ...


EXTERNAL_EFFECTS: Final[Mapping[StepAction, ExternalEffect]] = {
    StepAction.rollback_deployment: RollbackDeployment(),
    StepAction.play_job: PlayJob(),
    StepAction.run_pipeline: RunPipeline(),
    StepAction.call_webhook: WebhookCall(),
}


async def external_facts(tools: Tools, step: PlannedStep) -> TargetFacts:
    """Return what policy needs to know of the target of a step outside the engine."""
    return await EXTERNAL_EFFECTS[step.action].facts(tools, step)
