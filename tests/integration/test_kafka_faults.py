"""The event log against a broker that is killed, frozen, late or strange: nothing acknowledged is lost."""

import asyncio
import contextlib
import time
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from structlog.testing import capture_logs

from contract.event_log_suite import read, record, values
from servers.waiting import eventually
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.adapters.event_log.kafka import KafkaEventLog
from sreops.adapters.event_log.spooled import SpooledEventLog
from sreops.errors import EventLogRefused, EventLogUnavailable, SettingsInvalid
from sreops.settings import KafkaSettings

pytestmark = pytest.mark.needs("kafka")
APPEND_S = 15.0


@pytest.fixture
def topic():
    return f"sre-critical-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def group():
    return f"group-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def log(kafka, topic):
    opened = KafkaEventLog(KafkaSettings(bootstrap_servers=kafka.bootstrap, partitions=3, request_timeout_s=2), [topic])
    await opened.start()
    yield opened
    await opened.stop()


async def make_topic(kafka, topic, configs):
    async def made():
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        try:
            await admin.start()
            await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
        except (KafkaError, AttributeError):  # aiokafka's way to meet a broker that another test has just restarted
            return False
        finally:
            await admin.close()
        return True

    await eventually(made, 30, every_s=0.5, what="the topic to be made")


async def append_again(log, topic, value, *, within_s=40.0):
    """Append by the same object until it works, as the forwarder of the spool does."""

    async def appended():
        try:
            await log.append([record(topic, "k", value)], timeout_s=2)
        except EventLogUnavailable:
            return False
        return True

    await eventually(appended, within_s, what="appending to work again")


async def test_every_acknowledged_record_survives_kill_and_appending_goes_on(kafka, log, topic, group):
    await log.append([record(topic, "k", "first")], timeout_s=APPEND_S)
    acknowledged = ["first"]
    stop = asyncio.Event()

    async def appender(number):
        count = 0
        while not stop.is_set():
            value = f"{number}-{count}"
            try:
                await log.append([record(topic, f"k{number}", value)], timeout_s=2)
            except EventLogUnavailable:
                await asyncio.sleep(0.05)
            else:
                acknowledged.append(value)
                count += 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(appender(number))
        await eventually(lambda: len(acknowledged) > 200, what="200 appends")
        kafka.kill()
        at_kill = len(acknowledged)
        assert (await log.health()).status == "down"
        await asyncio.to_thread(kafka.start)
        await eventually(lambda: len(acknowledged) > at_kill + 50, 60, what="appends after the restart")
        stop.set()
    async with log.subscribe([topic], group=group) as subscription:
        found = set()
        while not set(acknowledged) <= found:
            found |= set(values(await read(subscription, 1)))
    await eventually(lambda: is_up(log), what="health to be up")


async def is_up(log):
    return (await log.health()).status == "up"


async def test_a_frozen_broker_makes_appends_unavailable_in_time_and_they_work_when_it_goes_on(kafka, log, topic):
    await log.append([record(topic, "k", "before")], timeout_s=APPEND_S)
    kafka.pause()
    for timeout_s in (1.0, 3.0, 1.0, 1.0):
        began = time.monotonic()
        with pytest.raises(EventLogUnavailable):
            await log.append([record(topic, "k", "x")], timeout_s=timeout_s)
        assert time.monotonic() - began < timeout_s + 1
    began = time.monotonic()
    health = await log.health()
    assert health.status == "down"
    assert health.cure
    assert time.monotonic() - began < 3
    kafka.resume()
    await append_again(log, topic, "after")


async def test_what_a_producer_leaves_behind_goes_to_the_spool_in_the_order_in_which_it_came(
    kafka, log, topic, tmp_path
):
    spool = EmbeddedEventLog(tmp_path / "spool.db")
    front = SpooledEventLog(log, spool, [topic], max_bytes=10_000_000)
    await front.start()
    await front.append([record(topic, "k", "before")], timeout_s=APPEND_S)
    kafka.pause()
    async with asyncio.TaskGroup() as tasks:
        for number in range(24):  # several batches, of which the client takes a few
            tasks.create_task(front.append([record(topic, "k", f"{number} " + "x" * 50_000)], timeout_s=60))
            await asyncio.sleep(0)  # each has begun before the next one comes
    spooled = await front.waiting(topic, max_records=100, max_bytes=10_000_000, timeout_s=5)
    assert [value.split()[0] for value in values(spooled)] == [str(number) for number in range(24)]
    kafka.resume()
    await spool.stop()


async def test_appends_fail_at_once_while_the_broker_is_known_to_be_away(kafka, log, topic):
    await log.append([record(topic, "k", "before")], timeout_s=APPEND_S)
    await asyncio.to_thread(kafka.stop)

    async def fails_at_once():
        began = time.monotonic()
        with pytest.raises(EventLogUnavailable):
            await log.append([record(topic, "k", "x")], timeout_s=5)
        return time.monotonic() - began < 0.5

    await eventually(fails_at_once, 30, what="appends to fail at once")
    await asyncio.to_thread(kafka.start)
    await append_again(log, topic, "after")


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_a_consumer_comes_back_by_itself_misses_nothing_and_keeps_its_commits(kafka, log, topic, group, fault):
    await log.append([record(topic, "k", str(n)) for n in range(4)], timeout_s=APPEND_S)
    async with log.subscribe([topic], group=group) as subscription:
        found = await read(subscription, 4)
        await subscription.commit(found[:2])
        await (break_by_kill(kafka, subscription) if fault == "kill" else break_by_freezing(kafka, subscription))
        await append_again(log, topic, "4")
        seen = set()
        while "4" not in seen:
            batch = await read(subscription, 1)
            seen |= set(values(batch))
            await commit_when_possible(subscription, batch)
    async with log.subscribe([topic], group=group) as subscription:
        await append_again(log, topic, "5")
        seen_again = set()
        while "5" not in seen_again:
            seen_again |= set(values(await read(subscription, 1)))
    assert set(values(found)) | seen | seen_again == {"0", "1", "2", "3", "4", "5"}
    assert not seen_again & {"0", "1"}


async def commit_when_possible(subscription, batch):
    with contextlib.suppress(EventLogUnavailable):  # then they come again, which this test allows
        await subscription.commit(batch)


async def break_by_kill(kafka, subscription):
    kafka.kill()
    began = time.monotonic()
    assert list(await subscription.poll(max_records=10, timeout_s=1)) == []
    assert time.monotonic() - began < 3
    await eventually(lambda: subscription.health().status == "down", 30, what="the subscription to say it is down")
    await asyncio.to_thread(kafka.start)


async def break_by_freezing(kafka, subscription):
    kafka.pause()
    assert list(await subscription.poll(max_records=10, timeout_s=1)) == []
    await eventually(lambda: subscription.health().status == "down", 30, what="the subscription to say it is down")
    assert await subscription.lag() is None
    kafka.resume()


async def test_starting_without_a_broker_is_no_error_and_all_begins_when_it_comes(kafka, topic, group):
    await asyncio.to_thread(kafka.stop)
    log = KafkaEventLog(KafkaSettings(bootstrap_servers=kafka.bootstrap, request_timeout_s=2), [topic])
    await log.start()
    with pytest.raises(EventLogUnavailable, match=kafka.bootstrap):
        await log.append([record(topic, "k", "x")], timeout_s=5)
    async with log.subscribe([topic], group=group) as subscription:
        assert list(await subscription.poll(max_records=1, timeout_s=0.2)) == []
        assert subscription.health().status == "down"
        await asyncio.to_thread(kafka.start)
        await append_again(log, topic, "1")
        assert values(await read(subscription, 1)) == ["1"]
    await log.stop()


@contextlib.asynccontextmanager
async def reading_alone(kafka, topic, group):
    """Subscribe as a process does whose incidents are in SQLite."""
    log = KafkaEventLog(KafkaSettings(bootstrap_servers=kafka.bootstrap, partitions=3), [topic], alone=True)
    await log.start()
    try:
        async with log.subscribe([topic], group=group) as subscription:
            yield log, subscription
    finally:
        await log.stop()


async def test_a_second_reader_whose_incidents_are_in_sqlite_is_refused_until_the_first_has_gone(kafka, topic, group):
    async with contextlib.AsyncExitStack() as later:
        async with reading_alone(kafka, topic, group) as (log, first):
            await eventually(lambda: first.health().status == "up", 30, what="the first to read")
            _, second = await later.enter_async_context(reading_alone(kafka, topic, group))
            await eventually(lambda: "SQLite" in second.health().detail, 30, what="the second to be refused")
            assert "SREOPS_DATABASE_URL" in second.health().cure
            for number in range(12):
                await log.append([record(topic, f"k{number}", str(number))], timeout_s=APPEND_S)
            assert sorted(map(int, values(await read(first, 12)))) == list(range(12))
            assert list(await second.poll(max_records=10, timeout_s=1)) == []
            assert first.health().status == "up"
        await eventually(lambda: second.health().status == "up", 30, what="the second to read when the first has gone")


async def test_of_two_that_begin_together_with_sqlite_one_reads(kafka, topic, group):
    async with reading_alone(kafka, topic, group) as (_, one), reading_alone(kafka, topic, group) as (_, other):
        both = (one, other)

        def settled() -> bool:
            return sorted(each.health().status for each in both) == ["down", "up"] and any(
                "SQLite" in each.health().detail for each in both
            )

        await eventually(settled, 60, what="one of them to read and the other to say why not")


async def test_stopping_is_bounded_while_the_broker_is_frozen(kafka, topic, group):
    log = KafkaEventLog(KafkaSettings(bootstrap_servers=kafka.bootstrap, request_timeout_s=2), [topic])
    await log.start()
    await log.append([record(topic, "k", "1")], timeout_s=APPEND_S)
    async with log.subscribe([topic], group=group) as subscription:
        await read(subscription, 1)
        kafka.pause()
        with pytest.raises(EventLogUnavailable):
            await log.append([record(topic, "k", "2")], timeout_s=0.5)
        began = time.monotonic()
    await log.stop()
    assert time.monotonic() - began < 8
    kafka.resume()


async def test_a_batch_that_the_broker_refuses_does_not_spoil_what_follows(kafka, topic, group):
    await make_topic(kafka, topic, {"max.message.bytes": "20000"})
    log = KafkaEventLog(KafkaSettings(bootstrap_servers=kafka.bootstrap), [topic])
    await log.start()
    await log.append([record(topic, "k", "1")], timeout_s=APPEND_S)
    with pytest.raises(EventLogRefused, match=r"max\.message\.bytes"):
        await log.append([record(topic, "k", b"x" * 50_000)], timeout_s=APPEND_S)
    await append_again(log, topic, "2")
    async with log.subscribe([topic], group=group) as subscription:
        assert values(await read(subscription, 2)) == ["1", "2"]
    await log.stop()


@pytest.mark.parametrize("compression", ["zstd", "lz4", "snappy", "gzip"])
async def test_what_the_broker_compresses_as_the_topic_says_can_be_read(kafka, topic, group, compression):
    await make_topic(kafka, topic, {"compression.type": compression})
    log = KafkaEventLog(KafkaSettings(bootstrap_servers=kafka.bootstrap), [topic])
    await log.start()
    await log.append([record(topic, "k", "x" * 1000)], timeout_s=APPEND_S)
    async with log.subscribe([topic], group=group) as subscription:
        assert values(await read(subscription, 1)) == ["x" * 1000]
    await log.stop()


async def test_a_consumer_that_can_not_read_is_told_with_the_cure_and_does_not_make_the_group_rebalance_all_the_time(
    kafka, topic, group, monkeypatch
):
    """An installation of aiokafka without its codecs, as `pip install --no-deps` and old images have it."""
    monkeypatch.setattr("aiokafka.codec.cramjam", None)
    await make_topic(kafka, topic, {"compression.type": "zstd"})
    log = KafkaEventLog(KafkaSettings(bootstrap_servers=kafka.bootstrap), [topic])
    await log.start()
    await log.append([record(topic, "k", "x" * 1000)], timeout_s=APPEND_S)
    with capture_logs() as told:
        async with log.subscribe([topic], group=group) as subscription:
            began = time.monotonic()
            while time.monotonic() - began < 4 or "zstd" not in subscription.health().detail:
                assert not await subscription.poll(max_records=10, timeout_s=0.2)
            assert subscription.health().status == "down"
            assert "cramjam" in subscription.health().detail
    joined = [one for one in told if one["event"] == "event_log.reading_began"]
    assert 1 <= len(joined) <= 6, "0.2 s, 0.4 s, 0.8 s and so on lie between its tries"
    await log.stop()


async def test_missing_topics_are_made_as_configured_and_existing_ones_left_alone(kafka, topic):
    from aiokafka.admin import AIOKafkaAdminClient

    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap, partitions=2, retention_ms=123_456)
    for topics, partitions in (([topic], 2), ([topic, topic + "-more"], 5)):
        log = KafkaEventLog(settings.model_copy(update={"partitions": partitions}), topics)
        await log.start()
        await log.append([record(topics[-1], "k", "1")], timeout_s=APPEND_S)
        await log.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    described = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics([topic, topic + "-more"])}
    await admin.close()
    assert described == {topic: 2, topic + "-more": 5}


async def test_a_topic_that_cannot_be_made_is_named_in_health_while_others_work(kafka, topic):
    first = KafkaEventLog(KafkaSettings(bootstrap_servers=kafka.bootstrap), [topic])
    await first.start()
    await first.append([record(topic, "k", "1")], timeout_s=APPEND_S)
    await first.stop()
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap, replication_factor=3)  # one broker can't
    log = KafkaEventLog(settings, [topic, topic + "-more"])
    await log.start()
    await log.append([record(topic, "k", "2")], timeout_s=APPEND_S)
    health = await log.health()
    assert health.status == "down"
    assert f"{topic}-more" in health.detail
    await log.stop()


async def test_wrong_security_is_told_in_health(kafka, topic):
    settings = KafkaSettings(
        bootstrap_servers=kafka.bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_username="sreops",
        sasl_password="wrong",  # type: ignore[arg-type]  # pydantic makes it a SecretStr
        request_timeout_s=1,
    )
    log = KafkaEventLog(settings, [topic])
    await log.start()
    with pytest.raises(EventLogUnavailable, match="can't be used"):
        await log.append([record(topic, "k", "1")], timeout_s=10)
    health = await log.health()
    assert "SASL" in health.cure
    assert "wrong" not in health.detail
    await log.stop()


def test_security_settings_that_can_not_work_are_refused_at_once(tmp_path):
    with pytest.raises(SettingsInvalid, match="SASL_USERNAME"):
        KafkaEventLog(KafkaSettings(bootstrap_servers="localhost:1", security_protocol="SASL_SSL"), [])
    no_certificate = tmp_path / "ca.pem"
    no_certificate.write_text("this is no certificate")
    with pytest.raises(SettingsInvalid, match="SSL_CAFILE"):
        KafkaEventLog(
            KafkaSettings(bootstrap_servers="localhost:1", security_protocol="SSL", ssl_cafile=no_certificate), []
        )
