"""The account of model calls."""

from datetime import datetime
from typing import Protocol

from sreops.domain.model.budget import ModelCall, ModelLimits, ModelUsage
from sreops.domain.model.cost import TokenCount


class ModelLedger(Protocol):
    """The account of model calls: each is written before it is made, so that none is lost and no ceiling passed."""

    async def begin_model_call(self, call: ModelCall, limits: ModelLimits) -> None:
        """Write the call with what it reserves. Raises BudgetSpent, and writes nothing, where that passes a ceiling."""
        ...

    async def end_model_call(
        self, call_id: str, *, outcome: str, tokens: TokenCount | None, micro_usd: int, seconds: float
    ) -> None:
        """Write what the call took, once; ``tokens`` None: its answer was lost, and what it reserved stands."""
        ...

    async def model_usage(self, *, incident_id: str | None = None, day: datetime | None = None) -> ModelUsage:
        """Sum up the calls of an incident, of the UTC day that holds ``day``, or of both."""
        ...
