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
    """One step as the author wrote it; templates in ``params`` are not filled in yet.

    ``all``: where the target has several replicas, each of them, one after another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    action: StepAction
    params: dict[str, Any] = {}
    required: bool = True
    timeout_s: float = 60.0
    all: bool = False


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


_WHERE_FOUND = ("scope", "standing", "of")


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
        """SHA-256 over the plan's canonical JSON, the first 16 hex digits.

        Where the engine found the target is left out, so that a plan that waits keeps its hash under 0.1 and us.
        """
        told = self.model_dump(mode="json")
        for step in told["steps"]:
            for name in _WHERE_FOUND:
                del step[name]
            if not step["all"]:
                del step["all"]
        canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def disruptive(self) -> bool:
        """Whether any step changes the world."""
        return any(step.action.disruptive for step in self.steps)
