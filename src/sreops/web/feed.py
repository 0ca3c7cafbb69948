"""The feed: one reader of new records per process, fanned out to bounded queues while anyone listens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sreops.domain.records.record import Record
from sreops.errors import StoreUnavailable
from sreops.ports import IncidentStore
from sreops.telemetry import log

FEED_READ_FAILED: Final = "feed.read_failed"
FEED_READ_AGAIN: Final = "feed.read_again"

POLL_S: Final = 0.3
QUEUE_SIZE: Final = 500
"""Records that a subscriber may lag behind; more, and it is closed."""

_BATCH = 500


class Subscriber:
    """One listener's queue. ``overrun`` says that it was closed because it did not keep up."""

    def __init__(self, incident_id: str | None, kind: str | None) -> None:
        self.overrun = False
        self._incident_id = incident_id
        self._kind = kind
        # one place more than records: for None, the end
        self._queue: asyncio.Queue[Record | None] = asyncio.Queue(QUEUE_SIZE + 1)
        self._closed = False

    async def records(self) -> AsyncIterator[Record]:
        """Yield what is offered until the subscriber is closed."""
        while (record := await self._queue.get()) is not None:
            yield record

    def offer(self, record: Record) -> None:
        """Take a record that the filters let through, or close where the queue is full."""
        if self._closed or self._incident_id not in (None, record.incident_id):
            return
        if self._kind not in (None, record.kind.value):
            return
        if self._queue.qsize() >= QUEUE_SIZE:
            self.overrun = True
            self.close()
        else:
            self._queue.put_nowait(record)

    def close(self) -> None:
        """End :meth:`records` after what is queued."""
        if not self._closed:
            self._closed = True
            self._queue.put_nowait(None)


class Feed:
    """Reads new records about every POLL_S while there are subscribers; ``stopping`` ends them all."""

    def __init__(self, store: IncidentStore, stopping: asyncio.Event) -> None:
        self._store = store
        self._stopping = stopping
        self._subscribers: set[Subscriber] = set()
        self._reading: asyncio.Task[None] | None = None
        self._position: int | None = None
        self._starting = asyncio.Lock()

    @asynccontextmanager
    async def subscribe(self, incident_id: str | None, kind: str | None) -> AsyncIterator[Subscriber]:
        """Offer every record that is written from now on; raises StoreUnavailable."""
        subscriber = Subscriber(incident_id, kind)
        async with self._starting:
            if self._position is None:
                newest = await self._store.records(limit=1, newest=True)
                self._position = newest[-1].seq if newest else 0
            self._subscribers.add(subscriber)
            if self._reading is None:
                self._reading = asyncio.create_task(self._read(self._position), name="event feed")
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)
            if not self._subscribers and self._reading is not None:
                self._reading.cancel()
                self._reading, self._position = None, None

    async def _read(self, position: int) -> None:
        try:
            await self._fan_out(position)
        finally:
            if self._reading is asyncio.current_task():  # not where the last subscriber left: others may have come
                self._reading, self._position = None, None
                for subscriber in self._subscribers:
                    subscriber.close()

    async def _fan_out(self, position: int) -> None:
        failing = False
        while not self._stopping.is_set():
            try:
                page = await self._store.records(after=position, limit=_BATCH)
            except StoreUnavailable as exc:
                if not failing:
                    log.warning(FEED_READ_FAILED, error=str(exc))
                failing, page = True, ()
            else:
                if failing:
                    log.info(FEED_READ_AGAIN)
                failing = False
            for record in page:
                position = record.seq
                for subscriber in self._subscribers:
                    subscriber.offer(record)
            if len(page) < _BATCH:
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._stopping.wait()
        except TimeoutError:
            return
