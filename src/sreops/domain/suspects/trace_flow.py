"""What log lines that carry trace ids tell: steps that vanished or are new, and waits that grew. Pure.

Lines of one trace in order of time are the path of one request through the services. Compared before and since the
trouble: a step that used to follow another and no longer does (an early return, an exception, a callee that is not
reached), a step that never came and now does, and the time between two steps. The comparison of event orders is
Nezha's (Yu et al., FSE 2023), here from logs alone and with a lower bound of the change instead of its support.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from sreops.domain.evidence.evidence import LogLines
from sreops.domain.evidence.log_mining import mask

Line = tuple[float, str, str]
"""``(epoch seconds, service, text)``."""
Step = tuple[str, str]
"""``(service, place in its code)``."""

MOST_CHARS = 2_000
"""Of one line: the ids and the place in the code stand near its beginning."""

_TRACE = re.compile(r"(?i)\b(?:trace|request|correlation)[_-]?id\b[\"']?\s{0,3}[:=]\s{0,3}[\"']?([0-9a-f-]{8,64})\b")
_SPAN = re.compile(r"(?i)\bspan[_-]?id\b[\"']?\s{0,3}[:=]\s{0,3}[\"']?([0-9a-f-]{8,64})\b")
_PLACE = re.compile(r"\b([A-Za-z_][\w.$]{2,120}[#:][0-9]{1,6})\b")
_TRIED, _CARRYING = 400, 0.3  # lines looked at, and the share that must carry an id
_AHEAD = 3  # steps looked ahead: lines of the same millisecond change places
_SILENCE_S, _CUT_S = 5.0, 2.0  # a silence ends a recording; what ends this close before it was cut off
_FEWEST_BEFORE, _FEWEST_SINCE = 5, 4
_CONFIDENCE = 1.64  # standard deviations of the bounds (two-sided 90 %)
_CLOCK_S = 0.002  # what clocks and log timestamps blur
_LATER = 0.1  # of its score, what a step loses for each step that should come before it
_CALLEE = 1.1  # of two that wait for each other, the called one is a little likelier


@dataclass(frozen=True)
class Flow:
    """What changed per service: ``steps`` from 0 to 1, ``waits`` in logarithms of robust deviations.

    ``on_path`` are the services that any trace passed, ``calls`` the (caller, callee) pairs; ``told`` is one sentence
    per service for people.
    """

    steps: Mapping[str, float] = field(default_factory=dict)
    waits: Mapping[str, float] = field(default_factory=dict)
    on_path: frozenset[str] = frozenset()
    calls: frozenset[tuple[str, str]] = frozenset()
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Counts:
    """How often each step was seen, how often and how far ahead others followed or shared its span; and the waits."""

    seen: Counter[tuple[str, Step]] = field(default_factory=Counter)
    with_it: Counter[tuple[str, Step, Step]] = field(default_factory=Counter)
    ahead: Counter[tuple[Step, Step]] = field(default_factory=Counter)
    gaps: dict[tuple[Step, Step], list[float]] = field(default_factory=lambda: defaultdict(list))
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)


_Event = tuple[float, int, str, str, str]  # time, place in the log, service, span, place in its code


def flow(lines: Sequence[Line], since: float, *, until: float = math.inf, history: Sequence[Line] = ()) -> Flow:
    """Compare the traces before ``since`` (and in ``history``, a healthy recording) with those that began after it.

    Returns an empty flow where fewer than a third of the lines carry a trace id.
    """
    tried = lines[:: max(1, len(lines) // _TRIED)]
    if not tried or sum(_TRACE.search(text) is not None for _, _, text in tried) < _CARRYING * len(tried):
        return Flow()
    traces = _traces(lines)
    before = _counted([*(trace for trace in traces if trace[-1][0] < since), *_traces(history)])
    after = _counted([trace for trace in traces if since <= trace[0][0] <= until])
    steps, told = _steps(before, after)
    calls = frozenset(pair for pair, count in (before.calls + after.calls).items() if count >= 3)
    waits, waits_told = _waits(before, after, calls)
    on_path = frozenset(service for _, (service, _) in before.seen.keys() | after.seen.keys())
    return Flow(steps, waits, on_path, calls, waits_told | told)


def _traces(lines: Iterable[Line]) -> list[list[_Event]]:
    """Group by trace id, each in order of time, without those that the recording cut off at its end."""
    found: dict[str, list[_Event]] = defaultdict(list)
    times = []
    for number, (at, service, text) in enumerate(lines):
        trace = _TRACE.search(text)
        if trace is None:
            continue
        span = _SPAN.search(text)
        times.append(at)
        found[trace[1]].append((at, number, service, span[1] if span else "", _place(text, trace.start())))
    if not times:
        return []
    times.sort()
    ends = np.array([a for a, b in zip(times, [*times[1:], math.inf], strict=True) if b - a > _SILENCE_S])
    kept = []
    for events in found.values():
        events.sort()
        end = ends[np.searchsorted(ends, events[-1][0])]
        if end - events[-1][0] >= _CUT_S:
            kept.append(events)
    return kept


def _place(text: str, ids_at: int) -> str:
    """Return where in its code the line was written (``Class#42``), else its shape."""
    place = _PLACE.search(text, 0, min(200, max(ids_at, 60)))
    return place[1] if place else mask(text[:160])[:100]


def _counted(traces: Iterable[Sequence[_Event]]) -> _Counts:
    counts = _Counts()
    stretches: Counter[tuple[Step, ...]] = Counter()  # a step and its followers: most requests take the same paths
    for events in traces:
        steps = [(service, place) for _, _, service, _, place in events]
        spans: dict[tuple[str, str], list[str]] = {}
        known: set[str] = set()
        for number, (at, _, service, span, place) in enumerate(events):
            step = steps[number]
            stretch = tuple(steps[number : number + 1 + _AHEAD])
            if stretch not in stretches:
                for follower in stretch[1:]:
                    counts.with_it["next", step, follower] += 0  # which was seen first decides between equals
            stretches[stretch] += 1
            spans.setdefault((service, span), []).append(place)
            if number:
                last = steps[number - 1]
                counts.gaps[last, step].append(at - events[number - 1][0])
                if service not in known:
                    counts.calls[last[0], service] += 1
            known.add(service)
        for (service, _), places in spans.items():
            entry = (service, places[0])
            counts.seen["span", entry] += 1
            for place in set(places[1:]):
                counts.with_it["span", entry, (service, place)] += 1
    for (step, *followers), times in stretches.items():
        counts.seen["next", step] += times
        for follower in set(followers):
            counts.with_it["next", step, follower] += times
            counts.ahead[step, follower] += followers.index(follower) * times
    return counts


def _steps(before: _Counts, after: _Counts) -> tuple[dict[str, float], dict[str, str]]:
    """Score each service by its step whose presence changed most for certain."""
    scores: dict[str, float] = {}
    told: dict[str, str] = {}
    for kind, context, step in chain(before.with_it, (key for key in after.with_it if key not in before.with_it)):
        seen, now = before.seen[kind, context], after.seen[kind, context]
        if seen < _FEWEST_BEFORE or now < _FEWEST_SINCE:
            continue
        was, is_ = before.with_it[kind, context, step], after.with_it[kind, context, step]
        if abs(was / seen - is_ / now) < 0.25:
            continue
        if kind == "next" and is_ / now > was / seen and before.seen["next", step]:
            continue  # a known step that comes sooner: what stood between is what is missing
        was_low, was_high = _bounds(was, seen)
        is_low, is_high = _bounds(is_, now)
        certain = max(was_low - is_high, is_low - was_high)
        if kind == "next":  # of all that is missing, what is missing first explains the rest
            certain *= 1 - _LATER * (before.ahead[context, step] + after.ahead[context, step]) / (was + is_)
        if certain > scores.get(step[0], 0.0):
            scores[step[0]] = certain
            told[step[0]] = f"{step[1]} after {context[1]}: {was} of {seen} times before, {is_} of {now} since"
    return scores, told


def _bounds(hits: int, tries: int) -> tuple[float, float]:
    """Return Wilson's bounds of a share."""
    z2 = _CONFIDENCE**2
    share = hits / tries
    middle = (share + z2 / (2 * tries)) / (1 + z2 / tries)
    half = _CONFIDENCE * math.sqrt(share * (1 - share) / tries + z2 / (4 * tries**2)) / (1 + z2 / tries)
    return max(0.0, middle - half), min(1.0, middle + half)


def _waits(
    before: _Counts, after: _Counts, calls: frozenset[tuple[str, str]]
) -> tuple[dict[str, float], dict[str, str]]:
    """Score each service by the waits at its doors; a wait between two is laid to the one with more of them."""
    pairs: dict[frozenset[str], float] = {}
    told: dict[frozenset[str], str] = {}
    for (one, other), since in after.gaps.items():
        was = before.gaps.get((one, other), [])
        if len(was) < _FEWEST_BEFORE - 1 or len(since) < _FEWEST_SINCE - 1:
            continue
        q25, q50, q75 = np.percentile(was, [25, 50, 75])
        excess = float(np.percentile(since, 25) - q75)
        if excess <= 0:
            continue
        score = math.log1p(excess / (float(q75 - q25) / 1.349 + 0.1 * float(q50) + _CLOCK_S))
        pair = frozenset((one[0], other[0]))
        if score > pairs.get(pair, 0.0):
            pairs[pair] = score
            told[pair] = f"{one[1]} to {other[1]} takes {float(np.median(since)):.3g} s instead of {float(q50):.3g} s"
    totals: dict[str, float] = defaultdict(float)
    for pair, score in pairs.items():
        for service in pair:
            totals[service] += score
    waits: dict[str, float] = defaultdict(float)
    best: dict[str, tuple[float, str]] = {}
    for pair, score in pairs.items():
        for service in pair:
            others = pair - {service}
            called = _CALLEE if any((other, service) in calls for other in others) else 1.0
            share = totals[service] / (totals[service] + sum(totals[other] for other in others)) if others else 1.0
            waits[service] += score * share * called
            best[service] = max(best.get(service, (0.0, "")), (score, told[pair]))
    return dict(waits), {service: sentence for service, (_, sentence) in best.items()}


def comparable(found: Mapping[str, LogLines]) -> list[Line]:
    """Return the lines by time, for the comparison of before with since; none where only one service has any.

    A source that was cut gives its newest lines only. Before its oldest one nothing is known of that service: were the
    others' older lines kept, its steps would seem to be new since the trouble.
    """
    logged = {service: lines for service, lines in found.items() if lines.lines}
    if len(logged) < 2:
        return []
    whole_from = max((log.lines[0].at for log in logged.values() if log.partial), default=None)
    lines = [
        (line.at.timestamp(), service, line.text[:MOST_CHARS])
        for service, log in logged.items()
        for line in log.lines
        if whole_from is None or line.at >= whole_from
    ]
    return sorted(lines, key=lambda line: line[0])
