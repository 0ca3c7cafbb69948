"""The target of a step: found by what it is, described for policy, never guessed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sreops.agent.context import NO_ENGINE, Tools
from sreops.agent.remediation.external_effects import external_facts
from sreops.agent.remediation.run_command import still_runs
from sreops.domain.evidence.engine_events import ails
from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.remediation.meanwhile import Life
from sreops.domain.remediation.policy import TargetFacts
from sreops.domain.remediation.protection import why_protected
from sreops.domain.remediation.scaling import wanted_replicas, why_not_scaled
from sreops.domain.remediation.service_rollback import LOOKED_BACK, why_not_roll_back
from sreops.domain.remediation.stopping import stop_grace_s
from sreops.domain.remediation.target_identity import names_of, read_identity, standing_identity
from sreops.domain.runbooks.runbook import Plan, PlannedStep, StepAction
from sreops.errors import EngineRefused, EngineUnavailable, TargetAmbiguous

Target = ContainerState | ServiceState
_OF_SERVICES = frozenset({StepAction.scale_container, StepAction.rollback_service})


async def find_target(tools: Tools, step: PlannedStep) -> Target | None:
    """Return the container or Swarm service; raises EngineUnavailable, EngineRefused, TargetAmbiguous.

    A step whose target the engine was asked about finds that one under whatever id and name it has now. One of
    several replicas is found by its name alone: another of them is another patient.
    """
    containers, timeout_s = tools.containers, tools.settings.docker.timeout_s
    if containers is None:
        return None
    where = read_identity(step.standing)
    if where is None:
        if step.action in _OF_SERVICES:
            return await containers.service(step.target, timeout_s=timeout_s)
        return await containers.find(step.target, scope=step.scope, timeout_s=timeout_s)
    if where.kind == "swarm":
        return await containers.service(where.parts[-1], engine=where.engine, timeout_s=timeout_s)
    if step.action is StepAction.scale_container:
        return await containers.compose_service(step.standing, timeout_s=timeout_s)
    found = await containers.standing(step.standing, timeout_s=timeout_s)
    named = [container for container in found if container.name == step.target]
    if not named and step.of == 1 and len(found) == 1:
        return found[0]  # renamed, or made anew under another name
    return named[0] if named else None


async def _is_last_well(tools: Tools, step: PlannedStep, seen: Target | None) -> bool:
    """Whether of several replicas all others are ill; a service's only container is exempt."""
    if tools.containers is None or not isinstance(seen, ContainerState) or step.of == 1 or ails(seen):
        return False
    replicas = await tools.containers.standing(step.standing, timeout_s=tools.settings.docker.timeout_s)
    return all(ails(replica) for replica in replicas if replica.id != seen.id)


class Targets(NamedTuple):
    """What policy needs to know of the targets, why it can't be known if so, and their present lives by name."""

    facts: tuple[TargetFacts, ...]
    trouble: str
    lives: Mapping[str, Life]


async def target_facts(tools: Tools, plan: Plan, *, incident_id: str, begun: bool = False) -> Targets:
    """Return what policy needs to know of every disruptive step's target.

    A check that guards an action denies when it can't know: a target that could not be asked for is
    reported as not found, with the reason beside it.
    Of a plan that has ``begun`` the steps themselves are looked at when their turn comes, since some are done.
    """
    facts: list[TargetFacts] = []
    lives: dict[str, Life] = {}
    trouble = ""
    for step in plan.steps:
        if not step.action.disruptive:
            continue
        if not step.action.on_engine:
            facts.append(await external_facts(tools, step))
            continue
        if tools.containers is None:
            trouble = NO_ENGINE
        choice: tuple[str, ...] = ()
        protected, last_well, busy, refused = "", False, "", ""
        try:
            seen = await find_target(tools, step)
            protected = await _why_protected(tools, seen)
            last_well = await _is_last_well(tools, step, seen)
            if isinstance(seen, ContainerState):
                busy = await still_runs(tools, seen, standing_identity(seen))
            if seen is not None and not begun and not unfit(step, seen):
                refused = await why_refused(tools, step, seen, incident_id)
        except TargetAmbiguous as exc:
            choice, seen = exc.choice, None
        except (EngineUnavailable, EngineRefused) as exc:
            trouble, seen = str(exc), None
        if problem := unfit(step, seen):
            trouble, seen = problem, None
        if (life := _life(seen)) is not None:
            lives[step.target] = life
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
                last_well=last_well,
                busy=busy,
                refused=refused,
            )
        )
    return Targets(tuple(facts), trouble, lives)


def _life(seen: Target | None) -> Life | None:
    """Return a target's present life; of a Swarm service since somebody last had its tasks replaced."""
    if isinstance(seen, ContainerState) and seen.running and seen.started_at is not None:
        return Life(started_at=seen.started_at, restart_count=seen.restart_count)
    if isinstance(seen, ServiceState) and seen.replaced_at is not None:
        return Life(started_at=seen.replaced_at)
    return None


async def why_refused(tools: Tools, step: PlannedStep, seen: Target, incident_id: str) -> str:
    """Say why this step is not taken on its target as it is now and after what was done to it, or nothing."""
    if not isinstance(seen, ServiceState):
        return ""
    if step.action is StepAction.scale_container:
        return why_not_scaled(seen.name, step.params, seen.replicas)
    if step.action is not StepAction.rollback_service:
        return ""
    earlier = await tools.store.effects_on(standing_identity(seen), (step.action.value,), limit=LOOKED_BACK)
    return why_not_roll_back(seen, earlier, incident_id)


async def _why_protected(tools: Tools, seen: Target | None) -> str:
    if tools.containers is None or seen is None:
        return ""
    timeout_s = tools.settings.docker.timeout_s
    us = await tools.containers.ourselves(engine=seen.engine, timeout_s=timeout_s)
    members: Sequence[Target] = ()
    if isinstance(seen, ServiceState) and seen.project:  # what holds for one of its containers holds for all
        members = await tools.containers.standing(standing_identity(seen), timeout_s=timeout_s)
    return next((why for target in (seen, *members) if (why := why_protected(target, us))), "")


def grace_of(step: PlannedStep, seen: Target, default_s: float) -> float:
    """Return how long this step lets the target take to stop; 0 where it stops nothing."""
    if step.action in (StepAction.start_container, StepAction.exec_in_container):
        return 0.0
    scales = step.action is StepAction.scale_container
    if scales and isinstance(seen, ServiceState) and wanted_replicas(step.params, seen.replicas) >= seen.replicas:
        return 0.0
    return stop_grace_s(seen, default_s)


def unfit(step: PlannedStep, seen: Target | None) -> str:
    """Say why this target can't take this step, or nothing."""
    if isinstance(seen, ContainerState) and seen.swarm_service:
        return (
            f"container {seen.name} belongs to the Swarm service {seen.swarm_service}, whose orchestrator "
            "replaces what is restarted beside it, and this engine is no manager of it"
        )
    if step.action is StepAction.rollback_service and isinstance(seen, ContainerState):
        return f"container {seen.name} is of no Swarm service: nothing else has a previous version to go back to"
    if not isinstance(seen, ServiceState) or step.action in _OF_SERVICES:
        return ""
    if step.action is StepAction.exec_in_container:
        return f"{seen.name} is a Swarm service: a command runs in one container, which the step's container names"
    if step.action in (StepAction.start_container, StepAction.stop_container):
        done = "started" if step.action is StepAction.start_container else "stopped"
        return f"{seen.name} is a Swarm service, which is {done} by scale_container"
    if seen.replicas > 1 and not step.all:
        return (
            f"Swarm service {seen.name} has {seen.replicas} replicas, and a restart replaces all of them: "
            "a person decides, or the runbook's step says `all: true`"
        )
    if seen.replicas > 1 and seen.parallelism != 1:
        at_once = f"{seen.parallelism} tasks" if seen.parallelism else "all tasks"
        return f"Swarm service {seen.name} is declared to replace {at_once} at once: a person decides"
    return ""


def idle(step: PlannedStep, seen: Target) -> str:
    """Say why there is nothing for this step to do on its target, or nothing; asked right before it is begun."""
    needs_it_up = step.action in (StepAction.stop_container, StepAction.exec_in_container)
    if needs_it_up and isinstance(seen, ContainerState) and not seen.running:
        return f"container {seen.name} does not run ({seen.status})"
    return ""
