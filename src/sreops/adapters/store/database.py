"""The database: one writer at a time, readers beside it, every call one transaction.

Writers are serial on purpose: inside a process by a lock, over processes by BEGIN IMMEDIATE (SQLite) or an
advisory lock (PostgreSQL). So each method may look and then write without races, and record sequence numbers
become visible in their order, which the outbox and the event stream rely on.

An incident takes some dozens of writes of a few milliseconds, most of that the disk's. So those that wait at the
same time share one commit; where anything befalls one of them, none is kept and the others are written without it.
And SQLite runs in threads of ours, a whole transaction at a time, because a hop to the driver's thread and back for
every statement costs more than the statement. For the same reason SQLite's reads that wait at the same time share one
hop and one snapshot, which is begun after the last of them was asked for.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sreops.adapters.sql.failures import FOREIGN, own_fault, unavailable
from sreops.adapters.sql.group_commit import GroupCommit
from sreops.adapters.sql.postgres import CONNECT_ARGS, NEEDS_EXTRA, read_url
from sreops.adapters.store.compiled_statements import direct
from sreops.adapters.store.schema import bring_up_to_date
from sreops.errors import SettingsInvalid, StoreUnavailable

_T = TypeVar("_T")

_BUSY_TIMEOUT_MS = 5000  # how long SQLite waits for another process's write
WRITE_LOCK = 0x5352454F5053  # "SREOPS": the advisory lock of writers, within our database
_WRITES = {"sreops_writes": True}
_GROUP = 64  # writes that share one commit at most, reads that share one snapshot
_SQLITE_READERS = 3  # more than one, so that a slow read holds up few others
_SQLITE_THREADS = 1 + _SQLITE_READERS
_Work = Callable[[Connection], Any]


class _OneFailedError(Exception):
    """One of several writes that share a transaction failed: nothing of them is kept, and halves of them are tried."""


class Database:
    """A SQLite file, or a PostgreSQL database where given a ``postgresql://`` URL."""

    def __init__(self, url_or_path: str | Path) -> None:
        self._path: Path | None = None
        self._url = self._read_url(str(url_or_path))
        self.place = str(self._path or self._url.render_as_string(hide_password=True))
        self.busy_timeout_ms = _BUSY_TIMEOUT_MS  # takes effect when it is opened
        self._engine: AsyncEngine | Engine | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._kept: list[Connection] = []  # those of SQLite that nobody uses now
        self.why_closed = ""  # what is said meanwhile: why the last try to open failed
        self._writes = GroupCommit[_Work, Any](self._write_together, name="store-writer", most=_GROUP)
        self._reads = GroupCommit[_Work, Any](
            self._read_together, name="store-reader", most=_GROUP, carriers=_SQLITE_READERS
        )

    @property
    def shared(self) -> bool:
        """Whether other processes may write too (PostgreSQL)."""
        return self._path is None

    def _read_url(self, given: str) -> URL:
        if "://" not in given:
            self._path = Path(given)
            return URL.create("sqlite", database=given)
        url = read_url(given)
        if url.get_backend_name() == "sqlite":
            self._path = Path(url.database or "")
            return url.set(drivername="sqlite")
        return url.set(drivername="postgresql+psycopg")

    async def open(self) -> None:
        """Connect, and create or update the tables; raises StoreUnavailable, or SettingsInvalid for a newer schema."""
        if self._engine is not None:
            return
        try:
            if self._path is not None:
                await asyncio.to_thread(_own_file, self._path)
            # in a thread: making an engine imports its driver and resolves the path
            self._engine = await asyncio.to_thread(self._postgres if self._path is None else self._sqlite)
            await self.write(bring_up_to_date)
        except BaseException as exc:
            await self.close()
            if isinstance(exc, ImportError):
                raise SettingsInvalid([NEEDS_EXTRA]) from exc
            failure = unavailable(self.place, exc) if isinstance(exc, FOREIGN) else exc
            if isinstance(failure, StoreUnavailable):
                self.why_closed = str(failure)
            if failure is exc:
                raise
            raise failure from exc

    async def close(self) -> None:
        """Let running transactions end, then close all connections."""
        await self._reads.idle()
        await self._writes.idle()
        engine, self._engine = self._engine, None
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)
        while self._kept:
            await asyncio.to_thread(self._kept.pop().close)
        if isinstance(engine, AsyncEngine):
            await engine.dispose()
        elif engine is not None:
            await asyncio.to_thread(engine.dispose)

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Run ``work`` on one snapshot; it must not write."""
        if not isinstance(self._engine, Engine):
            return await self._transaction(work, {})
        result: _T = await self._reads.put(work)
        return result

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Run ``work`` as the only writer and commit, or roll back if it raises.

        A transaction that has begun runs to its end though its caller is cancelled: half-way, the driver's
        connection could not be used again, and the next writer would meet the lock still taken. ``work`` may run
        twice, where one that shared its transaction failed; what it did before is then rolled back.
        """
        result: _T = await self._writes.put(work)
        return result

    async def _read_together(self, group: Sequence[_Work]) -> Sequence[Any]:
        """Read all on one snapshot; what befalls one of them befalls none of the others."""

        def together(connection: Connection) -> list[Any]:
            outcomes: list[Any] = []
            for read in group:
                try:
                    outcomes.append(read(connection))
                except Exception as exc:  # noqa: BLE001  # handed to whoever asked for this read
                    outcomes.append(self._ours(exc))
            return outcomes

        return await self._transaction(together, {})

    async def _write_together(self, group: Sequence[_Work]) -> Sequence[Any]:
        """Write all in one transaction; raises for what ended it, and then nothing of it is kept."""
        if len(group) == 1:
            return [await self._transaction(group[0], _WRITES)]

        def together(connection: Connection) -> list[Any]:
            try:
                return [write(connection) for write in group]
            except Exception as exc:  # the database's, or its own refusal: a lost lease, an unknown id
                raise _OneFailedError from exc

        return await self._transaction(together, _WRITES)

    async def _transaction(self, work: Callable[[Connection], _T], options: dict[str, Any]) -> _T:
        if self._engine is None:
            raise StoreUnavailable(self.why_closed or f"incident store {self.place} is not open")
        try:
            if isinstance(self._engine, Engine):
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._in_thread, work, options)
            async with self._engine.connect() as connection:
                await connection.execution_options(**options, **self._isolation(options))
                async with connection.begin():
                    return await connection.run_sync(work)
        except FOREIGN as exc:
            raise self._ours(exc) from exc

    def _ours(self, exc: Exception) -> BaseException:
        """Return what a database's exception means, with its cause; any other one as it is."""
        if not isinstance(exc, FOREIGN):
            return exc
        ours = own_fault(exc) or unavailable(self.place, exc)
        ours.__cause__ = exc
        return ours

    def _in_thread(self, work: Callable[[Connection], _T], options: dict[str, Any]) -> _T:
        connection = self._kept_connection()
        try:
            driver = direct(connection)
            assert driver is not None
            driver.execute("BEGIN IMMEDIATE" if options else "BEGIN")
            with connection.begin():
                result = work(connection)
        except BaseException:
            connection.close()  # rolls back; what is wrong with it shall not befall the next one
            raise
        self._kept.append(connection)
        return result

    def _kept_connection(self) -> Connection:
        """Take a connection that is kept between transactions: SQLAlchemy's pool takes longer than a small one does."""
        try:
            return self._kept.pop()
        except IndexError:
            engine = self._engine
            assert isinstance(engine, Engine)
            return engine.connect()

    def _isolation(self, options: dict[str, Any]) -> dict[str, Any]:
        if self._path is not None or options:
            return {}  # writers: READ COMMITTED, so that what the last holder of the lock wrote is seen
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def _sqlite(self) -> Engine:
        engine = create_engine(self._url, hide_parameters=True, pool_size=_SQLITE_THREADS, pool_timeout=30)
        self._threads = ThreadPoolExecutor(_SQLITE_THREADS, thread_name_prefix="store")

        @event.listens_for(engine, "connect")
        def _prepare(connection: Any, _: object) -> None:
            connection.isolation_level = None  # the driver's own BEGIN would come too late, and never before SELECT
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={self.busy_timeout_ms}")
            cursor.execute("PRAGMA journal_mode=WAL")
            mode = cursor.fetchone()[0]
            if mode != "wal":
                raise StoreUnavailable(
                    f"incident store {self.place}: this file system allows journal mode {mode!r} only, not WAL; "
                    "put SREOPS_DATA_DIR on a local disk"
                )
            cursor.execute("PRAGMA synchronous=FULL")  # NORMAL may lose the last commits at a power cut
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.close()

        return engine

    def _postgres(self) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
            hide_parameters=True,
            pool_size=5,
            max_overflow=5,
            pool_timeout=30,
            pool_pre_ping=True,
            connect_args=CONNECT_ARGS,
        )

        @event.listens_for(engine.sync_engine, "begin")
        def _begin(connection: Connection) -> None:
            if connection.get_execution_options().get("sreops_writes"):
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")

        return engine


def _own_file(path: Path) -> None:
    """Make the file ours alone before SQLite does; its WAL takes the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
