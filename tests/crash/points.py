"""Points: the boundaries of an incident at which sreops is killed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from crash.world import Moment


@dataclass(frozen=True)
class Seen:
    """A boundary as a run passed it: in which file or at which server, and what it was, the weightiest word first."""

    where: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """Kill here. ``nth``: of the boundaries of this name; ``number``: of all at this place (both from 1)."""

    where: str
    name: str
    nth: int
    number: int
    moment: Moment
    previous: str | None = None
    """The commit before it in the same file, by which the one that never came is recognised."""
    previous_nth: int = 0

    @property
    def boundary(self) -> str:
        """The boundary, for people."""
        again = f" (#{self.nth})" if self.nth > 1 else ""
        return f"{self.where}: {self.name}{again}"


def points_of(seen: Sequence[Seen]) -> list[Point]:
    """Return every point of a run: before and after each boundary, and in the middle of the engine's work."""
    points: list[Point] = []
    times: Counter[tuple[str, str]] = Counter()
    places: Counter[str] = Counter()
    previous: dict[str, tuple[str, int]] = {}
    for one in seen:
        if not one.names:
            continue  # renewed leases and such: when they come depends on the clock, and they hold no promise
        times.update((one.where, name) for name in one.names)
        places[one.where] += 1
        name, nth = one.names[0], times[one.where, one.names[0]]
        moments: tuple[Moment, ...] = ("before", "during", "after") if one.where == "engine" else ("before", "after")
        earlier, earlier_nth = previous.get(one.where, (None, 0))
        points += [Point(one.where, name, nth, places[one.where], moment, earlier, earlier_nth) for moment in moments]
        previous[one.where] = name, nth
    return points


def sample(points: Sequence[Point], share: float, seed: int) -> list[Point]:
    """Return a share of the points, the same for the same seed; the effect's own are always among them."""
    kept = [point for point in points if point.where == "engine"]
    rest = [point for point in points if point.where != "engine"]
    count = max(0, round(len(points) * share) - len(kept))
    chosen = set(random.Random(seed).sample(rest, min(count, len(rest))))
    return [point for point in points if point in chosen or point in kept]
