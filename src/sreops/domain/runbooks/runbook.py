"""Runbooks: what may be done about what, and how it is proven; design §3 has the schema."""

import hashlib
import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


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


class When(BaseModel):
    """Conditions: all keys given must hold, any value of each list."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    alertname: tuple[str, ...] = ()
    labels: dict[str, tuple[str, ...]] = {}
    root_cause: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether no condition is given."""
        return not (self.alertname or self.labels or self.root_cause or self.logs)


class Step(BaseModel):
    """One step as the author wrote it; templates in ``params`` are not filled in yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    action: StepAction
    params: dict[str, Any] = {}
    required: bool = True
    timeout_s: float = 60.0


class Condition(BaseModel):
    """A verify condition: every series that ``promql`` returns must meet ``condition`` for ``for_s``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    promql: str
    condition: str
    for_s: float = 0.0


class Runbook(BaseModel):
    """One runbook; ``title`` says in a line what it is for."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    title: str = ""
    when: When
    not_when: When = When()
    autonomy: Autonomy = Autonomy.supervised
    cooldown_s: float = 600.0
    steps: tuple[Step, ...]
    verify: tuple[Condition, ...] = ()
    docs: str = ""


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
