"""The spool: what the log does not acknowledge is kept, forwarded in order, and never answered for when it is not."""

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from contract.event_log_suite import APPEND_S, EventLogContract, read, record, started, values
from contract.spool_scene import MIB, OTHER, TOPIC, LogThatFails, SpoolScene, SystemClock, forwarding_scene
from servers.waiting import eventually
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.adapters.event_log.spooled import SpooledEventLog
from sreops.app import build_spool
from sreops.domain.alerts.routing import DEAD_LETTER
from sreops.errors import EventLogUnavailable
from sreops.ports import Backlog, Health, SpoolState
from sreops.settings import KafkaSettings, Settings
from sreops.web.health import judge
from sreops.worker.forwarding import Forwarding

scene = pytest.fixture(forwarding_scene)


# --- the event log's contract -----------------------------------------------------------------------------


class TestLogThatFails(EventLogContract):
    """The fake of these tests is an event log."""

    @pytest.fixture
    def names(self):
        return self.topics

    @pytest.fixture
    async def log(self, tmp_path):
        self.path = tmp_path / "log.db"
        async with started(LogThatFails(self.path)) as opened:
            yield opened

    @asynccontextmanager
    async def reopened(self, log):
        await log.stop()
        async with started(LogThatFails(self.path)) as again:
            yield again


class TestSpooledEventLog(EventLogContract):
    """With the log there, the spool is not noticed."""

    async def opened(self, directory):
        return await SpoolScene(directory, topics=self.topics).start()

    @pytest.fixture
    def names(self):
        return self.topics

    @pytest.fixture
    async def log(self, tmp_path):
        self.scene = await self.opened(tmp_path)
        yield self.scene.front
        await self.scene.stop()

    @asynccontextmanager
    async def reopened(self, log):
        await self.scene.stop()
        self.scene = await self.opened(self.scene.directory)
        yield self.scene.front


class AwayToTheBridge(LogThatFails):
    """A log that only the forwarding reaches: everything goes through the spool."""

    class Side:
        name = "kafka"

        def __init__(self, log):
            self._log = log
            self.start, self.stop, self.subscribe, self.health = log.start, log.stop, log.subscribe, log.health

        async def append(self, records, *, timeout_s):
            raise EventLogUnavailable("the broker is away")


class TestThroughTheSpool(TestSpooledEventLog):
    """What takes the way through the spool arrives as if it had not."""

    async def opened(self, directory):
        scene = SpoolScene(directory, topics=self.topics)
        scene.front = SpooledEventLog(AwayToTheBridge.Side(scene.log), scene.spool, self.topics, max_bytes=64 * MIB)
        return await scene.start()

    @asynccontextmanager
    async def reopened(self, log):
        await eventually(lambda: log.state().records == 0, APPEND_S, what="the spool to be empty")
        async with super().reopened(log) as again:
            yield again


# --- accepted, kept, forwarded ----------------------------------------------------------------------------


async def test_with_the_log_there_nothing_goes_through_the_spool(scene):
    await scene.append("1", "2")
    assert await scene.arrived() == ["1", "2"]
    assert scene.front.state().records == 0
    assert await scene.spool.measure("forwarding") == {}


async def test_what_the_log_does_not_take_is_durable_at_once_and_arrives_in_order_when_it_is_back(scene, tmp_path):
    await scene.append("0")
    scene.log.away = True
    for n in range(1, 30):
        await scene.append(str(n), key=f"k{n % 3}")
    on_disk = sqlite3.connect(tmp_path / "spool" / "spool.db").execute("SELECT count(*) FROM records").fetchone()
    assert on_disk == (29,)
    assert scene.front.state().records == 29
    assert await scene.arrived() == ["0"]
    scene.log.away = False
    await scene.emptied()
    assert await scene.arrived() == [str(n) for n in range(30)]


async def test_a_log_that_hangs_costs_one_timeout_and_not_one_for_each_request(scene):
    scene.log.hanging = True
    began = time.monotonic()
    await scene.append("first", timeout_s=0.5)
    assert time.monotonic() - began >= 0.45
    began = time.monotonic()
    for n in range(20):
        await scene.append(str(n), timeout_s=0.5)
    assert time.monotonic() - began < 2.0
    scene.log.hanging = False
    await scene.emptied()
    assert await scene.arrived() == ["first", *map(str, range(20))]


async def test_what_was_delivered_without_acknowledgement_comes_twice_and_order_holds(scene):
    scene.log.hanging = scene.log.delivers = True
    for value in ("1", "2", "3"):
        await scene.append(value)
    scene.log.hanging = False
    await scene.emptied()
    assert await scene.arrived() == ["1", "2", "3"]
    twice = await scene.log.read("looking", {}, [TOPIC], 1000)
    assert len(twice) > 3


async def test_new_events_never_overtake_spooled_ones_while_the_log_comes_and_goes(scene):
    """Ten senders, each of which waits for its answer before it sends the next."""
    sent = 60

    async def sender(key):
        for n in range(sent):
            await scene.append(f"{key}:{n}", key=key, topic=TOPIC if int(key) % 2 else OTHER)

    async def weather():
        while True:
            await asyncio.sleep(0.03)
            scene.log.away = not scene.log.away

    changing = asyncio.create_task(weather())
    async with asyncio.TaskGroup() as tasks:
        for n in range(10):
            tasks.create_task(sender(str(n)))
    changing.cancel()
    scene.log.away = False
    await scene.emptied()
    found = await scene.arrived() + await scene.arrived(OTHER)
    for n in range(10):
        assert [one for one in found if one.startswith(f"{n}:")] == [f"{n}:{m}" for m in range(sent)]


async def test_appends_that_fail_out_of_order_go_to_the_spool_in_the_order_in_which_they_came(scene):
    """A producer that is given up tells its callers in any order: a resolve must not overtake its firing event."""
    told = [asyncio.get_running_loop().create_future() for _ in range(5)]
    waiting = iter(told)

    async def stuck(records, *, timeout_s):
        await next(waiting)

    scene.log.append = stuck
    appends = []
    for number in range(5):
        appends.append(asyncio.create_task(scene.append(str(number))))
        await asyncio.sleep(0)
    for number in (3, 4, 1, 2):
        told[number].set_exception(EventLogUnavailable("given up"))
        await asyncio.sleep(0.01)
    assert not any(append.done() for append in appends), "what came first may still be acknowledged"
    told[0].set_exception(EventLogUnavailable("given up"))
    del scene.log.append
    await asyncio.gather(*appends)
    await scene.append("5")
    await scene.emptied()
    assert await scene.arrived() == [str(number) for number in range(6)]


async def test_under_constant_load_the_spool_empties_and_the_direct_way_is_taken_again(scene):
    scene.log.away = True
    for n in range(50):
        await scene.append(*[f"{n}-{m}" for m in range(20)])
    stop = asyncio.Event()
    counts = [0] * 16

    async def sender(number):
        while not stop.is_set():
            await scene.append(f"{number}:{counts[number]}", key=str(number), timeout_s=5)
            counts[number] += 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(16):
            tasks.create_task(sender(number))
        await eventually(lambda: sum(counts) > 200, what="appends while the log is away")
        scene.log.away = False
        await scene.emptied()
        direct_from = sum(counts)
        await eventually(lambda: sum(counts) > direct_from + 200, what="appends after it is back")
        assert scene.front.state().records == 0
        stop.set()
    found = await scene.arrived()
    for number in range(16):
        assert [one for one in found if one.startswith(f"{number}:")] == [
            f"{number}:{n}" for n in range(counts[number])
        ]


async def test_a_topic_that_the_log_does_not_take_holds_up_no_other(scene):
    scene.log.away_topics = {OTHER}
    await scene.append("stuck", topic=OTHER)
    await scene.append("through")
    assert await scene.arrived() == ["through"]
    await scene.front.append([record(TOPIC, "k", "mixed-1"), record(OTHER, "k", "mixed-2")], timeout_s=0.3)
    await eventually(lambda: scene.front.state().records == 2, what="the topic that is taken to be forwarded")
    assert await scene.arrived() == ["through", "mixed-1"]
    scene.log.away_topics = set()
    await scene.emptied()
    assert await scene.arrived(OTHER) == ["stuck", "mixed-2"]


async def test_a_record_that_the_log_will_never_take_goes_to_the_dead_letter_and_holds_up_no_other(scene):
    scene.log.away = True
    for n in range(7):
        await scene.append(str(n))
    await scene.append("poison")
    await scene.append("last")
    scene.log.refuses = b"poison"
    scene.log.away = False
    # the fake refuses it on the dead letter topic too, so it is cut until it is taken
    await scene.emptied()
    assert await scene.arrived() == [*map(str, range(7)), "last"]
    (dead,) = await scene.log.read("looking", {}, [DEAD_LETTER], 10)
    headers = dict(dead.headers)
    assert headers["origin-topic"] == TOPIC.encode()
    assert headers["original-bytes"] == b"6"
    assert b"too large" in headers["error"]


async def test_a_batch_that_the_log_refuses_is_taken_apart_and_only_what_is_too_large_is_buried(scene):
    """Kafka puts small records of many requests into one batch: one that is too large must not take the others."""
    await scene.append("before")
    scene.log.refuses = b"poison"
    await scene.append("good", "poison", "good too")
    await scene.append("after")
    await scene.emptied()
    assert await scene.arrived() == ["before", "good", "good too", "after"]
    (dead,) = await scene.log.read("looking", {}, [DEAD_LETTER], 10)
    assert dict(dead.headers)["origin-topic"] == TOPIC.encode()


# --- restart ----------------------------------------------------------------------------------------------


async def test_a_spool_that_was_left_over_is_forwarded_before_anything_new(tmp_path):
    first = await SpoolScene(tmp_path).start()
    first.log.away = True
    for n in range(20):
        await first.append(str(n))
    await first.stop()
    second = SpoolScene(tmp_path)
    second.log.away = True
    await second.start()
    assert second.front.state().records == 20
    assert second.front.state().oldest_at < datetime.now(UTC)
    second.log.away = False
    await second.append("new")
    await second.emptied()
    assert await second.arrived() == [*map(str, range(20)), "new"]
    await second.stop()


async def test_forwarding_that_was_cut_off_before_the_removal_repeats_and_loses_nothing(tmp_path):
    first = await SpoolScene(tmp_path).start(forward=False)
    first.log.away = True
    await first.append("1", "2", "3")
    first.log.away = False
    records = await first.front.waiting(TOPIC, max_records=10, max_bytes=MIB, timeout_s=1)
    await first.log.append(records[:2], timeout_s=1)  # acknowledged; killed before forwarded()
    await first.stop()
    second = await SpoolScene(tmp_path).start()
    await second.emptied()
    assert await second.arrived() == ["1", "2", "3"]
    await second.stop()


async def test_a_large_record_does_not_make_a_batch_larger_than_asked(tmp_path):
    scene = await SpoolScene(tmp_path).start(forward=False)
    scene.log.away = True
    for n in range(6):
        await scene.append(f"{n}" + "x" * 300_000)
    records = await scene.front.waiting(TOPIC, max_records=100, max_bytes=700_000, timeout_s=1)
    assert len(records) == 3
    await scene.stop()


# --- how the process uses it ------------------------------------------------------------------------------


def without_environment(tmp_path, **given):
    return Settings(_env_file=None, data_dir=tmp_path, **given)


def test_kafka_has_a_spool_and_the_embedded_log_needs_none(tmp_path):
    settings = without_environment(tmp_path)
    assert build_spool(settings, EmbeddedEventLog(tmp_path / "events.db")) is None
    settings = without_environment(tmp_path, kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    assert build_spool(settings, LogThatFails(tmp_path / "log.db")) is not None


async def test_what_was_spooled_for_kafka_is_forwarded_to_the_embedded_log_that_replaced_it(tmp_path):
    settings = without_environment(tmp_path, kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    away = LogThatFails(tmp_path / "log.db")
    away.away = True
    spooled = await asyncio.to_thread(build_spool, settings, away)
    await spooled.start()
    await spooled.append([record(TOPIC, "k", "1")], timeout_s=1)
    await spooled.stop()
    embedded = EmbeddedEventLog(tmp_path / "events.db")
    spooled = await asyncio.to_thread(build_spool, without_environment(tmp_path), embedded)
    await spooled.start()
    forwarding = asyncio.create_task(Forwarding(spool=spooled, event_log=embedded, clock=SystemClock()).run())
    async with embedded.subscribe([TOPIC], group="g") as subscription:
        assert values(await read(subscription, 1)) == ["1"]
    forwarding.cancel()
    await asyncio.wait({forwarding})
    await spooled.stop()


UP, DOWN = Health("up", "connected"), Health("down", "away")


@pytest.mark.parametrize(
    ("checks", "state", "status", "kafka"),
    [
        ({"event_log": UP, "kafka": UP, "spool": UP}, SpoolState(), "healthy", "connected"),
        ({"event_log": UP, "kafka": DOWN, "spool": UP}, SpoolState(), "degraded", "disconnected"),
        ({"event_log": UP, "kafka": UP, "spool": UP}, SpoolState(records=3), "degraded", "connected"),
        ({"event_log": UP, "kafka": UP, "spool": DOWN}, SpoolState(), "degraded", "connected"),
        ({"event_log": DOWN, "kafka": DOWN, "spool": DOWN}, SpoolState(records=3), "unhealthy", "disconnected"),
    ],
)
def test_spooling_is_degraded_and_unhealthy_is_when_nothing_can_be_kept(checks, state, status, kafka):
    report = judge(checks, Backlog(), log_name="kafka", spool=state)
    assert (report.status, report.kafka) == (status, kafka)
