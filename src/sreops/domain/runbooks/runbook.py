"""Runbooks: what may be done about what, and how it is proven."""

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, field_serializer, model_validator

from sreops.domain.runbooks.condition import parse_condition
from sreops.domain.runbooks.fields import (
    Flag,
    Globs,
    LabelGlobs,
    Line,
    Patterns,
    Priority,
    RunbookId,
    Seconds,
    Text,
    Texts,
    TimeoutSeconds,
    WaitSeconds,
    choice_field,
    fault,
    text_field,
)
from sreops.domain.runbooks.template import promql_faults
from sreops.domain.runbooks.windows import TimeWindow


class StepAction(StrEnum):
    """The actions that a step may name."""

    restart_container = "restart_container"
    start_container = "start_container"
    stop_container = "stop_container"
    scale_container = "scale_container"
    rollback_service = "rollback_service"
    rollback_deployment = "rollback_deployment"
    play_job = "play_job"
    run_pipeline = "run_pipeline"
    exec_in_container = "exec_in_container"
    call_webhook = "call_webhook"
    check_health = "check_health"
    wait = "wait"
    query_prometheus = "query_prometheus"
    http_check = "http_check"
    notify = "notify"

    @property
    def disruptive(self) -> bool:
        """Whether this changes the world: goes through policy, ledger and audit."""
        return self in _ON_ENGINE or self in _ELSEWHERE

    @property
    def on_engine(self) -> bool:
        """Whether it acts on a container or Swarm service, whose life can be looked at."""
        return self in _ON_ENGINE


_ON_ENGINE = frozenset(
    {
        StepAction.restart_container,
        StepAction.start_container,
        StepAction.stop_container,
        StepAction.scale_container,
        StepAction.rollback_service,
        StepAction.exec_in_container,
    }
)
_ELSEWHERE = frozenset(
    {
        StepAction.rollback_deployment,
        StepAction.play_job,
        StepAction.run_pipeline,
        StepAction.call_webhook,
    }
)


class Autonomy(StrEnum):
    """How far a runbook may go without a person; ``earned``: alone after enough verified fixes under approval."""

    autonomous = "autonomous"
    earned = "earned"
    supervised = "supervised"
    never = "never"


def _some(value: object) -> object:
    if isinstance(value, dict | list | tuple) and not value:
        raise fault("must not be empty")
    return value


def _promql(value: str) -> str:
    if faults := promql_faults(value):
        raise fault("; ".join(faults))
    return value


def _comparison(value: str) -> str:
    try:
        parse_condition(value)
    except ValueError as exc:
        raise fault(str(exc)) from exc
    return value


PromQL = Annotated[str, AfterValidator(_promql), text_field()]
Comparison = Annotated[str, AfterValidator(_comparison), text_field(as_written=True)]
Action = Annotated[StepAction, choice_field([member.value for member in StepAction], "an action")]


class SubjectGlobs(BaseModel):
    """Conditions on who is unwell: its name, its kind, and the scope that tells namesakes apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Globs = ()
    kind: Globs = ()
    scope: Annotated[dict[str, LabelGlobs], BeforeValidator(_some)] = {}


class When(BaseModel):
    """Conditions: all keys given must hold, any value of each list.

    ``findings`` are patterns over what the evidence says in a sentence each, ``logs`` over excerpts of logs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    alertname: Globs = ()
    labels: Annotated[dict[str, LabelGlobs], BeforeValidator(_some)] = {}
    severity: Globs = ()
    subject: SubjectGlobs | None = None
    root_cause: Patterns = ()
    findings: Patterns = ()
    logs: Patterns = ()

    @property
    def empty(self) -> bool:
        """Whether no condition is given."""
        return self.of_alert_only and not (self.alertname or self.labels or self.severity or self.subject)

    @property
    def of_alert_only(self) -> bool:
        """Whether the alert alone decides."""
        return not (self.root_cause or self.findings or self.logs)


class OnFailure(StrEnum):
    """What follows a step that failed: hand over, take back what can be taken back and hand over, or go on."""

    stop = "stop"
    compensate = "compensate"
    proceed = "continue"


class Step(BaseModel):
    """One step as the author wrote it; templates in ``params`` are not filled in yet.

    ``all``: where the target has several replicas, each of them, one after another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    action: Action
    params: dict[str, Any] = {}
    required: Flag = True
    timeout_s: TimeoutSeconds = 60.0
    all: Flag = False
    on_failure: Annotated[OnFailure, choice_field([member.value for member in OnFailure], "a way to go on")] = (
        OnFailure.compensate
    )

    @property
    def may_fail(self) -> bool:
        """Whether the plan goes on where this step fails."""
        return not self.required or self.on_failure is OnFailure.proceed


class Condition(BaseModel):
    """A verify condition: every series that ``promql`` returns must meet ``condition`` for ``for_s``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    promql: PromQL
    condition: Comparison
    for_s: WaitSeconds = 0.0


class Example(BaseModel):
    """What the author expects of the rules for an alert: this runbook, another one (its id), or ``none``.

    ``alert`` holds labels; ``cause`` is a category or a sentence, ``logs`` and ``findings`` what would be found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    alert: Annotated[dict[str, Annotated[str, text_field(as_written=True)]], BeforeValidator(_some)]
    cause: Line = ""
    logs: Texts = ()
    findings: Texts = ()
    expect: Line = ""


class Runbook(BaseModel):
    """One runbook; ``title`` says in a line what it is for. Of several that fit, the highest ``priority`` is taken.

    ``shadow``: it is chosen, planned and told, and nothing of it is carried out, whoever approves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: RunbookId
    title: Line = ""
    when: When
    not_when: When = When()
    not_during: tuple[TimeWindow, ...] = ()
    autonomy: Annotated[Autonomy, choice_field([member.value for member in Autonomy], "an autonomy")] = (
        Autonomy.supervised
    )
    cooldown_s: Seconds = 600.0
    priority: Priority = 0
    shadow: Flag = False
    steps: Annotated[tuple[Step, ...], BeforeValidator(_some)]
    verify: tuple[Condition, ...] = ()
    docs: Text = ""
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _stops_are_proven(self) -> Self:
        if not self.verify and any(step.action is StepAction.stop_container for step in self.steps):
            # an alert whose series end with the container is silent, and nothing is said by that
            raise fault("needs `verify`: what is stopped can't be looked at, so conditions must say that it helped")
        return self


_SINCE_0_2 = {"shadow": False, "on_failure": OnFailure.compensate.value, "all": False}


class PlannedStep(BaseModel):
    """A step with its templates filled in and its target named.

    ``scope`` is what tells the target from its namesakes, ``standing`` its standing identity once the engine has been
    asked, and ``of`` how many replicas it had then. ``all``: it is one of all replicas, and is acted on while the
    others are up.
    """

    model_config = ConfigDict(frozen=True)
    action: StepAction
    target: str
    params: dict[str, Any] = {}
    required: bool = True
    timeout_s: float = 60.0
    all: bool = False
    scope: dict[str, str] = {}
    standing: str = ""
    of: int = 1
    on_failure: OnFailure = OnFailure.compensate

    @property
    def may_fail(self) -> bool:
        """Whether the plan goes on where this step fails."""
        return not self.required or self.on_failure is OnFailure.proceed


_WHERE_FOUND = ("scope", "standing", "of")


class Plan(BaseModel):
    """A runbook made concrete for one incident; ``plan_hash`` names exactly this, for approvals.

    ``not_when`` is asked again before each effect; None: the plan was made by 0.1, which did not keep it.
    """

    model_config = ConfigDict(frozen=True)
    runbook_id: str
    autonomy: Autonomy
    cooldown_s: float
    shadow: bool = False
    not_when: When | None = None
    not_during: tuple[TimeWindow, ...] = ()
    steps: tuple[PlannedStep, ...]
    verify: tuple[Condition, ...] = ()

    @field_serializer("not_when")
    def _as_written(self, value: When | None) -> dict[str, Any] | None:
        """Leave out what its author left out: an empty list is no condition."""
        return None if value is None else value.model_dump(mode="json", exclude_defaults=True)

    @field_serializer("not_during")
    def _windows_as_written(self, value: tuple[TimeWindow, ...]) -> list[dict[str, Any]]:
        return [window.model_dump(mode="json", exclude_defaults=True) for window in value]

    @property
    def plan_hash(self) -> str:
        """SHA-256 over the plan's canonical JSON, the first 16 hex digits.

        Where the engine found the target is left out, so that a plan that waits has one hash under 0.1 and us; so are
        ``not_when`` and ``not_during``, which can only forbid it.
        """
        told = self.model_dump(mode="json", exclude={"not_when", "not_during"})
        for step in told["steps"]:
            for name in _WHERE_FOUND:
                del step[name]
        for holder in (told, *told["steps"]):  # a plan of 0.1, which knows none of these, keeps its hash
            for name, default in _SINCE_0_2.items():
                if holder.get(name) == default:
                    del holder[name]
        canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def left_stopped(self) -> tuple[str, ...]:
        """The targets that the plan leaves stopped: they have a life no more, and its conditions alone tell a fix."""
        last = {step.target: step.action for step in self.steps if step.action.on_engine}
        return tuple(target for target, action in last.items() if action is StepAction.stop_container)

    @property
    def disruptive(self) -> bool:
        """Whether any step changes the world."""
        return any(step.action.disruptive for step in self.steps)
