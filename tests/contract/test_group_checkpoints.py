"""Checkpoints that are committed together are LangGraph's own rows, each durable before its graph goes on."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypedDict

import aiosqlite
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import INTERRUPT
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from sreops.adapters.database.checkpoints import open_checkpointer
from sreops.errors import StoreUnavailable


class Small(TypedDict, total=False):
    seen: list[str]


async def one(state: Small) -> Small:
    return Small(seen=[*state.get("seen", []), "one"])


async def asks(state: Small) -> Small:
    return Small(seen=[*state["seen"], str(interrupt({"until": "later"}))])


def graph(saver: Any) -> Any:
    plan = StateGraph(Small)
    plan.add_node("one", one)
    plan.add_node("asks", asks)
    plan.add_edge(START, "one")
    plan.add_edge("one", "asks")
    plan.add_edge("asks", END)
    return plan.compile(checkpointer=saver)


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}


def rows(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as database:
        checkpoints = database.execute("SELECT * FROM checkpoints ORDER BY checkpoint_id").fetchall()
        return checkpoints + database.execute("SELECT * FROM writes ORDER BY task_id, idx, channel").fetchall()


@pytest.fixture
async def saver(tmp_path: Path) -> AsyncIterator[Any]:
    async with open_checkpointer(tmp_path / "ours.db") as saver:
        yield saver


def commits_of(saver: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    commits: list[str] = []
    commit = saver.writer.commit

    def counted(connection: sqlite3.Connection) -> None:
        commits.append("commit")
        commit(connection)

    monkeypatch.setattr(saver.writer, "commit", counted)
    return commits


async def run_through(saver: Any, thread: str) -> dict[str, Any]:
    compiled = graph(saver)
    await compiled.ainvoke({"seen": []}, config(thread), durability="sync")
    result: dict[str, Any] = await compiled.ainvoke(Command(resume="go"), config(thread), durability="sync")
    return result


async def put_all(saver: Any, first: Any, second: Any) -> None:
    """Put two checkpoints and each kind of writes, some of them twice: those of a node stay, an interrupt's change."""
    at = await saver.aput(config("a"), first, {"source": "input", "step": -1, "word": "\ud800é"}, {})
    assert at["configurable"] == {"thread_id": "a", "checkpoint_ns": "", "checkpoint_id": first["id"]}
    for text in ("x", "y"):
        await saver.aput_writes(at, [("seen", [text]), ("branch:to:two", None)], "task-1", "~__pregel_pull, one")
        await saver.aput_writes(at, [(INTERRUPT, [text])], "task-2")
    await saver.aput(at, second, {"source": "loop", "step": 0}, {})


async def test_the_rows_are_those_of_langgraphs_own_saver(tmp_path: Path, saver: Any) -> None:
    first, second = empty_checkpoint(), empty_checkpoint()
    await put_all(saver, first, second)
    async with aiosqlite.connect(tmp_path / "theirs.db") as connection:
        theirs = AsyncSqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        await theirs.setup()
        await put_all(theirs, first, second)
    assert rows(tmp_path / "ours.db") == rows(tmp_path / "theirs.db")
    assert len(rows(tmp_path / "ours.db")) == 5


async def test_graphs_that_run_at_once_share_commits(saver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = commits_of(saver, monkeypatch)
    await run_through(saver, "alone")
    alone = len(commits)
    commits.clear()
    async with asyncio.TaskGroup() as graphs:
        done = [graphs.create_task(run_through(saver, f"thread-{number}")) for number in range(20)]
    assert all(task.result()["seen"] == ["one", "go"] for task in done)
    assert len(commits) < 20 * alone / 3


async def test_a_checkpoint_is_committed_before_its_writer_goes_on(tmp_path: Path, saver: Any) -> None:
    checkpoint = empty_checkpoint()
    written = await saver.aput(config("a"), checkpoint, {"source": "loop", "step": 1}, {})
    assert written["configurable"]["checkpoint_id"] == checkpoint["id"]
    with sqlite3.connect(tmp_path / "ours.db") as other:
        assert other.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)
    await saver.aput_writes(written, [("seen", ["x"])], "task")
    with sqlite3.connect(tmp_path / "ours.db") as other:
        assert other.execute("SELECT channel FROM writes").fetchall() == [("seen",)]


async def test_a_disk_that_is_full_is_told_to_each_and_passes(saver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(saver.writer, "commit", full)
        puts = [saver.aput(config(thread), empty_checkpoint(), {"step": 1}, {}) for thread in "abc"]
        told = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(failure) for failure in told] == [StoreUnavailable] * 3
    assert all(getattr(failure, "retryable", False) for failure in told)
    assert await saver.aget_tuple(config("a")) is None, "what was not committed is not there"
    await saver.aput(config("a"), empty_checkpoint(), {"step": 1}, {})
    assert await saver.aget_tuple(config("a")) is not None


async def test_a_graph_that_is_cancelled_takes_no_other_with_it(saver: Any) -> None:
    puts = [asyncio.create_task(saver.aput(config(thread), empty_checkpoint(), {"step": 1}, {})) for thread in "abc"]
    await asyncio.sleep(0)
    puts[1].cancel()
    await asyncio.gather(*puts, return_exceptions=True)
    assert await saver.aget_tuple(config("a")) is not None
    assert await saver.aget_tuple(config("c")) is not None


async def test_of_what_failed_nothing_is_committed_by_whoever_comes_next(
    tmp_path: Path, saver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleting: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()

    def fails_while_another_waits(connection: sqlite3.Connection) -> None:
        async def delete() -> None:
            deleting.append(asyncio.create_task(saver.adelete_thread("another")))

        asyncio.run_coroutine_threadsafe(delete(), loop).result()
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(saver.writer, "commit", fails_while_another_waits)
        with pytest.raises(StoreUnavailable):
            await saver.aput(config("a"), empty_checkpoint(), {"step": 1}, {})
    await deleting[0]
    await saver.aput(config("b"), empty_checkpoint(), {"step": 1}, {})
    assert {row[0] for row in rows(tmp_path / "ours.db")} == {"b"}, "a checkpoint that its graph was told it has not"
