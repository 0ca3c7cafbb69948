"""Suspects, ranked: which service is at fault, from series, log lines with trace ids, and the call graph. Pure.

Simple scores do as well as clever ones on such data (Pham et al., 2024; Okati et al., 2024: the strongest anomaly
whose own callees are well), so this is one: per series a robust change (``series_anomaly``), per service the sum over
kinds of signal of what stands out from the other services, plus what the traces tell (``trace_flow``), less what a
callee's own trouble explains.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from sreops.domain.suspects.series_anomaly import Change, Points, Span, Worse, change, counts_up, level, rates
from sreops.domain.suspects.signal_kind import Kind, kind_of
from sreops.domain.suspects.trace_flow import Flow, Line, flow

WEIGHTS: Mapping[Kind, float] = {
    Kind.cpu: 1.0, Kind.memory: 1.0, Kind.errors: 1.0, Kind.received: 0.75,
    Kind.latency: 0.3, Kind.outbound: 0.1, Kind.traffic: 0.25, Kind.io: 0.25, Kind.host: 0.25, Kind.other: 0.5,
}  # fmt: skip
"""What a kind says about *where* the fault is: a saturated process is at fault itself, one that is cut off
receives less; latency spreads, and slow calls *to* others blame the others."""
_SPREADS = frozenset({Kind.errors, Kind.latency})
FELT: Mapping[Kind, float] = {Kind.errors: 1.0, Kind.latency: 0.6}
"""Their weights where the entry is known to suffer from them."""
STEPS_WEIGHT = 12.0
WAITS_WEIGHT = 1.0
MOST_WAITS = 6.0
EXPLAINED = 0.5
"""How much of a caller's trouble its worst callee explains."""
WAITED_FOR = 0.5
"""How much of its latency a service's slower calls to others explain, whoever they are."""
SEEN_FROM_OUTSIDE = 0.5
"""What a caller measured of a dependency is the dependency's trouble, under another name."""
OFF_PATH = 0.5
"""A service that no traced request passed is less likely to be why requests suffer."""
NOISE = 1.4
"""The strength that healthy series reach: three robust deviations."""
ENOUGH, PLENTY = 1.5, 4.0
"""A best score below the first is what healthy noise gives; below the second it must also lead the next one."""
LEAD = 0.25
"""By what share of its score the best must lead, where that is not plenty."""
_COUNTER = re.compile(r"_(?:total|count|sum|bucket)$")
_LEAST_FAILING = 0.005  # of all requests; less is no failure worth a name
_OUTSIDE = re.compile(r"_(?:remote|client)$|^https?://")


@dataclass(frozen=True)
class Metric:
    """One series of one service; ``history`` is an older, healthy recording of the same."""

    service: str
    name: str
    points: Points
    history: Points = ()
    ceiling: float = 0.0  # of a share: 1 or 100; else 0


@dataclass(frozen=True)
class Observations:
    """What the ranking compares: series, log lines and calls; times in epoch seconds.

    ``since`` is when the trouble was first known, ``masked`` are times of other faults before it, ``calls`` are
    (caller, callee), ``entry`` is the service that users see (its symptom tells which kind of signal to follow),
    ``services`` are those to rank.
    """

    services: Sequence[str]
    since: float
    until: float = math.inf
    metrics: Sequence[Metric] = ()
    lines: Sequence[Line] = ()
    line_history: Sequence[Line] = ()
    calls: frozenset[tuple[str, str]] = frozenset()
    masked: Sequence[Span] = ()
    entry: str | None = None
    traces_partly: bool = False  # not all services were asked for traces: to be on none says nothing


@dataclass(frozen=True)
class Suspect:
    """A service under suspicion, with the signs for it (one sentence each, strongest first)."""

    service: str
    score: float
    onset: float | None
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Ranking:
    """All services, most suspect first; ``abstained`` says that none of them stands out."""

    suspects: tuple[Suspect, ...]
    abstained: bool


@dataclass
class _Case:
    score: float = 0.0
    onset: float | None = None
    signs: list[tuple[float, str]] = field(default_factory=list)


def rank(observed: Observations) -> Ranking:
    """Rank the services by how much speaks for each being the culprit; ties in order of name."""
    cases = {service: _Case() for service in observed.services}
    seen = flow(observed.lines, observed.since, until=observed.until, history=observed.line_history)
    calls = observed.calls | seen.calls
    _add_metrics(cases, observed, calls)
    _add_flow(cases, seen, calls)
    for service, case in cases.items():
        if seen.on_path and service not in seen.on_path and not observed.traces_partly:
            case.score *= OFF_PATH
        if _OUTSIDE.search(service):
            case.score *= SEEN_FROM_OUTSIDE
    suspects = sorted(
        (
            Suspect(
                service,
                round(case.score, 3),
                case.onset,
                tuple(sign for _, sign in sorted(case.signs, reverse=True)[:4]),
            )
            for service, case in cases.items()
        ),
        key=lambda suspect: (-suspect.score, suspect.service),
    )
    return Ranking(tuple(suspects), abstained=_nothing_stands_out(suspects))


def _nothing_stands_out(suspects: Sequence[Suspect]) -> bool:
    if not suspects or suspects[0].score < ENOUGH:
        return True
    lead = lead_of(suspects)
    return suspects[0].score < PLENTY and lead < LEAD


def lead_of(suspects: Sequence[Suspect]) -> float:
    """Return by what share of its own score the best leads the next, from 0 to 1."""
    if not suspects or suspects[0].score <= 0:
        return 0.0
    return 1.0 - (suspects[1].score / suspects[0].score if len(suspects) > 1 else 0.0)


def _add_metrics(cases: Mapping[str, _Case], observed: Observations, calls: frozenset[tuple[str, str]]) -> None:
    changes = _changes(observed)
    by_kind: dict[Kind, dict[str, list[tuple[Change, str]]]] = defaultdict(lambda: defaultdict(list))
    for metric, found in changes:
        if metric.service in cases:
            by_kind[kind_of(metric.name)[0]][metric.service].append((found, metric.name))
    strength_of = {
        kind: {service: _together(found) for service, found in services.items()} for kind, services in by_kind.items()
    }
    _blame_others(strength_of)
    followed = _symptom(strength_of, observed.entry)
    for kind, strengths in strength_of.items():
        # Where a fault has spread to most services, the median is no longer what is normal.
        usual = min(median([strengths.get(service, 0.0) for service in cases]), NOISE)
        for service, strength in strengths.items():
            own = strength - usual
            if kind in _SPREADS:
                own -= EXPLAINED * max(
                    (
                        strengths.get(callee, 0.0) - usual
                        for caller, callee in calls
                        if caller == service and callee != service
                    ),
                    default=0.0,
                )
            weight = followed.get(kind, WEIGHTS[kind])
            if own > 0:
                worst, name = max(by_kind[kind][service], key=lambda item: item[0].score)
                case = cases[service]
                case.score += weight * own
                case.signs.append((weight * own, f"{name} went from {worst.before:.4g} to {worst.after:.4g}"))
                if worst.onset is not None and weight * own >= 1.0:
                    case.onset = min(worst.onset, case.onset or math.inf)


def _blame_others(strength_of: Mapping[Kind, dict[str, float]]) -> None:
    """Take down the latency of services that wait longer for others: they are victims, if not only that."""
    waits = strength_of.get(Kind.outbound, {})
    slow = strength_of.get(Kind.latency, {})
    for service in slow:
        slow[service] = max(0.0, slow[service] - WAITED_FOR * waits.get(service, 0.0))


def _changes(observed: Observations) -> list[tuple[Metric, Change]]:
    levels: dict[str, list[float]] = defaultdict(list)
    metrics = [_failing(_rated(metric)) for metric in observed.metrics]
    for metric in metrics:
        levels[metric.name].append(level(metric.points))
    usual = {name: median(found) for name, found in levels.items()}
    return [
        (
            metric,
            change(
                metric.points, observed.since, until=observed.until, masked=observed.masked, history=metric.history,
                worse=kind_of(metric.name)[1], peer_level=usual[metric.name], least=_LEAST_FAILING * metric.ceiling,
                wanders=kind_of(metric.name)[0] is Kind.memory,
            ),
        )
        for metric in metrics
    ]  # fmt: skip


def _rated(metric: Metric) -> Metric:
    """Return the rate of what is a counter by name and by its values: its level says only how long it has run."""
    if not _COUNTER.search(metric.name) or not counts_up(metric.points):
        return metric
    return Metric(metric.service, metric.name, rates(metric.points), rates(metric.history), metric.ceiling)


def _failing(metric: Metric) -> Metric:
    """Return the share that fails of a metric that gives the share that succeeds: 99.9 to 98 is twentyfold."""
    kind, worse = kind_of(metric.name)
    values = [value for _, value in (*metric.points, *metric.history) if math.isfinite(value)]
    if kind is not Kind.errors or worse is not Worse.down or not values or not 0 <= min(values) <= max(values) <= 100:
        return metric
    ceiling = 1.0 if max(values) <= 1 else 100.0
    return Metric(
        metric.service, f"share failing by {metric.name}",
        [(at, ceiling - value) for at, value in metric.points],
        [(at, ceiling - value) for at, value in metric.history],
        ceiling,
    )  # fmt: skip


def _together(found: Sequence[tuple[Change, str]]) -> float:
    """Return one strength for several series of one kind: two must agree to count in full."""
    scores = sorted((math.log1p(change.score) for change, _ in found), reverse=True)
    return sum(scores[:2]) / len(scores[:2])


def _symptom(strength_of: Mapping[Kind, Mapping[str, float]], entry: str | None) -> dict[Kind, float]:
    """Weigh the spreading kinds by what the entry itself suffers from: errors are looked for behind errors.

    If it is known what users suffer from, the same symptom in another service counts for more.
    """
    if entry is None:
        return {}
    felt = {kind: strength_of[kind].get(entry, 0.0) for kind in _SPREADS if kind in strength_of}
    most = max(felt.values(), default=0.0)
    return {k: FELT[k] * (0.2 + 0.8 * (strength / most) ** 2) for k, strength in felt.items()} if most > 0 else {}


def _add_flow(cases: Mapping[str, _Case], seen: Flow, calls: frozenset[tuple[str, str]]) -> None:
    for scores, weight, most in ((seen.steps, STEPS_WEIGHT, 1.0), (seen.waits, WAITS_WEIGHT, MOST_WAITS)):
        for service, strength in scores.items():
            if service not in cases:
                continue
            callees = max(
                (
                    min(scores.get(callee, 0.0), most)
                    for caller, callee in calls
                    if caller == service and callee != service
                ),
                default=0,
            )
            own = min(strength, most) - EXPLAINED * callees
            if own > 0:
                cases[service].score += weight * own
                cases[service].signs.append((weight * own, seen.told.get(service, "its traces changed")))
