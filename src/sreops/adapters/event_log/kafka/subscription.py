"""One consumer group member that survives lost brokers, evictions and a consumer that hangs."""

import asyncio
import random
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, UnsupportedCodecError

from sreops.adapters.event_log.kafka.alone import ALONE_CURE, OthersRead, refuse_others
from sreops.adapters.event_log.kafka.connection import CURE, FOREIGN_ERRORS, explain, reason
from sreops.backoff import Backoff
from sreops.errors import EventLogUnavailable
from sreops.ports import Health, StoredRecord
from sreops.settings import KafkaSettings
from sreops.telemetry import log

PARTITION_LOST: Final = "event_log.partition_lost"
READING_BEGAN: Final = "event_log.reading_began"
READING_STOPPED: Final = "event_log.reading_stopped"
CONSUMER_CLOSE_FAILED: Final = "event_log.consumer_close_failed"

SESSION_S = 6.0  # the shortest that brokers allow by default: so long a crashed member holds its partitions
REBALANCE_S = 10.0
REQUEST_S = 15.0  # above REBALANCE_S: JoinGroup is answered only when every member has joined
JOIN_S = 40.0
MAX_POLL_INTERVAL_S = 300.0
LEAVE_S = 3.0
CHECK_S = 5.0
LOOK_TIMEOUT_S = 2.0
SILENT_S = 30.0  # the broker does not answer for so long: bootstrap anew (aiokafka #703: stale addresses)
FIRST_PATIENCE_S, LAST_PATIENCE_S = 60.0, 1800.0  # with a consumer that gets nothing (aiokafka #1037, #1187)
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 3.0
SETTLED_S = 10.0  # a consumer that lasted for so long had joined in earnest
CODEC_CURE = "pip install cramjam, or set compression.type of the topics to producer or gzip"


class KafkaSubscription:
    """Reading of some topics for one group; ``keep`` is its background task."""

    def __init__(
        self,
        settings: KafkaSettings,
        options: dict[str, Any],
        topics: Sequence[str],
        group: str,
        topics_ready: asyncio.Event,
        recent_s: Mapping[str, float] | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self._settings = settings
        self._alone = alone
        self._options = options | {"request_timeout_ms": round(max(REQUEST_S, settings.request_timeout_s) * 1000)}
        self._topics = tuple(topics)
        self._group = group
        self._topics_ready = topics_ready
        self._recent_s = recent_s or {}
        self._paused: frozenset[str] = frozenset()
        self._consumer: AIOKafkaConsumer | None = None
        self._joined = asyncio.Event()
        self._spoilt: asyncio.Future[str] | None = None
        self._fetching: asyncio.Task[list[StoredRecord]] | None = None
        self._delivered: dict[TopicPartition, int] = {}  # by the running consumer; only that may be committed
        self._polled_at: float | None = None
        self._empty_at = 0.0  # when poll last had nothing
        self._hungry_since: float | None = None  # since when records wait and none came, or we have no partition
        self._patience_s = FIRST_PATIENCE_S
        self._health = Health("down", "not connected yet", CURE)

    # --- the port -----------------------------------------------------------------------------

    async def poll(self, *, max_records: int, timeout_s: float) -> Sequence[StoredRecord]:
        """Return the next records, those of the first topic first, or none after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        consumer = await self._wait_until_joined(timeout_s)
        if consumer is None:
            return ()
        if self._polled_at is not None and time.monotonic() - self._polled_at > MAX_POLL_INTERVAL_S:
            # the client has left the group meanwhile and does not reliably come back by itself (aiokafka #625, #1187)
            self._spoil("not polled for longer than max.poll.interval")
            return ()
        remaining_s = max(0.0, deadline - time.monotonic())
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(consumer, max_records, remaining_s))
        # A task, waited for and never cancelled: records that a cancelled poll had taken are returned by the next.
        fetching = self._fetching
        await asyncio.wait({fetching}, timeout=remaining_s + 0.5)  # in a rebalance getmany outlasts its timeout
        self._polled_at = time.monotonic()
        if not fetching.done():
            return ()
        if self._fetching is fetching:
            self._fetching = None
        records = [] if fetching.cancelled() else fetching.result()
        if records:
            self._hungry_since, self._patience_s = None, FIRST_PATIENCE_S
        else:
            self._empty_at = time.monotonic()
        return records

    def pause(self, topics: Collection[str]) -> None:
        """Leave these topics, and no others, as they are; the consumer stays in its group meanwhile."""
        self._paused = frozenset(topics)

    async def commit(self, records: Sequence[StoredRecord]) -> None:
        """Commit the offset behind the last of these in each partition that is still ours."""
        ends: dict[TopicPartition, int] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            if record.offset <= self._delivered.get(partition, -1):
                ends[partition] = max(ends.get(partition, 0), record.offset + 1)
        if not ends:
            return
        consumer = self._consumer
        if consumer is None:
            raise EventLogUnavailable(f"offsets of group {self._group} can't be committed: {self._health.detail}")
        ends = {partition: end for partition, end in ends.items() if partition in consumer.assignment()}
        if not ends:
            return
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):  # the library repeats for ever
                await consumer.commit(ends)
        except (CommitFailedError, IllegalStateError) as exc:
            log.info(PARTITION_LOST, group=self._group, error=reason(exc))
        except FOREIGN_ERRORS as exc:
            raise EventLogUnavailable(f"offsets of group {self._group} can't be committed: {reason(exc)}") from exc

    def health(self) -> Health:
        """Say what the last look at the consumer said (at most a few seconds ago)."""
        return self._health

    async def lag(self) -> int | None:
        """Count the unread records of our partitions."""
        return await self._unread(frozenset())

    async def _unread(self, but: Collection[str]) -> int | None:
        consumer = self._consumer
        if consumer is None:
            return None
        partitions = [partition for partition in consumer.assignment() if partition.topic not in but]
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                ends = await consumer.end_offsets(partitions)
                return sum(
                    [max(0, int(ends[partition] - await consumer.position(partition))) for partition in partitions]
                )
        except FOREIGN_ERRORS:
            return None

    # --- the background -----------------------------------------------------------------------

    async def keep(self) -> None:
        """Keep a consumer in the group: join, watch, replace; until cancelled."""
        await self._topics_ready.wait()  # a consumer that comes first would have the broker make them its own way
        backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        while True:
            try:
                consumer = await self._join()
            except OthersRead as exc:
                self._note_health(Health("down", str(exc), ALONE_CURE))
                # not the same for two that began together, each of which saw the other
                await asyncio.sleep(random.uniform(FIRST_RETRY_S, LAST_RETRY_S))  # noqa: S311
                continue
            except EventLogUnavailable as exc:
                self._note_health(Health("down", str(exc), CURE))
                await backoff.wait()
                continue
            joined_at = time.monotonic()
            self._spoilt = asyncio.get_running_loop().create_future()
            self._polled_at, self._hungry_since = None, None
            self._consumer = consumer
            self._note_health(Health("up", "connected"))
            self._joined.set()
            try:
                why = await self._watch(consumer, self._spoilt)
                self._note_health(Health("down", f"consumer of group {self._group} is replaced: {why}", CURE))
            finally:
                self._let_go()
                await _leave(consumer)
            if time.monotonic() - joined_at > SETTLED_S:
                backoff.reset()
                continue
            # what keeps it from reading is still there: each try makes the whole group rebalance
            await backoff.wait()

    async def _join(self) -> AIOKafkaConsumer:
        """Return a consumer that is in the group; raises EventLogUnavailable, and OthersRead where it may not be."""
        consumer = AIOKafkaConsumer(
            *self._topics,
            **self._options,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=round(SESSION_S * 1000),
            heartbeat_interval_ms=round(SESSION_S * 1000 / 3),
            rebalance_timeout_ms=round(REBALANCE_S * 1000),
            max_poll_interval_ms=round(MAX_POLL_INTERVAL_S * 1000),
            metadata_max_age_ms=60_000,  # new partitions are read within a minute
        )
        try:
            async with asyncio.timeout(JOIN_S):
                if self._alone:
                    await refuse_others(self._options, self._group, most=0)
                await consumer.start()
                if self._alone:
                    await refuse_others(self._options, self._group, most=1)
                await self._begin_recently(consumer)
        except FOREIGN_ERRORS as exc:
            await _leave(consumer)
            raise await explain(self._settings, self._options, exc) from exc
        except (OthersRead, asyncio.CancelledError):
            await _leave(consumer)
            raise
        return consumer

    async def _begin_recently(self, consumer: AIOKafkaConsumer) -> None:
        """Commit where the group begins in what it has never read, so that a later start does not begin anew."""
        begins: dict[TopicPartition, int] = {}
        for partition in consumer.assignment():
            recent_s = self._recent_s.get(partition.topic)
            if recent_s is None or await consumer.committed(partition) is not None:
                continue
            since_ms = round((time.time() - recent_s) * 1000)
            found = (await consumer.offsets_for_times({partition: since_ms}))[partition]
            ends = await consumer.end_offsets([partition])
            begins[partition] = ends[partition] if found is None else found.offset
        if begins:
            for partition, offset in begins.items():
                consumer.seek(partition, offset)
            await consumer.commit(begins)

    async def _watch(self, consumer: AIOKafkaConsumer, spoilt: "asyncio.Future[str]") -> str:
        """Return why the consumer must be replaced, when it must."""
        answered_at = time.monotonic()
        while True:
            await asyncio.wait({spoilt}, timeout=CHECK_S)
            if spoilt.done():
                return spoilt.result()
            lag = await self._unread(self._paused)
            now = time.monotonic()
            if lag is None:
                self._note_health(Health("down", f"the broker does not answer group {self._group}", CURE))
                if now - answered_at > SILENT_S:
                    return f"no answer for {now - answered_at:.0f} s"
                continue
            answered_at = now
            idle = not consumer.assignment()
            self._note_health(Health("up", "connected, no partition assigned" if idle else "connected"))
            if lag == 0 and not idle:
                self._hungry_since = None
            elif self._hungry_since is None:
                self._hungry_since = now
            elif now - self._hungry_since > self._patience_s and self._empty_at > self._hungry_since:
                # doubled: a spare member without partitions must not make the whole group rebalance every minute
                self._patience_s = min(self._patience_s * 2, LAST_PATIENCE_S)
                return f"{lag} records wait, and none came for {now - self._hungry_since:.0f} s"

    async def _wait_until_joined(self, timeout_s: float) -> AIOKafkaConsumer | None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._joined.wait()
        except TimeoutError:
            return None
        return self._consumer

    async def _fetch(self, consumer: AIOKafkaConsumer, limit: int, timeout_s: float) -> list[StoredRecord]:
        found: list[ConsumerRecord] = []
        try:
            paused = self._paused
            for topic in self._topics if len(self._topics) > 1 else ():
                partitions = [
                    partition for partition in consumer.assignment() if partition.topic == topic and topic not in paused
                ]
                if partitions and len(found) < limit:
                    got = await consumer.getmany(*partitions, timeout_ms=0, max_records=limit - len(found))
                    found += [record for records in got.values() for record in records]
            wanted = (
                [partition for partition in consumer.assignment() if partition.topic not in paused] if paused else []
            )
            if not found and paused and not wanted:
                await asyncio.sleep(timeout_s)
            elif not found:
                got = await consumer.getmany(*wanted, timeout_ms=round(timeout_s * 1000), max_records=limit)
                found += [record for records in got.values() for record in records]
        except UnsupportedCodecError as exc:
            self._spoil(f"{reason(exc)}: {CODEC_CURE}")
        except FOREIGN_ERRORS as exc:
            self._spoil(reason(exc))
        if consumer is self._consumer:
            for record in found:
                self._delivered[TopicPartition(record.topic, record.partition)] = record.offset
        return [_stored(record) for record in found]

    def _spoil(self, why: str) -> None:
        if self._spoilt is not None and not self._spoilt.done():
            self._spoilt.set_result(why)
        self._let_go()

    def _let_go(self) -> None:
        """Forget the consumer at once, so that poll waits for the next one."""
        self._consumer = None
        self._joined.clear()
        self._delivered.clear()
        fetching, self._fetching = self._fetching, None
        if fetching is not None and fetching is not asyncio.current_task():
            fetching.cancel()

    def _note_health(self, health: Health) -> None:
        if health.status != self._health.status:
            if health.status == "up":
                log.warning(READING_BEGAN, group=self._group, detail=health.detail)
            else:
                log.warning(READING_STOPPED, group=self._group, detail=health.detail)
        self._health = health


async def _leave(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and close; what takes longer than a moment goes on until its requests time out."""
    stopping = asyncio.create_task(consumer.stop(), name="kafka-consumer-leaving")
    stopping.add_done_callback(_retrieve)
    await asyncio.wait({stopping}, timeout=LEAVE_S)


def _retrieve(task: "asyncio.Task[None]") -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        level = log.info if isinstance(error, KafkaError) else log.warning
        level(CONSUMER_CLOSE_FAILED, error=reason(error))


def _stored(record: ConsumerRecord) -> StoredRecord:
    return StoredRecord(
        topic=record.topic,
        key=(record.key or b"").decode("utf-8", "replace"),
        value=record.value or b"",
        headers=tuple((name, value or b"") for name, value in record.headers),
        partition=record.partition,
        offset=record.offset,
        at=datetime.fromtimestamp(record.timestamp / 1000, UTC) if record.timestamp >= 0 else None,
    )
