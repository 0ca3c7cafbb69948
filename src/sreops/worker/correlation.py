"""Correlation: inbox → incidents, many events a transaction; it never waits for a graph.

Correlation is applied once per event by the store, so nothing is lost or doubled on a crash or cancellation. One
event that fails holds back only its own service, and one that fails for good goes to the dead letter.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sreops.backoff import Backoff, delay_s
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.event_record import event_json
from sreops.domain.alerts.routing import route
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident, Windows, correlate
from sreops.errors import EventLogRefused, EventLogUnavailable, StoreUnavailable
from sreops.ports import Clock, EventLog, Health, IncidentStore, LogRecord, UnreadableEvent
from sreops.telemetry import CORRELATED, INTAKE, log
from sreops.worker import dead_letter
from sreops.worker.inbox_room import INBOX_READ_FAILED

IDLE_S = 5.0  # between looks into the inbox when nothing arrives here: another process may have put something there
OUTAGE_FAILURES = 3  # correlations that fail in a row are taken for a store that is away
LAST_RETRY_OF_ONE_S = 60.0
HELD_BACK_S = 2.0  # at most, between looks while an event fails
TOGETHER = 200  # events that share a transaction: other writers wait for it
POISON_TRIES = 8  # of an event that trips our own code; at the default delays about half a minute

INBOX_CURE = "See that the store works; what it can't read or take is named here, and its service waits for it."
CORRELATION_FAILED: Final = "intake.correlation_failed"
BATCH_TAKEN_APART: Final = "intake.batch_taken_apart"
DEAD_LETTER_FAILED: Final = "intake.dead_letter_failed"
EVENT_CORRELATED: Final = "intake.event_correlated"
EVENT_SET_ASIDE: Final = "intake.event_set_aside"

_CORRELATED = {disposition: CORRELATED.labels(disposition.value) for disposition in Disposition}
_SAYS_NOTHING_NEW = frozenset({Disposition.repeat, Disposition.stale})


@dataclass(frozen=True)
class _Failure:
    count: int
    retry_at: float  # time.monotonic
    error: str


class Correlator:
    """Correlates what waits in the inbox; ``on_due`` is called when incidents may have become due."""

    def __init__(
        self,
        *,
        store: IncidentStore,
        event_log: EventLog,
        clock: Clock,
        windows: Windows,
        on_due: Callable[[], None],
        batch_records: int = TOGETHER,
        retry_s: float = 0.2,
        append_timeout_s: float = 5.0,
    ) -> None:
        self._store = store
        self._event_log = event_log
        self._clock = clock
        self._windows = windows
        self._on_due = on_due
        self._batch_records = batch_records
        self._retry_s = retry_s
        self._append_timeout_s = append_timeout_s
        self._arrived = asyncio.Event()
        self._failures: dict[str, _Failure] = {}  # by event_id
        self._unread = ""  # why the inbox can't be read, while it can't

    def wake(self) -> None:
        """Look into the inbox now."""
        self._arrived.set()

    def health(self) -> Health | None:
        """Say what keeps events from being correlated, if anything."""
        if self._unread:
            return Health("down", f"events wait to be correlated: {self._unread}", INBOX_CURE)
        if stuck := [item for item in self._failures.items() if item[1].count >= POISON_TRIES]:
            event_id, failure = stuck[0]
            return Health("down", f"event {event_id} waits to be correlated: {failure.error}", INBOX_CURE)
        return None

    async def run(self) -> None:
        """Correlate until cancelled."""
        backoff, held_back = Backoff(self._retry_s, 10.0), Backoff(self._retry_s, HELD_BACK_S)
        while True:
            self._arrived.clear()
            try:
                left = await self.pending()
            except StoreUnavailable as exc:
                log.warning(INBOX_READ_FAILED, error=str(exc))
                self._unread = str(exc)
                await backoff.wait()
                continue
            self._unread = ""
            backoff.reset()
            if left:
                await held_back.wait(self._arrived)  # what arrives may be of another service
                continue
            held_back.reset()
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._arrived.wait()
            except TimeoutError:
                continue

    async def pending(self) -> bool:
        """Correlate what waits in the inbox; return whether something is left because it failed.

        An event that fails is tried again later, and until then holds back only those of its own service:
        a resolve that overtook its firing event would leave an incident open for ever.
        """
        limit = self._batch_records
        while True:
            rows = await self._store.uncorrelated(limit)
            if self._failures and len(rows) < limit:  # all that wait: another replica may have done the others
                waiting = {row.event_id for row in rows}
                self._failures = {
                    event_id: failure for event_id, failure in self._failures.items() if event_id in waiting
                }
            buried = await self._bury_unreadable([row for row in rows if isinstance(row, UnreadableEvent)])
            done, outage = await self._correlate_batch([row for row in rows if isinstance(row, AlertEvent)])
            if done:
                self._on_due()
            if outage:
                return True
            if done + buried == 0:
                if len(rows) < limit:
                    return bool(rows)
                limit *= 2  # all of these are held back: look behind them

    async def _correlate_batch(self, events: Sequence[AlertEvent]) -> tuple[int, bool]:
        """Return how many were correlated, and whether the store seems to be away."""
        held_back: set[str] = set()
        done = failed_in_a_row = 0
        for start in range(0, len(events), TOGETHER):
            ready = [event for event in events[start : start + TOGETHER] if not self._waits(event, held_back)]
            if not ready:
                continue
            if await self._correlate_together(ready):
                done += len(ready)
                failed_in_a_row = 0
                continue
            for event in ready:  # which of them is it?
                if event.service in held_back:
                    continue
                if await self._correlate_one(event):
                    done += 1
                    failed_in_a_row = 0
                    continue
                held_back.add(event.service)
                failed_in_a_row += 1
                if failed_in_a_row == OUTAGE_FAILURES:
                    return done, True
        return done, False

    def _waits(self, event: AlertEvent, held_back: set[str]) -> bool:
        """Say whether the event must wait: for its next try, or behind one of its service that does."""
        failure = self._failures.get(event.event_id)
        if failure and failure.retry_at > time.monotonic():
            held_back.add(event.service)
        return event.service in held_back

    async def _correlate_together(self, events: Sequence[AlertEvent]) -> bool:
        """Correlate all in one transaction, or none; a commit takes as long as the correlation of many."""
        now = self._clock.now()
        try:
            made = await self._store.correlate_all(events, self._decide(now), now=now, windows=self._windows)
        except Exception as exc:  # noqa: BLE001  # each is tried alone now: that tells which one, and handles it
            log.info(BATCH_TAKEN_APART, events=len(events), error=f"{type(exc).__name__}: {exc}")
            return False
        for event, correlation in zip(events, made, strict=True):
            self._note_correlated(event, correlation)
        return True

    def _decide(self, now: datetime) -> Callable[[AlertEvent, Sequence[KnownIncident]], Correlation]:
        return lambda event, known: correlate(event, known, now, self._windows)

    def _note_correlated(self, event: AlertEvent, correlation: Correlation) -> None:
        self._failures.pop(event.event_id, None)
        _CORRELATED[correlation.disposition].inc()
        # a line for each repeat would say the same thousands of times an hour, and take longer than the repeat
        level = log.debug if correlation.disposition in _SAYS_NOTHING_NEW else log.info
        level(
            EVENT_CORRELATED,
            event_id=event.event_id,
            service=event.service,
            disposition=correlation.disposition.value,
            incident_id=correlation.incident_id,
            why=correlation.why,
        )

    async def _correlate_one(self, event: AlertEvent) -> bool:
        now = self._clock.now()
        try:
            correlation = await self._store.correlate(event, self._decide(now), now=now, windows=self._windows)
        except Exception as exc:  # noqa: BLE001  # one event that trips our own code must not stop intake for all
            outage = isinstance(exc, StoreUnavailable)
            error = str(exc) if outage else f"{type(exc).__name__}: {exc}"
            tries = self._note_failure(event, error if outage else f"{error} at {_where(exc)}")
            if tries < POISON_TRIES or getattr(exc, "retryable", False):
                return False
            return await self._set_aside(event, error, dead_letter.last_frame(exc))
        self._note_correlated(event, correlation)
        return True

    async def _set_aside(self, event: AlertEvent, error: str, frame: str) -> bool:
        """Bury an event that trips our own code each time, so that it holds back no other; first there, then here."""
        record = LogRecord(route(event.tier, event.severity), event.service, event_json(event))
        letter = dead_letter.of_event(record, event.event_id, error=error, frame=frame)
        if not await self._bury_and_set_aside(letter, event.event_id):
            return False  # it comes again after its delay
        INTAKE.labels("poisonous").inc()
        log.error(EVENT_SET_ASIDE, event_id=event.event_id, service=event.service, error=error, frame=frame)
        return True

    async def _bury_unreadable(self, rows: Sequence[UnreadableEvent]) -> int:
        """Bury inbox rows that are no events to us, whole as they are; return how many."""
        buried = 0
        for row in rows:
            letter = dead_letter.of_event(
                LogRecord(row.topic, "", row.payload), row.event_id, error=row.error, frame=""
            )
            if await self._bury_and_set_aside(letter, row.event_id):
                buried += 1
                INTAKE.labels("unreadable").inc()
                log.error(EVENT_SET_ASIDE, event_id=row.event_id, error=row.error)
        return buried

    async def _bury_and_set_aside(self, letter: LogRecord, event_id: str) -> bool:
        try:
            try:
                await self._event_log.append([letter], timeout_s=self._append_timeout_s)
            except EventLogRefused:
                await self._event_log.append([dead_letter.cut(letter)], timeout_s=self._append_timeout_s)
            await self._store.set_aside(event_id, now=self._clock.now())
        except (EventLogUnavailable, StoreUnavailable) as exc:
            log.warning(DEAD_LETTER_FAILED, error=str(exc), event_id=event_id)
            return False
        self._failures.pop(event_id, None)
        return True

    def _note_failure(self, event: AlertEvent, error: str) -> int:
        before = self._failures.get(event.event_id)
        count = before.count + 1 if before else 1
        wait_s = delay_s(count, self._retry_s, LAST_RETRY_OF_ONE_S)
        self._failures[event.event_id] = _Failure(count, time.monotonic() + wait_s, error)
        log.warning(CORRELATION_FAILED, event_id=event.event_id, attempts=count, error=error)
        return count


def _where(exc: BaseException) -> str:
    """Name the frames the error came through; a full traceback would read source files on the event loop."""
    frames = []
    trace = exc.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " > ".join(frames[-6:])
