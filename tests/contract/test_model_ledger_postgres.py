"""The account of model calls on a real PostgreSQL: the same contract, and ceilings that replicas share."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from model_ledger_suite import LIMITS, NOON, ModelLedgerSuite, call

from servers.postgres import Postgres
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.model.cost import TokenCount
from sreops.errors import BudgetSpent

pytest.importorskip("psycopg", reason="needs the extra postgres")
pytestmark = pytest.mark.needs("postgres")
_numbers = itertools.count()


@pytest.fixture
async def replicas(postgres: Postgres) -> AsyncIterator[list[SqlIncidentStore]]:
    url = postgres.new_database(f"ledger_{next(_numbers)}")
    stores = [SqlIncidentStore(url, b"audit key") for _ in range(3)]
    for store in stores:
        await store.open()
    yield stores
    for store in stores:
        await store.close()


class TestPostgresLedger(ModelLedgerSuite):
    """The contract."""

    @pytest.fixture
    async def ledger(self, replicas: list[SqlIncidentStore]) -> SqlIncidentStore:
        return replicas[0]


async def test_replicas_do_not_pass_a_ceiling_together(replicas: list[SqlIncidentStore]) -> None:
    begun = await asyncio.gather(
        *(replicas[number % 3].begin_model_call(call(number), LIMITS) for number in range(30)), return_exceptions=True
    )
    assert sum(one is None for one in begun) == 10
    assert sum(isinstance(one, BudgetSpent) for one in begun) == 20
    used = [await one.model_usage(incident_id="i-1") for one in replicas]
    assert [one.micro_usd for one in used] == [1_000] * 3


async def test_the_day_is_shared_and_what_one_settles_is_room_for_another(replicas: list[SqlIncidentStore]) -> None:
    first, second, _ = replicas
    for number in range(10):
        await first.begin_model_call(call(1, f"i-{number}", usd=1_000), LIMITS)
    with pytest.raises(BudgetSpent, match="MAX_USD_PER_DAY"):
        await second.begin_model_call(call(1, "i-late"), LIMITS)
    await first.end_model_call("i-0-1", outcome="answered", tokens=TokenCount(input=1), micro_usd=5, seconds=1)
    await second.begin_model_call(call(1, "i-late"), LIMITS)
    assert (await first.model_usage(day=NOON)).calls == 11


async def test_a_replica_that_died_before_its_answer_still_counts(replicas: list[SqlIncidentStore]) -> None:
    await replicas[0].begin_model_call(call(1, usd=1_000), LIMITS)
    await replicas[0].close()
    with pytest.raises(BudgetSpent, match="MAX_USD_PER_INCIDENT"):
        await replicas[1].begin_model_call(call(2), LIMITS)
