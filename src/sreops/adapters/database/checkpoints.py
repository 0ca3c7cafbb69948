"""Checkpoints of the graphs: LangGraph's SQLite saver, in its own file beside the store.

The serializer takes JSON-like primitives only: bytes in the file never become a class of their choice
(CVE-2026-28277 is what the permissive default allowed).

The checkpoints that several graphs write at the same time share one commit: a graph goes on when its own is durable,
as with LangGraph's saver, but the disk is asked once for all of them, and so is the driver's thread.
"""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Sequence
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
            saver = _Saver(connection, place)
            await saver.setup()
        except (aiosqlite.Error, OSError) as exc:
            raise unavailable(place, exc) from exc
        try:
            yield saver
        finally:
            await saver.committed()


class _Saver(AsyncSqliteSaver):
    """LangGraph's saver, whose failures are ours: a full disk is waited for, and is no fault of the graph.

    What it writes is LangGraph's, to the letter (a test compares); only when is ours: together.
    """

    def __init__(self, connection: aiosqlite.Connection, place: str) -> None:
        super().__init__(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
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
        async with self._translated(), self.lock:
            try:
                for statement, rows in by_statement.items():
                    cursor = await self.conn.executemany(statement, rows)
                    await cursor.close()
                await self.conn.commit()
            except BaseException:
                # before anybody else has the lock, whose commit would take with it what was written until then
                with contextlib.suppress(aiosqlite.Error):
                    await self.conn.rollback()
                raise
        return [None] * len(group)

    async def committed(self) -> None:
        """Return when what was given to write has been written, or has failed."""
        await self._commits.idle()

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread; raises StoreUnavailable."""
        async with self._translated():
            await super().adelete_thread(thread_id)
