"""The target of a step: found by its exact name, described for policy, never guessed."""

from sreops.agent.context import Tools
from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.remediation.policy import TargetFacts
from sreops.domain.remediation.protection import why_protected
from sreops.domain.remediation.standing import names_of, standing_identity
from sreops.domain.remediation.stopping import stop_grace_s
from sreops.domain.runbooks.runbook import Plan, PlannedStep, StepAction
from sreops.errors import EngineRefused, EngineUnavailable, TargetAmbiguous

Target = ContainerState | ServiceState


async def find_target(tools: Tools, step: PlannedStep) -> Target | None:
    """Return the container, or for scaling the Swarm service; raises EngineUnavailable, EngineRefused."""
    if tools.containers is None:
        return None
    timeout_s = tools.settings.docker.timeout_s
    if step.action is StepAction.scale_container:
        return await tools.containers.service(step.target, timeout_s=timeout_s)
    return await tools.containers.find(step.target, timeout_s=timeout_s)


async def target_facts(tools: Tools, plan: Plan) -> tuple[tuple[TargetFacts, ...], str]:
    """Return what policy needs to know of every disruptive step's target, and why it can't be known if so.

    A check that guards an action denies when it can't know: a target that could not be asked for is
    reported as not found, with the reason beside it.
    """
    facts: list[TargetFacts] = []
    trouble = "" if tools.containers else "no container engine is configured (SREOPS_DOCKER__HOST)"
    for step in plan.steps:
        if not step.action.disruptive:
            continue
        choice: tuple[str, ...] = ()
        protected = ""
        try:
            seen = await find_target(tools, step)
            protected = await _why_protected(tools, seen)
        except TargetAmbiguous as exc:
            choice, seen = exc.choice, None
        except (EngineUnavailable, EngineRefused) as exc:
            trouble, seen = str(exc), None
        if problem := unfit(step, seen):
            trouble, seen = problem, None
        facts.append(
            TargetFacts(
                name=step.target,
                found=seen is not None,
                labels=seen.labels if seen else {},
                stop_grace_s=grace_of(step, seen, tools.settings.docker.stop_timeout_s) if seen else 0.0,
                standing=standing_identity(seen) if seen else "",
                aliases=names_of(seen) if seen else frozenset(),
                choice=choice,
                protected=protected,
            )
        )
    return tuple(facts), trouble


async def _why_protected(tools: Tools, seen: Target | None) -> str:
    if tools.containers is None or seen is None:
        return ""
    return why_protected(seen, await tools.containers.ourselves(timeout_s=tools.settings.docker.timeout_s))


def grace_of(step: PlannedStep, seen: Target, default_s: float) -> float:
    """Return how long this step lets the target take to stop; 0 where it stops nothing."""
    if step.action is StepAction.start_container:
        return 0.0
    if isinstance(seen, ServiceState) and int(step.params.get("replicas", 0)) >= seen.replicas:
        return 0.0
    return stop_grace_s(seen, default_s)


def unfit(step: PlannedStep, seen: Target | None) -> str:
    """Say why this target can't take this step, or nothing."""
    if isinstance(seen, ContainerState) and seen.swarm_service:
        return (
            f"container {seen.name} belongs to the Swarm service {seen.swarm_service}, whose orchestrator "
            "replaces what is restarted beside it: use scale_container"
        )
    return ""
