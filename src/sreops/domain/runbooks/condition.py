"""Conditions: the comparison that a runbook writes beside a query, such as ``"< 0.01"``."""

import math
import operator
import re
from collections.abc import Callable
from typing import Final, Literal, cast

Comparison = Literal["<", "<=", ">", ">=", "==", "!="]

COMPARE: Final[dict[Comparison, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?)\s*", re.ASCII)


def parse_condition(text: str) -> tuple[Comparison, float]:
    """Read a comparison such as ``"< 0.01"``; raises ValueError that says what one looks like."""
    found = _CONDITION.fullmatch(text) if len(text) <= 64 else None
    if not found or not math.isfinite(float(found[2])):
        raise ValueError(
            f"{text[:64]!r} is not a comparison; write one of < <= > >= == != and a number, as in '< 0.01'"
        )
    return cast(Comparison, found[1]), float(found[2])
