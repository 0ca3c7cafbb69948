"""A measured condition in words that people know: ``memory 39 % of its limit, was 98 %``. Pure.

The words come from the metrics that the query names; what is not known is called by its metrics' own names.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from sreops.domain.runbooks.condition import Comparison, parse_condition

Show = Callable[[float], str]

_METRIC = re.compile(r"\b([a-zA-Z_:][a-zA-Z0-9_:]*)(?=\s*[{\[])")
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_QUANTILE = re.compile(r"histogram_quantile\s*\(\s*(0?\.[0-9]+)")
_OVER = re.compile(r"\s/\s")
_MAX_NAME_CHARS: Final = 80
_ERRORS: Final = "errors"
_KIB = 1024.0
_ENDLESS = 1e12


def _figures(value: float, count: int) -> str:
    """Return a number with so many significant figures, and what has more before its point in full: no ``1.2e+04``."""
    return f"{value:.0f}" if 10**count <= abs(round(value)) < _ENDLESS else f"{value:.{count}g}"


def _percent(value: float) -> str:
    return f"{_figures(value * 100, 2)} %"


def _plain(value: float) -> str:
    return _figures(value, 4)


def _seconds(value: float) -> str:
    return f"{_figures(value * 1000, 3)} ms" if 0 < abs(value) < 1 else f"{_figures(value, 3)} s"


def _bytes(value: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < _KIB:
            return f"{_figures(value, 3)} {unit}"
        value /= _KIB
    return f"{_figures(value, 3)} TiB"


def in_words(
    promql: str, condition: str, values: Sequence[float], before: Sequence[float] = (), *, holds: bool | None = True
) -> str:
    """Say what was measured, what it was before, and where it does not hold what it should be.

    ``values`` and ``before``: of the series that the query returned; of several the one that is worst counts.
    """
    name, show, after = _known(promql)
    compare, limit = parse_condition(condition)
    now, was = _worst(values, compare), _worst(before, compare)
    said = [f"{name} {show(now)}{after}"] if now is not None else [name]
    if was is not None:
        said.append(f"{'were' if name == _ERRORS else 'was'} {show(was)}")
    if holds is False:
        said.append(f"should be {compare} {show(limit)}")
    return ", ".join(said)


def _worst(values: Sequence[float], compare: Comparison) -> float | None:
    if not values:
        return None
    if compare in ("<", "<="):
        return max(values)
    return min(values) if compare in (">", ">=") else max(values, key=abs)


def _known(promql: str) -> tuple[str, Show, str]:
    """Return what the query measures, how its values are shown, and what is said behind them."""
    bare = _STRINGS.sub('""', promql)
    metrics = list(dict.fromkeys(_METRIC.findall(bare)))
    ratio = bool(_OVER.search(bare))

    def names(*parts: str) -> bool:
        return any(part in metric for metric in metrics for part in parts)

    if bare.lstrip().startswith("count") and names("container_"):
        return "containers that run", _plain, ""
    if names("memory_working_set", "memory_usage", "memory_rss", "jvm_memory_used", "resident_memory"):
        return ("memory", _percent, " of its limit") if ratio else ("memory", _bytes, "")
    if quantile := _QUANTILE.search(bare):
        return f"latency (slowest {_percent(1 - float(quantile[1]))})", _seconds, ""
    if names("request", "http", "grpc", "errors") and (_fails(promql) or names("error", "failed", "failure")):
        return (_ERRORS, _percent, "") if ratio else (_ERRORS, _plain, " a second")
    if names("latency", "duration_seconds"):
        return "latency", _seconds, ""
    if names("filesystem_avail", "filesystem_free") and ratio:
        return "free disk space", _percent, ""
    if names("fs_usage_bytes"):
        return ("disk space in use", _percent, "") if ratio else ("disk space in use", _bytes, "")
    if names("queue_messages", "consumer_lag"):
        return "messages that wait", _plain, ""
    if metrics in (["up"], ["probe_success"]):
        return "it answers (1 is yes)", _plain, ""
    return _by_their_names(metrics, ratio) or _short(" ".join(promql.split())), _plain, ""


def _fails(promql: str) -> bool:
    return re.search(r'(?:status|code|status_code)\s*=~?\s*"(?:5|\(?5)', promql) is not None


def _by_their_names(metrics: Sequence[str], ratio: bool) -> str:
    names = [metric.replace("_", " ").replace(":", " ").strip() for metric in metrics]
    return _short(" / ".join(names[:2] if ratio else names[:1]))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_NAME_CHARS else text[: _MAX_NAME_CHARS - 1] + "…"
