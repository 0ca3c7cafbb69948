"""Policy: may this plan act, and must a person be asked? Pure; every answer has its reasons."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alert import Tier
from sreops.domain.runbook import Autonomy


class Verdict(StrEnum):
    """Policy's answer."""

    allow = "allow"
    needs_approval = "needs_approval"
    deny = "deny"


class TargetFacts(BaseModel):
    """A target as policy sees it; ``found`` False: the engine knows no such container or service."""

    model_config = ConfigDict(frozen=True)
    name: str
    found: bool
    labels: dict[str, str] = {}


class PolicyFacts(BaseModel):
    """What the store knows about recent automation, for one service and runbook.

    ``failures_in_a_row`` counts failed or ineffective remediations since the last success or reset,
    on the service or the runbook, whichever is more. ``running_now`` counts incidents between
    their first intent and their verification, over all replicas, this one not counted.
    """

    model_config = ConfigDict(frozen=True)
    paused: bool = False
    paused_why: str = ""
    last_effect_at: AwareDatetime | None = None
    effects_last_hour: int = 0
    running_now: int = 0
    service_busy: bool = False
    failures_in_a_row: int = 0


class PolicyLimits(BaseModel):
    """The settings that policy reads."""

    model_config = ConfigDict(frozen=True)
    targets: tuple[str, ...] = ()
    attempts_per_hour: int = 3
    max_concurrent_effects: int = 4
    breaker_failures: int = 3
    max_event_age_s: float = 900.0
    dry_run: bool = False


class PolicyInput(BaseModel):
    """Everything that policy decides from."""

    model_config = ConfigDict(frozen=True)
    now: AwareDatetime
    tier: Tier
    agent_action: str
    autonomy: Autonomy
    cooldown_s: float
    targets: tuple[TargetFacts, ...]
    facts: PolicyFacts
    limits: PolicyLimits
    event_received_at: AwareDatetime
    approved: bool = False  # a person has approved exactly this plan


class PolicyDecision(BaseModel):
    """The verdict; ``wait`` with allow: only a free slot is missing (remediations at once, service busy)."""

    model_config = ConfigDict(frozen=True)
    verdict: Verdict
    reasons: tuple[str, ...]
    wait: bool = False
