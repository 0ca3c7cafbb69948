"""Agent: incidents a second with instant adapters, against a bare eight-node LangGraph on the same checkpointer.

200 incidents at concurrency 32, each through all eight nodes with one effect and its verification, in turns with
as many runs of a graph whose eight nodes do nothing but change the state; durability "sync" and SQLite's
synchronous=FULL for both. What is ours on top is the store: thoughts, audit chain, ledger, tickets, leases.

    .venv/bin/python bench/agent.py [--quick]
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, TypedDict

import aiosqlite
from instant import agent, process_runner, quiet_logs, work_off
from langgraph.graph import END, START, StateGraph
from report import Row, arguments, finish

from sreops.adapters.checkpoints import open_checkpointer

CONCURRENCY = 32
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


async def bare(directory: Path, count: int) -> float:
    """Return the seconds that so many bare runs take."""
    async with open_checkpointer(directory / "checkpoints.db") as saver:
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
    """Measure both in turns."""
    ratios, rates, size = [], [], 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="sreops-bench-") as directory:
            places = Path(directory) / "bare", Path(directory) / "ours"
            for place in places:
                place.mkdir()
            bare_s = await bare(places[0], count)
            ours_s = await ours(places[1], count)
            size = await checkpoint_bytes(places[1]) // count
        ratios.append(bare_s / ours_s)
        rates.append((count / ours_s, count / bare_s))
    detail = (
        f"{median(one for one, _ in rates):.1f} against {median(other for _, other in rates):.1f} incidents/s "
        f"({count} incidents, {rounds} rounds in turns); {size:,} bytes of checkpoints an incident"
    )
    return Row(f"incidents/s at concurrency {CONCURRENCY}", median(ratios), 0.5, detail)


def main() -> int:
    """Measure."""
    quick = arguments(__doc__).quick
    with quiet_logs(), process_runner() as runner:
        row = runner.run(measure(64 if quick else 200, 1 if quick else 3))
    return finish("Agent", [row])


if __name__ == "__main__":
    raise SystemExit(main())
