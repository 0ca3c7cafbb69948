"""Prices, costs, and what a call may take at most."""

import pytest

from sreops.domain.model.cost import PRICES, TokenCount, cost_micro_usd, price_of, worst_case
from sreops.settings import LLMSettings, load_settings


def test_each_kind_of_token_has_its_price():
    price = PRICES["claude-sonnet-5-5"]
    assert cost_micro_usd(TokenCount(input=1_000_000), price) == 2_000_000
    assert cost_micro_usd(TokenCount(output=1_000_000), price) == 10_000_000
    assert cost_micro_usd(TokenCount(cache_write=1_000_000), price) == 2_500_000
    assert cost_micro_usd(TokenCount(cache_read=1_000_000), price) == 100_000
    assert cost_micro_usd(TokenCount(cache_read=1), price) == 1, "rounded up"


@pytest.mark.parametrize(
    ("model", "same_as"),
    [
        ("claude-sonnet-5-5", "claude-sonnet-5-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-sonnet-5", "claude-sonnet-5"),
        ("claude-nobody", "claude-fable-5-1"),
        ("claude-sonnet-5-7", "claude-fable-5-1"),
        ("", "claude-fable-5-1"),
    ],
)
def test_a_model_s_price_is_its_own_or_the_dearest(model, same_as):
    price = price_of(model, PRICES)
    assert (price.input, price.output, price.cache_write) == (
        PRICES[same_as].input, PRICES[same_as].output, PRICES[same_as].cache_write
    )  # fmt: skip
    assert price.cache_read >= PRICES[same_as].cache_read


def test_the_dearest_also_counts_where_the_table_is_empty():
    assert price_of("x", {}).input == PRICES["claude-fable-5-1"].input


def test_the_price_table_is_a_setting_that_adds_to_the_published_one(monkeypatch):
    monkeypatch.setenv("SREOPS_LLM__PRICES", '{"mine": {"input": 1, "output": 2, "cache_write": 3, "cache_read": 0.5}}')
    monkeypatch.setenv("SREOPS_LLM__MAX_USD_PER_DAY", "3.5")
    llm = load_settings(_env_file=None).llm
    assert price_of("mine", llm.prices).cache_read == 0.5
    assert "claude-sonnet-5-5" in llm.prices
    assert llm.max_usd_per_day == 3.5
    assert LLMSettings().prices == dict(PRICES)


def test_the_worst_case_is_never_less_than_dense_text():
    assert worst_case(1000, 50) == TokenCount(cache_write=501, output=50)


def test_tokens_add_up():
    total = TokenCount(input=1, output=2) + TokenCount(cache_read=3, cache_write=4)
    assert (total.prompt, total.total) == (8, 10)
