"""What every account of model calls keeps to."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sreops.domain.model.budget import ModelCall, ModelLimits
from sreops.domain.model.cost import TokenCount
from sreops.errors import BudgetSpent
from sreops.ports import ModelLedger

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIMITS = ModelLimits(
    micro_usd_per_incident=1_000, micro_usd_per_day=10_000, tokens_per_incident=10_000, tokens_per_day=100_000
)


def call(number: int, incident_id: str = "i-1", *, at: datetime = NOON, usd: int = 100, tokens: int = 50) -> ModelCall:
    return ModelCall(
        call_id=f"{incident_id}-{number}",
        incident_id=incident_id,
        model="m",
        at=at,
        reserved=TokenCount(cache_write=tokens, output=tokens),
        reserved_micro_usd=usd,
    )


class ModelLedgerSuite:
    """Inherit, and give the fixture ``ledger``."""

    @pytest.fixture
    async def ledger(self) -> Any:
        raise NotImplementedError

    async def test_a_call_counts_with_what_it_reserves_until_it_ends(self, ledger: ModelLedger) -> None:
        await ledger.begin_model_call(call(1), LIMITS)
        under_way = await ledger.model_usage(incident_id="i-1")
        assert (under_way.calls, under_way.failed, under_way.micro_usd, under_way.tokens.total) == (1, 1, 100, 100)
        took = TokenCount(input=1, cache_write=2, cache_read=3, output=4)
        await ledger.end_model_call("i-1-1", outcome="answered", tokens=took, micro_usd=7, seconds=1.5)
        ended = await ledger.model_usage(incident_id="i-1")
        assert (ended.calls, ended.failed, ended.micro_usd, ended.tokens, ended.seconds) == (1, 0, 7, took, 1.5)

    async def test_a_lost_answer_counts_as_reserved_and_a_refusal_as_nothing(self, ledger: ModelLedger) -> None:
        for number in (1, 2):
            await ledger.begin_model_call(call(number), LIMITS)
        await ledger.end_model_call("i-1-1", outcome="lost", tokens=None, micro_usd=100, seconds=1)
        await ledger.end_model_call("i-1-2", outcome="status_429", tokens=TokenCount(), micro_usd=0, seconds=0)
        used = await ledger.model_usage(incident_id="i-1")
        assert (used.calls, used.failed, used.micro_usd) == (2, 2, 100)

    async def test_the_first_outcome_stands(self, ledger: ModelLedger) -> None:
        await ledger.begin_model_call(call(1), LIMITS)
        await ledger.end_model_call("i-1-1", outcome="answered", tokens=TokenCount(input=1), micro_usd=7, seconds=0)
        await ledger.end_model_call("i-1-1", outcome="lost", tokens=TokenCount(input=9), micro_usd=99, seconds=0)
        assert (await ledger.model_usage()).micro_usd == 7

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"usd": 901}, "MAX_USD_PER_INCIDENT"),
            ({"tokens": 4951}, "MAX_TOKENS_PER_INCIDENT"),
            ({"incident_id": "i-2", "usd": 9_901}, "MAX_USD_PER"),
        ],
    )
    async def test_a_call_that_would_pass_a_ceiling_is_refused_and_not_written(
        self, ledger: ModelLedger, changes: dict[str, Any], said: str
    ) -> None:
        await ledger.begin_model_call(call(1), LIMITS)
        with pytest.raises(BudgetSpent, match=said):
            await ledger.begin_model_call(call(2, **changes), LIMITS)
        assert (await ledger.model_usage()).calls == 1

    async def test_exactly_the_ceiling_is_allowed(self, ledger: ModelLedger) -> None:
        await ledger.begin_model_call(call(1, usd=1_000, tokens=5_000), LIMITS)
        assert (await ledger.model_usage()).calls == 1

    async def test_the_day_s_ceiling_holds_over_incidents_and_ends_with_the_day(self, ledger: ModelLedger) -> None:
        for number in range(10):
            await ledger.begin_model_call(call(1, f"i-{number}", usd=1_000), LIMITS)
        with pytest.raises(BudgetSpent, match="MAX_USD_PER_DAY"):
            await ledger.begin_model_call(call(1, "i-late", at=NOON.replace(hour=23, minute=59)), LIMITS)
        tomorrow = (NOON + timedelta(days=1)).replace(hour=0)
        await ledger.begin_model_call(call(1, "i-late", at=tomorrow), LIMITS)
        assert (await ledger.model_usage(day=tomorrow)).calls == 1
        assert (await ledger.model_usage(day=NOON)).calls == 10

    async def test_calls_at_once_do_not_pass_a_ceiling_together(self, ledger: ModelLedger) -> None:
        begun = await asyncio.gather(
            *(ledger.begin_model_call(call(number), LIMITS) for number in range(30)), return_exceptions=True
        )
        assert sum(one is None for one in begun) == 10
        assert sum(isinstance(one, BudgetSpent) for one in begun) == 20
        assert (await ledger.model_usage(incident_id="i-1")).micro_usd == 1_000

    async def test_nothing_is_nothing(self, ledger: ModelLedger) -> None:
        used = await ledger.model_usage(incident_id="nobody")
        assert (used.calls, used.failed, used.micro_usd, used.tokens.total) == (0, 0, 0, 0)
