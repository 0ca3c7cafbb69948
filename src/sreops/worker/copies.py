"""Copies of thoughts and actions on their topics, for other consumers; the store's rows are the originals."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any, Final

from sreops.backoff import Backoff
from sreops.domain.alerts.event_record import event_json
from sreops.domain.alerts.routing import ACTIONS, THOUGHTS, route
from sreops.domain.records.record import Record, RecordKind
from sreops.errors import EventLogRefused, EventLogUnavailable, StoreUnavailable
from sreops.ports import Clock, EventLog, IncidentStore, LogRecord
from sreops.telemetry import log
from sreops.worker import dead_letter

TURN_KEPT: Final = "copies.turn_kept"
APPEND_FAILED: Final = "copies.append_failed"
RECORD_CUT: Final = "copies.record_cut"
EVENT_MISSING: Final = "copies.dead_event_missing"
TURN = "copies"
TURN_S = 15.0  # longer than an append may take
IDLE_S = 2.0  # between looks when nobody wakes us: another process may have written
TOPICS: Final = {RecordKind.thought: THOUGHTS, RecordKind.action: ACTIONS}
ALWAYS_SHORT: Final = ("seq", "incident_id", "kind", "at", "prev_hash", "hash")


class Copies:
    """Appends what is unpublished, in order, and marks it when the log has acknowledged it.

    Where the store is ``shared``, one replica at a time does so for all, by a turn in the store. A crash between
    the append and the mark, or a turn that lapses in between, appends records twice; their ``seq`` tells. ``wake``
    makes it look at once.
    """

    def __init__(
        self,
        *,
        store: IncidentStore,
        event_log: EventLog,
        clock: Clock,
        shared: bool = False,
        wake: asyncio.Event | None = None,
        batch_records: int = 500,
        append_timeout_s: float = 5.0,
        retry_s: float = 0.5,
    ) -> None:
        self._store = store
        self._event_log = event_log
        self._clock = clock
        self._shared = shared
        self._owner = uuid.uuid4().hex
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
                log.warning(APPEND_FAILED, error=str(exc))
                await self._give_up_turn()
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
        if records and self._shared:
            if not await self._store.take_turn(TURN, self._owner, now=self._clock.now(), lease_s=TURN_S):
                return 0
            records = await self._store.unpublished(self._batch_records)  # another may have had the turn until now
        if not records:
            return 0
        try:
            await self._append([copy for record in records for copy in (_copy(record), *await self._letter(record))])
        except EventLogRefused:
            await self._append_one_by_one(records)
        await self._store.published([record.seq for record in records])
        return len(records)

    async def _give_up_turn(self) -> None:
        """Let another replica try: it may be only ours that does not reach the log."""
        if not self._shared:
            return
        try:
            await self._store.end_turn(TURN, self._owner)
        except StoreUnavailable as exc:
            log.warning(TURN_KEPT, error=str(exc))

    async def _append_one_by_one(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                await self._append([_copy(record), *await self._letter(record)])
            except EventLogRefused as exc:
                log.warning(RECORD_CUT, seq=record.seq, incident_id=record.incident_id, error=str(exc))
                await self._append([_cut_copy(record), *map(dead_letter.cut, await self._letter(record))])

    async def _letter(self, record: Record) -> Sequence[LogRecord]:
        """Return the dead letter that an action stands for: the store's row is its outbox."""
        if record.kind is not RecordKind.action or record.body.get("action") != dead_letter.ACTION:
            return ()
        told = record.body["data"]
        for event, _ in await self._store.events(record.incident_id):
            if event.event_id == told["event_id"]:
                original = LogRecord(route(event.tier, event.severity), event.service, event_json(event))
                words = {"error": str(told["error"]), "frame": str(told["frame"])}
                return [dead_letter.of_event(original, event.event_id, incident_id=record.incident_id, **words)]
        log.error(EVENT_MISSING, incident_id=record.incident_id, event_id=told["event_id"])
        return ()

    async def _append(self, copies: Sequence[LogRecord]) -> None:
        await self._event_log.append(copies, timeout_s=self._append_timeout_s)


def _copy(record: Record) -> LogRecord:
    return _as_log_record(record, record.public())


def _cut_copy(record: Record) -> LogRecord:
    """Say that there is such a record, which is too large for the log; the API has all of it."""
    public = record.public()
    return _as_log_record(record, {name: public[name] for name in ALWAYS_SHORT if name in public} | {"cut": True})


def _as_log_record(record: Record, body: dict[str, Any]) -> LogRecord:
    try:
        value = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:  # NaN and the infinities, which JSON has no words for: one such record must not stop all copies
        body = json.loads(json.dumps(body), parse_constant=lambda _: None)
        value = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return LogRecord(TOPICS[record.kind], record.incident_id, value.encode("utf-8", "replace"))
