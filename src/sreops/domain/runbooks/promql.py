"""PromQL as a grammar: whether a query parses, and which series it names (promql-parser, Prometheus' own grammar)."""

from collections.abc import Iterator
from typing import Any

import promql_parser
from pydantic import BaseModel, ConfigDict

from sreops.domain.runbooks.template import without_templates


class Selector(BaseModel):
    """A metric and the labels by which a query picks its series."""

    model_config = ConfigDict(frozen=True)
    metric: str
    labels: tuple[str, ...]


def fault_of(query: str) -> str:
    """Return why a query is no PromQL, or nothing; templates may stand in its strings."""
    try:
        promql_parser.parse(without_templates(query))
    except ValueError as exc:
        return str(exc)
    return ""


def selectors_of(query: str) -> list[Selector]:
    """Return the selectors of a query, in order; none where it does not parse."""
    try:
        return list(_selectors(promql_parser.parse(without_templates(query))))
    except ValueError:
        return []


def _selectors(expression: Any) -> Iterator[Selector]:
    if isinstance(expression, promql_parser.VectorSelector):
        labels = sorted({matcher.name for matcher in expression.matchers.matchers if matcher.name != "__name__"})
        yield Selector(metric=expression.name or "", labels=tuple(labels))
        return
    for part in ("vector_selector", "lhs", "rhs", "expr", "param"):
        inner = getattr(expression, part, None)
        if inner is not None:
            yield from _selectors(inner)
    for argument in getattr(expression, "args", None) or ():
        yield from _selectors(argument)
