"""Retention at work: what is over goes by age and by size, what is open stays, and the data directory stays bounded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from worker_scene import CRITICAL, DEAD_LETTER, Hands, event, record_of

from sreops.adapters.database.checkpoints import open_checkpointer
from sreops.adapters.database.data_size import used_bytes
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.incidents.correlation import Windows, correlate
from sreops.domain.records.audit import verify_chain
from sreops.domain.records.record import Action, Thought
from sreops.ports import Changes, LogRecord, StoredRecord
from sreops.settings import RetentionSettings
from sreops.worker.retention import Pruned, RetentionLoop

DAY = timedelta(days=1)


class House:
    """A store, a log and checkpoints that fill with incidents, and what prunes them."""

    def __init__(self, directory: Path, store: SqlIncidentStore, log: EmbeddedEventLog, saver: Any) -> None:
        self.directory, self.store, self.log, self.saver = directory, store, log, saver
        self.clock = Hands()

    def retention(self, **settings: Any) -> RetentionLoop:
        async def measure() -> int:
            return used_bytes(self.directory)

        return RetentionLoop(
            store=self.store,
            clock=self.clock,
            settings=RetentionSettings(**settings),
            needed_s=3600,
            delete_thread=self.saver.adelete_thread,
            prune_log=self.log.prune,
            used_bytes=measure,
        )

    async def live_through(self, number: int, *, end: bool = True) -> str:
        """Take one incident from the log to its end, with what it leaves behind."""
        now = self.clock.now()
        one = event(number, service=f"s{number}", starts_at=now, received_at=now, annotations={"text": "x" * 2000})
        await self.log.append([record_of(one)], timeout_s=5)
        async with self.log.subscribe([CRITICAL], group="sreops") as subscription:
            records = await subscription.poll(max_records=10, timeout_s=1)
            await self.store.take_in([(one, StoredRecord(CRITICAL, one.service, b"", offset=number))], now=now)
            await subscription.commit(records)
        made = await self.store.correlate(one, lambda e, known: correlate(e, known, now, Windows()), now=now)
        leases = await self.store.claim("w", now=now, lease_s=30, limit=100)
        lease = next(lease for lease in leases if lease.incident_id == made.incident_id)
        config = {"configurable": {"thread_id": f"{lease.incident_id}:1", "checkpoint_ns": ""}}
        checkpoint = {"id": f"c-{number}", "channel_values": {}, "channel_versions": {}, "versions_seen": {}, "v": 1}
        await self.saver.aput(config, checkpoint, {"padding": "x" * 2000}, {})
        told = Changes(
            incident={"status": "resolved", "resolution": "fixed", "ended_at": now} if end else {},
            thoughts=[Thought(node="n", text="x" * 500)] * 5,
            actions=[Action(action="look", phase="outcome")],
        )
        await self.store.write(lease, told, now=now)
        await self.store.published([record.seq for record in await self.store.unpublished(100)])
        if end:
            await self.store.finish(lease)
        else:
            await self.store.release(lease)
        return lease.incident_id

    def size_bytes(self) -> int:
        """What the databases take, without what waits in their logs."""
        return used_bytes(self.directory) - sum(wal.stat().st_size for wal in self.directory.glob("*-wal"))

    async def thread(self, incident_id: str) -> bool:
        """Whether it still has checkpoints."""
        config = {"configurable": {"thread_id": f"{incident_id}:1"}}
        return await self.saver.aget_tuple(config) is not None

    async def ids(self) -> set[str]:
        found, _ = await self.store.incidents(limit=500)
        return {incident.id for incident in found}


@asynccontextmanager
async def a_house(directory: Path) -> AsyncIterator[House]:
    store, log = SqlIncidentStore(directory / "sreops.db"), EmbeddedEventLog(directory / "events.db")
    await store.open()
    await log.start()
    try:
        async with open_checkpointer(directory / "checkpoints.db") as saver:
            yield House(directory, store, log, saver)
    finally:
        await log.stop()
        await store.close()


async def test_each_kind_goes_at_its_own_age_and_what_is_open_never(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        retention = house.retention(batch=2)
        still_open = await house.live_through(0, end=False)
        old = [await house.live_through(number) for number in range(1, 6)]
        assert await retention.prune_once() == Pruned()

        house.clock.ahead = timedelta(hours=25)
        assert await retention.prune_once() == Pruned(threads=5)
        assert [await house.thread(one) for one in (still_open, *old)] == [True] + [False] * 5

        house.clock.ahead = 8 * DAY
        assert (await retention.prune_once()).incidents == 0
        young = await house.live_through(9)
        house.clock.ahead = 91 * DAY
        pruned = await retention.prune_once()
        assert (pruned.incidents, pruned.threads) == (5, 1)
        assert await house.ids() == {still_open, young}
        chains = await house.store.records(kind="action", limit=500)
        assert {record.incident_id for record in chains} == {still_open, young}
        for owner in (still_open, young):
            assert verify_chain([record for record in chains if record.incident_id == owner], None) == []
        assert (await retention.prune_once()) == Pruned(), "a second round finds nothing"


async def test_the_log_is_pruned_up_to_what_everybody_has_read(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        for number in range(3):
            await house.live_through(number)
        await house.log.append([record_of(event(77))], timeout_s=5)  # nobody has read this one
        ahead = datetime.now(UTC) + timedelta(seconds=5)
        assert await house.log.prune(ahead, 2) == 2
        assert await house.log.prune(ahead, 2) == 1
        assert await house.log.prune(ahead, 2) == 0
        async with house.log.subscribe([CRITICAL], group="sreops") as subscription:
            assert len(await subscription.poll(max_records=10, timeout_s=1)) == 1


async def test_above_the_size_limit_the_oldest_goes_first_and_nothing_that_correlation_needs(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        old = [await house.live_through(number) for number in range(10)]
        house.clock.ahead = timedelta(hours=2)
        recent = [await house.live_through(number) for number in range(20, 25)]
        size = used_bytes(tmp_path)
        assert (await house.retention(max_data_bytes=size * 2).prune_once()) == Pruned()
        other = house.retention(max_data_bytes=1, batch=4)
        assert (await other.prune_once()) == Pruned(), "one replica at a time"
        house.clock.ahead += timedelta(minutes=6)
        pruned = await other.prune_once()
        assert pruned.incidents == 10
        assert await house.ids() == set(recent)
        assert not set(old) & await house.ids()


async def test_for_want_of_room_no_dead_letter_goes_before_its_time(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await house.log.append([LogRecord(topic, "k", b"x") for topic in ("sre-info", DEAD_LETTER)], timeout_s=5)
        house.clock.ahead = timedelta(hours=2)
        assert (await house.retention(max_data_bytes=1).prune_once()).log_records == 1
        [letter] = await house.log.read("looking", {}, ["sre-info", DEAD_LETTER], 10)
        assert letter.topic == DEAD_LETTER
        house.clock.ahead = timedelta(days=8)
        assert (await house.retention().prune_once()).log_records == 1


async def test_a_long_life_leaves_the_data_directory_as_large_as_a_short_one(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        retention = house.retention(incidents_days=1, inbox_days=1, checkpoints_hours=1, log_days=0.00001)
        sizes = []
        for day in range(12):
            house.clock.ahead = day * DAY
            for number in range(15):
                await house.live_through(day * 100 + number)
            await retention.prune_once()
            sizes.append(house.size_bytes())
        assert max(sizes[6:]) <= max(sizes[2:6]) * 1.05, sizes
        assert len(await house.ids()) <= 45
