"""Pages: what Chromium takes to paint and to update them, full ones against empty ones; and what a search takes.

The start page with 10,000 incidents, of which 1,000 need a person, against one of an empty store; an incident of
5,000 thoughts against one of five. *First paint* is the browser's own first contentful paint of a fresh load; *update*
is from the write in the store until the page shows it. Search: ``GET /api/incidents`` for a word that is nowhere, which
reads all rows, against the newest page without a search, which walks an index.

    .venv/bin/python bench/pages.py [--quick]
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import httpx
from playwright.async_api import Browser, Page, async_playwright
from report import Row, arguments, finish
from sqlalchemy import Connection, insert

from servers import installed
from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.store.tables import incident_alerts, incidents
from sreops.domain.records.record import Thought
from sreops.ports import Changes
from web.web_scene import WallClock, analysed, open_incident, scene, serving, think

NEED = 10  # each tenth incident needs a person
_DECISION = {"analysis": {"reasoning": "because " * 200, "evidence": ["E1", "E2"]}, "plan": {"steps": []}}
Change = Callable[[int], Awaitable[str]]


def now() -> datetime:
    return datetime.now(UTC)


async def fill(store: SqlIncidentStore, size: int) -> None:
    """Put ended incidents there, as the tables have them; each tenth was handed over and still fires."""
    rows, alerts = [], []
    for number in range(size):
        at, over = now() - timedelta(seconds=60 * number + 60), number % NEED == 0
        one = {
            "id": f"i-{number:07}",
            "episode": 1,
            "service": f"svc-{number % 500}",
            "alertname": f"Alert{number % 40}",
        }
        rows.append(
            one
            | {"severity": "critical", "tier": "autonomous", "event_count": 1, "resolve_proven": True, "waited_us": 0}
            | {"opened_at": at, "episode_at": at, "ended_at": at, "root_cause": f"the disk of node {number} is full"}
            | {"status": "escalated" if over else "resolved", "reason": "low_confidence" if over else None}
            | {"resolution": None if over else "fixed", "decision": _DECISION, "cleared_at": None if over else at}
        )
        alerts.append(
            {"incident_id": one["id"], "fingerprint": one["id"], "starts_at": at, "ended_at": None if over else at}
            | {"proven": True, "last_event_id": one["id"], "alertname": one["alertname"], "rank": 0}
        )

    def write(connection: Connection) -> None:
        if rows:
            connection.execute(insert(incidents), rows)
            connection.execute(insert(incident_alerts), alerts)

    await store._db.write(write)


async def painted_ms(page: Page, url: str) -> float:
    """Load a page and return its first contentful paint."""
    await page.goto(url)
    painted = await page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    return float(await painted.json_value())


async def looked_at(browser: Browser, url: str, change: Change, rounds: int) -> tuple[float, float]:
    """Return the medians of first paint and update, in ms."""
    paints, updates = [], []
    page = await browser.new_page()
    for _ in range(rounds):
        paints.append(await painted_ms(page, url))
    await page.locator("#live", has_text="live").wait_for()
    for number in range(rounds + 1):
        began = time.perf_counter()
        told = await change(number)
        await page.locator("main", has_text=told).wait_for()
        updates.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(0.3)  # the refresh that the change has begun is over
    await page.close()
    return median(paints), median(updates[1:])


async def start_page(browser: Browser, directory: Path, size: int, rounds: int) -> tuple[float, float, float, float]:
    """Return paint and update of the start page, and the ms of a page of the list and of a search, at a size."""
    store = SqlIncidentStore(directory / f"start-{size}.db")
    await store.open()
    try:
        await fill(store, size)
        made = scene(store, WallClock())
        async with serving(made.app, made.context.stopping) as url:

            async def opens(number: int) -> str:
                lease = await open_incident(store, now(), f"new-{size}-{number}")
                await think(store, lease, "consume_event", "it fires", now())
                return lease.service

            paint, update = await looked_at(browser, f"{url}/", opens, rounds)
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                listed = await _asked_ms(client, {"limit": "50"}, rounds)
                searched = await _asked_ms(client, {"text": "nowhere-at-all"}, rounds)
            return paint, update, listed, searched
    finally:
        await store.close()


async def _asked_ms(client: httpx.AsyncClient, asked: dict[str, str], rounds: int) -> float:
    took = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        (await client.get("/api/incidents", params=asked)).raise_for_status()
        took.append((time.perf_counter() - began) * 1e3)
    return median(took[1:])


async def incident_page(browser: Browser, directory: Path, thoughts: int, rounds: int) -> tuple[float, float]:
    """Return paint and update of an incident with so many thoughts."""
    store = SqlIncidentStore(directory / f"incident-{thoughts}.db")
    await store.open()
    try:
        lease = await open_incident(store, now())
        await analysed(store, lease, now())
        for first in range(0, thoughts, 500):
            some = [
                Thought(node="analyze_root_cause", text=f"looked at series {number}, which is calm")
                for number in range(first, min(first + 500, thoughts))
            ]
            await store.write(lease, Changes(thoughts=some), now=now())
        made = scene(store, WallClock())
        async with serving(made.app, made.context.stopping) as url:

            async def thinks(number: int) -> str:
                await think(store, lease, "analyze_root_cause", f"thought {thoughts} {number}.", now())
                return f"thought {thoughts} {number}."

            return await looked_at(browser, f"{url}/incidents/{lease.incident_id}", thinks, rounds)
    finally:
        await store.close()


async def measure(*, size: int, thoughts: int, rounds: int) -> list[Row]:
    """Measure all of it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(installed.path_of("chromium")), args=["--no-sandbox"]
        )
        with tempfile.TemporaryDirectory(prefix="sreops-bench-") as name:
            directory = Path(name)
            empty, full = [await start_page(browser, directory, one, rounds) for one in (0, size)]
            few, many = [await incident_page(browser, directory, one, rounds) for one in (5, thoughts)]
        await browser.close()
    told = f"of {size:,} incidents, {size // NEED:,} of them needing a person, against none"
    long = f"of {thoughts:,} thoughts against five"
    return [
        _row(f"start page {told}: first paint", full[0], empty[0], 4),
        _row("the same: update", full[1], empty[1], 4),
        _row(f"incident {long}: first paint", many[0], few[0], 4),
        _row("the same: update", many[1], few[1], 4),
        _row(f"a word that is nowhere in {size:,} incidents against a page of the newest 50", full[3], full[2], 10),
    ]


def _row(what: str, full: float, empty: float, goal: float) -> Row:
    return Row(what, full / empty, goal, f"{full:.0f} ms against {empty:.0f} ms", at_most=True)


def main() -> int:
    """Measure."""
    quick = arguments(__doc__).quick
    size, thoughts, rounds = (1_000, 1_000, 3) if quick else (10_000, 5_000, 7)
    return finish("Pages", asyncio.run(measure(size=size, thoughts=thoughts, rounds=rounds)))


if __name__ == "__main__":
    raise SystemExit(main())
