"""The crash matrix: every boundary of an incident, each met by a SIGKILL, and what came of it, as a table."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crash.databases import Database
from crash.lineage import Lineage, Outcome
from crash.points import Point, points_of, sample
from crash.world import World

LANES = 2
"""Lineages at once: the machines that this runs on have two cores."""
KILLS_OF_ONE_LIFE = 25
"""A lineage begins anew after so many kills, so that its history does not slow the looking."""


@dataclass
class Matrix:
    """What was to be tried on one database, and what came of it."""

    database: str
    points: Sequence[Point]
    of: int
    """How many points there are."""
    outcomes: list[Outcome] = field(default_factory=list)
    audits: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """Everything that should not be, one line each."""
        told = [
            f"{one.point.moment} {one.point.boundary}: {'; '.join(one.wrong)}" for one in self.outcomes if one.wrong
        ]
        return [*told, *(f"audit: {text}" for text in self.audits if text)]

    @property
    def missed(self) -> list[Outcome]:
        """Those whose point did not come in that run (its order depends on the clock); killed later instead."""
        return [one for one in self.outcomes if not one.killed]


async def run(
    name: str,
    make: Callable[[str], Database],
    *,
    share: float,
    seed: int,
    progress: Callable[[str], None] = lambda line: None,
    world: Callable[[Path], World] = World,
) -> Matrix:
    """Try a share of all points on a database; ``make`` gives each lineage one of its own, ``world`` what is around."""
    began = time.monotonic()
    async with _lineage("plan", make("plan"), world) as planning:
        everything = points_of(await planning.reference())
    chosen = sample(everything, share, seed)
    matrix = Matrix(name, chosen, len(everything))
    waiting = list(reversed(chosen))
    progress(f"{name}: {len(chosen)} of {len(everything)} points")

    async def lane(number: int) -> None:
        life = 0
        while waiting:
            life += 1
            called = f"lane{number}-{life}"
            async with _lineage(called, make(called.replace("-", "_")), world) as lineage:
                for _ in range(KILLS_OF_ONE_LIFE):
                    if not waiting:
                        break
                    outcome = await _tried(lineage, waiting.pop())
                    matrix.outcomes.append(outcome)
                    progress(_line(outcome))
                matrix.audits.append(await lineage.audit())

    async with asyncio.TaskGroup() as lanes:
        for number in range(LANES):
            lanes.create_task(lane(number))
    order = {point: place for place, point in enumerate(chosen)}
    matrix.outcomes.sort(key=lambda one: order[one.point])
    matrix.seconds = time.monotonic() - began
    return matrix


async def _tried(lineage: Lineage, point: Point) -> Outcome:
    """Try a point, and once more where it did not come."""
    outcome = await lineage.survive(point)
    return outcome if outcome.killed or outcome.wrong else await lineage.survive(point)


@contextlib.asynccontextmanager
async def _lineage(name: str, database: Database, make: Callable[[Path], World]) -> AsyncIterator[Lineage]:
    with tempfile.TemporaryDirectory(prefix="sreops-crash-") as directory:
        world = make(Path(directory))
        async with world.serving(), Lineage(world, name, database).opened() as lineage:
            yield lineage


def _line(one: Outcome) -> str:
    good = "; ".join(one.wrong) if one.wrong else "good"
    return f"  {one.point.moment:6} {one.point.boundary}: {_cell(one)}, {one.seconds:.1f} s, {good}"


def _cell(one: Outcome) -> str:
    if one.wrong:
        return f"WRONG ({one.end or 'no end'}, {one.restarts} restarts, {one.issues} issues)"
    missed = "" if one.killed else " (killed later)"
    return f"{one.end}, {one.restarts} restart{'' if one.restarts == 1 else 's'}{missed}"


def report(matrices: Sequence[Matrix], seed: int) -> str:
    """Return the whole as Markdown."""
    lines = [
        "# Crash matrix",
        "",
        f"Seed {seed}. Each cell: how the incident ended after the kill and the restart, and",
        "",
    ]
    lines[2] += " how often the engine restarted the container. Everywhere: one incident, one issue, every event in it."
    for matrix in matrices:
        lines += [f"## {matrix.database}", "", *_summary(matrix), "", *_table(matrix), ""]
    return "\n".join(lines)


def _summary(matrix: Matrix) -> list[str]:
    ends: Counter[str] = Counter(one.end or "no end" for one in matrix.outcomes)
    told = ", ".join(f"{end}: {count}" for end, count in ends.most_common())
    lines = [
        f"{len(matrix.outcomes)} of {matrix.of} points in {matrix.seconds:.0f} s; {told}; wrong: {len(matrix.wrong)}; "
        f"killed later than meant: {len(matrix.missed)}."
    ]
    return lines + [f"- WRONG {line}" for line in matrix.wrong]


def _table(matrix: Matrix) -> list[str]:
    rows: dict[str, dict[str, str]] = {}
    for one in matrix.outcomes:
        rows.setdefault(one.point.boundary, {})[one.point.moment] = _cell(one)
    lines = ["| boundary | killed before | in the middle | killed after |", "|---|---|---|---|"]
    for boundary, cells in rows.items():
        lines.append(f"| {boundary} | " + " | ".join(cells.get(m, "") for m in ("before", "during", "after")) + " |")
    return lines
