"""What a model call takes: tokens by kind, and money by a price table. Money is whole millionths of a dollar."""

import math
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

MICRO_USD = 1_000_000


class Price(BaseModel):
    """US dollars per million tokens; a cache write is one of five minutes."""

    model_config = ConfigDict(frozen=True)
    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cache_write: float = Field(ge=0, allow_inf_nan=False)
    cache_read: float = Field(ge=0, allow_inf_nan=False)


def _price(input_usd: float, output_usd: float, cache_read_usd: float) -> Price:
    # a five-minute cache write costs a quarter more than reading the input plainly
    return Price(input=input_usd, output=output_usd, cache_write=input_usd * 1.25, cache_read=cache_read_usd)


PRICES: Mapping[str, Price] = {
    "claude-sonnet-5-5": _price(2.0, 10.0, 0.10),
    "claude-sonnet-5": _price(2.0, 10.0, 0.20),
    "claude-sonnet-4-5": _price(3.0, 15.0, 0.30),
    "claude-opus-5-5": _price(4.0, 20.0, 0.20),
    "claude-opus-5": _price(5.0, 25.0, 0.50),
    "claude-haiku-5-5": _price(0.50, 2.50, 0.05),  # of its two bands the dearer one, above 100,000 tokens
    "claude-haiku-4-5": _price(1.0, 5.0, 0.10),
    "claude-fable-5-1": _price(10.0, 50.0, 0.25),
}
"""Published prices as of 2026-11 (platform.claude.com/docs, models overview); settings add to them or correct them."""


class TokenCount(BaseModel):
    """Tokens of one call or of several: ``input`` is what the cache neither gave nor took."""

    model_config = ConfigDict(frozen=True)
    input: int = 0
    cache_write: int = 0
    cache_read: int = 0
    output: int = 0

    @property
    def prompt(self) -> int:
        """All tokens that were read, from wherever."""
        return self.input + self.cache_write + self.cache_read

    @property
    def total(self) -> int:
        """All tokens, read and written."""
        return self.prompt + self.output

    def __add__(self, other: Self) -> Self:
        """Add kind by kind."""
        return type(self)(
            input=self.input + other.input,
            cache_write=self.cache_write + other.cache_write,
            cache_read=self.cache_read + other.cache_read,
            output=self.output + other.output,
        )


def price_of(model: str, table: Mapping[str, Price]) -> Price:
    """Return the price of a model id: its own entry, else of the longest id that it begins with.

    A model that the table does not know costs as much as the dearest one it knows: a ceiling errs on the safe side.
    """
    if model in table:
        return table[model]
    dated = [name for name in table if model.startswith(f"{name}-20")]  # claude-haiku-4-5-20251001
    if dated:
        return table[max(dated, key=len)]
    known = [*table.values(), *PRICES.values()]
    return Price(
        input=max(price.input for price in known),
        output=max(price.output for price in known),
        cache_write=max(price.cache_write for price in known),
        cache_read=max(price.cache_read for price in known),
    )


def cost_micro_usd(tokens: TokenCount, price: Price) -> int:
    """Return the cost in millionths of a dollar, rounded up: dollars per million tokens are micro-dollars per token."""
    return math.ceil(
        tokens.input * price.input
        + tokens.cache_write * price.cache_write
        + tokens.cache_read * price.cache_read
        + tokens.output * price.output
    )


def worst_case(prompt_bytes: int, max_output: int) -> TokenCount:
    """Return what a call may take at most: two bytes a token is dense, and all of it may be written to the cache."""
    return TokenCount(cache_write=prompt_bytes // 2 + 1, output=max_output)
