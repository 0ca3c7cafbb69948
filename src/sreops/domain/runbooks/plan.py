"""From a runbook and an alert to a plan: every template filled, every target named, or a refusal that says why."""

import re
from typing import Any

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.runbooks.runbook import Condition, Plan, PlannedStep, Runbook, Step, StepAction
from sreops.domain.runbooks.template import ValueRefused, fill_body, fill_promql, fill_text, fill_url, names_container
from sreops.errors import PlanRefused

_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
"""Docker Engine: names are ``/?[a-zA-Z0-9][a-zA-Z0-9_.-]+``; it states no length, and a longer one is no name."""

ON_A_TARGET = frozenset(action for action in StepAction if action.on_engine or action is StepAction.check_health)

NAMES_TARGET = ("container", "service")
"""The params that name another target than the alert's own; a step has one of them at most."""

AS_WRITTEN = frozenset(
    {StepAction.rollback_deployment, StepAction.play_job, StepAction.run_pipeline, StepAction.call_webhook}
)
"""Actions elsewhere, whose params hold nothing of the alert but in their bodies."""


def make_plan(runbook: Runbook, event: AlertEvent, *, container: str = "") -> Plan:
    """Make ``runbook`` concrete for ``event``; ``container`` is what ``{{ container }}`` stands for.

    Raises PlanRefused with every problem: a label that the alert lacks, a value that can't stand where the
    author put its template, a target that is no container name.
    """
    problems: list[str] = []
    steps = []
    for number, step in enumerate(runbook.steps):
        try:
            steps.append(_planned(step, event, container))
        except ValueRefused as exc:
            problems.append(f"runbook {runbook.id!r}, step {number + 1} ({step.action.value}): {exc}")
    verify = []
    for number, condition in enumerate(runbook.verify):
        try:
            verify.append(_filled(condition, event, container))
        except ValueRefused as exc:
            problems.append(f"runbook {runbook.id!r}, verify {number + 1}: {exc}")
    if problems:
        raise PlanRefused(problems)
    return Plan(
        runbook_id=runbook.id,
        autonomy=runbook.autonomy,
        cooldown_s=runbook.cooldown_s,
        shadow=runbook.shadow,
        not_when=runbook.not_when,
        not_during=runbook.not_during,
        steps=tuple(steps),
        verify=tuple(verify),
    )


def needs_container(runbook: Runbook) -> bool:
    """Say whether ``{{ container }}`` stands in the runbook: then the engine is asked before the plan is made."""
    params = (value for step in runbook.steps for value in step.params.values() if isinstance(value, str))
    return any(names_container(text) for text in (*params, *(condition.promql for condition in runbook.verify)))


def target_meant(runbook: Runbook, event: AlertEvent) -> PlannedStep:
    """Return the step whose target ``{{ container }}`` names: the first that acts on one, else one on the alert's own.

    Raises PlanRefused where its target is no container name.
    """
    on_target = [step for step in runbook.steps if step.action in ON_A_TARGET]
    acting = [step for step in on_target if step.action.disruptive]
    first = next(iter(acting or on_target), Step(action=StepAction.check_health))
    try:
        return _planned(first, event, event.service)
    except ValueRefused as exc:
        raise PlanRefused([f"runbook {runbook.id!r} ({first.action.value}): {exc}"]) from exc


def _planned(step: Step, event: AlertEvent, container: str) -> PlannedStep:
    params: dict[str, Any] = {}
    for name, value in step.params.items():
        if name in ("body", "variables"):
            params[name] = fill_body(value, event)
        elif not isinstance(value, str) or step.action in AS_WRITTEN:
            params[name] = value
        elif name == "promql":
            params[name] = fill_promql(value, event, container)
        elif name == "url":
            params[name] = fill_url(value, event, container)
        else:
            params[name] = fill_text(value, event, container)
    target = _target(step.action, params, event)
    if step.action in ON_A_TARGET and not _CONTAINER_NAME.fullmatch(target):
        raise ValueRefused(
            f"{target[:80]!r} is not a container name (letters, digits, '_', '.', '-'); "
            "name the target in params.container, or give the alert a 'container' or 'service' label"
        )
    return PlannedStep(
        action=step.action,
        target=target,
        params=params,
        required=step.required,
        timeout_s=step.timeout_s,
        all=step.all,
        on_failure=step.on_failure,
    )


def _target(action: StepAction, params: dict[str, Any], event: AlertEvent) -> str:
    if action is StepAction.call_webhook:
        return str(params["name"])
    if action in AS_WRITTEN:
        of = params.get("environment") or params.get("job") or params["ref"]
        return f"{params['project']} {of}"
    return str(next((params[name] for name in NAMES_TARGET if params.get(name)), event.service))


def _filled(condition: Condition, event: AlertEvent, container: str) -> Condition:
    return condition.model_copy(update={"promql": fill_promql(condition.promql, event, container)})
