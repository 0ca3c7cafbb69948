"""The account of model calls, in memory and in the store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from model_ledger_suite import LIMITS, ModelLedgerSuite, call

from sreops.adapters.claude.memory_ledger import MemoryLedger
from sreops.adapters.store import SqlIncidentStore
from sreops.errors import BudgetSpent


class TestMemoryLedger(ModelLedgerSuite):
    @pytest.fixture
    async def ledger(self) -> MemoryLedger:
        return MemoryLedger()


class TestSqlLedger(ModelLedgerSuite):
    @pytest.fixture
    async def ledger(self, tmp_path: Path) -> AsyncIterator[SqlIncidentStore]:
        store = SqlIncidentStore(tmp_path / "s.db")
        await store.open()
        yield store
        await store.close()


async def test_what_was_spent_outlives_the_process(tmp_path: Path) -> None:
    first = SqlIncidentStore(tmp_path / "s.db")
    await first.open()
    await first.begin_model_call(call(1, usd=1_000), LIMITS)  # and its process dies before the answer
    await first.close()
    second = SqlIncidentStore(tmp_path / "s.db")
    await second.open()
    with pytest.raises(BudgetSpent):
        await second.begin_model_call(call(2), LIMITS)
    await second.close()
