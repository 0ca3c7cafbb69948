"""One producer and its life: sending, noticing that it is stuck or spoilt, and being thrown away."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from sreops.adapters.kafka.connection import reason
from sreops.errors import EventLogRefused, EventLogUnavailable
from sreops.ports import LogRecord

MAX_BATCH_BYTES = 128 * 1024
# Buffered at most: one open batch of this size per partition, and one in flight. Further sends wait in
# their callers, which have a deadline; so a broker that is away can't fill our memory.
MAX_REQUEST_BYTES = 1_040_000  # above MAX_RECORD_BYTES, with framing below the broker's default of 1,048,588


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
        self._unacknowledged = 0
        self._waiting: set[asyncio.Future[None]] = set()

    async def start(self, topics: Sequence[str]) -> None:
        """Connect, get a producer id, and know the topics."""
        await self._producer.start()
        await self._producer.client.set_topics(topics)

    async def send(self, records: Sequence[LogRecord]) -> None:
        """Return when all are acknowledged (no deadline). Raises EventLogUnavailable, EventLogRefused."""
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        acknowledged.add_done_callback(_retrieve)
        self._waiting.add(acknowledged)
        remaining = len(records)

        def on_delivery(delivery: "asyncio.Future[RecordMetadata]") -> None:
            nonlocal remaining
            remaining -= 1
            error = self._note(delivery)
            if error is not None and not acknowledged.done():
                acknowledged.set_exception(error)
            elif remaining == 0 and not acknowledged.done():
                acknowledged.set_result(None)

        try:
            for record in records:
                if self._asked_at is None:
                    self._asked_at = time.monotonic()
                delivery = await self._producer.send(
                    record.topic,
                    value=record.value,
                    # "replace": a lone surrogate from somebody's JSON must not keep the alert out
                    key=record.key.encode("utf-8", "replace"),
                    headers=list(record.headers),
                )
                self._unacknowledged += 1
                delivery.add_done_callback(on_delivery)
            await acknowledged
        except KafkaError as exc:
            self.spoil(reason(exc))
            raise EventLogUnavailable(f"Kafka did not take {len(records)} records: {reason(exc)}") from exc
        finally:
            self._waiting.discard(acknowledged)

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
        for acknowledged in tuple(self._waiting):
            if not acknowledged.done():
                why = self.spoilt.result() if self.spoilt.done() else "the event log is closing"
                acknowledged.set_exception(EventLogUnavailable(f"Kafka did not acknowledge: {why}"))
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

    def _note(self, delivery: "asyncio.Future[RecordMetadata]") -> EventLogUnavailable | EventLogRefused | None:
        """Count an outcome, and translate it where it is a failure."""
        self._unacknowledged -= 1
        if delivery.cancelled():
            return EventLogUnavailable("Kafka's client dropped the record")
        error = delivery.exception()
        if error is None:
            self._asked_at = time.monotonic() if self._unacknowledged else None
            return None
        self.spoil(reason(error))
        if isinstance(error, MessageSizeTooLargeError):
            return EventLogRefused(
                f"the broker refused a batch as too large ({reason(error)}): set message.max.bytes of the broker, "
                "or max.message.bytes of the topic, to 1048588 or more"
            )
        return EventLogUnavailable(f"Kafka did not take the record: {reason(error)}")


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Take note of an outcome that nobody waits for any more, or asyncio complains of it."""
    if not future.cancelled():
        future.exception()
