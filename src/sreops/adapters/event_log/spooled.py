"""An event log with a spool before it: what the log does not acknowledge is kept on disk, and forwarded later.

Order per topic and key holds because a topic has one way at a time: while anything of it waits in the spool, or
is being written there, new records of it go there too. Those that the log fails together go there in the order in
which they came, however it tells them. worker/forwarding.py forwards.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final

from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.adapters.event_log.spool_lane import Lane
from sreops.errors import EventLogRefused, EventLogUnavailable
from sreops.ports import EventLog, Health, LogRecord, SpoolState, StoredRecord, Subscription
from sreops.telemetry import log

LEFT_OVER_FOUND: Final = "spool.left_over_found"
SPOOL_EMPTIED: Final = "spool.emptied"
MEASURING_FAILED: Final = "spool.measuring_failed"
UNKNOWN_TOPIC_FOUND: Final = "spool.unknown_topic_found"
REMOVAL_FAILED: Final = "spool.removal_failed"
FILE_DISCARDED: Final = "spool.file_discarded"
COMPACTING_FAILED: Final = "spool.compacting_failed"
FILLING_BEGAN: Final = "spool.filling_began"

GROUP = "forwarding"
SPOOL_TIMEOUT_S = 5.0  # after ack_timeout_s: together well below the 30 s after which Grafana hangs up
HAND_OVER_RECORDS = 1000  # so few are forwarded in a moment: new ones wait for it, or a busy spool is never empty
HAND_OVER_S = 1.0
COMPACT_FROM_BYTES = 1024 * 1024

_CURE = "The event log must take records again: see the check of the log; SREOPS_MAX_SPOOL_BYTES bounds the spool."


class SpooledEventLog:
    """``event_log`` as long as it acknowledges, else ``spool``, for ``topics``, up to ``max_bytes`` of records.

    Both are started and stopped here. A record may come to the log twice: where an append timed out, it may
    have been delivered all the same, and it is forwarded again where its removal from the spool did not last.
    """

    def __init__(self, event_log: EventLog, spool: EmbeddedEventLog, topics: Sequence[str], *, max_bytes: int) -> None:
        self.name = event_log.name
        self.topics: Sequence[str] = tuple(topics)
        self._log = event_log
        self._spool = spool
        self._max_bytes = max_bytes
        self._lanes = {topic: Lane(topic) for topic in topics}
        self._measured_opening = -1  # of the file: after each one it is measured anew
        self._has_unknown_topics = False
        self._readable = False
        self._largest_bytes = 0  # since the file was last compacted

    # --- the event log ------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the spool and see what was left in it, then begin to connect to the log."""
        await self._spool.start()
        try:
            await self._measure()
        except EventLogUnavailable as exc:  # waiting tries again
            log.error(MEASURING_FAILED, error=str(exc))
        await self._log.start()

    async def stop(self) -> None:
        """Close both; what is in the spool is forwarded after the next start."""
        try:
            await self._log.stop()
        finally:
            for lane in self._lanes.values():
                lane.settle(False)
            await self._spool.stop()

    async def append(self, records: Sequence[LogRecord], *, timeout_s: float) -> None:
        """Append to the log, or else, and while the spool holds something of these topics, to the spool."""
        deadline = time.monotonic() + timeout_s
        lanes = [self._lanes[topic] for topic in {record.topic for record in records} if topic in self._lanes]
        why = "earlier events still wait in the spool"
        if not self._readable or await self._go_directly(lanes):
            turn = asyncio.get_running_loop().create_future()
            for lane in lanes:
                lane.under_way[turn] = None
            try:
                try:
                    await self._log.append(records, timeout_s=max(0.0, deadline - time.monotonic()))
                except (EventLogUnavailable, EventLogRefused) as exc:
                    # Refused may be a batch that held records of other requests as well: the forwarding takes it
                    # apart. What is too large for any log, the spool refuses too.
                    why = str(exc)
                else:
                    return
                for lane in lanes:
                    await lane.turn_of(turn)
            finally:
                for lane in lanes:
                    del lane.under_way[turn]
                turn.set_result(None)
        # no await between the end of our turn and the spool's taking it: whoever is next comes behind it
        await self._append_to_spool(records, why)

    def subscribe(
        self, topics: Sequence[str], *, group: str, recent_s: Mapping[str, float] | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Read from the log; what is in the spool is not there yet."""
        return self._log.subscribe(topics, group=group, recent_s=recent_s)

    async def health(self) -> Health:
        """Say whether records could be made durable now, in the log or in the spool."""
        at_log, at_spool = await asyncio.gather(self._log.health(), self.spool_health())
        holding = self._readable and self.state().records > 0
        if at_log.status == "up" and (at_spool.status == "up" or not holding):
            return at_log
        if at_spool.status == "up":
            return Health("up", f"spooling: {at_log.detail}", at_log.cure)
        return Health("down", f"log: {at_log.detail}; spool: {at_spool.detail}", at_log.cure or at_spool.cure)

    async def spool_health(self) -> Health:
        """Say whether the spool could take records now, and what is in it."""
        state = self.state()
        if state.size_bytes >= self._max_bytes:
            return Health("down", f"the spool is full: {self._told(state)}", _CURE)
        health = await self._spool.health()
        if health.status != "up":
            return health
        return Health("up", self._told(state) if state.records else "empty")

    # --- the spool ----------------------------------------------------------------------------

    def state(self) -> SpoolState:
        """Say what waits."""
        waiting = [lane for lane in self._lanes.values() if lane.records]
        return SpoolState(
            records=sum(lane.records for lane in waiting),
            size_bytes=sum(lane.size_bytes for lane in waiting),
            oldest_at=min((lane.oldest_at for lane in waiting if lane.oldest_at), default=None),
        )

    async def waiting(
        self, topic: str, *, max_records: int, max_bytes: int, timeout_s: float
    ) -> Sequence[StoredRecord]:
        """Return the oldest records of the topic; raises EventLogUnavailable where the file can't be read."""
        lane = self._lanes[topic]
        deadline = time.monotonic() + timeout_s
        while True:
            lane.arrived.clear()  # before reading: what comes meanwhile wakes us again
            records = await self._read(lane, max_records, max_bytes)
            if records:
                lane.oldest_at = records[0].at
                return records
            if lane.removed_to is not None:
                await self._remove(lane)
            if lane.arrived.is_set():
                continue
            if not lane.arriving:  # whatever we counted: nothing is there
                await self._emptied(lane)
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await lane.arrived.wait()
            except TimeoutError:
                return ()

    async def forwarded(self, records: Sequence[StoredRecord]) -> None:
        """Remove what the log has acknowledged; where the disk does not take that, it is not forwarded again now."""
        lane = self._lanes[records[0].topic]
        lane.removed_to = (lane.read_of, records[-1].offset + 1)
        await self._remove(lane)
        lane.flowing = True
        lane.subtract(records)
        if not lane.records and not lane.arriving:
            await self._emptied(lane)

    def not_forwarded(self, topic: str) -> None:
        """Send those who wait for the hand-over to the spool."""
        lane = self._lanes[topic]
        lane.flowing = False
        lane.settle(False)

    # --- within -------------------------------------------------------------------------------

    async def _go_directly(self, lanes: Sequence[Lane]) -> bool:
        """Say whether nothing waits before these; where little does and it is going out, wait for that."""
        for lane in lanes:
            if not lane.records:
                continue
            if not lane.flowing or lane.records > HAND_OVER_RECORDS:
                return False
            if lane.handed_over is None:
                lane.handed_over = asyncio.get_running_loop().create_future()
            handed_over = lane.handed_over
            await asyncio.wait({handed_over}, timeout=HAND_OVER_S)
            if not handed_over.done() or not handed_over.result():
                return False
        return not any(lane.records for lane in lanes)  # one may have begun to fill while another emptied

    async def _append_to_spool(self, records: Sequence[LogRecord], why: str) -> None:
        size = sum(record.size_bytes for record in records)
        state = self.state()
        if state.size_bytes + size > self._max_bytes:
            raise EventLogUnavailable(f"{why}; and the spool is full: {self._told(state)}")
        by_topic: dict[str, list[LogRecord]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        unknown = sorted(by_topic.keys() - self._lanes.keys())
        if unknown:
            raise EventLogUnavailable(f"{why}; and the spool is not for topic {', '.join(unknown)}")
        # counted before the first await, so that whoever comes next sees the spool in use
        for topic, its in by_topic.items():
            self._lanes[topic].add(its)
            self._lanes[topic].arriving += 1
        self._largest_bytes = max(self._largest_bytes, state.size_bytes + size)
        try:
            await self._spool.append(records, timeout_s=SPOOL_TIMEOUT_S)
        except BaseException as exc:
            # where it timed out it may be in the file all the same: then it is found and forwarded
            for topic, its in by_topic.items():
                self._lanes[topic].subtract(its)
            if isinstance(exc, EventLogUnavailable):
                raise EventLogUnavailable(f"{why}; and the spool did not take it: {exc}") from exc
            raise
        else:
            for topic in by_topic:
                if not self._lanes[topic].filling:
                    self._lanes[topic].filling = True
                    log.warning(FILLING_BEGAN, topic=topic, why=why)
        finally:
            for topic in by_topic:
                self._lanes[topic].arriving -= 1
                self._lanes[topic].arrived.set()

    async def _measure(self) -> None:
        found = await self._spool.measure(GROUP)
        for topic, unread in found.items():
            lane = self._lanes.get(topic)
            if lane is None:
                self._has_unknown_topics = True
                log.error(UNKNOWN_TOPIC_FOUND, topic=topic, records=unread.records)
                continue
            lane.records = max(lane.records, unread.records)
            lane.size_bytes = max(lane.size_bytes, unread.size_bytes)
            lane.oldest_at = unread.oldest_at
            lane.filling = True
            log.warning(LEFT_OVER_FOUND, topic=topic, records=unread.records, since=str(unread.oldest_at))
        self._largest_bytes = max(self._largest_bytes, self.state().size_bytes)
        self._measured_opening = self._spool.openings
        self._readable = True

    async def _read(self, lane: Lane, max_records: int, max_bytes: int) -> Sequence[StoredRecord]:
        try:
            records = await self._read_of_one_file(lane, max_records, max_bytes)
        except EventLogUnavailable:
            # An outbox that can't be read holds nobody up: new records go to the log, before those that it holds.
            self._readable = False
            lane.settle(False)
            raise
        self._readable = True
        return records

    async def _read_of_one_file(self, lane: Lane, max_records: int, max_bytes: int) -> Sequence[StoredRecord]:
        """Read the lane, and note which opening of the file it was: an offset means nothing in any other."""
        while True:
            if self._measured_opening != self._spool.openings:
                await self._measure()
            lane.read_of = self._spool.openings
            starts = {}
            if lane.removed_to is not None and lane.removed_to[0] == lane.read_of:
                starts[lane.topic] = lane.removed_to[1]
            records = await self._spool.read(GROUP, starts, [lane.topic], max_records, max_bytes)
            if lane.read_of == self._spool.openings:
                return records

    async def _remove(self, lane: Lane) -> None:
        if lane.removed_to is None:
            return
        opening, end = lane.removed_to
        try:
            await self._spool.remove(GROUP, {lane.topic: end}, opening=opening)
        except EventLogUnavailable as exc:
            log.warning(REMOVAL_FAILED, topic=lane.topic, error=str(exc))
        else:
            lane.removed_to = None

    async def _emptied(self, lane: Lane) -> None:
        if lane.filling:
            lane.filling = False
            log.info(SPOOL_EMPTIED, topic=lane.topic)
        lane.records, lane.size_bytes, lane.oldest_at = 0, 0, None
        lane.settle(True)
        await self._give_space_back()

    async def _give_space_back(self) -> None:
        if any(lane.records or lane.arriving for lane in self._lanes.values()):
            return
        undeleted = [lane for lane in self._lanes.values() if lane.removed_to is not None]
        known = self._measured_opening == self._spool.openings and not self._has_unknown_topics
        largest, self._largest_bytes = self._largest_bytes, 0
        try:
            if undeleted and known:
                # A full disk takes no deletion of rows either. All of the file has been forwarded: away with it.
                # No await between the check above and this call, which is then before any later append.
                await self._spool.discard()
                for lane in undeleted:
                    lane.removed_to = None
                log.warning(FILE_DISCARDED)
            elif largest >= COMPACT_FROM_BYTES:
                await self._spool.compact()
        except EventLogUnavailable as exc:
            self._largest_bytes = max(self._largest_bytes, largest)  # tried again when next found empty
            log.warning(COMPACTING_FAILED, error=str(exc))

    def _told(self, state: SpoolState) -> str:
        age_s = state.age_s(datetime.now(UTC))
        return (
            f"{state.records} events wait to be forwarded, the oldest for {age_s:.0f} s; "
            f"{state.size_bytes} of {self._max_bytes} bytes"
        )
