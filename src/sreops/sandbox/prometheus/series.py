"""Samples as Prometheus keeps them: one series per label set, with stale markers."""

from __future__ import annotations

import bisect
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sreops.sandbox.matchers import Matcher

Labels = tuple[tuple[str, str], ...]
Sample = tuple[float, float]
"""Unix seconds and value."""

LOOKBACK_S = 300.0
STALE: float = struct.unpack(">d", struct.pack(">Q", 0x7FF0000000000002))[0]
"""The NaN that ends a series (PR:model/value/value.go StaleNaN)."""


def is_stale(value: float) -> bool:
    """Whether a value is the stale marker and not an ordinary NaN."""
    if not math.isnan(value):
        return False
    # Reading the signalling bit may quieten it, so the payload is compared without that bit.
    payload: int = struct.unpack(">Q", struct.pack(">d", value))[0]
    return payload & 0x0007FFFFFFFFFFFF == 2


@dataclass(slots=True)
class Series:
    """One series, oldest sample first."""

    labels: dict[str, str]
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, at: float, value: float) -> None:
        """Add a sample; one that is there already for the time is replaced."""
        if not self.times or at > self.times[-1]:
            self.times.append(at)
            self.values.append(value)
            return
        index = bisect.bisect_left(self.times, at)
        if self.times[index] == at:
            self.values[index] = value
        else:
            self.times.insert(index, at)
            self.values.insert(index, value)

    def at(self, when: float, lookback_s: float) -> Sample | None:
        """Return the newest sample in ``(when - lookback, when]``, unless the series had ended."""
        index = bisect.bisect_right(self.times, when) - 1
        if index < 0 or self.times[index] <= when - lookback_s or is_stale(self.values[index]):
            return None
        return self.times[index], self.values[index]

    def window(self, after: float, until: float) -> list[Sample]:
        """Return the samples in ``(after, until]``, without stale markers."""
        low, high = bisect.bisect_right(self.times, after), bisect.bisect_right(self.times, until)
        pairs = zip(self.times[low:high], self.values[low:high], strict=True)
        return [pair for pair in pairs if not is_stale(pair[1])]

    def lives(self, start: float, end: float) -> bool:
        """Whether any sample lies in ``[start, end]``."""
        index = bisect.bisect_left(self.times, start)
        return index < len(self.times) and self.times[index] <= end

    def forget(self, before: float) -> None:
        """Drop samples older than ``before``."""
        cut = bisect.bisect_left(self.times, before)
        del self.times[:cut], self.values[:cut]


class SeriesStore:
    """All series, found by name first."""

    def __init__(self, retention_s: float = 6 * 3600.0) -> None:
        self._retention_s = retention_s
        self._by_name: dict[str, dict[Labels, Series]] = {}
        self._added = 0

    def add(self, name: str, labels: Mapping[str, str], at: float, value: float) -> None:
        """Add a sample; labels with an empty value are as good as absent."""
        full = {"__name__": name, **{key: text for key, text in labels.items() if text}}
        key = tuple(sorted(full.items()))
        named = self._by_name.setdefault(name, {})
        if key not in named:
            named[key] = Series(full)
        named[key].add(float(at), float(value))
        self._added += 1
        if self._added % 50_000 == 0:
            self._forget(at - self._retention_s)

    def _forget(self, before: float) -> None:
        for named in self._by_name.values():
            for key, series in list(named.items()):
                series.forget(before)
                if not series.times:
                    del named[key]

    def select(self, matchers: Iterable[Matcher]) -> Iterator[Series]:
        """Every series whose labels pass all matchers."""
        wanted = tuple(matchers)
        exact = next((matcher.value for matcher in wanted if matcher.name == "__name__" and matcher.op == "="), None)
        groups = self._by_name.values() if exact is None else [self._by_name.get(exact, {})]
        for named in groups:
            for series in named.values():
                if all(matcher.matches(series.labels) for matcher in wanted):
                    yield series

    def __iter__(self) -> Iterator[Series]:
        return (series for named in self._by_name.values() for series in named.values())
