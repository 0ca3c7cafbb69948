"""The trend of a series: since when it is as bad as it is, and when what fills up will be full. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sreops.domain.evidence.golden_signals import Signal

NEARLY_FULL: Final = 0.9
"""From this share on something is called nearly full, and it is told since when it is."""
_FILLS: Final = frozenset({"disk", "inodes"})
_FAR_S: Final = 7 * 86_400.0
_FEWEST_POINTS: Final = 3

Points = Sequence[tuple[float, float]]


def course(signal: Signal, points: Points) -> dict[str, Any]:
    """Return ``since`` and ``full_at`` (epoch seconds), those that can be told; no points tell nothing."""
    if not points:
        return {}
    if signal.unit == "bool" and signal.worse == "down" and points[-1][1] < 1:
        return {"since": _began(points, lambda value: value < 1)}
    if signal.id not in _FILLS:
        return {}
    found: dict[str, Any] = {}
    if points[-1][1] >= NEARLY_FULL:
        found["since"] = _began(points, lambda value: value >= NEARLY_FULL)
    if (full_at := _full_at(points)) is not None:
        found["full_at"] = full_at
    return found


def in_words(data: Mapping[str, Any]) -> str:
    """Say the course for people, or nothing."""
    text = ""
    if (since := data.get("since")) is not None:
        first = data.get("points") or [[since, 0.0]]
        bound = "at least " if since <= first[0][0] else ""
        text += f", since {bound}{_time(since)}"
    if (full_at := data.get("full_at")) is not None:
        text += f"; at this rate it is full at {_time(full_at)}"
    return text


def _began(points: Points, bad: Any) -> float:
    """Return when the last run of bad values began."""
    began = points[-1][0]
    for at, value in reversed(points):
        if not bad(value):
            break
        began = at
    return began


def _full_at(points: Points) -> float | None:
    """Return when the line through the newer half of the points reaches 1; None where it does not, or is far off."""
    newer = points[len(points) // 2 :]
    if len(newer) < _FEWEST_POINTS or newer[-1][1] >= 1:
        return None
    middle_at = sum(at for at, _ in newer) / len(newer)
    middle = sum(value for _, value in newer) / len(newer)
    spread = sum((at - middle_at) ** 2 for at, _ in newer)
    slope = sum((at - middle_at) * (value - middle) for at, value in newer) / spread if spread else 0.0
    left_s = (1 - newer[-1][1]) / slope if slope > 0 else _FAR_S
    return newer[-1][0] + left_s if left_s < _FAR_S else None


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
