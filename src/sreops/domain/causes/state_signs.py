"""Signs in numbers: what the container's state and the metrics say about the cause."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sreops.domain.causes.analysis import Category
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.text.quantity import quantity

NEAR_LIMIT = 0.85
AT_LIMIT = 0.95
MEMORY_FULL = 0.93
"""Of memory's limit: the next allocation may fail, however long it has stood there."""
GROWN = 1.3
"""Times its baseline: what counts as memory that has grown."""
RISEN = 2.0
"""Times its baseline: what counts as a rise of rate, errors or latency."""
SETTLED = 1.25
"""Times its baseline: what still counts as normal."""
LOSSY = 0.2
"""Of pings: a network that loses a fifth of them is no use."""
LEAST_ERRORS = 0.01
"""An error ratio or rate below this is no fault, however many times its baseline it is."""


@dataclass(frozen=True)
class StateSign:
    """A sign from a state or a number; ``source`` is the evidence's kind."""

    category: Category
    name: str
    strength: float
    evidence_id: str
    source: str


@dataclass(frozen=True)
class _Around:
    """What the rest of the evidence says that a number is read against."""

    busier: bool
    memory_limit: float | None


def _around(evidence: Sequence[Evidence]) -> _Around:
    limits = [
        limit
        for item in evidence
        if item.kind is EvidenceKind.container and (limit := _number(item, "memory_limit_bytes")) is not None
    ]
    return _Around(
        busier=any(_rise(item) >= RISEN for item in _metrics(evidence, "rate")),
        memory_limit=max(limits, default=0) or None,
    )


def container_signs(evidence: Sequence[Evidence]) -> list[StateSign]:
    """Return what the containers' states say."""
    around = _around(evidence)
    memory_full = any(
        (ratio := _memory_ratio(item, around)) is not None and ratio >= NEAR_LIMIT
        for item in _metrics(evidence, "memory")
    )
    asked = any(item.data.get("down_by_request") is True for item in own_events(evidence))
    signs: list[StateSign] = []
    for item in evidence:
        if item.kind is EvidenceKind.container:
            signs += [
                StateSign(category, name, strength, item.id, "container")
                for category, name, strength in _of_container(item.data, memory_full=memory_full, asked=asked)
            ]
    return signs


def own_events(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return the engine's events of the alerted service itself."""
    return [item for item in evidence if item.kind is EvidenceKind.events and not item.data.get("role")]


def _of_container(data: dict[str, Any], *, memory_full: bool, asked: bool) -> Iterator[tuple[Category, str, float]]:
    code = data.get("exit_code")
    down = data.get("running") is False
    if data.get("oom_killed") is True:
        yield Category.out_of_memory, "the engine says that it was OOM-killed", 0.88
    elif down and asked:
        # To start it again might undo what a person did, whatever the code that it ended with.
        yield Category.process_exited, f"it was stopped by request (exit code {code})", 0.55
    elif down and isinstance(code, int):
        yield _of_exit(code, memory_full=memory_full)
    elif down:
        yield Category.process_exited, "the container is not running", 0.6
    if data.get("status") == "restarting":
        yield Category.crash_loop, "the engine is restarting it", 0.75
    elif (count := data.get("restart_count")) is not None and isinstance(count, int) and count >= 3:
        # Counted since the container was made, which may be long ago: never decisive by itself.
        yield Category.crash_loop, f"the engine has restarted it {count} times", 0.6
    if data.get("health") == "unhealthy":
        yield Category.unhealthy, "its health check fails", 0.75


def _of_exit(code: int, *, memory_full: bool) -> tuple[Category, str, float]:
    if code == 137 and memory_full:
        return Category.out_of_memory, "it was killed (exit code 137) with memory near its limit", 0.8
    if code in (126, 127):
        return Category.bad_configuration, f"its command could not be run (exit code {code})", 0.8
    if code in (0, 143, 130):
        # Somebody or something ended it in an orderly way: to start it again might undo what a person did.
        return Category.process_exited, f"it was stopped in an orderly way (exit code {code})", 0.55
    if code == 137:
        return Category.process_exited, "it was killed (exit code 137)", 0.6
    if code in (139, 134, 132, 136, 135):
        return Category.process_exited, f"it crashed (exit code {code}, signal {code - 128})", 0.8
    return Category.process_exited, f"it is not running and ended with exit code {code}", 0.75


def metric_signs(evidence: Sequence[Evidence]) -> list[StateSign]:
    """Return what the metrics say."""
    signs = []
    around = _around(evidence)
    for item in evidence:
        reader = _READERS.get(_signal(item)) if item.kind is EvidenceKind.metric else None
        if reader is not None:
            signs += [
                StateSign(category, name, strength, item.id, "metric")
                for category, name, strength in reader(item, around)
            ]
    return signs


def _of_memory(item: Evidence, around: _Around) -> Iterator[tuple[Category, str, float]]:
    ratio, rise = _memory_ratio(item, around), _rise(item)
    if ratio is None or ratio < NEAR_LIMIT:
        if rise >= RISEN:
            yield Category.memory_leak, f"it is at {rise:.1f} times its baseline", 0.5
        return
    if rise >= GROWN and not around.busier:
        yield Category.memory_leak, f"it grew to {ratio:.0%} of its limit, {rise:.1f} times its baseline", 0.76
    else:
        why = ", and traffic has grown as well" if around.busier else ""
        yield Category.memory_leak, f"it is at {ratio:.0%} of its limit{why}", 0.6 if ratio >= MEMORY_FULL else 0.5


def _of_cpu(item: Evidence, around: _Around) -> Iterator[tuple[Category, str, float]]:
    ratio = _number(item, "limit_ratio")
    if ratio is not None and ratio >= NEAR_LIMIT:
        if around.busier:
            yield Category.traffic_overload, f"the CPU is at {ratio:.0%} of its limit, and traffic has grown", 0.75
        else:
            yield Category.cpu_saturation, f"it is at {ratio:.0%} of its limit", 0.7 if ratio >= AT_LIMIT else 0.6


def _of_disk(item: Evidence, _around: _Around) -> Iterator[tuple[Category, str, float]]:
    ratio = _number(item, "limit_ratio")
    if ratio is not None and ratio >= AT_LIMIT:
        of = str(item.data.get("of") or "")
        yield Category.disk_full, f"{ratio:.0%} of {f'file system {of}' if of else 'it'} is in use", 0.8


def _of_errors(item: Evidence, _around: _Around) -> Iterator[tuple[Category, str, float]]:
    last = _number(item, "last")
    if last is not None and last >= LEAST_ERRORS and _rise(item) >= RISEN:
        share = item.data.get("signal") == "error_ratio"
        unit, of = ("ratio", "of the requests fail") if share else ("", "errors a second")
        yield Category.error_rate, f"{quantity(last, unit)} {of}, {_was(item, unit)}", 0.6


def _of_latency(item: Evidence, around: _Around) -> Iterator[tuple[Category, str, float]]:
    last = _number(item, "last")
    if last is not None and _rise(item) >= RISEN:
        yield Category.latency, f"1 in 20 takes longer than {quantity(last, 's')}, {_was(item, 's')}", 0.6
        if around.busier:
            yield Category.traffic_overload, "latency and traffic have grown together", 0.65


def _of_restarts(item: Evidence, _around: _Around) -> Iterator[tuple[Category, str, float]]:
    most = _number(item, "max")
    if most is not None and most >= 2:
        yield Category.crash_loop, f"it restarted {most:.0f} times in the window", 0.7


def _of_oom_kills(item: Evidence, _around: _Around) -> Iterator[tuple[Category, str, float]]:
    most = _number(item, "max")
    if most is not None and most >= 0.5:  # `increase` extrapolates: one kill is rarely exactly 1
        yield Category.out_of_memory, "the kernel counted an OOM kill in the window", 0.85


def _of_zero(
    category: Category, name: str, strength: float, item: Evidence, _around: _Around
) -> Iterator[tuple[Category, str, float]]:
    if _number(item, "last") == 0:
        yield category, name, strength


def _of_pool(item: Evidence, _around: _Around) -> Iterator[tuple[Category, str, float]]:
    ratio = _number(item, "limit_ratio")
    if ratio is not None and ratio >= AT_LIMIT:
        yield Category.connection_pool_exhausted, f"the pool is {ratio:.0%} in use", 0.65


def _of_http_status(item: Evidence, _around: _Around) -> Iterator[tuple[Category, str, float]]:
    status = _number(item, "last")
    if status is not None and status >= 400:
        yield Category.error_rate, f"the probe of it gets HTTP status {status:.0f}", 0.7


def _of_certificate(item: Evidence, _around: _Around) -> Iterator[tuple[Category, str, float]]:
    left_s = _number(item, "last")
    if left_s is not None and left_s <= 0:
        yield Category.certificate_expired, f"its certificate expired {_since(-left_s)} ago", 0.85


def _of_ping_loss(item: Evidence, _around: _Around) -> Iterator[tuple[Category, str, float]]:
    lost = _number(item, "last")
    if lost is not None and lost >= LOSSY:
        yield Category.error_rate, f"{lost:.0%} of the pings to it are lost", 0.6


def _since(seconds: float) -> str:
    days, hours = divmod(seconds / 3600, 24)
    return f"{days:.0f} days" if days >= 2 else f"{24 * days + hours:.0f} hours"


_Reader = Callable[[Evidence, _Around], Iterator[tuple[Category, str, float]]]
_READERS: dict[str, _Reader] = {
    "probe": partial(_of_zero, Category.error_rate, "the probe of it fails", 0.65),
    "http_status": _of_http_status,
    "certificate": _of_certificate,
    "ping_loss": _of_ping_loss,
    "memory": _of_memory,
    "cpu": _of_cpu,
    "disk": _of_disk,
    "errors": _of_errors,
    "latency": _of_latency,
    "restarts": _of_restarts,
    "oom_kills": _of_oom_kills,
    "up": partial(_of_zero, Category.unhealthy, "it can't be scraped: up is 0", 0.5),
    "health": partial(_of_zero, Category.unhealthy, "cAdvisor sees it not healthy", 0.6),
    "pool": _of_pool,
}


def normal_again(evidence: Sequence[Evidence]) -> list[StateSign]:
    """Return the signals that were off and are back, if nothing is off now and the container runs well."""
    for item in evidence:
        if item.kind is EvidenceKind.container and (
            item.data.get("running") is False or item.data.get("health") in ("unhealthy", "starting")
        ):
            return []
    back = []
    for item in evidence:
        if item.kind is not EvidenceKind.metric or _signal(item) not in ("memory", "errors", "latency", "cpu"):
            continue
        baseline, peak, last = (_number(item, key) for key in ("before", "max", "last"))
        if item.partial or baseline is None or peak is None or last is None:
            return []
        if last > SETTLED * baseline and last >= LEAST_ERRORS:
            return []
        if peak >= RISEN * baseline and peak >= LEAST_ERRORS:
            name = f"{_signal(item)} peaked at {peak:.3g} and is back at {last:.3g} (baseline {baseline:.3g})"
            back.append(StateSign(Category.false_alarm, name, 0.6, item.id, "metric"))
    return back


def _metrics(evidence: Sequence[Evidence], signal: str) -> Iterator[Evidence]:
    return (item for item in evidence if item.kind is EvidenceKind.metric and _signal(item) == signal)


def _signal(item: Evidence) -> str:
    """Return the family of a metric's signal, from the ids of ``golden_signals``."""
    name = str(item.data.get("signal", ""))
    if name.startswith("errors:") or name == "error_ratio":
        return "errors"
    return {"latency_p95": "latency", "request_rate": "rate"}.get(name, name)


def _number(item: Evidence, key: str) -> float | None:
    value = item.data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _memory_ratio(item: Evidence, around: _Around) -> float | None:
    """Return the share of the limit in use: as measured, else against the limit that the engine names."""
    ratio, last = _number(item, "limit_ratio"), _number(item, "last")
    if ratio is None and last is not None and around.memory_limit and item.data.get("unit") == "bytes":
        return last / around.memory_limit
    return ratio


def _rise(item: Evidence) -> float:
    """Return how many times its baseline the last value is; 0 where that is not known."""
    baseline, last = _number(item, "before"), _number(item, "last")
    if baseline is None or last is None or last <= 0 or baseline < 0:
        return 0.0
    return last / baseline if baseline > 0 else math.inf


def _was(item: Evidence, unit: str) -> str:
    return f"was {quantity(_number(item, 'before') or 0.0, unit)}"
