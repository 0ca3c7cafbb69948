"""Checkpoints of the graphs: LangGraph's SQLite saver, in its own file beside the store.

The serializer takes JSON-like primitives only: bytes in the file never become a class of their choice
(CVE-2026-28277 is what the permissive default allowed).
"""

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from sreops.adapters.store.failures import unavailable


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
        yield saver


class _Saver(AsyncSqliteSaver):
    """LangGraph's saver, whose failures are ours: a full disk is waited for, and is no fault of the graph."""

    def __init__(self, connection: aiosqlite.Connection, place: str) -> None:
        super().__init__(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self._place = place

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
        """Read a thread's checkpoint; raises StoreUnavailable."""
        async with self._translated():
            return await super().aget_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Write a checkpoint; raises StoreUnavailable."""
        async with self._translated():
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Write what a node has returned; raises StoreUnavailable."""
        async with self._translated():
            await super().aput_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread; raises StoreUnavailable."""
        async with self._translated():
            await super().adelete_thread(thread_id)
