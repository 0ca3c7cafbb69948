"""sreops is killed at every boundary of an incident and started again: nothing is lost, nothing is done twice.

`SREOPS_CRASH=all` tries every point, `SREOPS_CRASH_SEED` repeats a choice; scripts/crash does the first.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from crash import matrix
from crash.acts import STEPS, ActWorld
from crash.databases import Database, PostgreSQL, Sqlite
from crash.world import World
from servers.postgres import Postgres

ALL = os.environ.get("SREOPS_CRASH") == "all"
SEED = int(os.environ.get("SREOPS_CRASH_SEED") or random.randrange(1_000_000))
REPORT = Path(__file__).parents[2] / "build" / "crash-report.md"
MISSED_AT_MOST = 0.15

_done: dict[str, matrix.Matrix] = {}


def _told(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a run takes minutes, and whoever waits for it wants to see it go on


async def _tried(
    name: str,
    make: Callable[[str], Database],
    share: float,
    world: Callable[[Path], World] = World,
    missed_at_most: float = MISSED_AT_MOST,
) -> None:
    share = 1.0 if ALL else share
    print(f"\nSREOPS_CRASH_SEED={SEED}")  # noqa: T201 - what a failed run is repeated with
    found = await matrix.run(name, make, share=share, seed=SEED, progress=_told, world=world)
    _done[name] = found
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(matrix.report(list(_done.values()), SEED))
    assert not found.wrong, "\n".join(found.wrong)
    assert len(found.missed) <= max(1, missed_at_most * len(found.outcomes)), [
        one.point.boundary for one in found.missed
    ]


@pytest.mark.needs("strace")
@pytest.mark.timeout(3600 if ALL else 900)
async def test_killed_at_any_boundary_on_sqlite_it_ends_every_incident_with_one_restart_at_most() -> None:
    await _tried("SQLite", lambda _: Sqlite(), 1 / 8)


@pytest.mark.needs("postgres")
@pytest.mark.timeout(3600 if ALL else 900)
async def test_killed_at_any_boundary_on_postgresql_it_ends_every_incident_with_one_restart_at_most(
    postgres: Postgres,
) -> None:
    # what of a dozen points does not come in time is killed later, and judged all the same
    missed = MISSED_AT_MOST if ALL else 0.4
    await _tried(
        "PostgreSQL", lambda name: PostgreSQL(postgres.new_database(f"crash_{name}")), 1 / 12, missed_at_most=missed
    )


@pytest.mark.needs("strace")
@pytest.mark.timeout(3600 if ALL else 900)
@pytest.mark.parametrize("act", STEPS)
async def test_killed_around_any_other_act_it_is_done_once_at_most_and_never_settled_wrongly(act: str) -> None:
    # by default at the engine's own boundaries, of which none is ever left out; what is before them is the same for all
    share, missed = 0.0, 0.3  # when the person approves depends on the clock, and what is committed then too
    await _tried(f"SQLite, {act}", lambda _: Sqlite(), share, lambda directory: ActWorld(directory, act), missed)
