"""Runbooks: what may be done about what, and how it is proven; design §3 has the schema."""

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from sreops.domain.runbooks.condition import parse_condition
from sreops.domain.runbooks.fields import (
    Flag,
    Globs,
    LabelGlobs,
    Line,
    Patterns,
    RunbookId,
    Seconds,
    Text,
    TimeoutSeconds,
    WaitSeconds,
    choice_field,
    fault,
    text_field,
)
from sreops.domain.runbooks.template import promql_faults


class StepAction(StrEnum):
    """The actions that a step may name."""

    restart_container = "restart_container"
    start_container = "start_container"
    scale_container = "scale_container"
    check_health = "check_health"
    wait = "wait"
    query_prometheus = "query_prometheus"
    http_check = "http_check"
    notify = "notify"

    @property
    def disruptive(self) -> bool:
        """Whether this changes the world: goes through policy, ledger and audit."""
        return self in (StepAction.restart_container, StepAction.start_container, StepAction.scale_container)


class Autonomy(StrEnum):
    """How far a runbook may go without a person."""

    autonomous = "autonomous"
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


class When(BaseModel):
    """Conditions: all keys given must hold, any value of each list."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    alertname: Globs = ()
    labels: Annotated[dict[str, LabelGlobs], BeforeValidator(_some)] = {}
    root_cause: Patterns = ()
    logs: Patterns = ()

    @property
    def empty(self) -> bool:
        """Whether no condition is given."""
        return not (self.alertname or self.labels or self.root_cause or self.logs)


class Step(BaseModel):
    """One step as the author wrote it; templates in ``params`` are not filled in yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    action: Action
    params: dict[str, Any] = {}
    required: Flag = True
    timeout_s: TimeoutSeconds = 60.0


class Condition(BaseModel):
    """A verify condition: every series that ``promql`` returns must meet ``condition`` for ``for_s``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    promql: PromQL
    condition: Comparison
    for_s: WaitSeconds = 0.0


class Runbook(BaseModel):
    """One runbook; ``title`` says in a line what it is for."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: RunbookId
    title: Line = ""
    when: When
    not_when: When = When()
    autonomy: Annotated[Autonomy, choice_field([member.value for member in Autonomy], "an autonomy")] = (
        Autonomy.supervised
    )
    cooldown_s: Seconds = 600.0
    steps: Annotated[tuple[Step, ...], BeforeValidator(_some)]
    verify: tuple[Condition, ...] = ()
    docs: Text = ""


class PlannedStep(BaseModel):
    """A step with its templates filled in and its target named."""

    model_config = ConfigDict(frozen=True)
    action: StepAction
    target: str
    params: dict[str, Any] = {}
    required: bool = True
    timeout_s: float = 60.0


class Plan(BaseModel):
    """A runbook made concrete for one incident; ``plan_hash`` names exactly this, for approvals."""

    model_config = ConfigDict(frozen=True)
    runbook_id: str
    autonomy: Autonomy
    cooldown_s: float
    steps: tuple[PlannedStep, ...]
    verify: tuple[Condition, ...] = ()

    @property
    def plan_hash(self) -> str:
        """SHA-256 over the plan's canonical JSON, the first 16 hex digits."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def disruptive(self) -> bool:
        """Whether any step changes the world."""
        return any(step.action.disruptive for step in self.steps)
