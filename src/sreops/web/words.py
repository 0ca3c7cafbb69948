"""How the page says things: times, ages, links, and values from stored JSON that may have any shape."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def safe_link(url: object) -> str | None:
    """Return the URL where it is a plain http or https one; hostile text such as ``javascript:`` gives no link."""
    if not isinstance(url, str) or not url.isprintable() or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def span(seconds: float) -> str:
    """Return a duration in the two units that matter: ``48 s``, ``12 min``, ``3 h 20 min``, ``5 d 2 h``."""
    total = max(0, int(seconds))
    if total < _MINUTE:
        return f"{total} s"
    if total < _HOUR:
        return f"{total // _MINUTE} min"
    if total < _DAY:
        minutes = total % _HOUR // _MINUTE
        return f"{total // _HOUR} h" + (f" {minutes} min" if minutes else "")
    hours = total % _DAY // _HOUR
    return f"{total // _DAY} d" + (f" {hours} h" if hours else "")


def seconds_between(earlier: datetime, later: datetime) -> float:
    """Return how many seconds lie between two moments."""
    return (later - earlier).total_seconds()


def words(name: object) -> str:
    """Return an enumeration's member as words: ``awaiting_approval`` is ``awaiting approval``."""
    return str(name or "").replace("_", " ")


def text_in(source: Mapping[str, Any], name: str) -> str:
    """Return a text of stored JSON, or none."""
    value = source.get(name)
    return "" if value is None else str(value)


def mapping_in(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object of stored JSON, or an empty one."""
    value = source.get(name)
    return value if isinstance(value, Mapping) else {}


def list_in(source: Mapping[str, Any], name: str) -> Sequence[Any]:
    """Return a list of stored JSON, or an empty one."""
    value = source.get(name)
    return value if isinstance(value, list | tuple) else ()


def finite(value: object) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def sparkline(points: Sequence[Any], width: float = 240, height: float = 36) -> str:
    """Return ``(epoch seconds, value)`` points as those of an SVG polyline, or nothing where there is no line."""
    read = [_pair(point) for point in points]
    pairs = [pair for pair in read if pair is not None]
    if len(pairs) < 2:
        return ""
    times, values = [at for at, _ in pairs], [value for _, value in pairs]
    left, wide = min(times), max(times) - min(times)
    low, tall = min(values), max(values) - min(values)
    if not wide or not math.isfinite(tall):
        return ""

    def place(at: float, value: float) -> str:
        up = (value - low) / tall if tall else 0.5
        return f"{(at - left) / wide * width:.1f},{(1 - up) * (height - 4) + 2:.1f}"

    return " ".join(place(at, value) for at, value in pairs)


def _pair(point: object) -> tuple[float, float] | None:
    if not isinstance(point, list | tuple) or len(point) != 2:
        return None
    at, value = finite(point[0]), finite(point[1])
    return None if at is None or value is None else (at, value)
