"""The embedded event log: topics in one SQLite file, for one process; also the bridge's spool."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sreops.adapters.event_log.embedded_subscription import CURE, EmbeddedSubscription
from sreops.adapters.event_log.embedded_table import (
    Unread,
    begin_recently,
    compact,
    count_unread,
    delete_before,
    insert_records,
    measure_unread,
    open_tables,
    read_records,
    remove_read,
    save_offsets,
    write_probe,
)
from sreops.adapters.event_log.oversize import refuse_oversize
from sreops.adapters.sql.group_commit import GroupCommit
from sreops.errors import EventLogRefused, EventLogUnavailable
from sreops.ports import Health, LogRecord, StoredRecord
from sreops.telemetry import log

LOG_OPEN_FAILED: Final = "event_log.open_failed"

Result = TypeVar("Result")

HEALTH_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 5.0
GROUP_RECORDS = 5000  # records that share one transaction at most: keeps a commit well under a second

_WRITES = frozenset({"append", "commit", "write a probe", "prune", "remove"})
_OUTSIDE_TRANSACTIONS = frozenset({"compact"})
_STILL_GOOD = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
# after any other error the connection is opened anew: the file may have been damaged, replaced or removed


class EmbeddedEventLog:
    """Topics of one partition each, in ``path``; every append that returned has been synced to disk.

    Appends that are waiting at the same time share one transaction, so that many small ones are fast.
    """

    name = "embedded"

    def __init__(self, path: Path) -> None:
        self._path = path
        # one thread: SQLite's connection stays in it, and the order of appends is the order of commits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedded-log")
        self._db: sqlite3.Connection | None = None  # touched in the thread only
        self._appends = GroupCommit[Sequence[LogRecord], None](
            self._append_together, name="embedded-log-writer", most=GROUP_RECORDS, weight=len
        )
        self._subscriptions: list[EmbeddedSubscription] = []
        self._stopped = False
        self.openings = 0  # how often the file was opened: it may be another one each time

    async def start(self) -> None:
        """Open the file; where that fails, health says why and every append tries again."""
        try:
            await self._in_thread("open", lambda _db: None)
        except EventLogUnavailable as exc:
            log.error(LOG_OPEN_FAILED, path=str(self._path), error=str(exc))

    async def stop(self) -> None:
        """Finish the appends under way (bounded) and close the file."""
        if self._stopped:
            return
        self._stopped = True
        await self._appends.idle(STOP_TIMEOUT_S)
        for subscription in self._subscriptions:
            subscription.wake()
        closed = asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        await asyncio.wait({closed}, timeout=STOP_TIMEOUT_S)
        self._thread.shutdown(wait=False)

    async def append(self, records: Sequence[LogRecord], *, timeout_s: float) -> None:
        """Append all in one transaction; synced to disk when this returns."""
        refuse_oversize(records)
        if self._stopped:
            raise EventLogUnavailable(f"the embedded log {self._path} has been stopped")
        if not records:
            return
        done = self._appends.put(records)
        done.add_done_callback(_retrieve)  # the caller may be gone when it fails
        expiry = asyncio.get_running_loop().call_later(timeout_s, self._expire, done, len(records), timeout_s)
        try:
            await done  # not by asyncio.wait, which takes longer than all the rest of this
        finally:
            expiry.cancel()

    def _expire(self, done: "asyncio.Future[None]", count: int, timeout_s: float) -> None:
        """Give up waiting; what the writer has not taken yet is left out, what it has taken may still be written."""
        if not done.done():
            done.set_exception(
                EventLogUnavailable(
                    f"appending {count} records to {self._path} took more than {timeout_s:g} s; "
                    "is the disk stuck, or the file locked by another process?"
                )
            )

    @asynccontextmanager
    async def subscribe(
        self, topics: Sequence[str], *, group: str, recent_s: Mapping[str, float] | None = None
    ) -> AsyncIterator[EmbeddedSubscription]:
        """Read the topics for ``group``; a second subscription of a group waits until the first one has ended."""
        subscription = EmbeddedSubscription(self, topics, group, recent_s or {})
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)
            for other in self._subscriptions:
                other.wake()

    async def health(self) -> Health:
        """Write a row, so that a full disk or a lock shows before an alert is refused."""
        probe = asyncio.ensure_future(self._in_thread("write a probe", write_probe))
        await asyncio.wait({probe}, timeout=HEALTH_TIMEOUT_S)
        if not probe.done():
            probe.add_done_callback(_retrieve)
            return Health("down", f"{self._path} did not take a write within {HEALTH_TIMEOUT_S:g} s", CURE)
        if (error := probe.exception()) is not None:
            return Health("down", str(error), CURE)
        return Health("up", "embedded")

    async def prune(self, before: datetime, limit: int = 2000, but: Collection[str] = ()) -> int:
        """Delete up to ``limit`` that are older and committed by every group that reads the topic; return how many.

        The topics in ``but`` are left as they are.
        """
        return await self._in_thread("prune", lambda db: delete_before(db, before, limit, but))

    def leads(self, subscription: EmbeddedSubscription) -> bool:
        """Say whether this subscription is the one that reads for its group: the oldest one does."""
        return (
            next((reader for reader in self._subscriptions if reader.group == subscription.group), None) is subscription
        )

    async def read(
        self, group: str, starts: dict[str, int], topics: Sequence[str], limit: int, max_bytes: int | None = None
    ) -> list[StoredRecord]:
        """Return up to ``limit`` records from each topic's start (its committed offset where there is none)."""
        return await self._in_thread("read", lambda db: read_records(db, group, starts, topics, limit, max_bytes))

    async def begin_recently(self, group: str, recent_s: Mapping[str, float]) -> None:
        """Let the group begin so many seconds back in those of the topics that it has never read."""
        await self._in_thread("commit", lambda db: begin_recently(db, group, recent_s))

    async def save(self, group: str, ends: dict[str, int]) -> None:
        """Save where the group goes on in each topic."""
        await self._in_thread("commit", lambda db: save_offsets(db, group, ends))

    async def count(self, group: str, starts: dict[str, int], topics: Sequence[str]) -> int:
        """Count the records that wait from each topic's start on."""
        return await self._in_thread("count", lambda db: count_unread(db, group, starts, topics))

    async def measure(self, group: str) -> dict[str, Unread]:
        """Measure what waits for the group, by topic; reads the whole file."""
        return await self._in_thread("measure", lambda db: measure_unread(db, group))

    async def remove(self, group: str, ends: dict[str, int], *, opening: int) -> bool:
        """Commit for the group and delete what it has read, where it is the only reader.

        Return False, and do nothing, where the file was opened anew since: offsets of another file mean nothing.
        """

        def work(db: sqlite3.Connection) -> bool:
            if self.openings != opening:
                return False
            remove_read(db, group, ends)
            return True

        return await self._in_thread("remove", work)

    async def compact(self) -> None:
        """Give the space of deleted records back to the disk."""
        await self._in_thread("compact", compact)

    async def discard(self) -> None:
        """Delete the file with all that is in it: what helps where the disk is too full even for a deletion.

        Appends that come after this call begin a new file.
        """

        def unlink() -> None:
            self._close()
            for suffix in ("", "-wal", "-shm"):  # the database first: SQLite ignores a WAL without one
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, unlink)
        except (OSError, RuntimeError, sqlite3.Error) as exc:
            raise EventLogUnavailable(f"could not delete the embedded log {self._path}: {exc}") from exc

    @property
    def stopped(self) -> bool:
        """Whether stop was called."""
        return self._stopped

    async def _append_together(self, group: Sequence[Sequence[LogRecord]]) -> Sequence[None]:
        records = [record for append in group for record in append]
        try:
            await self._in_thread("append", lambda db: insert_records(db, records))
        except (UnicodeError, OverflowError, TypeError) as exc:  # SQLite can't hold it: asking again is useless
            raise EventLogRefused(f"the embedded log {self._path} can't hold a record: {exc}") from exc
        for subscription in self._subscriptions:
            subscription.wake()
        return [None] * len(group)

    async def _in_thread(self, what: str, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run ``work`` in one transaction in the log's thread; SQLite's errors become EventLogUnavailable."""

        def run() -> Result:
            try:
                if self._db is None:
                    self._db = open_tables(self._path)
                    self.openings += 1
                db = self._db
                with db:  # commits, or rolls back
                    if what not in _OUTSIDE_TRANSACTIONS:
                        db.execute("BEGIN IMMEDIATE" if what in _WRITES else "BEGIN")
                    return work(db)
            except (sqlite3.Error, OSError) as exc:
                if getattr(exc, "sqlite_errorcode", 0) & 0xFF not in _STILL_GOOD:
                    self._close()
                raise EventLogUnavailable(f"could not {what} in the embedded log {self._path}: {exc}") from exc

        try:
            running = asyncio.get_running_loop().run_in_executor(self._thread, run)
        except RuntimeError as exc:  # the executor was shut down
            raise EventLogUnavailable(f"the embedded log {self._path} has been stopped") from exc
        return await running

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Take note of an outcome that nobody waits for any more, or asyncio complains of it."""
    if not future.cancelled():
        future.exception()
