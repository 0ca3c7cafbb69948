"""Intake: topic → inbox → commit; beside it what lies in the inbox is correlated (``correlation.py``).

Nothing is lost on a crash or cancellation anywhere: offsets are committed after the inbox has the events, and a
batch that comes again is known by its event ids.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from sreops.backoff import Backoff
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity
from sreops.domain.alerts.event_record import read_event
from sreops.domain.alerts.routing import WORK_ON, NotWorkedOn, not_worked_on
from sreops.errors import EventLogRefused, EventLogUnavailable, RecordUnreadable, StoreUnavailable
from sreops.ports import Clock, EventLog, Health, IncidentStore, LogRecord, StoredRecord, Subscription
from sreops.telemetry import ALERTS_RECORDED, INTAKE, log
from sreops.worker import dead_letter
from sreops.worker.correlation import DEAD_LETTER_FAILED, Correlator
from sreops.worker.inbox_room import InboxRoom

COMMIT_FAILED: Final = "intake.commit_failed"
INBOX_WRITE_FAILED: Final = "intake.inbox_write_failed"
RECORD_BURIED: Final = "intake.record_buried"


class Intake:
    """Reads the topics into the store's inbox; ``subscribe`` opens the worker's subscription."""

    def __init__(
        self,
        *,
        subscribe: Callable[[], AbstractAsyncContextManager[Subscription]],
        store: IncidentStore,
        event_log: EventLog,
        clock: Clock,
        correlating: Correlator,
        batch_records: int = 500,
        poll_s: float = 1.0,
        retry_s: float = 0.2,
        append_timeout_s: float = 5.0,
        max_inbox_bytes: int = 1024 * 1024 * 1024,
        full_poll_s: float = 5.0,
        work_on: Collection[Severity] = WORK_ON,
    ) -> None:
        self._subscribe = subscribe
        self._store = store
        self._event_log = event_log
        self._clock = clock
        self._correlating = correlating
        self._work_on = frozenset(work_on)
        self._batch_records = batch_records
        self._poll_s = poll_s
        self._retry_s = retry_s
        self._append_timeout_s = append_timeout_s
        self._room = InboxRoom(store, max_inbox_bytes, full_poll_s)
        self._reading: Subscription | None = None

    async def run(self) -> None:
        """Read and correlate until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_topics(), name="intake-read")
            tasks.create_task(self._correlating.run(), name="intake-correlate")

    async def _read_topics(self) -> None:
        async with self._subscribe() as subscription:
            self._reading = subscription
            while True:
                await self._room.wait()
                subscription.pause(self._room.closed_to())
                records = await subscription.poll(max_records=self._batch_records, timeout_s=self._poll_s)
                if records:
                    await self.take(subscription, records)
                    self._room.take(sum(record.size_bytes for record in records))

    def health(self) -> Health:
        """Say whether events are being read and correlated."""
        if self._room.full is not None:
            return self._room.full
        if (stuck := self._correlating.health()) is not None:
            return stuck
        return self._reading.health() if self._reading else Health("up", "not reading yet")

    async def take(self, subscription: Subscription, records: Sequence[StoredRecord]) -> None:
        """Put the events into the inbox, what is unreadable onto the dead letter topic, then commit."""
        events: list[tuple[AlertEvent, StoredRecord]] = []
        dead: list[LogRecord] = []
        for record in records:
            try:
                events.append((read_event(record.value), record))
            except RecordUnreadable as exc:
                dead.append(dead_letter.unreadable(record, str(exc)))
            except Exception as exc:  # noqa: BLE001  # a record that trips our own parser must not stop all the others
                dead.append(dead_letter.unreadable(record, f"{type(exc).__name__}: {exc}", dead_letter.last_frame(exc)))
        if events:
            await self._put_into_inbox(events)
        if dead:
            await self._bury(dead)
        try:
            await subscription.commit(records)
        except EventLogUnavailable as exc:
            # harmless: they come again and are known by their ids, or a later commit covers them
            log.warning(COMMIT_FAILED, error=str(exc), records=len(records))

    async def _put_into_inbox(self, events: Sequence[tuple[AlertEvent, StoredRecord]]) -> None:
        backoff = Backoff(self._retry_s, 10.0)
        recorded = self._recorded_only([event for event, _ in events])
        while True:
            try:
                new = await self._store.take_in(events, now=self._clock.now(), recorded=recorded)
            except StoreUnavailable as exc:
                log.warning(INBOX_WRITE_FAILED, error=str(exc), events=len(events))
                await backoff.wait()
                continue
            INTAKE.labels("taken").inc(new)
            INTAKE.labels("duplicate").inc(len(events) - new)
            for why in recorded.values():
                ALERTS_RECORDED.labels(why.value).inc()
            self._correlating.wake()
            return

    def _recorded_only(self, events: Sequence[AlertEvent]) -> Mapping[str, NotWorkedOn]:
        """Return which events are not worked on, and why; a resolve is, whatever topic it came by."""
        reasons = {
            event.event_id: not_worked_on(event.tier, event.severity, self._work_on)
            for event in events
            if event.status is AlertStatus.firing
        }
        return {event_id: why for event_id, why in reasons.items() if why is not None}

    async def _bury(self, dead: Sequence[LogRecord]) -> None:
        backoff = Backoff(self._retry_s, 10.0)
        while True:
            try:
                await self._event_log.append(dead, timeout_s=self._append_timeout_s)
            except EventLogUnavailable as exc:
                log.warning(DEAD_LETTER_FAILED, error=str(exc), records=len(dead))
                await backoff.wait()
            except EventLogRefused:  # near the size limit, and now with headers
                dead = [dead_letter.cut(record) for record in dead]
            else:
                INTAKE.labels("unreadable").inc(len(dead))
                for letter in dead:
                    log.error(RECORD_BURIED, letter={name: _text(value) for name, value in letter.headers})
                return


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
