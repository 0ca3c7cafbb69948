"""Forwarding: what waits in the spool goes to the event log, in order per topic, as soon as the log takes it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sreops.backoff import Backoff
from sreops.domain.alerts.routing import DEAD_LETTER
from sreops.errors import EventLogRefused, EventLogUnavailable
from sreops.ports import Clock, EventLog, Spool, StoredRecord
from sreops.telemetry import BACKLOG, BACKLOG_AGE, log

BATCH_RECORDS: Final = 2000
BATCH_BYTES: Final = 4 * 1024 * 1024
IDLE_S: Final = 5.0
MEASURE_EVERY_S: Final = 2.0
LAST_RETRY_S: Final = 3.0  # a log that is known to be away refuses at once, so asking is cheap
CUT_VALUE_BYTES: Final = 100_000

FORWARDING_STOPPED: Final = "spool.forwarding_stopped"
FORWARDING_BEGAN: Final = "spool.forwarding_began"
READ_FAILED: Final = "spool.read_failed"
RECORD_BURIED: Final = "spool.record_buried"


class Forwarding:
    """Moves records from the spool to the log until cancelled.

    A topic that the log does not take holds up no other. A crash between the log's acknowledgement and the
    removal from the spool forwards a batch twice: events are known by their ids.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        event_log: EventLog,
        clock: Clock,
        append_timeout_s: float = 5.0,
        retry_s: float = 0.2,
        batch_records: int = BATCH_RECORDS,
    ) -> None:
        self._spool = spool
        self._event_log = event_log
        self._clock = clock
        self._append_timeout_s = append_timeout_s
        self._retry_s = retry_s
        self._batch_records = batch_records

    async def run(self) -> None:
        """Forward every topic, and measure what waits, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for topic in self._spool.topics:
                tasks.create_task(self._forward_topic(topic), name=f"spool-{topic}")
            tasks.create_task(self._measure(), name="spool-measure")

    async def _forward_topic(self, topic: str) -> None:
        backoff = Backoff(self._retry_s, LAST_RETRY_S)
        batch = self._batch_records
        stopped = False
        while True:
            try:
                records = await self._spool.waiting(topic, max_records=batch, max_bytes=BATCH_BYTES, timeout_s=IDLE_S)
            except EventLogUnavailable as exc:
                log.error(READ_FAILED, topic=topic, error=str(exc))
                await backoff.wait()
                continue
            if not records:
                continue
            try:
                await self._append(records)
            except (EventLogUnavailable, EventLogRefused) as exc:
                self._spool.not_forwarded(topic)
                if not stopped:  # once per outage
                    log.warning(FORWARDING_STOPPED, topic=topic, error=str(exc))
                stopped = True
                batch = max(1, batch // 2)  # a log that is slow takes a little in time where it can't take much
                await backoff.wait()
                continue
            await self._spool.forwarded(records)
            if stopped:
                log.info(FORWARDING_BEGAN, topic=topic)
            stopped = False
            batch = min(self._batch_records, batch * 2)
            backoff.reset()

    async def _append(self, records: Sequence[StoredRecord]) -> None:
        """Append all; a record that the log will never take goes to the dead letter, and holds up no other."""
        try:
            await self._event_log.append(records, timeout_s=self._append_timeout_s)
        except EventLogRefused as exc:
            if len(records) == 1:
                await self._bury(records[0], str(exc))
                return
            half = len(records) // 2  # the refused one is found in a few steps
            await self._append(records[:half])
            await self._append(records[half:])

    async def _bury(self, record: StoredRecord, error: str) -> None:
        told = (("error", error[:500].encode("utf-8", "replace")), ("origin-topic", record.topic.encode()))
        dead = replace(record, topic=DEAD_LETTER, headers=(*record.headers, *told))
        cut = min(len(record.value), CUT_VALUE_BYTES)
        while True:
            try:
                await self._event_log.append([dead], timeout_s=self._append_timeout_s)
                break
            except EventLogRefused:
                if not dead.value:
                    raise
                original = ("original-bytes", str(len(record.value)).encode())
                dead = replace(dead, key=record.key[:500], value=record.value[:cut], headers=(*told, original))
                cut //= 4
        log.error(RECORD_BURIED, topic=record.topic, key=record.key, kept_bytes=len(dead.value), error=error)

    async def _measure(self) -> None:
        while True:
            state = self._spool.state()
            BACKLOG.labels("spool").set(state.records)
            BACKLOG.labels("spool_bytes").set(state.size_bytes)
            BACKLOG_AGE.labels("spool").set(state.age_s(self._clock.now()))
            await asyncio.sleep(MEASURE_EVERY_S)
