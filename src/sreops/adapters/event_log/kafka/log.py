"""The event log on Kafka: appends through a producer that is replaced whenever it is stuck."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from sreops.adapters.event_log.kafka.connection import (
    CURE,
    FOREIGN_ERRORS,
    connection_options,
    explain,
)
from sreops.adapters.event_log.kafka.producing import Producing
from sreops.adapters.event_log.kafka.subscription import KafkaSubscription
from sreops.adapters.event_log.kafka.topics import create_missing_topics
from sreops.adapters.event_log.oversize import refuse_oversize
from sreops.backoff import Backoff
from sreops.errors import EventLogUnavailable
from sreops.ports import Health, LogRecord
from sreops.settings import KafkaSettings
from sreops.telemetry import log

LOG_CONNECTED: Final = "event_log.connected"
TOPIC_CREATION_REFUSED: Final = "event_log.topic_creation_refused"
PRODUCER_REPLACED: Final = "event_log.producer_replaced"
LOG_CONNECT_FAILED: Final = "event_log.connect_failed"

HEALTH_TIMEOUT_S = 2.0
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 3.0
WATCH_S = 1.0  # between looks at whether the producer is stuck
PROBE_EVERY = 10  # looks between two metadata requests
PROBES_FAILED = 3  # in a row, and it connects anew: addresses of a rebuilt cluster are learnt that way only
FLUSH_S = 2.0
LEAVE_S = 1.0


class KafkaEventLog:
    """Topics on Kafka or Redpanda; ``topics`` are created where they are missing.

    An append that raised may still be delivered, wholly or in part: consumers must know an event by its id.
    ``alone``: whoever subscribes is to be the only member of its group, and waits until nobody else is in it.
    """

    name = "kafka"

    def __init__(self, settings: KafkaSettings, topics: Sequence[str], *, alone: bool = False) -> None:
        self._settings = settings
        self._alone = alone
        self._topics = tuple(topics)
        self._options = connection_options(settings)
        self._producing: Producing | None = None
        self._why = "not connected yet"
        self._topic_problem = ""
        self._attempted = asyncio.Event()  # cleared while a first attempt to connect is under way
        self._topics_ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect, in the background."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="kafka-producer-keeper")

    async def stop(self) -> None:
        """Flush for a moment and close."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        self._why = "the event log has been stopped"
        keeper.cancel()
        await asyncio.wait({keeper})
        self._attempted.set()

    async def append(self, records: Sequence[LogRecord], *, timeout_s: float) -> None:
        """Send all and await every acknowledgement (acks=all)."""
        refuse_oversize(records)
        if not records:
            return
        try:
            async with asyncio.timeout(timeout_s):
                # while the broker is known to be away this does not wait: the caller has a spool
                await self._attempted.wait()
                producing = self._producing
                if producing is None:
                    raise EventLogUnavailable(self._why)
                await producing.send(records)
        except TimeoutError as exc:
            raise EventLogUnavailable(
                f"Kafka at {self._settings.bootstrap_servers} did not acknowledge {len(records)} records within "
                f"{timeout_s:g} s; some may be delivered all the same"
            ) from exc

    @asynccontextmanager
    async def subscribe(
        self, topics: Sequence[str], *, group: str, recent_s: Mapping[str, float] | None = None
    ) -> AsyncIterator[KafkaSubscription]:
        """Join the group in the background; an absent broker is no error, and a lost one neither."""
        ready = self._topics_ready
        subscription = KafkaSubscription(
            self._settings, self._options, topics, group, ready, recent_s or {}, alone=self._alone
        )
        keeper = asyncio.create_task(subscription.keep(), name=f"kafka-consumer-keeper-{group}")
        try:
            yield subscription
        finally:
            keeper.cancel()
            await asyncio.wait({keeper})

    async def health(self) -> Health:
        """Ask the cluster for its metadata; every partition of our topics must have a leader."""
        producing = self._producing
        if producing is None:
            return Health("down", self._why, CURE)
        problem = await producing.metadata(self._topics, timeout_s=HEALTH_TIMEOUT_S)
        if not problem and (silent_s := producing.silent_s()) > HEALTH_TIMEOUT_S:
            problem = f"nothing acknowledged for {silent_s:.0f} s"
        problem = problem or self._topic_problem
        if problem:
            return Health("down", f"Kafka at {self._settings.bootstrap_servers}: {problem}", CURE)
        return Health("up", "connected")

    async def _keep(self) -> None:
        """Keep a working producer: connect, watch it, replace it; until cancelled."""
        backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        while True:
            try:
                producing = await self._connect()
            except EventLogUnavailable as exc:
                if str(exc) != self._why:  # once per reason, not once per attempt
                    log.warning(LOG_CONNECT_FAILED, error=str(exc))
                self._why = str(exc)
                self._attempted.set()
                await backoff.wait()
                continue
            backoff.reset()
            flush_s = FLUSH_S
            self._producing = producing
            self._attempted.set()
            log.info(LOG_CONNECTED, bootstrap_servers=self._settings.bootstrap_servers)
            try:
                self._why = await self._watch(producing)
                flush_s = 0.0
                self._attempted.clear()
                log.warning(PRODUCER_REPLACED, why=self._why)
            finally:
                self._producing = None
                await producing.close(flush_s=flush_s, leave_s=LEAVE_S)

    async def _connect(self) -> Producing:
        try:
            async with asyncio.timeout(3 * self._settings.request_timeout_s):
                self._topic_problem = await create_missing_topics(self._settings, self._options, self._topics)
        except FOREIGN_ERRORS as exc:
            raise await explain(self._settings, self._options, exc) from exc
        self._note_topic_problem()
        producing = Producing(self._options)
        try:
            async with asyncio.timeout(2 * self._settings.request_timeout_s):
                await producing.start(self._topics)
        except FOREIGN_ERRORS as exc:
            await producing.close(flush_s=0, leave_s=LEAVE_S)
            raise await explain(self._settings, self._options, exc) from exc
        except asyncio.CancelledError:
            await producing.close(flush_s=0, leave_s=LEAVE_S)
            raise
        return producing

    async def _watch(self, producing: Producing) -> str:
        """Return why the producer must be replaced, when it must."""
        looks = failed = 0
        while True:
            await asyncio.wait({producing.spoilt}, timeout=WATCH_S)
            if producing.spoilt.done():
                return producing.spoilt.result()
            if producing.silent_s() > self._settings.request_timeout_s:
                why = f"nothing acknowledged for {producing.silent_s():.0f} s"
                producing.spoil(why)
                return why
            looks += 1
            if looks % PROBE_EVERY == 0:
                problem = await producing.metadata((), timeout_s=self._settings.request_timeout_s)
                failed = failed + 1 if problem else 0
                if failed >= PROBES_FAILED:
                    producing.spoil(problem)
                    return problem
                await self._try_topics_again()

    async def _try_topics_again(self) -> None:
        if not self._topic_problem:
            return
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                self._topic_problem = await create_missing_topics(self._settings, self._options, self._topics)
        except FOREIGN_ERRORS:
            return  # the probe of the producer says what is wrong with the broker
        self._note_topic_problem()

    def _note_topic_problem(self) -> None:
        if self._topic_problem:
            log.error(TOPIC_CREATION_REFUSED, error=self._topic_problem)
        else:
            self._topics_ready.set()
