"""The account of model calls in memory, for a process that keeps no incidents."""

from datetime import datetime

from sreops.domain.model.budget import ANSWERED, ModelCall, ModelLimits, ModelUsage, day_of, refuse_beyond
from sreops.domain.model.cost import TokenCount


class _Line:
    def __init__(self, call: ModelCall) -> None:
        self.call = call
        self.outcome = ""
        self.tokens = call.reserved
        self.micro_usd = call.reserved_micro_usd
        self.seconds = 0.0


class MemoryLedger:
    """Implements ``ports.ModelLedger`` until the process ends."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    async def begin_model_call(self, call: ModelCall, limits: ModelLimits) -> None:
        """Write the call with what it reserves, or raise BudgetSpent."""
        of_incident = await self.model_usage(incident_id=call.incident_id)
        refuse_beyond("INCIDENT", call, (of_incident.tokens.total, of_incident.micro_usd), limits)
        of_day = await self.model_usage(day=call.at)
        refuse_beyond("DAY", call, (of_day.tokens.total, of_day.micro_usd), limits)
        self._lines[call.call_id] = _Line(call)

    async def end_model_call(
        self, call_id: str, *, outcome: str, tokens: TokenCount | None, micro_usd: int, seconds: float
    ) -> None:
        """Write what the call took; a second outcome changes nothing."""
        line = self._lines[call_id]
        if line.outcome:
            return
        line.outcome, line.seconds = outcome, seconds
        if tokens is not None:
            line.tokens, line.micro_usd = tokens, micro_usd

    async def model_usage(self, *, incident_id: str | None = None, day: datetime | None = None) -> ModelUsage:
        """Sum up."""
        lines = [
            line
            for line in self._lines.values()
            if (incident_id is None or line.call.incident_id == incident_id)
            and (day is None or day_of(line.call.at) == day_of(day))
        ]
        return ModelUsage(
            calls=len(lines),
            failed=sum(line.outcome != ANSWERED for line in lines),
            tokens=sum((line.tokens for line in lines), TokenCount()),
            micro_usd=sum(line.micro_usd for line in lines),
            seconds=sum(line.seconds for line in lines),
        )
