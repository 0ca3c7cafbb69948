"""Evaluate a parsed PromQL expression at one instant."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sreops.sandbox.prometheus.series import LOOKBACK_S, Sample, Series, SeriesStore
from sreops.sandbox.promql.functions import (
    OVER_WINDOW,
    PER_VALUE,
    bucket_quantile,
    divide,
    extrapolated,
    instant,
    quantile,
    regression,
)
from sreops.sandbox.promql.operators import (
    Point,
    Vector,
    aggregate,
    distinct,
    scalars,
    sets,
    unnamed,
    vectors,
    with_scalar,
)
from sreops.sandbox.promql.tree import (
    SET_OPERATORS,
    Aggregate,
    Binary,
    Call,
    Kind,
    Negate,
    Node,
    Number,
    Selector,
)

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")
_KEEP_NAME = ("last_over_time",)


@dataclass(slots=True)
class Engine:
    """One evaluation over a store; ``infos`` gathers what Prometheus would remark on."""

    store: SeriesStore
    lookback_s: float = LOOKBACK_S
    infos: list[str] = field(default_factory=list)
    _found: dict[Selector, tuple[Series, ...]] = field(default_factory=dict)

    def _series(self, node: Selector) -> tuple[Series, ...]:
        """The series that it selects, looked for once: a range has hundreds of steps."""
        if node not in self._found:
            self._found[node] = tuple(self.store.select(node.matchers))
        return self._found[node]

    def matrix(self, node: Selector, at: float) -> list[tuple[dict[str, str], list[Sample]]]:
        """Samples of the window that ends at ``at``, per series."""
        end = at - node.offset_s
        found = ((series.labels, series.window(end - node.range_s, end)) for series in self._series(node))
        return [(labels, samples) for labels, samples in found if samples]

    def scalar(self, node: Node, at: float) -> float:
        """Value of a scalar expression."""
        match node:
            case Number(value=value):
                return value
            case Negate(inner=inner):
                return -self.scalar(inner, at)
            case Binary(left=left, right=right):
                return scalars(node, self.scalar(left, at), self.scalar(right, at))
            case Call(function="time"):
                return at
            case Call(arguments=(inner,)):
                vector = self.vector(inner, at)
                return vector[0].value if len(vector) == 1 else math.nan
            case _:
                raise AssertionError(f"the parser let {node!r} pass as a scalar")

    def vector(self, node: Node, at: float) -> Vector:
        """Elements of an instant vector expression."""
        match node:
            case Selector():
                return self._select(node, at)
            case Negate(inner=inner):
                return distinct([Point(unnamed(point.labels), -point.value) for point in self.vector(inner, at)])
            case Aggregate(inner=inner, parameter=parameter):
                number = self.scalar(parameter, at) if parameter is not None else 0.0
                return aggregate(node, self.vector(inner, at), number)
            case Binary():
                return self._binary(node, at)
            case Call():
                return self._call(node, at)
            case _:
                raise AssertionError(f"the parser let {node!r} pass as a vector")

    def _select(self, node: Selector, at: float) -> Vector:
        found = ((series.labels, series.at(at - node.offset_s, self.lookback_s)) for series in self._series(node))
        return [Point(labels, sample[1]) for labels, sample in found if sample is not None]

    def _binary(self, node: Binary, at: float) -> Vector:
        if node.operator in SET_OPERATORS:
            return sets(node, self.vector(node.left, at), self.vector(node.right, at))
        if node.left.kind is Kind.SCALAR:
            return with_scalar(node, self.vector(node.right, at), self.scalar(node.left, at), scalar_left=True)
        if node.right.kind is Kind.SCALAR:
            return with_scalar(node, self.vector(node.left, at), self.scalar(node.right, at), scalar_left=False)
        return vectors(node, self.vector(node.left, at), self.vector(node.right, at))

    def _call(self, node: Call, at: float) -> Vector:
        window = next(
            (argument for argument in node.arguments if isinstance(argument, Selector) and argument.range_s), None
        )
        if window is not None:
            return self._over_window(node, window, at)
        if node.function == "vector":
            return [Point({}, self.scalar(node.arguments[0], at))]
        if node.function == "timestamp":
            return self._timestamps(node.arguments[0], at)
        inner = next(argument for argument in node.arguments if argument.kind is Kind.VECTOR)
        numbers = [self.scalar(argument, at) for argument in node.arguments if argument.kind is Kind.SCALAR]
        vector = self.vector(inner, at)
        if node.function == "absent":
            return [] if vector else [Point(_absent_labels(inner), 1.0)]
        if node.function in ("sort", "sort_desc"):
            sign = 1.0 if node.function == "sort" else -1.0
            return sorted(vector, key=lambda point: (math.isnan(point.value), sign * point.value))
        if node.function == "histogram_quantile":
            return _histogram_quantile(numbers[0], vector)
        return distinct(
            [Point(unnamed(point.labels), _mapped(node.function, point.value, numbers)) for point in vector]
        )

    def _timestamps(self, node: Node, at: float) -> Vector:
        if not isinstance(node, Selector):
            return [Point(unnamed(point.labels), at) for point in self.vector(node, at)]
        found = ((series.labels, series.at(at - node.offset_s, self.lookback_s)) for series in self._series(node))
        return distinct([Point(unnamed(labels), sample[0]) for labels, sample in found if sample is not None])

    def _over_window(self, node: Call, window: Selector, at: float) -> Vector:
        rows = self.matrix(window, at)
        if node.function == "absent_over_time":
            return [] if rows else [Point(_absent_labels(window), 1.0)]
        if node.function in ("rate", "increase", "irate"):
            self._remark(node, window)
        numbers = [self.scalar(argument, at) for argument in node.arguments if argument.kind is Kind.SCALAR]
        end = at - window.offset_s
        out: Vector = []
        for labels, samples in rows:
            value = _windowed(node.function, samples, end - window.range_s, end, numbers, at)
            if value is not None:
                out.append(Point(labels if node.function in _KEEP_NAME else unnamed(labels), value))
        return distinct(out)

    def _remark(self, node: Call, window: Selector) -> None:
        if window.name and not window.name.endswith(_COUNTER_SUFFIXES):
            info = (
                "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "
                f'"{window.name}" (1:{window.position + 1})'
            )
            if info not in self.infos:
                self.infos.append(info)


def _windowed(
    function: str, samples: Sequence[Sample], start: float, end: float, numbers: Sequence[float], at: float
) -> float | None:
    match function:
        case "rate" | "increase" | "delta":
            return extrapolated(samples, start, end, counter=function != "delta", per_second=function == "rate")
        case "irate" | "idelta":
            return instant(samples, rate=function == "irate")
        case "deriv":
            line = regression(samples, samples[0][0])
            return None if line is None else line[0]
        case "predict_linear":
            line = regression(samples, at)
            return None if line is None else line[0] * numbers[0] + line[1]
        case "quantile_over_time":
            return quantile(numbers[0], [value for _, value in samples])
        case _:
            return OVER_WINDOW[function]([value for _, value in samples])


def _mapped(function: str, value: float, numbers: Sequence[float]) -> float:
    match function:
        case "clamp_min":
            return max(value, numbers[0])
        case "clamp_max":
            return min(value, numbers[0])
        case "clamp":
            return max(numbers[0], min(value, numbers[1]))
        case "round":
            inverse = divide(1.0, numbers[0] if numbers else 1.0)
            return math.floor(value * inverse + 0.5) / inverse if math.isfinite(value) else value
        case _:
            return PER_VALUE[function](value)


def _histogram_quantile(q: float, vector: Vector) -> Vector:
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
    for point in vector:
        try:
            bound = float(point.labels.get("le", ""))
        except ValueError:
            continue
        rest = {key: value for key, value in unnamed(point.labels).items() if key != "le"}
        groups[tuple(sorted(rest.items()))].append((bound, point.value))
    return [Point(dict(key), bucket_quantile(q, buckets)) for key, buckets in groups.items()]


def _absent_labels(node: Node) -> dict[str, str]:
    if not isinstance(node, Selector):
        return {}
    names = [matcher.name for matcher in node.matchers]
    return {
        matcher.name: matcher.value
        for matcher in node.matchers
        if matcher.op == "=" and matcher.name != "__name__" and names.count(matcher.name) == 1 and matcher.value
    }
