"""What a PromQL expression says, once parsed, and the types of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from sreops.sandbox.matchers import Matcher


class Kind(StrEnum):
    """The four types of PromQL, by the names of Prometheus's messages."""

    SCALAR = "scalar"
    VECTOR = "instant vector"
    MATRIX = "range vector"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class Number:
    """A literal number."""

    value: float
    kind: Kind = Kind.SCALAR


@dataclass(frozen=True, slots=True)
class Text:
    """A literal string."""

    value: str
    kind: Kind = Kind.STRING


@dataclass(frozen=True, slots=True)
class Selector:
    """Series by name and labels; with ``range_s`` their samples of a window."""

    matchers: tuple[Matcher, ...]
    position: int
    range_s: float = 0.0
    offset_s: float = 0.0

    @property
    def kind(self) -> Kind:
        """A range vector where it has a window."""
        return Kind.MATRIX if self.range_s else Kind.VECTOR

    @property
    def name(self) -> str:
        """The metric's name, where one is asked for by equality."""
        return next(
            (matcher.value for matcher in self.matchers if matcher.name == "__name__" and matcher.op == "="), ""
        )


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    function: str
    arguments: tuple[Node, ...]
    kind: Kind
    position: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation over groups of labels."""

    operator: str
    inner: Node
    parameter: Node | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False
    kind: Kind = Kind.VECTOR


@dataclass(frozen=True, slots=True)
class Matching:
    """How the two sides of an operator find their partners."""

    labels: tuple[str, ...] = ()
    on: bool = False
    group: Literal["", "left", "right"] = ""
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    """An arithmetic, comparison or set operator."""

    operator: str
    left: Node
    right: Node
    return_bool: bool
    matching: Matching
    kind: Kind


@dataclass(frozen=True, slots=True)
class Negate:
    """A minus in front."""

    inner: Node

    @property
    def kind(self) -> Kind:
        """The type of what it negates."""
        return self.inner.kind


Node = Number | Text | Selector | Call | Aggregate | Binary | Negate

COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
SET_OPERATORS = ("and", "or", "unless")
AGGREGATORS = ("sum", "avg", "min", "max", "count", "group", "topk", "bottomk", "quantile")
PARAMETRIC = ("topk", "bottomk", "quantile")

_V, _M, _S = Kind.VECTOR, Kind.MATRIX, Kind.SCALAR
_OVER_TIME = ("avg", "min", "max", "sum", "count", "last", "stddev", "present")
# Parameter types, how many of them may be left out, and the result's type.
SIGNATURES: dict[str, tuple[tuple[Kind, ...], int, Kind]] = {
    **{name: ((_M,), 0, _V) for name in ("rate", "increase", "irate", "idelta", "delta", "deriv")},
    **{f"{name}_over_time": ((_M,), 0, _V) for name in _OVER_TIME},
    **{name: ((_M,), 0, _V) for name in ("changes", "resets", "absent_over_time")},
    "quantile_over_time": ((_S, _M), 0, _V),
    "predict_linear": ((_M, _S), 0, _V),
    **{
        name: ((_V,), 0, _V)
        for name in ("abs", "ceil", "floor", "sqrt", "ln", "exp", "absent", "timestamp", "sort", "sort_desc")
    },
    "round": ((_V, _S), 1, _V),
    "clamp_min": ((_V, _S), 0, _V),
    "clamp_max": ((_V, _S), 0, _V),
    "clamp": ((_V, _S, _S), 0, _V),
    "histogram_quantile": ((_S, _V), 0, _V),
    "vector": ((_S,), 0, _V),
    "scalar": ((_V,), 0, _S),
    "time": ((), 0, _S),
}
