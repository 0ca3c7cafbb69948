"""Copies of thoughts and actions on their topics, for other consumers; the store's rows are the originals."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from sreops.domain.record import Record, RecordKind
from sreops.domain.routing import ACTIONS, THOUGHTS
from sreops.errors import EventLogRefused, EventLogUnavailable, StoreUnavailable
from sreops.ports import EventLog, IncidentStore, LogRecord
from sreops.telemetry import log
from sreops.worker.backoff import Backoff

IDLE_S = 2.0  # between looks when nobody wakes us: another process may have written
TOPICS: Final = {RecordKind.thought: THOUGHTS, RecordKind.action: ACTIONS}
ALWAYS_SHORT: Final = ("seq", "incident_id", "kind", "at", "prev_hash", "hash")


class Copies:
    """Appends what is unpublished, in order, and marks it when the log has acknowledged it.

    A crash in between appends a record twice; its ``seq`` tells. ``wake`` makes it look at once.
    """

    def __init__(
        self,
        *,
        store: IncidentStore,
        event_log: EventLog,
        wake: asyncio.Event | None = None,
        batch_records: int = 500,
        append_timeout_s: float = 5.0,
        retry_s: float = 0.5,
    ) -> None:
        self._store = store
        self._event_log = event_log
        self._wake = wake or asyncio.Event()
        self._batch_records = batch_records
        self._append_timeout_s = append_timeout_s
        self._retry_s = retry_s

    async def run(self) -> None:
        """Copy until cancelled; a log or store that is away is waited for."""
        backoff = Backoff(self._retry_s, 15.0)
        while True:
            self._wake.clear()
            try:
                copied = await self.copy_once()
            except (EventLogUnavailable, StoreUnavailable) as exc:
                log.warning("copies.append_failed", error=str(exc))
                await backoff.wait()
                continue
            backoff.reset()
            if copied:
                continue
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def copy_once(self) -> int:
        """Copy one batch; return how many records it had. Raises EventLogUnavailable, StoreUnavailable."""
        records = await self._store.unpublished(self._batch_records)
        if not records:
            return 0
        try:
            await self._append([_copy(record) for record in records])
        except EventLogRefused:
            await self._append_one_by_one(records)
        await self._store.published([record.seq for record in records])
        return len(records)

    async def _append_one_by_one(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                await self._append([_copy(record)])
            except EventLogRefused as exc:
                log.warning("copies.record_cut", seq=record.seq, incident_id=record.incident_id, error=str(exc))
                await self._append([_cut_copy(record)])

    async def _append(self, copies: Sequence[LogRecord]) -> None:
        await self._event_log.append(copies, timeout_s=self._append_timeout_s)


def _copy(record: Record) -> LogRecord:
    return _as_log_record(record, record.public())


def _cut_copy(record: Record) -> LogRecord:
    """Say that there is such a record, which is too large for the log; the API has all of it."""
    public = record.public()
    return _as_log_record(record, {name: public[name] for name in ALWAYS_SHORT if name in public} | {"cut": True})


def _as_log_record(record: Record, body: dict[str, Any]) -> LogRecord:
    value = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return LogRecord(TOPICS[record.kind], record.incident_id, value.encode("utf-8", "replace"))
