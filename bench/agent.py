"""Agent: incidents a second with instant adapters, against a bare eight-node LangGraph with the same durability.

200 incidents at concurrency 32, each through all eight nodes with one effect and its verification, in turns with
as many runs of a graph whose eight nodes do nothing but change the state; durability "sync" and SQLite's
synchronous=FULL for both. What is ours on top is the store: thoughts, audit chain, ledger, tickets, leases.

The bare graph has LangGraph's SQLite saver as it comes. Ours is that saver with commits that several graphs share;
the bare graph runs on it too, and the table says what it makes then: most of what a bare graph takes is its saver.

    .venv/bin/python bench/agent.py [--quick]
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from statistics import median
from typing import Any, TypedDict

import aiosqlite
from instant import agent, process_runner, quiet_logs, work_off
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from report import Row, arguments, finish

from sreops.adapters.database.checkpoints import open_checkpointer

CONCURRENCY = 32
Opener = Callable[[Path], contextlib.AbstractAsyncContextManager[BaseCheckpointSaver[str]]]
NODES = ("consume", "issue", "enrich", "analyze", "match", "execute", "verify", "close")


class Small(TypedDict, total=False):
    incident_id: str
    seen: list[str]


def bare_graph(saver: Any) -> Any:
    """Return eight nodes in a row, each adding its name."""
    graph = StateGraph(Small)
    for name in NODES:

        async def node(state: Small, name: str = name) -> Small:
            return Small(seen=[*state.get("seen", []), name])

        graph.add_node(name, node)
    for one, other in zip([START, *NODES], [*NODES, END], strict=True):
        graph.add_edge(one, other)
    return graph.compile(checkpointer=saver)


@contextlib.asynccontextmanager
async def langgraphs_own(path: Path) -> AsyncIterator[BaseCheckpointSaver[str]]:
    """Open LangGraph's saver as it comes, but for the durability, which is ours."""
    async with aiosqlite.connect(path) as connection:
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=FULL")
        saver = AsyncSqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        await saver.setup()
        yield saver


async def bare(directory: Path, count: int, open_saver: Opener) -> float:
    """Return the seconds that so many bare runs take."""
    async with open_saver(directory / "checkpoints.db") as saver:
        graph, slots = bare_graph(saver), asyncio.Semaphore(CONCURRENCY)

        async def run(number: int) -> None:
            async with slots:
                config = {"configurable": {"thread_id": str(number)}}
                await graph.ainvoke({"incident_id": str(number), "seen": []}, config, durability="sync")

        began = time.perf_counter()
        await asyncio.gather(*(run(number) for number in range(count)))
        return time.perf_counter() - began


async def ours(directory: Path, count: int) -> float:
    """Return the seconds that so many incidents take, from the first claim to the last end."""
    async with agent(directory, concurrency=CONCURRENCY) as one:
        await one.open_incidents(count)
        return await work_off(one, count)


async def checkpoint_bytes(directory: Path) -> int:
    """Return what the checkpoints and their writes take, values only."""
    async with aiosqlite.connect(directory / "checkpoints.db") as database:
        total = 0
        for query in (
            "SELECT coalesce(sum(length(checkpoint) + length(metadata)), 0) FROM checkpoints",
            "SELECT coalesce(sum(length(value)), 0) FROM writes",
        ):
            async with database.execute(query) as rows:
                async for row in rows:
                    total += int(row[0])
        return total


async def measure(count: int, rounds: int) -> Row:
    """Measure all in turns."""
    took: list[dict[str, float]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="sreops-bench-") as directory:
            places = {name: Path(directory) / name for name in ("bare", "bare on ours", "ours")}
            for place in places.values():
                place.mkdir()
            took.append(
                {
                    "bare": await bare(places["bare"], count, langgraphs_own),
                    "bare on ours": await bare(places["bare on ours"], count, open_checkpointer),
                    "ours": await ours(places["ours"], count),
                }
            )
            size = await checkpoint_bytes(places["ours"]) // count
    rate = {name: median(count / one[name] for one in took) for name in took[0]}
    ratio = {name: median(one[name] / one["ours"] for one in took) for name in took[0]}
    detail = (
        f"{rate['ours']:.1f} against {rate['bare']:.1f} incidents/s ({count} incidents, {rounds} rounds in turns; "
        f"the bare graph on our saver: {rate['bare on ours']:.1f}, ratio {ratio['bare on ours']:.2f}); "
        f"{size:,} bytes of checkpoints an incident"
    )
    return Row(f"incidents/s at concurrency {CONCURRENCY}", ratio["bare"], 0.5, detail)


def main() -> int:
    """Measure."""
    quick = arguments(__doc__).quick
    with quiet_logs(), process_runner() as runner:
        row = runner.run(measure(64 if quick else 200, 1 if quick else 3))
    return finish("Agent", [row])


if __name__ == "__main__":
    raise SystemExit(main())
