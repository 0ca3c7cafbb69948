"""The model's budget: what calls reserve before they are made, what they took, and the ceilings on both."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from sreops.domain.model.cost import MICRO_USD, TokenCount
from sreops.errors import BudgetSpent

ANSWERED = "answered"
"""The outcome of a call that was answered; every other outcome is a failure."""


@dataclass(frozen=True)
class ModelCall:
    """One request to the model, before it is made; the reserved tokens and money are what it may take at most."""

    call_id: str
    incident_id: str
    model: str
    at: datetime
    reserved: TokenCount
    reserved_micro_usd: int


@dataclass(frozen=True)
class ModelLimits:
    """Ceilings on what the model may take: per incident, and per UTC day for all together."""

    micro_usd_per_incident: int
    micro_usd_per_day: int
    tokens_per_incident: int
    tokens_per_day: int


@dataclass(frozen=True)
class ModelUsage:
    """What calls have taken; one that is under way, or whose answer was lost, counts with what it reserved."""

    calls: int = 0
    failed: int = 0
    tokens: TokenCount = field(default_factory=TokenCount)
    micro_usd: int = 0
    seconds: float = 0.0


def day_of(at: datetime) -> datetime:
    """Return the beginning of the UTC day."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def refuse_beyond(
    per: Literal["INCIDENT", "DAY"], call: ModelCall, spent: tuple[int, int], limits: ModelLimits
) -> None:
    """Raise BudgetSpent where the call would pass a ceiling; ``spent`` are tokens and micro-dollars so far."""
    tokens, micro_usd = spent
    whose = f"incident {call.incident_id}" if per == "INCIDENT" else "the day"
    most_tokens = limits.tokens_per_incident if per == "INCIDENT" else limits.tokens_per_day
    most_micro_usd = limits.micro_usd_per_incident if per == "INCIDENT" else limits.micro_usd_per_day
    if tokens + call.reserved.total > most_tokens:
        raise BudgetSpent(
            f"the model was not asked: {whose} has taken {tokens} of {most_tokens} tokens, and this call may take "
            f"{call.reserved.total} (SREOPS_LLM__MAX_TOKENS_PER_{per})"
        )
    if micro_usd + call.reserved_micro_usd > most_micro_usd:
        raise BudgetSpent(
            f"the model was not asked: {whose} has cost {micro_usd / MICRO_USD:.4f} of {most_micro_usd / MICRO_USD:g} "
            f"dollars, and this call may cost {call.reserved_micro_usd / MICRO_USD:.4f} "
            f"(SREOPS_LLM__MAX_USD_PER_{per})"
        )
