"""Points: the boundaries of an incident at which sreops is killed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from crash.world import Moment


@dataclass(frozen=True)
class Seen:
    """A boundary as a run passed it: in which file or at which server, and what it was."""

    where: str
    name: str


@dataclass(frozen=True)
class Point:
    """Kill here. ``nth``: of the boundaries of this name; ``number``: of all at this place (both from 1)."""

    where: str
    name: str
    nth: int
    number: int
    moment: Moment
    previous: Seen | None = None
    """The commit before it in the same file, by which the one that never came is recognised."""
    previous_nth: int = 0

    @property
    def boundary(self) -> str:
        """The boundary, for people."""
        again = f" (#{self.nth})" if self.nth > 1 else ""
        return f"{self.where}: {self.name}{again}"


# renewed leases: whether and when they come depends on the clock, and they hold no promise
_PASSING = ("nothing visible",)


def points_of(seen: Sequence[Seen]) -> list[Point]:
    """Return every point of a run: before and after each boundary, and in the middle of the engine's work."""
    points: list[Point] = []
    times: Counter[Seen] = Counter()
    places: Counter[str] = Counter()
    previous: dict[str, tuple[Seen, int]] = {}
    for one in seen:
        if one.name in _PASSING:
            continue
        times[one] += 1
        places[one.where] += 1
        moments: tuple[Moment, ...] = ("before", "during", "after") if one.where == "engine" else ("before", "after")
        earlier, earlier_nth = previous.get(one.where, (None, 0))
        points += [
            Point(one.where, one.name, times[one], places[one.where], moment, earlier, earlier_nth)
            for moment in moments
        ]
        previous[one.where] = (one, times[one])
    return points


def sample(points: Sequence[Point], share: float, seed: int) -> list[Point]:
    """Return a share of the points, the same for the same seed; the effect's own are always among them."""
    kept = [point for point in points if point.where == "engine"]
    rest = [point for point in points if point.where != "engine"]
    count = max(0, round(len(points) * share) - len(kept))
    chosen = set(random.Random(seed).sample(rest, min(count, len(rest))))
    return [point for point in points if point in chosen or point in kept]
