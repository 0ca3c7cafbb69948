"""Log lines as Loki keeps them: streams of (nanoseconds, line), and LogQL over them."""

from __future__ import annotations

import bisect
import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from sreops.sandbox.clock import NS
from sreops.sandbox.loki.logql_tree import LogExpr, MetricExpr, RangeExpr, VectorExpr
from sreops.sandbox.matchers import Matcher

Labels = tuple[tuple[str, str], ...]
Entry = tuple[int, str]
Vector = dict[Labels, float]

_SERVICE_NAME_SOURCES = (
    "service",
    "app",
    "application",
    "name",
    "container",
    "container_name",
    "component",
    "job",
)


@dataclass(slots=True)
class Stream:
    """One label set and its entries, oldest first."""

    labels: dict[str, str]
    entries: list[Entry] = field(default_factory=list)

    def add(self, ts_ns: int, line: str) -> None:
        """Add a line; the same line at the same time is kept once."""
        if not self.entries or ts_ns > self.entries[-1][0]:
            self.entries.append((ts_ns, line))
            return
        at = bisect.bisect_right(self.entries, ts_ns, key=lambda entry: entry[0])
        first = bisect.bisect_left(self.entries, ts_ns, key=lambda entry: entry[0])
        if (ts_ns, line) not in self.entries[first:at]:
            self.entries.insert(at, (ts_ns, line))

    def between(self, start_ns: int, end_ns: int) -> list[Entry]:
        """Entries from ``start_ns`` up to, and without, ``end_ns``."""
        low = bisect.bisect_left(self.entries, start_ns, key=lambda entry: entry[0])
        high = bisect.bisect_left(self.entries, end_ns, key=lambda entry: entry[0])
        return self.entries[low:high]


class Streams:
    """All streams of one tenant."""

    def __init__(self) -> None:
        self._streams: dict[Labels, Stream] = {}

    def push(self, labels: Mapping[str, str], entries: Iterable[Entry]) -> None:
        """Add entries; a stream without ``service_name`` gets one, as ``discover_service_name`` does."""
        full = dict(labels)
        if "service_name" not in full:
            found = (full[name] for name in _SERVICE_NAME_SOURCES if full.get(name))
            full["service_name"] = next(found, "unknown_service")
        key = tuple(sorted(full.items()))
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(dict(key))
        for ts_ns, line in entries:
            stream.add(ts_ns, line)

    def series(self, selectors: Iterable[tuple[Matcher, ...]], start_ns: int, end_ns: int) -> list[Stream]:
        """Streams with an entry in the window that match any selector (all of them where there is none)."""
        groups = list(selectors)
        return [
            stream
            for stream in self._streams.values()
            if (not groups or any(all(matcher.matches(stream.labels) for matcher in group) for group in groups))
            and stream.between(start_ns, end_ns)
        ]

    def select(
        self, log: LogExpr, start_ns: int, end_ns: int, limit: int, *, forward: bool
    ) -> list[tuple[Stream, list[Entry]]]:
        """Return at most ``limit`` lines over all streams, each stream's in the direction asked for."""
        matching = [stream for stream in self._streams.values() if log.selects(stream.labels)]
        lanes = [_lane(index, stream, log, start_ns, end_ns, forward) for index, stream in enumerate(matching)]
        merged = heapq.merge(*lanes, key=lambda item: item[1][0], reverse=not forward)
        chosen: dict[int, list[Entry]] = defaultdict(list)
        for index, entry in islice(merged, limit):
            chosen[index].append(entry)
        return [(matching[index], entries) for index, entries in sorted(chosen.items())]

    def evaluate(self, expr: MetricExpr, at_ns: int) -> Vector:
        """Value of a metric query at one instant."""
        if isinstance(expr, VectorExpr):
            return _aggregate(expr, self.evaluate(expr.inner, at_ns))
        return self._window(expr, at_ns)

    def _window(self, expr: RangeExpr, at_ns: int) -> Vector:
        values: Vector = {}
        for key, stream in self._streams.items():
            if not expr.log.selects(stream.labels):
                continue
            # The window is open at its old end and closed at its new one.
            entries = stream.between(at_ns - expr.range_ns + 1, at_ns + 1)
            kept = [line for _, line in entries if expr.log.keeps(line, stream.labels)]
            if kept:
                values[key] = _over(expr.function, kept, expr.range_ns / NS)
        return values


def _lane(
    index: int, stream: Stream, log: LogExpr, start_ns: int, end_ns: int, forward: bool
) -> Iterator[tuple[int, Entry]]:
    entries = stream.between(start_ns, end_ns)
    return (
        (index, entry) for entry in (entries if forward else reversed(entries)) if log.keeps(entry[1], stream.labels)
    )


def _over(function: str, lines: list[str], range_s: float) -> float:
    size = (
        float(len(lines))
        if function in ("count_over_time", "rate")
        else float(sum(len(line.encode()) for line in lines))
    )
    return size / range_s if function in ("rate", "bytes_rate") else size


def _aggregate(expr: VectorExpr, vector: Vector) -> Vector:
    groups: dict[Labels, list[tuple[Labels, float]]] = defaultdict(list)
    for labels, value in vector.items():
        if expr.mode == "by":
            key = tuple(pair for pair in labels if pair[0] in expr.grouping)
        elif expr.mode == "without":
            key = tuple(pair for pair in labels if pair[0] not in expr.grouping)
        else:
            key = ()
        groups[key].append((labels, value))
    if expr.operator in ("topk", "bottomk"):
        sign = -1 if expr.operator == "topk" else 1
        return {
            labels: value
            for members in groups.values()
            for labels, value in sorted(members, key=lambda member: (sign * member[1], member[0]))[: expr.number]
        }
    return {key: _reduce(expr.operator, [value for _, value in members]) for key, members in groups.items()}


def _reduce(operator: str, values: list[float]) -> float:
    match operator:
        case "sum":
            return math.fsum(values)
        case "avg":
            return math.fsum(values) / len(values)
        case "min":
            return min(values)
        case "max":
            return max(values)
        case _:
            return float(len(values))
