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
from crash.databases import Database, PostgreSQL, Sqlite
from servers.postgres import Postgres

ALL = os.environ.get("SREOPS_CRASH") == "all"
SEED = int(os.environ.get("SREOPS_CRASH_SEED") or random.randrange(1_000_000))
REPORT = Path(__file__).parents[2] / "build" / "crash-report.md"
MISSED_AT_MOST = 0.15

_done: dict[str, matrix.Matrix] = {}


async def _tried(name: str, make: Callable[[str], Database], share: float) -> None:
    share = 1.0 if ALL else share
    print(f"\nSREOPS_CRASH_SEED={SEED}")  # noqa: T201 - what a failed run is repeated with
    found = await matrix.run(name, make, share=share, seed=SEED, progress=lambda line: print(line, flush=True))  # noqa: T201
    _done[name] = found
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(matrix.report(list(_done.values()), SEED))
    assert not found.wrong, "\n".join(found.wrong)
    assert len(found.missed) <= max(1, MISSED_AT_MOST * len(found.outcomes)), [
        one.point.boundary for one in found.missed
    ]


@pytest.mark.needs("strace")
@pytest.mark.timeout(3600 if ALL else 400)
async def test_killed_at_any_boundary_on_sqlite_it_ends_every_incident_with_one_restart_at_most() -> None:
    await _tried("SQLite", lambda _: Sqlite(), 1 / 5)


@pytest.mark.needs("postgres")
@pytest.mark.timeout(3600 if ALL else 400)
async def test_killed_at_any_boundary_on_postgresql_it_ends_every_incident_with_one_restart_at_most(
    postgres: Postgres,
) -> None:
    await _tried("PostgreSQL", lambda name: PostgreSQL(postgres.new_database(f"crash_{name}")), 1 / 10)
