"""The spool: what the log does not acknowledge is kept, forwarded in order, and never answered for when it is not."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from contract.event_log_suite import APPEND_S, EventLogContract, read, record, values
from servers.waiting import eventually
from sreops.adapters.embedded_log import EmbeddedEventLog
from sreops.adapters.spooled_log import HAND_OVER_RECORDS, SpooledEventLog
from sreops.app import build_spool
from sreops.domain.routing import DEAD_LETTER
from sreops.errors import EventLogRefused, EventLogUnavailable
from sreops.ports import Backlog, Health, SpoolState
from sreops.settings import KafkaSettings, Settings
from sreops.telemetry import REGISTRY
from sreops.web.health import judge
from sreops.worker.spool import Forwarding

TOPIC, OTHER = "sre-critical", "sre-warning"
TOPICS = (TOPIC, OTHER, "sre-info", DEAD_LETTER)
MIB = 1024 * 1024


class SystemClock:
    def now(self):
        return datetime.now(UTC)


class LogThatFails(EmbeddedEventLog):
    """An event log that a test takes away: ``away`` refuses at once, ``hanging`` lets appends run into their timeout.

    ``delivers`` does what a frozen broker does: the records arrive, the acknowledgement does not.
    """

    name = "kafka"

    def __init__(self, path):
        super().__init__(path)
        self.away = False
        self.hanging = False
        self.delivers = False
        self.refuses = b""  # values that contain it
        self.away_topics = set()
        self.attempts = 0

    async def append(self, records, *, timeout_s):
        self.attempts += 1
        if self.away or any(one.topic in self.away_topics for one in records):
            raise EventLogUnavailable("the broker is away")
        if self.hanging:
            if self.delivers:
                await super().append(records, timeout_s=timeout_s)
            await asyncio.sleep(timeout_s)
            raise EventLogUnavailable(f"not acknowledged within {timeout_s:g} s")
        if self.refuses and any(self.refuses in one.value for one in records):
            raise EventLogRefused("too large for the broker")
        await super().append(records, timeout_s=timeout_s)

    async def health(self):
        if self.away or self.hanging:
            return Health("down", "the broker is away", "start it")
        return await super().health()


class Scene:
    """A log that can fail, a spool before it, and what forwards; ``restarted`` is the same data in a new process."""

    def __init__(self, directory, max_bytes=64 * MIB, topics=TOPICS):
        self.directory = directory
        self.max_bytes = max_bytes
        self.topics = topics
        self.log = LogThatFails(directory / "log.db")
        self.spool = EmbeddedEventLog(directory / "spool" / "spool.db")
        self.front = SpooledEventLog(self.log, self.spool, topics, max_bytes=max_bytes)
        self._forwarding = None

    async def start(self, *, forward=True):
        await self.front.start()
        if forward:
            self.forward()
        return self

    def forward(self):
        forwarding = Forwarding(
            spool=self.front, event_log=self.log, clock=SystemClock(), append_timeout_s=0.3, retry_s=0.02
        )
        self._forwarding = asyncio.create_task(forwarding.run())

    async def stop(self):
        if self._forwarding is not None:
            self._forwarding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._forwarding
        await self.front.stop()

    async def append(self, *given, topic=TOPIC, key="k", timeout_s=0.3):
        await self.front.append([record(topic, key, value) for value in given], timeout_s=timeout_s)

    async def emptied(self, timeout_s=10):
        await eventually(lambda: self.front.state().records == 0, timeout_s, what="the spool to be empty")

    async def arrived(self, topic=TOPIC):
        """Return the values in the log, in order, each at its first coming."""
        records = await self.log.read("looking", {}, [topic], 100_000)
        return list(dict.fromkeys(values(records)))


@pytest.fixture
async def scene(tmp_path):
    made = await Scene(tmp_path).start()
    yield made
    await made.stop()


# --- the event log's contract -----------------------------------------------------------------------------


class TestLogThatFails(EventLogContract):
    """The fake of these tests is an event log."""

    @pytest.fixture
    def names(self):
        return self.topics

    @pytest.fixture
    async def log(self, tmp_path):
        self.path = tmp_path / "log.db"
        opened = LogThatFails(self.path)
        await opened.start()
        yield opened
        await opened.stop()

    @asynccontextmanager
    async def reopened(self, log):
        await log.stop()
        again = LogThatFails(self.path)
        await again.start()
        yield again
        await again.stop()


class TestSpooledEventLog(EventLogContract):
    """With the log there, the spool is not noticed."""

    async def opened(self, directory):
        return await Scene(directory, topics=self.topics).start()

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
        scene = Scene(directory, topics=self.topics)
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


# --- restart ----------------------------------------------------------------------------------------------


async def test_a_spool_that_was_left_over_is_forwarded_before_anything_new(tmp_path):
    first = await Scene(tmp_path).start()
    first.log.away = True
    for n in range(20):
        await first.append(str(n))
    await first.stop()
    second = Scene(tmp_path)
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
    first = await Scene(tmp_path).start(forward=False)
    first.log.away = True
    await first.append("1", "2", "3")
    first.log.away = False
    records = await first.front.waiting(TOPIC, max_records=10, max_bytes=MIB, timeout_s=1)
    await first.log.append(records[:2], timeout_s=1)  # acknowledged; killed before forwarded()
    await first.stop()
    second = await Scene(tmp_path).start()
    await second.emptied()
    assert await second.arrived() == ["1", "2", "3"]
    await second.stop()


async def test_a_large_record_does_not_make_a_batch_larger_than_asked(tmp_path):
    scene = await Scene(tmp_path).start(forward=False)
    scene.log.away = True
    for n in range(6):
        await scene.append(f"{n}" + "x" * 300_000)
    records = await scene.front.waiting(TOPIC, max_records=100, max_bytes=700_000, timeout_s=1)
    assert len(records) == 3
    await scene.stop()


# --- bounds and faults ------------------------------------------------------------------------------------


async def test_a_full_spool_refuses_and_takes_again_when_it_has_been_forwarded(tmp_path):
    scene = await Scene(tmp_path, max_bytes=10_000).start()
    scene.log.away = True
    accepted = []

    async def fill(value):
        while len(accepted) < 1000:
            await scene.append(f"{len(accepted):04d}{value}")
            accepted.append(f"{len(accepted):04d}")

    with pytest.raises(EventLogUnavailable, match="spool is full"):
        await fill("x" * 1000)
    assert 8 <= len(accepted) <= 10
    assert (await scene.front.spool_health()).status == "up"  # smaller ones still fit
    with pytest.raises(EventLogUnavailable, match="spool is full"):
        await fill("")
    scene.log.away = False
    await scene.emptied()
    assert [one[:4] for one in await scene.arrived()] == accepted
    scene.log.away = True
    await scene.append("again")
    await scene.stop()


async def test_health_is_up_while_the_spool_takes_and_down_when_it_is_full(tmp_path):
    scene = await Scene(tmp_path, max_bytes=1000).start()
    assert (await scene.front.health()).detail == "embedded"
    scene.log.away = True
    health = await scene.front.health()
    assert (health.status, "spooling" in health.detail) == ("up", True)
    await scene.append("x" * (1000 - 4))
    assert (await scene.front.health()).status == "down"
    assert "full" in (await scene.front.spool_health()).detail
    scene.log.away = False
    await scene.emptied()
    assert (await scene.front.health()).status == "up"
    await scene.stop()


async def test_depth_and_age_are_measured(scene):
    scene.log.away = True
    await scene.append("1", "2")
    state = scene.front.state()
    assert (state.records, state.size_bytes > 0) == (2, True)
    assert 0 <= state.age_s(datetime.now(UTC)) < 5
    await eventually(lambda: REGISTRY.get_sample_value("sreops_backlog", {"what": "spool"}) == 2, what="the gauge")
    scene.log.away = False
    await scene.emptied()
    await eventually(lambda: REGISTRY.get_sample_value("sreops_backlog", {"what": "spool"}) == 0, what="the gauge")
    assert scene.front.state().age_s(datetime.now(UTC)) == 0


async def test_the_disk_gets_its_space_back_when_a_large_spool_has_been_forwarded(scene, tmp_path):
    scene.log.away = True
    for n in range(12):
        await scene.append(f"{n}" + "x" * 900_000)
    path = tmp_path / "spool" / "spool.db"
    size = path.stat().st_size + path.with_name("spool.db-wal").stat().st_size
    assert size > 10 * MIB
    scene.log.away = False
    await scene.emptied()
    await eventually(lambda: path.stat().st_size < MIB, what="the file to be small")
    wal = path.with_name("spool.db-wal")
    await eventually(lambda: wal.stat().st_size < MIB, what="its log to be small")


async def test_a_spool_that_cannot_be_opened_does_not_keep_events_from_the_log(tmp_path):
    (tmp_path / "spool").write_text("a file where the directory should be")
    scene = await Scene(tmp_path).start()
    await scene.append("1")
    assert await scene.arrived() == ["1"]
    assert (await scene.front.health()).status == "up"
    assert (await scene.front.spool_health()).status == "down"
    scene.log.away = True
    with pytest.raises(EventLogUnavailable, match=r"away.*spool"):
        await scene.append("2")
    (tmp_path / "spool").unlink()
    await scene.append("3")
    scene.log.away = False
    await scene.emptied()
    assert await scene.arrived() == ["1", "3"]
    await scene.stop()


async def test_a_spool_that_breaks_while_it_holds_events_lets_new_ones_go_to_the_log(tmp_path):
    scene = await Scene(tmp_path).start(forward=False)
    scene.log.away = True
    await scene.append("held")
    files = {path: path.read_bytes() for path in (tmp_path / "spool").iterdir()}
    for path, content in files.items():
        path.write_bytes(b"this is no database " * (len(content) // 20 + 1))
    scene.log.away = False
    scene.forward()

    async def goes_through():
        with contextlib.suppress(EventLogUnavailable):
            await scene.append("new")
        return await scene.arrived() == ["new"]

    await eventually(goes_through, what="a new event to be in the log")
    assert (await scene.front.health()).status == "up"
    assert (await scene.front.spool_health()).status == "down"
    for path, content in files.items():
        path.write_bytes(content)

    async def all_arrived():
        return set(await scene.arrived()) == {"new", "held"}

    await eventually(all_arrived, what="what was held to be forwarded")
    await scene.stop()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, mounted at the spool's directory."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root may mount")
    place = tmp_path / "spool"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_refuses_loses_nothing_accepted_and_drains_while_it_is_still_full(small_disk, tmp_path):
    def used():
        return sum(path.stat().st_size for path in small_disk.glob("spool.db*"))

    scene = await Scene(tmp_path).start()
    scene.log.away = True
    accepted = []
    refused = []
    for n in range(60):
        try:
            await scene.append(f"{n:04d}" + "x" * 40_000)
            accepted.append(f"{n:04d}")
        except EventLogUnavailable as exc:
            refused.append(str(exc))
    assert accepted
    assert refused
    assert all("full" in one for one in refused)  # "database or disk is full"
    assert scene.front.state().records == len(accepted)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError):
        filler.write_bytes(b"x" * MIB)
    assert (await scene.front.spool_health()).status == "down"
    assert (await scene.front.health()).status == "down"
    scene.log.away = False
    await scene.emptied()
    assert [one[:4] for one in await scene.arrived()] == accepted
    await scene.append("directly")
    assert (await scene.front.health()).status == "up"
    assert filler.exists()
    # the file had nothing but what has been forwarded: it made room, though the disk took no deletion of rows
    await eventually(lambda: used() < 200_000, what="room")
    scene.log.away = True
    await scene.append("spooled again")
    scene.log.away = False
    await scene.emptied()
    assert (await scene.arrived())[-2:] == ["directly", "spooled again"]
    await scene.stop()


async def test_a_hand_over_that_fails_sends_those_who_wait_for_it_to_the_spool(tmp_path):
    scene = await Scene(tmp_path).start(forward=False)
    scene.log.away = True
    await scene.append("1", "2")
    scene.log.away = False
    first = await scene.front.waiting(TOPIC, max_records=1, max_bytes=MIB, timeout_s=1)
    await scene.log.append(first, timeout_s=1)
    await scene.front.forwarded(first)
    assert scene.front.state().records == 1 < HAND_OVER_RECORDS
    waiting = asyncio.create_task(scene.append("3", timeout_s=5))
    await asyncio.sleep(0)  # it begins, and waits for the hand-over
    attempts = scene.log.attempts
    scene.front.not_forwarded(TOPIC)
    await waiting
    assert scene.log.attempts == attempts
    assert scene.front.state().records == 2
    scene.forward()
    await scene.emptied()
    assert await scene.arrived() == ["1", "2", "3"]
    await scene.stop()


async def test_reading_from_the_front_is_reading_from_the_log(scene):
    await scene.append("1")
    async with scene.front.subscribe([TOPIC], group="g") as subscription:
        assert values(await read(subscription, 1)) == ["1"]


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
