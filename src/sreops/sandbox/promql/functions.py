"""The functions of PromQL, each over plain samples (PR:promql/functions.go)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from sreops.sandbox.prometheus.series import Sample


def extrapolated(
    samples: Sequence[Sample], start: float, end: float, *, counter: bool, per_second: bool
) -> float | None:
    """Return the growth over a window, stretched towards its edges as ``extrapolatedRate`` does."""
    if len(samples) < 2:
        return None
    (first_at, first), (last_at, last) = samples[0], samples[-1]
    growth = last - first
    if counter:
        growth += sum(before for (_, before), (_, now) in itertools.pairwise(samples) if now < before)
    covered = last_at - first_at
    gap = covered / (len(samples) - 1)
    to_start, to_end = first_at - start, end - last_at
    if to_start >= gap * 1.1:
        to_start = gap / 2
    if counter and growth > 0 and first >= 0:
        # A counter is not taken below zero.
        to_start = min(to_start, covered * (first / growth))
    if to_end >= gap * 1.1:
        to_end = gap / 2
    growth *= (covered + to_start + to_end) / covered
    return growth / (end - start) if per_second else growth


def instant(samples: Sequence[Sample], *, rate: bool) -> float | None:
    """Return the step between the last two samples, per second for ``irate``."""
    if len(samples) < 2:
        return None
    (before_at, before), (now_at, now) = samples[-2], samples[-1]
    if not rate:
        return now - before
    return (now if now < before else now - before) / (now_at - before_at)


def regression(samples: Sequence[Sample], origin: float) -> tuple[float, float] | None:
    """Slope and value at ``origin`` of the least-squares line."""
    if len(samples) < 2:
        return None
    times = [at - origin for at, _ in samples]
    values = [value for _, value in samples]
    mean_t, mean_v = math.fsum(times) / len(times), math.fsum(values) / len(values)
    spread = math.fsum((t - mean_t) ** 2 for t in times)
    slope = math.fsum((t - mean_t) * (v - mean_v) for t, v in zip(times, values, strict=True)) / spread
    return slope, mean_v - slope * mean_t


def quantile(q: float, values: Sequence[float]) -> float:
    """Return the q-quantile with linear interpolation between ranks."""
    if not values or math.isnan(q):
        return math.nan
    if q < 0 or q > 1:
        return -math.inf if q < 0 else math.inf
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))
    rank = q * (len(ordered) - 1)
    low = max(0, math.floor(rank))
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[min(low + 1, len(ordered) - 1)] * weight


def largest(values: Sequence[float]) -> float:
    """Return the maximum; NaN only where there is nothing else."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def smallest(values: Sequence[float]) -> float:
    """Return the minimum; NaN only where there is nothing else."""
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def bucket_quantile(q: float, buckets: Sequence[tuple[float, float]]) -> float:
    """Return the quantile from (upper bound, cumulative count) pairs, as ``histogram_quantile`` does."""
    if math.isnan(q):
        return math.nan
    if q < 0 or q > 1:
        return -math.inf if q < 0 else math.inf
    ordered = _merged(buckets)
    if len(ordered) < 2 or ordered[-1][0] != math.inf or ordered[-1][1] == 0:
        return math.nan
    rank = q * ordered[-1][1]
    at = next((i for i, (_, count) in enumerate(ordered[:-1]) if count >= rank), len(ordered) - 1)
    if at == len(ordered) - 1:
        return ordered[-2][0]
    upper, count = ordered[at]
    if at == 0:
        if upper <= 0:
            return upper
        lower, below = 0.0, 0.0
    else:
        lower, below = ordered[at - 1]
    return lower + (upper - lower) * ((rank - below) / (count - below)) if count > below else lower


def _merged(buckets: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    counts: dict[float, float] = {}
    for bound, count in buckets:
        counts[bound] = counts.get(bound, 0.0) + count
    ordered: list[tuple[float, float]] = []
    for bound in sorted(counts):
        # Scrapes that race can make a cumulative count dip; it never may.
        ordered.append((bound, max(counts[bound], ordered[-1][1] if ordered else 0.0)))
    return ordered


def _stddev(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def _changes(values: Sequence[float]) -> float:
    return float(
        sum(
            1
            for before, now in itertools.pairwise(values)
            if now != before and not (math.isnan(now) and math.isnan(before))
        )
    )


def _resets(values: Sequence[float]) -> float:
    return float(sum(1 for before, now in itertools.pairwise(values) if now < before))


OVER_WINDOW: dict[str, Callable[[Sequence[float]], float]] = {
    "avg_over_time": lambda values: math.fsum(values) / len(values),
    "min_over_time": smallest,
    "max_over_time": largest,
    "sum_over_time": math.fsum,
    "count_over_time": lambda values: float(len(values)),
    "last_over_time": lambda values: values[-1],
    "present_over_time": lambda _values: 1.0,
    "stddev_over_time": _stddev,
    "changes": _changes,
    "resets": _resets,
}
"""Functions of a window's values, which are never empty."""


def _logarithm(value: float) -> float:
    if value == 0:
        return -math.inf
    return math.log(value) if value > 0 else math.nan


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(function(value)) if math.isfinite(value) else value


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


PER_VALUE: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
    "sqrt": lambda value: math.sqrt(value) if value >= 0 else math.nan,
    "ln": _logarithm,
    "exp": _exp,
}
"""Functions of one value."""


def divide(left: float, right: float) -> float:
    """Divide as IEEE does: by zero gives an infinity, zero by zero NaN."""
    if right:
        return left / right
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1.0, right)


def power(left: float, right: float) -> float:
    """Raise as IEEE does, without Python's exceptions."""
    try:
        result = left**right
    except OverflowError:
        return math.inf
    except ZeroDivisionError:
        return math.inf
    return math.nan if isinstance(result, complex) else result


def remainder(left: float, right: float) -> float:
    """Return the remainder with the sign of the dividend, as Go's math.Mod."""
    return math.fmod(left, right) if right and math.isfinite(left) else math.nan


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": divide,
    "%": remainder,
    "^": power,
}
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    ">": lambda left, right: left > right,
    "<": lambda left, right: left < right,
    ">=": lambda left, right: left >= right,
    "<=": lambda left, right: left <= right,
}
