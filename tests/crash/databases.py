"""Where sreops keeps what it must not lose: SQLite files, or a PostgreSQL database; and where it is stopped there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg.rows import dict_row

from crash.breakpoints import Breakpoints
from crash.commits import FILES, KEYS, Rows, snapshot, wal
from crash.postgres_proxy import PostgresProxy
from crash.world import Process

_POSTGRES_TABLES = {"writes": "checkpoint_writes"}


class Stops(Protocol):
    """Stands after each commit; see Breakpoints."""

    def stopping_at_commits(self) -> AbstractAsyncContextManager[Any]: ...
    async def next_commit(self) -> str | None: ...
    def go_on(self) -> None: ...
    async def kill_before_next_commit(self, place: str, /) -> None: ...


class Database(Protocol):
    """One kind of database under one sreops."""

    places: tuple[str, ...]

    def settings(self) -> Mapping[str, str]: ...
    def serving(self, kill: Callable[[], Awaitable[None]]) -> AbstractAsyncContextManager[Any]: ...
    def stops(self, sreops: Process) -> Stops: ...
    def snapshot(self, sreops: Process, place: str) -> Rows: ...


class Sqlite:
    """Three files in the data directory."""

    places = tuple(FILES)

    def settings(self) -> Mapping[str, str]:
        return {}

    @asynccontextmanager
    async def serving(self, kill: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        yield

    def stops(self, sreops: Process) -> Stops:
        return Breakpoints(sreops.pid, {name: wal(sreops.data_dir, name) for name in FILES})

    def snapshot(self, sreops: Process, place: str) -> Rows:
        return snapshot(sreops.data_dir, place)


class PostgreSQL:
    """A database of its own; the event log is embedded, and its boundaries are SQLite's."""

    places = ("store", "checkpoints")

    def __init__(self, url: str) -> None:
        self._url = url
        self._proxy: PostgresProxy | None = None

    def settings(self) -> Mapping[str, str]:
        assert self._proxy is not None
        return {"SREOPS_DATABASE_URL": self._proxy.url}

    @asynccontextmanager
    async def serving(self, kill: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        async with PostgresProxy(self._url, kill).serving() as self._proxy:
            yield

    def stops(self, sreops: Process) -> Stops:
        assert self._proxy is not None
        return self._proxy

    def snapshot(self, sreops: Process, place: str) -> Rows:
        with psycopg.connect(self._url, row_factory=dict_row) as connection:
            found: dict[str, dict[Any, dict[str, Any]]] = {}
            for table, keys in KEYS[FILES[place]].items():
                rows = connection.execute(f'SELECT * FROM "{_POSTGRES_TABLES.get(table, table)}"').fetchall()
                found[table] = {tuple(row[key] for key in keys): row for row in rows}
            return found


def database_file(data_dir: Path) -> Path:
    """Return the embedded event log's file."""
    return data_dir / FILES["log"]
