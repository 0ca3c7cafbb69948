"""Checkpoints of the graphs: LangGraph's SQLite saver, in its own file beside the store.

The serializer takes JSON-like primitives only: bytes in the file never become a class of their choice
(CVE-2026-28277 is what the permissive default allowed).
"""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from sreops.errors import StoreUnavailable


@contextlib.asynccontextmanager
async def open_checkpointer(path: Path) -> AsyncIterator[BaseCheckpointSaver[str]]:
    """Open the checkpoints at ``path`` (made with mode 0600: they hold alert text)."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        async with aiosqlite.connect(path) as connection:
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.execute("PRAGMA synchronous=FULL")
            saver = AsyncSqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
            await saver.setup()
            yield saver
    except aiosqlite.Error as exc:
        raise StoreUnavailable(f"the checkpoints in {path} can't be used: {exc}") from exc
