"""Growth: the time to claim an incident with 1,000, 10,000 and 100,000 incidents in the store.

Three stores are grown: one of ended incidents (what a year leaves behind), one of waiting ones (their timers lie
ahead) and one of incidents that are all due (a backlog). In each, 48 are claimed and finished, eight at a time; the
median of five such rounds counts. The first round after a backlog has come due also notes all of it as ready, which
is done once for each incident and is no part of the median.

    .venv/bin/python bench/growth.py [--quick]
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from report import Row, arguments, finish
from sqlalchemy import Connection, insert

from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.store.tables import incidents, work

DUE = 48
LIMIT = 8
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def rows(first: int, last: int, *, ended: bool, due_at: datetime | None) -> tuple[list[Any], list[Any]]:
    """Return incidents and their work."""
    of_incidents, of_work = [], []
    for number in range(first, last):
        opened_at = NOW - timedelta(seconds=number + 60)
        one = {"id": f"i-{number:07}", "episode": 1, "service": f"svc-{number % 5000}", "alertname": "A"}
        of_incidents.append(
            one
            | {"severity": "critical", "tier": "autonomous", "event_count": 1, "resolve_proven": True, "waited_us": 0}
            | {"opened_at": opened_at, "episode_at": opened_at, "ended_at": opened_at if ended else None}
            | {"status": "resolved" if ended else "awaiting_approval"}
        )
        of_work.append(
            {"incident_id": one["id"], "episode": 1, "service": one["service"], "rank": number % 3, "wakes": 0}
            | {"wakes_seen": 0, "token": 0, "opened_at": opened_at, "due_at": due_at, "woken_by": "timer"}
            | {"seen_at": opened_at, "attempts": 0}
        )
    return of_incidents, of_work


async def put(store: SqlIncidentStore, first: int, last: int, *, ended: bool, due_at: datetime | None) -> None:
    """Put incidents there, as the tables have them."""
    of_incidents, of_work = rows(first, last, ended=ended, due_at=due_at)

    def write(connection: Connection) -> None:
        connection.execute(insert(incidents), of_incidents)
        connection.execute(insert(work), of_work)

    await store._db.write(write)


async def claim_s(store: SqlIncidentStore, first: int) -> float:
    """Put a few that are due, claim as many, and return the seconds per incident."""
    await put(store, first, first + DUE, ended=False, due_at=NOW - timedelta(seconds=1))
    taken, began = 0, time.perf_counter()
    while taken < DUE and (leases := await store.claim("bench", now=NOW, lease_s=30, limit=LIMIT)):
        taken += len(leases)
        for lease in leases:
            await store.finish(lease)
    if taken != DUE:
        raise RuntimeError(f"{taken} of {DUE} were claimed")
    return (time.perf_counter() - began) / taken


DUE_AT = {"ended": None, "waiting": NOW + timedelta(hours=1), "due": NOW - timedelta(seconds=1)}


async def grow(directory: Path, sizes: list[int], kind: str) -> Row:
    """Grow a store to each size and measure there."""
    store = SqlIncidentStore(directory / f"{kind}.db")
    await store.open()
    try:
        await claim_s(store, 20_000_000)  # the first of all loads modules and compiles statements
        times, there, extra = [], 0, 10_000_000
        for size in sizes:
            for first in range(there, size, 10_000):
                last = min(first + 10_000, size)
                await put(store, first, last, ended=kind == "ended", due_at=DUE_AT[kind])
            there = size
            took = []
            for _ in range(5):
                took.append(await claim_s(store, extra))
                extra += DUE
            times.append(median(took))
    finally:
        await store.close()
    told = ", ".join(f"{1e3 * one:.2f} ms at {size:,}" for one, size in zip(times, sizes, strict=True))
    what = f"claim and finish, {kind} incidents"
    return Row(what, max(times[1:]) / times[0], 1.5, f"{told} (an incident)", at_most=True)


async def measure(sizes: list[int]) -> list[Row]:
    """Measure all stores."""
    with tempfile.TemporaryDirectory(prefix="sreops-bench-") as directory:
        return [await grow(Path(directory), sizes, kind) for kind in DUE_AT]


def main() -> int:
    """Measure."""
    sizes = [1_000, 10_000] if arguments(__doc__).quick else [1_000, 10_000, 100_000]
    return finish("Growth", asyncio.run(measure(sizes)))


if __name__ == "__main__":
    raise SystemExit(main())
