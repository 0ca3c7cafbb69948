"""How far one series left its own baseline: a robust score of one change. Pure.

Median and interquartile range instead of mean and deviation, as BARO's RobustScorer (Pham et al., FSE 2024), which
does as well as methods that learn a causal graph. Three things are added because real series need them: the scale has
a floor (a constant series would divide by zero), the centre is what was normal *just before* (a level that had drifted
long ago is not today's fault), and the score is that of a lasting change (one late outlier of hundreds is none).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

Points = Sequence[tuple[float, float]]
Span = tuple[float, float]
"""``(start, end)`` in epoch seconds, the end excluded."""

MOST = 100.0
"""Scores are cut here: beyond it one odd series would outweigh everything else."""
_OWN_FLOOR, _PEER_FLOOR = 0.05, 0.01  # of the series' own level, and of what its peers show
_LEVEL_FLOOR = 0.02  # of a level that wanders: such a series is flat between its steps, so a small one tells already
_LEVEL_S = 300.0  # how far back a level that wanders is compared
_THIN = 4  # samples; fewer make no quartiles
_LASTING = 0.2  # of the samples since, how many must be as far out
_NORMAL_IQR = 1.349  # interquartile range of the normal distribution in standard deviations


class Worse(StrEnum):
    """Which way a metric goes when things go wrong."""

    up = "up"
    down = "down"
    either = "either"


@dataclass(frozen=True)
class Change:
    """One series' change: ``score`` in robust standard deviations (0 none, at most ``MOST``).

    ``before`` and ``after`` are the baseline's centre and the value farthest from it, ``onset`` is the first sample
    (epoch seconds) at which the change shows.
    """

    score: float
    before: float
    after: float
    onset: float | None


NO_CHANGE = Change(0.0, math.nan, math.nan, None)


def level(points: Points) -> float:
    """Return the median size of the finite values, 0 where there are none."""
    values = _array(points)[1]
    return float(np.median(np.abs(values))) if values.size else 0.0


def rates(points: Points) -> Points:
    """Return a counter as rates per second; a fall is a reset, after which it counts from zero again."""
    at, values = _array(points)
    if at.size < 2:
        return ()
    apart = np.diff(at)
    grown = np.where(np.diff(values) >= 0, np.diff(values), values[1:])
    return tuple(
        (float(t), float(v)) for t, v in zip(at[1:][apart > 0], (grown[apart > 0] / apart[apart > 0]), strict=True)
    )


def counts_up(points: Points) -> bool:
    """Whether the values are those of a counter: never negative, and falling at most once in twenty samples."""
    values = _array(points)[1]
    if values.size < 3 or float(values.min()) < 0 or float(values.min()) == float(values.max()):
        return False
    return int((np.diff(values) < 0).sum()) * 20 <= int(values.size)


def change(
    points: Points,
    since: float,
    *,
    until: float = math.inf,
    masked: Sequence[Span] = (),
    history: Points = (),
    worse: Worse = Worse.either,
    peer_level: float = 0.0,
    least: float = 0.0,
    wanders: bool = False,
) -> Change:
    """Score how the series changed at ``since`` (epoch seconds) against its own values before.

    ``masked`` spans before ``since`` are left out of the baseline (other faults), unless too little remains.
    ``history`` is an older, healthy recording of the same series: it gives the scale, while the centre stays that
    of the time just before. ``peer_level`` is the usual size of this metric elsewhere: a change that is small
    against that does not stand out by being large against next to nothing. ``least`` is the smallest scale, in the
    metric's unit. A series that ``wanders`` (memory: each value is the last one and a step) is compared with its
    last minutes: what it was an hour ago, or before a restart, is no baseline of it.
    """
    at, values = _array(points)
    before = _last(at, values, since) if wanders else _usual(at, values, since, masked)
    later = (at >= since) & (at <= until)
    after, after_at = values[later], at[later]
    old = _array(history)[1]
    if after.size == 0 or before.size + old.size == 0:
        return NO_CHANGE
    centre = float(np.median(before if before.size else old))
    scale = max(
        _spread(before, steps=wanders) if before.size >= _THIN else 0.0,
        _spread(old) if old.size >= _THIN and not wanders else 0.0,
        (_LEVEL_FLOOR if wanders else _OWN_FLOOR) * abs(centre),
        _PEER_FLOOR * peer_level,
        least,
    )
    if scale == 0.0:  # nothing but zeros before: any value is new, none says by how much
        scale = float(np.max(np.abs(after))) / 10.0 or 1.0
    if before.size + old.size < _THIN:
        scale = max(scale, 0.2 * abs(centre))
    out = _signed((after - centre) / scale, worse)
    place = max(0, math.ceil(_LASTING * out.size) - 1)
    score = float(np.sort(out)[::-1][place])
    if not score > 0:
        return Change(0.0, centre, float(after[int(np.argmax(np.abs(after - centre)))]), None)
    first = int(np.argmax(out >= score / 2))
    return Change(min(score, MOST), centre, float(after[int(np.argmax(out))]), float(after_at[first]))


def _array(points: Points) -> tuple[Any, Any]:
    """Return times and values without NaN and infinities, which are gaps."""
    if not points:
        return np.empty(0), np.empty(0)
    both = np.asarray(points, dtype=float)
    both = both[np.isfinite(both).all(axis=1)]
    return both[:, 0], both[:, 1]


def _inside(at: Any, spans: Sequence[Span]) -> Any:
    inside = np.zeros(at.shape, dtype=bool)
    for start, end in spans:
        inside |= (at >= start) & (at < end)
    return inside


def _usual(at: Any, values: Any, since: float, masked: Sequence[Span]) -> Any:
    """Return what was seen before, without other faults unless too little remains."""
    before = values[(at < since) & ~_inside(at, masked)]
    return before if before.size >= _THIN else values[at < since]


def _last(at: Any, values: Any, since: float) -> Any:
    """Return what was seen in the last minutes before, at least a few samples."""
    before = values[(at < since) & (at >= since - _LEVEL_S)]
    return before if before.size >= _THIN else values[at < since][-_THIN:]


def _spread(values: Any, *, steps: bool = False) -> float:
    """Return a standard deviation that outliers don't move, and that bursts of a sparse series still show in.

    Where the values are few and go in ``steps``, up to half of them may be those of an earlier step.
    """
    if steps:
        return float(np.median(np.abs(values - np.median(values)))) * 2 / _NORMAL_IQR
    q05, q25, q75, q95 = np.percentile(values, [5, 25, 75, 95])
    return max(float(q75 - q25) / _NORMAL_IQR, float(q95 - q05) / (2 * 3.29))


def _signed(out: Any, worse: Worse) -> Any:
    if worse is Worse.up:
        return out
    return -out if worse is Worse.down else np.abs(out)
