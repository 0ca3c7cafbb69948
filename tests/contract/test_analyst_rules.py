"""The rule analyst keeps the contract of analysts."""

from typing import Any

import pytest
from analyst_suite import OOM, AnalystSuite, brief

from sreops.adapters.rules import RuleAnalyst


class TestRuleAnalyst(AnalystSuite):
    """Rules, which need nothing."""

    @pytest.fixture
    async def analyst(self) -> Any:
        return RuleAnalyst()

    async def test_names_no_runbook_and_costs_nothing(self, analyst: RuleAnalyst) -> None:
        answer = await analyst.analyze(brief(*OOM), timeout_s=1)
        assert (answer.analysis.runbook_id, answer.model) == (None, None)
        assert (answer.input_tokens, answer.output_tokens) == (0, 0)
        assert analyst.name == "rules"
