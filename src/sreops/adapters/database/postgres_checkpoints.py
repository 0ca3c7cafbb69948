"""Checkpoints of the graphs on PostgreSQL, beside the store and shared by all replicas.

Imported only where PostgreSQL is configured: it needs the extra ``postgres``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import psycopg
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from sreops.adapters.sql.failures import unavailable
from sreops.adapters.sql.postgres import CONNECT_ARGS, CONNECT_TIMEOUT_S, conninfo, place
from sreops.errors import StoreUnavailable

SETUP_LOCK: Final = 0x5352454F5043  # the advisory lock of those who make the tables
_CONNECTIONS: Final = 5
_SETUP_POLL_S: Final = 0.2
_SETUP_TIMEOUT_S: Final = 60.0


class PostgresCheckpoints:
    """A saver on a pool that connects again by itself; ``set_up`` must have succeeded before it is used."""

    def __init__(self, url: str) -> None:
        self._place = f"checkpoints in {place(url)}"
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]] = AsyncConnectionPool(
            conninfo(url),
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=CONNECT_TIMEOUT_S,
            open=False,
            check=AsyncConnectionPool.check_connection,  # a server that was restarted fails no step
            kwargs={**CONNECT_ARGS, "autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        )
        self.saver = _Saver(self._pool, self._place)

    async def start(self) -> None:
        """Begin to connect, in the background."""
        await self._pool.open(wait=False)

    async def stop(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def set_up(self) -> None:
        """Create or upgrade LangGraph's tables, one replica at a time; raises StoreUnavailable."""
        try:
            async with asyncio.timeout(_SETUP_TIMEOUT_S), self._pool.connection() as connection:
                await _lock(connection)
                try:
                    await self.saver.setup()
                finally:
                    await connection.execute("SELECT pg_advisory_unlock(%s)", (SETUP_LOCK,))
        except (psycopg.Error, OSError) as exc:
            raise unavailable(self._place, exc) from exc
        except TimeoutError as exc:
            raise StoreUnavailable(
                f"{self._place}: the tables could not be made within {_SETUP_TIMEOUT_S:g} s; "
                "see whether another replica hangs"
            ) from exc


async def _lock(connection: "psycopg.AsyncConnection[DictRow]") -> None:
    """Poll for the lock: LangGraph builds indices CONCURRENTLY, which would wait for a statement that waits for it."""
    while True:
        row = await (await connection.execute("SELECT pg_try_advisory_lock(%s) AS got", (SETUP_LOCK,))).fetchone()
        if row and row["got"]:
            return
        await asyncio.sleep(_SETUP_POLL_S)


class _Saver(AsyncPostgresSaver):
    """LangGraph's saver, whose failures are ours, and which uses the pool for several graphs at once."""

    def __init__(self, pool: "AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]", where: str) -> None:
        # JSON-like primitives only, as in checkpoints.py
        super().__init__(pool, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self._where = where
        # its lock is for one shared connection: from a pool each operation has its own
        self.lock: Any = contextlib.nullcontext()

    @contextlib.asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        try:
            async with super()._cursor(pipeline=pipeline) as cursor:
                yield cursor
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as exc:
            raise unavailable(self._where, exc) from exc
