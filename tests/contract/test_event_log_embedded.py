"""The embedded event log keeps the contract, and says what is wrong with its file."""

import asyncio
import resource
import sqlite3
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from contract.event_log_suite import EventLogContract, read, record, started, values
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.errors import EventLogRefused, EventLogUnavailable

TOPIC = "sre-critical"


@pytest.fixture
async def log(tmp_path):
    async with started(EmbeddedEventLog(tmp_path / "log.sqlite")) as opened:
        yield opened


class TestEmbeddedEventLog(EventLogContract):
    @pytest.fixture
    def names(self):
        return self.topics

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path):
        self.path = tmp_path / "log.sqlite"

    @asynccontextmanager
    async def reopened(self, log):
        await log.stop()
        async with started(EmbeddedEventLog(self.path)) as again:
            yield again


async def test_a_file_that_is_no_database_is_reported_and_a_good_one_in_its_place_is_used(tmp_path):
    path = tmp_path / "log.sqlite"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    log = EmbeddedEventLog(path)
    await log.start()
    health = await log.health()
    assert health.status == "down"
    assert "not a database" in health.detail
    with pytest.raises(EventLogUnavailable, match="not a database"):
        await log.append([record(TOPIC, "k", "1")], timeout_s=5)
    async with log.subscribe([TOPIC], group="g") as subscription:
        assert list(await subscription.poll(max_records=5, timeout_s=0.1)) == []
        assert await subscription.lag() is None
        assert "not a database" in subscription.health().detail
    path.unlink()
    await log.append([record(TOPIC, "k", "2")], timeout_s=5)
    async with log.subscribe([TOPIC], group="g") as subscription:
        assert values(await read(subscription, 1)) == ["2"]
    await log.stop()


async def test_a_file_that_cannot_be_made_is_reported_and_tried_again(tmp_path):
    blocker = tmp_path / "dir"
    blocker.write_text("a file where the directory should be")
    log = EmbeddedEventLog(blocker / "log.sqlite")
    await log.start()
    assert (await log.health()).status == "down"
    blocker.unlink()
    await log.append([record(TOPIC, "k", "1")], timeout_s=5)
    assert (await log.health()).status == "up"
    await log.stop()


async def test_a_full_disk_is_unavailable_and_appending_works_again_when_there_is_room(log):
    await log.append([record(TOPIC, "k", "before")], timeout_s=5)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(EventLogUnavailable, match=r"disk|full"):
            await log.append([record(TOPIC, "k", b"x" * 900_000)], timeout_s=5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await log.append([record(TOPIC, "k", "after")], timeout_s=5)
    async with log.subscribe([TOPIC], group="g") as subscription:
        assert values(await read(subscription, 2)) == ["before", "after"]


async def test_an_append_behind_a_lock_gives_up_in_time_and_works_when_the_lock_is_gone(log, tmp_path):
    other = sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = asyncio.get_running_loop().time()
    with pytest.raises(EventLogUnavailable):
        await log.append([record(TOPIC, "k", "1")], timeout_s=0.5)
    assert asyncio.get_running_loop().time() - began < 1.5
    health = await log.health()
    assert health.status == "down"
    other.execute("ROLLBACK")
    other.close()
    await log.append([record(TOPIC, "k", "2")], timeout_s=10)


async def test_an_append_that_was_not_begun_when_it_timed_out_is_never_written(log, tmp_path):
    other = sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(log.append([record(TOPIC, "k", "1")], timeout_s=10))
    for _ in range(3):  # the writer's task is made, begins, and takes the first append
        await asyncio.sleep(0)
    with pytest.raises(EventLogUnavailable):
        await log.append([record(TOPIC, "k", "withdrawn")], timeout_s=0.3)
    other.execute("ROLLBACK")
    other.close()
    await first
    await log.append([record(TOPIC, "k", "2")], timeout_s=10)
    async with log.subscribe([TOPIC], group="g") as subscription:
        assert values(await read(subscription, 2)) == ["1", "2"]


async def test_a_poll_does_not_raise_when_the_file_breaks_and_health_says_so(log, tmp_path):
    async with log.subscribe([TOPIC], group="g") as subscription:
        await log.append([record(TOPIC, "k", "1")], timeout_s=5)
        other = sqlite3.connect(tmp_path / "log.sqlite")
        other.execute("DROP TABLE records")
        other.close()
        assert list(await subscription.poll(max_records=5, timeout_s=0.2)) == []
        assert subscription.health().status == "down"


async def test_a_stopped_log_refuses_appends_and_ends_waiting_polls_in_time(log):
    async with log.subscribe([TOPIC], group="g") as subscription:
        waiting = asyncio.create_task(subscription.poll(max_records=5, timeout_s=0.3))
        await asyncio.sleep(0)
        await log.stop()
        assert list(await waiting) == []
        with pytest.raises(EventLogUnavailable, match="stopped"):
            await log.append([record(TOPIC, "k", "1")], timeout_s=5)


async def test_pruning_takes_what_is_old_and_committed_by_every_group(log):
    await log.append([record(TOPIC, "k", str(n)) for n in range(4)], timeout_s=5)
    await log.append([record("sre-info", "k", "nobody reads this")], timeout_s=5)
    for group, count in (("fast", 4), ("slow", 2)):
        async with log.subscribe([TOPIC], group=group) as subscription:
            await subscription.commit((await read(subscription, 4))[:count])
    assert await log.prune(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await log.prune(datetime.now(UTC) + timedelta(seconds=1)) == 3
    await log.append([record(TOPIC, "k", "4")], timeout_s=5)
    async with log.subscribe([TOPIC], group="slow") as subscription:
        assert values(await read(subscription, 3)) == ["2", "3", "4"]


async def test_the_file_is_readable_by_its_owner_alone(log, tmp_path):
    assert (tmp_path / "log.sqlite").stat().st_mode & 0o077 == 0


async def test_an_append_that_can_not_be_written_is_refused_and_its_neighbours_are_not(log):
    odd = record("half-\ud800", "k", "2")  # half a character: SQLite's driver can't encode it
    outcomes = await asyncio.gather(
        *(log.append([one], timeout_s=5) for one in (record(TOPIC, "a", "1"), odd, record(TOPIC, "b", "3"))),
        return_exceptions=True,
    )
    assert (outcomes[0], outcomes[2]) == (None, None)
    assert isinstance(outcomes[1], EventLogRefused), "not that the disk were stuck"
    async with log.subscribe([TOPIC], group="g") as subscription:
        assert values(await read(subscription, 2)) == ["1", "3"]
    await log.append([record(TOPIC, "c", "4")], timeout_s=5)
