"""From a runbook and an alert to a plan: every template filled, every target named, or a refusal that says why."""

import re
from typing import Any

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.runbooks.runbook import Condition, Plan, PlannedStep, Runbook, Step, StepAction
from sreops.domain.runbooks.template import ValueRefused, fill_body, fill_promql, fill_text, fill_url
from sreops.errors import PlanRefused

_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
"""Docker Engine: names are ``/?[a-zA-Z0-9][a-zA-Z0-9_.-]+``; it states no length, and a longer one is no name."""

ON_A_TARGET = frozenset(action for action in StepAction if action.on_engine or action is StepAction.check_health)


AS_WRITTEN = frozenset(
    {StepAction.rollback_deployment, StepAction.play_job, StepAction.run_pipeline, StepAction.call_webhook}
)
"""Actions elsewhere, whose params hold nothing of the alert but in their bodies."""


def make_plan(runbook: Runbook, event: AlertEvent) -> Plan:
    """Make ``runbook`` concrete for ``event``.

    Raises PlanRefused with every problem: a label that the alert lacks, a value that can't stand where the
    author put its template, a target that is no container name.
    """
    problems: list[str] = []
    steps = []
    for number, step in enumerate(runbook.steps):
        try:
            steps.append(_planned(step, event))
        except ValueRefused as exc:
            problems.append(f"runbook {runbook.id!r}, step {number + 1} ({step.action.value}): {exc}")
    verify = []
    for number, condition in enumerate(runbook.verify):
        try:
            verify.append(_filled(condition, event))
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


def _planned(step: Step, event: AlertEvent) -> PlannedStep:
    params: dict[str, Any] = {}
    for name, value in step.params.items():
        if name in ("body", "variables"):
            params[name] = fill_body(value, event)
        elif not isinstance(value, str) or step.action in AS_WRITTEN:
            params[name] = value
        elif name == "promql":
            params[name] = fill_promql(value, event)
        elif name == "url":
            params[name] = fill_url(value, event)
        else:
            params[name] = fill_text(value, event)
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
    return str(params.get("container") or event.service)


def _filled(condition: Condition, event: AlertEvent) -> Condition:
    return condition.model_copy(update={"promql": fill_promql(condition.promql, event)})
