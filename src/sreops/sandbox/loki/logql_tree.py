"""What a LogQL query says, once parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sreops.sandbox.matchers import Matcher


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Keep (or drop) the lines that hold any of some texts, or match any of some patterns."""

    op: str
    needles: tuple[str, ...]
    _compiled: tuple[Any, ...] = field(default=(), repr=False, compare=False)

    def keeps(self, line: str, _labels: Mapping[str, str]) -> bool:
        """Whether the line stays."""
        if self.op in ("|=", "!="):
            found = any(needle in line for needle in self.needles)
        else:
            found = any(pattern.search(line) is not None for pattern in self._compiled)
        return found if self.op[0] == "|" else not found


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Keep the lines of streams whose label passes."""

    matcher: Matcher

    def keeps(self, _line: str, labels: Mapping[str, str]) -> bool:
        """Whether the line stays."""
        return self.matcher.matches(labels)


@dataclass(frozen=True, slots=True)
class LogExpr:
    """A log query: which streams, and which of their lines."""

    matchers: tuple[Matcher, ...]
    stages: tuple[LineFilter | LabelFilter, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a stream belongs to the query."""
        return all(matcher.matches(labels) for matcher in self.matchers)

    def keeps(self, line: str, labels: Mapping[str, str]) -> bool:
        """Whether a line of such a stream does."""
        return all(stage.keeps(line, labels) for stage in self.stages)


@dataclass(frozen=True, slots=True)
class RangeExpr:
    """A function over the lines of a window, per stream."""

    function: str
    log: LogExpr
    range_ns: int


@dataclass(frozen=True, slots=True)
class VectorExpr:
    """An aggregation of series."""

    operator: str
    inner: MetricExpr
    grouping: tuple[str, ...] = ()
    mode: Literal["by", "without", ""] = ""
    number: int = 0


MetricExpr = RangeExpr | VectorExpr
Expr = LogExpr | MetricExpr
