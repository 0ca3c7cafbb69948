"""Aggregations and binary operators over instant vectors (PR:promql/engine.go)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sreops.sandbox.promql.functions import ARITHMETIC, COMPARE, largest, quantile, smallest
from sreops.sandbox.promql.tree import Aggregate, Binary, Matching

Signature = tuple[tuple[str, str], ...]


class ExecutionError(Exception):
    """A query that parses and cannot be answered: Prometheus's 422."""


@dataclass(frozen=True, slots=True)
class Point:
    """One element of an instant vector."""

    labels: Mapping[str, str]
    value: float


Vector = list[Point]


def unnamed(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels without the metric's name, which most operations take away."""
    return {key: value for key, value in labels.items() if key != "__name__"}


def distinct(vector: Vector) -> Vector:
    """Return the vector, or refuse it where two elements have the same labels."""
    if len({_signature(point.labels) for point in vector}) < len(vector):
        raise ExecutionError("vector cannot contain metrics with the same labelset")
    return vector


def _signature(labels: Mapping[str, str]) -> Signature:
    return tuple(sorted(labels.items()))


def aggregate(node: Aggregate, vector: Vector, parameter: float) -> Vector:
    """Aggregate the elements that agree on the grouping's labels."""
    groups: dict[Signature, Vector] = defaultdict(list)
    for point in vector:
        groups[_grouped(node, point.labels)].append(point)
    if node.operator in ("topk", "bottomk"):
        return [point for members in groups.values() for point in _ranked(node.operator, members, parameter)]
    return [
        Point(dict(key), _reduced(node.operator, [point.value for point in members], parameter))
        for key, members in groups.items()
    ]


def _grouped(node: Aggregate, labels: Mapping[str, str]) -> Signature:
    if node.without:
        return _signature({k: v for k, v in labels.items() if k not in node.grouping and k != "__name__"})
    return _signature({k: v for k, v in labels.items() if k in node.grouping})


def _ranked(operator: str, members: Vector, parameter: float) -> Vector:
    sign = -1.0 if operator == "topk" else 1.0
    count = int(parameter) if parameter >= 1 else 0
    # NaN sorts last in either direction.
    ordered = sorted(members, key=lambda point: (math.isnan(point.value), sign * point.value))
    return ordered[:count]


def _reduced(operator: str, values: list[float], parameter: float) -> float:
    match operator:
        case "sum":
            return sum(values)
        case "avg":
            return sum(values) / len(values)
        case "min":
            return smallest(values)
        case "max":
            return largest(values)
        case "count":
            return float(len(values))
        case "quantile":
            return quantile(parameter, values)
        case _:
            return 1.0


def scalars(node: Binary, left: float, right: float) -> float:
    """Apply an operator to two scalars."""
    if node.operator in COMPARE:
        return float(COMPARE[node.operator](left, right))
    return ARITHMETIC[node.operator](left, right)


def with_scalar(node: Binary, vector: Vector, scalar: float, *, scalar_left: bool) -> Vector:
    """Apply an operator to each element and a scalar; a comparison filters, unless it is ``bool``."""
    out: Vector = []
    for point in vector:
        left, right = (scalar, point.value) if scalar_left else (point.value, scalar)
        if node.operator in ARITHMETIC:
            out.append(Point(unnamed(point.labels), ARITHMETIC[node.operator](left, right)))
        elif node.return_bool:
            out.append(Point(unnamed(point.labels), float(COMPARE[node.operator](left, right))))
        elif COMPARE[node.operator](left, right):
            out.append(point)
    return distinct(out)


def sets(node: Binary, left: Vector, right: Vector) -> Vector:
    """``and``, ``or``, ``unless``."""
    signature = _signer(node.matching)
    in_left = {signature(point.labels) for point in left}
    in_right = {signature(point.labels) for point in right}
    match node.operator:
        case "and":
            return [point for point in left if signature(point.labels) in in_right]
        case "unless":
            return [point for point in left if signature(point.labels) not in in_right]
        case _:
            return left + [point for point in right if signature(point.labels) not in in_left]


def vectors(node: Binary, left: Vector, right: Vector) -> Vector:
    """Apply an operator to the partners of two vectors."""
    many, one = (right, left) if node.matching.group == "right" else (left, right)
    signature = _signer(node.matching)
    partners = _unique(one, signature, node.matching.group)
    seen: set[Signature] = set()
    out: Vector = []
    for point in many:
        key = signature(point.labels)
        partner = partners.get(key)
        if partner is None:
            continue
        if not node.matching.group:
            if key in seen:
                raise ExecutionError(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                )
            seen.add(key)
        swapped = node.matching.group == "right"
        pair = (partner.value, point.value) if swapped else (point.value, partner.value)
        value = _applied(node, *pair)
        if value is not None:
            out.append(Point(_result_labels(node, point.labels, partner.labels), value))
    return distinct(out)


def _applied(node: Binary, left: float, right: float) -> float | None:
    if node.operator in ARITHMETIC:
        return ARITHMETIC[node.operator](left, right)
    holds = COMPARE[node.operator](left, right)
    if node.return_bool:
        return float(holds)
    return left if holds else None


def _unique(vector: Vector, signature: Callable[[Mapping[str, str]], Signature], group: str) -> dict[Signature, Point]:
    side = "left" if group == "right" else "right"
    partners: dict[Signature, Point] = {}
    for point in vector:
        key = signature(point.labels)
        if key in partners:
            shown = ", ".join(_shown(labels.items()) for labels in (partners[key].labels, point.labels))
            raise ExecutionError(
                f"found duplicate series for the match group {_shown(key)} on the {side} hand-side of the "
                f"operation: [{shown}];many-to-many matching not allowed: matching labels must be unique on "
                "one side"
            )
        partners[key] = point
    return partners


def _shown(pairs: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in sorted(pairs)) + "}"


def _signer(matching: Matching) -> Callable[[Mapping[str, str]], Signature]:
    if matching.on:
        return lambda labels: _signature({k: v for k, v in labels.items() if k in matching.labels})
    dropped = {*matching.labels, "__name__"}
    return lambda labels: _signature({k: v for k, v in labels.items() if k not in dropped})


def _result_labels(node: Binary, many: Mapping[str, str], one: Mapping[str, str]) -> dict[str, str]:
    matching = node.matching
    keeps_name = node.operator in COMPARE and not node.return_bool
    labels = dict(many) if keeps_name else unnamed(many)
    if matching.group:
        for name in matching.include:
            labels.pop(name, None)
            if name in one:
                labels[name] = one[name]
    elif matching.on:
        labels = {key: value for key, value in labels.items() if key in matching.labels}
    else:
        labels = {key: value for key, value in labels.items() if key not in matching.labels}
    return labels
