"""Checkpoints of the graphs: LangGraph's SQLite saver, in its own file beside the store.

The serializer takes JSON-like primitives only: bytes in the file never become a class of their choice
(CVE-2026-28277 is what the permissive default allowed).

The checkpoints that several graphs write at the same time share one commit: a graph goes on when its own is durable,
as with LangGraph's saver, but the disk is asked once for all of them, and so is a thread: through aiosqlite each
statement of a transaction would go to its thread and back, while the loop has the interpreter.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from sreops.adapters.sql.failures import unavailable
from sreops.adapters.sql.group_commit import GroupCommit
from sreops.adapters.sql.many_rows import insert_many

_ANY_CHECKPOINT = "SELECT 1 FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ? LIMIT 1"
_CHECKPOINT = (
    "INSERT OR REPLACE INTO checkpoints "
    "(thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_WRITES = (
    "INSERT OR {} INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_WRITES_AGAIN, _WRITES_ONCE = _WRITES.format("REPLACE"), _WRITES.format("IGNORE")
_Rows = Sequence[tuple[Any, ...]]
_MOST_AT_ONCE = 1_000  # more graphs than ever run at once


@contextlib.asynccontextmanager
async def open_checkpointer(path: Path) -> AsyncIterator[BaseCheckpointSaver[str]]:
    """Open the checkpoints at ``path`` (made with mode 0600: they hold alert text); raises StoreUnavailable."""
    place = f"checkpoints in {path}"
    async with contextlib.AsyncExitStack() as stack:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = await stack.enter_async_context(aiosqlite.connect(path))
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.execute("PRAGMA synchronous=FULL")
            writer = Writer()
            stack.push_async_callback(writer.close)
            await writer.open(path)
            saver = _Saver(connection, writer, place)
            await saver.setup()
        except (aiosqlite.Error, OSError) as exc:
            raise unavailable(place, exc) from exc
        try:
            yield saver
        finally:
            await saver.committed()


class Writer:
    """A connection of our own, used in a thread of its own: all of a transaction is one visit there."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._connection: sqlite3.Connection | None = None

    async def open(self, path: Path) -> None:
        """Connect; raises sqlite3.Error."""

        def connect() -> None:
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA synchronous=FULL")

        await asyncio.get_running_loop().run_in_executor(self._thread, connect)

    async def close(self) -> None:
        """Let what is being written end, and close the connection."""
        connection = self._connection
        if connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, connection.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def write(self, by_statement: Mapping[str, _Rows]) -> None:
        """Insert all rows in one transaction, which is durable then; raises sqlite3.Error, and nothing is kept."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, by_statement)

    def _write(self, by_statement: Mapping[str, _Rows]) -> None:
        connection = self._connection
        assert connection is not None
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in by_statement.items():
                insert_many(connection, statement, rows)
            self.commit(connection)
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()  # what failed must not keep the write lock
            raise

    def commit(self, connection: sqlite3.Connection) -> None:
        """Make the transaction durable."""
        connection.commit()


class _Saver(AsyncSqliteSaver):
    """LangGraph's saver, whose failures are ours: a full disk is waited for, and is no fault of the graph.

    What it writes is LangGraph's, to the letter (a test compares); only when is ours: together.
    """

    def __init__(self, connection: aiosqlite.Connection, writer: Writer, place: str) -> None:
        super().__init__(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self.writer = writer
        self._place = place
        self._commits = GroupCommit[tuple[str, _Rows], None](
            self._write_together, name="checkpoint-writer", most=_MOST_AT_ONCE
        )

    @contextlib.asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (aiosqlite.Error, OSError) as exc:
            async with self.lock:  # never into another's transaction
                with contextlib.suppress(aiosqlite.Error):
                    await self.conn.rollback()  # what failed must not keep the write lock
            raise unavailable(self._place, exc) from exc

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read a thread's checkpoint; raises StoreUnavailable.

        Whether there is one at all takes a hop to the driver's thread, reading it four; each graph begins with two
        looks at nothing.
        """
        where = config["configurable"]
        async with self._translated():
            async with self.lock:
                there = await self.conn.execute_fetchall(
                    _ANY_CHECKPOINT, (str(where["thread_id"]), where.get("checkpoint_ns", ""))
                )
            return await super().aget_tuple(config) if there else None

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Write a checkpoint; raises StoreUnavailable."""
        where = config["configurable"]
        told = json.dumps(get_checkpoint_metadata(config, metadata), ensure_ascii=False).encode("utf-8", "ignore")
        key = (str(where["thread_id"]), where["checkpoint_ns"], checkpoint["id"], where.get("checkpoint_id"))
        await self._commits.put((_CHECKPOINT, [(*key, *self.serde.dumps_typed(checkpoint), told)]))
        return {
            "configurable": {
                "thread_id": where["thread_id"],
                "checkpoint_ns": where["checkpoint_ns"],
                "checkpoint_id": checkpoint["id"],
            }
        }

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Write what a node has returned; raises StoreUnavailable."""
        where = config["configurable"]
        key = (str(where["thread_id"]), str(where["checkpoint_ns"]), str(where["checkpoint_id"]), task_id, task_path)
        rows = [
            (*key, WRITES_IDX_MAP.get(channel, index), channel, *self.serde.dumps_typed(value))
            for index, (channel, value) in enumerate(writes)
        ]
        again = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        await self._commits.put((_WRITES_AGAIN if again else _WRITES_ONCE, rows))

    async def _write_together(self, group: Sequence[tuple[str, _Rows]]) -> Sequence[None]:
        """Write all in one transaction; each key belongs to one statement, so that their order says nothing."""
        by_statement: dict[str, list[tuple[Any, ...]]] = {}
        for statement, rows in group:
            by_statement.setdefault(statement, []).extend(rows)
        async with self._translated(), self.lock:  # LangGraph's own connection deletes threads
            await self.writer.write(by_statement)
        return [None] * len(group)

    async def committed(self) -> None:
        """Return when what was given to write has been written, or has failed."""
        await self._commits.idle()

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread; raises StoreUnavailable."""
        async with self._translated():
            await super().adelete_thread(thread_id)
