"""One producer and its life: sending, noticing that it is stuck or spoilt, and being thrown away."""

import asyncio
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from sreops.adapters.event_log.kafka.connection import reason
from sreops.errors import EventLogRefused, EventLogUnavailable
from sreops.ports import LogRecord

MAX_BATCH_BYTES = 128 * 1024
# Buffered at most, of each partition: one batch of this size in flight, one that is ready to go, and one open. Further
# sends wait in their callers, which have a deadline; so a broker that is away can't fill our memory.
MAX_REQUEST_BYTES = 1_040_000  # above MAX_RECORD_BYTES, with framing below the broker's default of 1,048,588


_DEFAULT_PARTITIONER = DefaultPartitioner()


class _Batch:
    """Records of one partition that go together: of all requests that come until the sender takes it."""

    def __init__(self, builder: BatchBuilder) -> None:
        self.builder = builder
        self.handed_over = False
        self.delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.delivered.add_done_callback(_retrieve)  # those who wait may be gone when it fails

    def append(self, record: LogRecord, key: bytes) -> bool:
        """Take the record; False where the batch is full."""
        headers = list(record.headers)
        return self.builder.append(timestamp=None, key=key, value=record.value, headers=headers) is not None

    def fail(self, error: Exception) -> None:
        """Tell those who wait, and take no more."""
        self.builder.close()
        if not self.delivered.done():
            self.delivered.set_exception(error)


class Producing:
    """An idempotent producer that waits for all in-sync replicas; it is replaced, never repaired.

    ``spoilt`` is set with the reason when it must go: a failed batch leaves a gap in the producer's sequence
    numbers, so that all that follows on the partition would be refused as out of order.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.spoilt: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._producer = AIOKafkaProducer(
            **options,
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
        )
        self._asked_at: float | None = None  # since when something was sent and nothing acknowledged
        self._open: dict[TopicPartition, _Batch] = {}  # the last one of each partition
        self._unacknowledged: set[_Batch] = set()

    async def start(self, topics: Sequence[str]) -> None:
        """Connect, get a producer id, and know the topics."""
        await self._producer.start()
        await self._producer.client.set_topics(topics)

    async def send(self, records: Sequence[LogRecord]) -> None:
        """Return when all are acknowledged (no deadline). Raises EventLogUnavailable, EventLogRefused."""
        # Batches of our own: aiokafka's send makes a future, a partition's hash and some coroutines for each record,
        # which takes twice the time that the record itself does.
        batches: set[_Batch] = set()
        try:
            for record in records:
                # "replace": a lone surrogate from somebody's JSON must not keep the alert out
                key = record.key.encode("utf-8", "replace")
                place = TopicPartition(record.topic, _partition(key, await self._partitions(record.topic)))
                batch = self._open.get(place)
                if batch is None or not self._is_open(place, batch) or not batch.append(record, key):
                    batch = await self._begin(place, record, key)
                batches.add(batch)
        except KafkaError as exc:
            self.spoil(reason(exc))
            raise EventLogUnavailable(f"Kafka did not take {len(records)} records: {reason(exc)}") from exc
        done, _ = await asyncio.wait([batch.delivered for batch in batches], return_when=asyncio.FIRST_EXCEPTION)
        for delivered in done:
            if (error := delivered.exception()) is not None:
                raise type(error)(str(error)) from error  # others raise it too

    async def _begin(self, place: TopicPartition, record: LogRecord, key: bytes) -> _Batch:
        """Begin the partition's next batch with this record; it goes when the one before it has gone."""
        batch = _Batch(self._producer.create_batch())
        batch.append(record, key)
        self._open[place] = batch
        if self._asked_at is None:
            self._asked_at = time.monotonic()
        self._unacknowledged.add(batch)
        try:
            delivery = await self._producer.send_batch(batch.builder, place.topic, partition=place.partition)
        except BaseException as exc:  # cancelled too: nothing of it has been sent, and nobody else would send it
            self._unacknowledged.discard(batch)
            batch.fail(EventLogUnavailable(f"Kafka's client did not take the batch: {reason(exc)}"))
            raise
        batch.handed_over = True
        delivery.add_done_callback(lambda delivery: self._note(batch, delivery))
        return batch

    def _is_open(self, place: TopicPartition, batch: _Batch) -> bool:
        """Say whether the sender has not taken the batch yet.

        It counts the records when it takes it, for the sequence numbers, and closes it only later: a record that came
        between would be in nobody's count, and all that follow out of order. Private names of aiokafka 0.14, as below.
        """
        if not batch.handed_over:
            return True
        queued = self._producer._message_accumulator._batches.get(place)
        return bool(queued) and queued[-1]._builder is batch.builder

    async def _partitions(self, topic: str) -> int:
        known = self._producer.client.cluster.partitions_for_topic(topic)
        return len(known or await self._producer.partitions_for(topic))

    def spoil(self, why: str) -> None:
        """Say that this producer must be replaced."""
        if not self.spoilt.done():
            self.spoilt.set_result(why)

    def silent_s(self) -> float:
        """Return for how many seconds something has waited while nothing at all was acknowledged."""
        return 0.0 if self._asked_at is None else time.monotonic() - self._asked_at

    async def metadata(self, topics: Sequence[str], *, timeout_s: float) -> str:
        """Ask the cluster; return what keeps it from taking records ('' if nothing)."""
        client = self._producer.client
        update = client.force_metadata_update()
        await asyncio.wait({update}, timeout=timeout_s)
        if not update.done():
            return f"no answer within {timeout_s:g} s"
        if update.cancelled() or update.exception() or not update.result():
            return "no broker of the cluster answers"
        for topic in topics:
            partitions = client.cluster.partitions_for_topic(topic) or set()
            available = client.cluster.available_partitions_for_topic(topic) or set()
            if len(available) < len(partitions):
                return f"topic {topic} has {len(partitions) - len(available)} partitions without a leader"
        return ""

    async def close(self, *, flush_s: float, leave_s: float) -> None:
        """Flush for at most ``flush_s``, then let go of what is left: it may still be delivered."""
        if flush_s and self._unacknowledged:
            flush = asyncio.create_task(self._producer.flush())
            await asyncio.wait({flush}, timeout=flush_s)
            flush.cancel()
        why = self.spoilt.result() if self.spoilt.done() else "the event log is closing"
        for batch in tuple(self._unacknowledged):
            batch.fail(EventLogUnavailable(f"Kafka did not acknowledge: {why}"))
        leaving = asyncio.create_task(self._leave(), name="kafka-producer-leaving")
        leaving.add_done_callback(_retrieve)
        await asyncio.wait({leaving}, timeout=leave_s)  # else it goes on by itself until its requests time out

    async def _leave(self) -> None:
        # AIOKafkaProducer.stop() waits for a flush that an idempotent producer never gives up (its batches
        # don't expire), so what stop() does besides is done here. Private names of aiokafka 0.14, which is pinned.
        try:
            await self._producer._sender.close()
        finally:
            self._producer._closed = True
            await self._producer.client.close()

    def _note(self, batch: _Batch, delivery: "asyncio.Future[RecordMetadata]") -> None:
        """Take note of an outcome, and tell those who wait for it."""
        self._unacknowledged.discard(batch)
        if delivery.cancelled():
            batch.fail(EventLogUnavailable("Kafka's client dropped the records"))
            return
        error = delivery.exception()
        if error is None:
            self._asked_at = time.monotonic() if self._unacknowledged else None
            if not batch.delivered.done():
                batch.delivered.set_result(None)
            return
        self.spoil(reason(error))
        if isinstance(error, MessageSizeTooLargeError):
            batch.fail(
                EventLogRefused(
                    f"the broker refused a batch as too large ({reason(error)}): set message.max.bytes of the broker, "
                    "or max.message.bytes of the topic, to 1048588 or more"
                )
            )
            return
        batch.fail(EventLogUnavailable(f"Kafka did not take the record: {reason(error)}"))


@lru_cache(maxsize=16_384)
def _partition(key: bytes, partitions: int) -> int:
    """Return where every Kafka client puts this key; its hash is slow in Python, and keys are services."""
    partition: int = _DEFAULT_PARTITIONER(key, range(partitions), ())
    return partition


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Take note of an outcome that nobody waits for any more, or asyncio complains of it."""
    if not future.cancelled():
        future.exception()
