"""Correlation: 10,000 alerts of one incident, and of one group, on SQLite and on PostgreSQL.

Measured is what an alert costs at the end of the flood against its beginning (it must not grow with its incident),
and how long another subject's critical alert takes from the inbox to its incident while the flood is worked off.

    .venv/bin/python bench/correlation.py [--quick]
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from instant import quiet_logs
from report import Row, arguments, finish

from servers.postgres import Postgres
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.incidents.correlation import Correlation, Windows
from sreops.ports import StoredRecord
from sreops.worker.correlation import Correlator

AT_MOST_S = 1.0
GROWTH = 1.5
KINDS = {"one incident": False, "one group": True}


class SystemClock:
    """The time that it is."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)


def alert(number: int, service: str, *, group: str = "") -> AlertEvent:
    """Return a firing alert."""
    now = datetime.now(UTC)
    labels = {"alertname": f"Alert{number % 7}", "service": service, "severity": "critical", "cluster": "eu-1"}
    return AlertEvent(
        event_id=f"{service}-{number}",
        source="alertmanager",
        fingerprint=f"{service}-{number}",
        status=AlertStatus.firing,
        labels=labels,
        annotations={"summary": "Something is wrong with it, and this is how much text says so in general. " * 3},
        starts_at=now,
        received_at=now,
        tier=Tier.supervised,
        severity=Severity.critical,
        service=service,
        group_key=group,
    )


async def take_in(store: SqlIncidentStore, events: Sequence[AlertEvent]) -> None:
    """Put events into the inbox, as from the topic."""
    for first in range(0, len(events), 500):
        part = events[first : first + 500]
        records = [
            (one, StoredRecord("sre-critical", one.service, b"", partition=0, offset=first + n))
            for n, one in enumerate(part)
        ]
        await store.take_in(records, now=datetime.now(UTC))


@asynccontextmanager
async def working(store: SqlIncidentStore, directory: Path) -> AsyncIterator[Correlator]:
    """Run the worker's correlation on a store."""
    log = EmbeddedEventLog(directory / "log.db")
    one = Correlator(store=store, event_log=log, clock=SystemClock(), windows=Windows(slots=8), on_due=lambda: None)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.wait({task})


class Paced(SqlIncidentStore):
    """A store that notes how long each transaction of correlation took, and of how many events."""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self.took: list[tuple[float, int]] = []

    async def correlate_all(self, events: Sequence[AlertEvent], *given: Any, **named: Any) -> Sequence[Correlation]:
        """Correlate, with a clock beside it."""
        began = time.perf_counter()
        made = await super().correlate_all(events, *given, **named)
        self.took.append((time.perf_counter() - began, len(events)))
        return made


async def flood(store: Paced, directory: Path, kind: str, count: int) -> list[Row]:
    """Work a flood off; return what an alert's cost has grown by, and how late the strangers were."""
    grouped = KINDS[kind]
    services = [f"node-{n}" if grouped else "db" for n in range(count)]
    group = '{}:{cluster="eu-1"}' if grouped else ""
    await take_in(store, [alert(n, service, group=group) for n, service in enumerate(services)])
    late: list[float] = []
    began = time.perf_counter()
    async with working(store, directory):
        while (done := sum(n for _, n in store.took)) < count:
            if count * 0.1 < done < count * 0.9:
                late.append(await stranger(store, len(late)))
            await asyncio.sleep(0.05)
    total_s = time.perf_counter() - began
    third = max(1, len(store.took) // 3)
    first, last = (
        sum(s for s, _ in part) / sum(n for _, n in part) for part in (store.took[:third], store.took[-third:])
    )
    place = "PostgreSQL" if store._db.shared else "SQLite"
    detail = (
        f"{1e3 * first:.2f} ms an alert in the first third, {1e3 * last:.2f} ms in the last; {total_s:.1f} s in all"
    )
    rows = [Row(f"{count:,} alerts of {kind}, {place}: growth", last / first, GROWTH, detail, at_most=True)]
    if late:
        told = f"{len(late)} critical ones of others: {1e3 * max(late):.0f} ms at worst"
        rows.append(Row(f"{count:,} alerts of {kind}, {place}: a stranger's", max(late), AT_MOST_S, told, at_most=True))
    return rows


async def stranger(store: SqlIncidentStore, number: int) -> float:
    """Take in a critical alert of another subject; return the seconds until its incident is open."""
    event = alert(number, f"stranger-{number}")
    event = event.model_copy(update={"labels": event.labels | {"alertname": f"Stranger{number}"}})
    began = time.perf_counter()
    await take_in(store, [event])
    while not (await store.incidents(service=event.service, limit=1))[0]:  # noqa: ASYNC110  # the store has no event
        await asyncio.sleep(0.01)
    return time.perf_counter() - began


async def measure(count: int) -> list[Row]:
    """Measure both kinds on both databases; PostgreSQL where it is installed."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="sreops-bench-") as directory:
        for kind in KINDS:
            store = Paced(Path(directory) / f"{kind}.db")
            rows += await on(store, Path(directory), kind, count)
        with Postgres() as server:
            for number, kind in enumerate(KINDS):
                rows += await on(Paced(server.new_database(f"bench_{number}")), Path(directory), kind, count)
    return rows


async def on(store: Paced, directory: Path, kind: str, count: int) -> list[Row]:
    """Measure one kind on one store."""
    await store.open()
    try:
        return await flood(store, directory, kind, count)
    finally:
        await store.close()


def main() -> int:
    """Measure."""
    count = 2_000 if arguments(__doc__).quick else 10_000
    with quiet_logs():
        rows = asyncio.run(measure(count))
    return finish("Correlation", rows)


if __name__ == "__main__":
    raise SystemExit(main())
