"""A whole sreops before a real Kafka: intake that waits for room, and dead letters that are put back."""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from servers.installed import require
from servers.kafka import Kafka
from servers.sreops import Sreops
from servers.waiting import eventually

TOPIC = "sre-critical"
Start = Callable[..., Sreops]

pytestmark = [pytest.mark.needs("kafka"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def broker() -> Iterator[Kafka]:
    """One of our own: a new group reads its topics from their beginning, and here they hold little."""
    require("kafka")
    with Kafka() as kafka:
        yield kafka


@pytest.fixture
def group() -> str:
    return f"sreops-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def start(broker: Kafka, group: str) -> Iterator[Start]:
    """Start a sreops before the broker, with further settings."""
    with ExitStack() as started:

        def sreops(**settings: str) -> Sreops:
            told = {
                "SREOPS_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
                "SREOPS_KAFKA__GROUP_ID": group,
                "SREOPS_CORRELATION__STORM_INCIDENTS": "1000",
                "SREOPS_CORRELATION__BURST_INCIDENTS": "1000",
            }
            return started.enter_context(Sreops(told | settings))

        yield sreops


@pytest.fixture
def names() -> Callable[[int], list[str]]:
    """Services of this test alone: the topics are shared by the module's tests."""
    run = uuid.uuid4().hex[:6]
    numbers = iter(range(1000))
    return lambda count: [f"s{run}-{next(numbers)}" for _ in range(count)]


def firing(services: Sequence[str]) -> dict[str, Any]:
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "Down", "service": service, "severity": "critical", "tier": "1"},
            "annotations": {"summary": "x" * 500},
            "startsAt": datetime.now(UTC).isoformat(),
            "fingerprint": f"fp-{service}",
        }
        for service in services
    ]
    return {"version": "1", "status": "firing", "alerts": alerts}


async def post(sreops: Sreops, services: Sequence[str]) -> None:
    answer = await asyncio.to_thread(sreops.post, "/alerts", firing(services))
    assert (answer.status_code, answer.json()["queued"]) == (202, len(services))


async def health(sreops: Sreops) -> dict[str, Any]:
    found: dict[str, Any] = await asyncio.to_thread(sreops.get, "/health")
    return found


async def ended(sreops: Sreops, services: Sequence[str]) -> list[dict[str, Any]]:
    found = [await asyncio.to_thread(sreops.ended_incident_of, service) for service in services]
    assert None not in found
    return [one for one in found if one is not None]


@asynccontextmanager
async def looking(broker: Kafka, group: str) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """Look at a topic and at a group's offsets in it without joining the group."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = await _partitions(broker)
        consumer.assign(partitions)
        yield consumer, partitions
    finally:
        await consumer.stop()


async def _partitions(broker: Kafka) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        [topic] = await admin.describe_topics([TOPIC])
    finally:
        await admin.close()
    found = [TopicPartition(TOPIC, one["partition"]) for one in topic["partitions"]]
    assert found
    return found


async def unread(broker: Kafka, group: str) -> int:
    """Count the records that the group has not committed."""
    async with looking(broker, group) as (consumer, partitions):
        ends = await consumer.end_offsets(partitions)
        committed = [await consumer.committed(partition) for partition in partitions]
        starts = await consumer.beginning_offsets(partitions)
        return sum(
            ends[one] - (starts[one] if done is None else done) for one, done in zip(partitions, committed, strict=True)
        )


async def records_of(broker: Kafka, service: str) -> list[Any]:
    async with looking(broker, f"looking-{uuid.uuid4().hex}") as (consumer, partitions):
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            got = await consumer.getmany(timeout_ms=500)
            found += [record for records in got.values() for record in records]
        return [record for record in found if record.key == service.encode()]


async def produce(broker: Kafka, topic: str, key: str, value: bytes, *headers: tuple[str, bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=key.encode(), headers=list(headers))
    finally:
        await producer.stop()


@pytest.fixture
def silent_loki() -> Iterator[socket.socket]:
    """A Loki that takes connections and never answers: whatever asks it is at work for as long as it is open."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


async def test_a_full_inbox_leaves_the_rest_with_kafka_and_reading_goes_on_when_there_is_room(
    broker: Kafka, group: str, start: Start, names: Callable[[int], list[str]], silent_loki: socket.socket
) -> None:
    sreops = start(
        SREOPS_LOKI__URL=f"http://127.0.0.1:{silent_loki.getsockname()[1]}",
        SREOPS_LOKI__TIMEOUT_S="250",
        SREOPS_WORKER__MAX_INBOX_BYTES="3000",
    )
    taken, left = names(5), names(40)
    await post(sreops, taken)

    async def waits() -> bool:
        intake = (await health(sreops))["checks"]["intake"]
        return intake["status"] == "down" and "reading waits" in intake["detail"]

    await eventually(waits, 60, what="the inbox to be full")
    assert await unread(broker, group) == 0
    await post(sreops, left[:20])
    await post(sreops, left[20:])
    report = await health(sreops)
    assert report["status"] == "degraded", report["why"]
    assert "MAX_INBOX_BYTES" in report["checks"]["intake"]["cure"]
    assert report["backlog"]["open_incidents"] == 5
    assert await unread(broker, group) == 40, "what was accepted waits in the broker, and is not committed"

    silent_loki.close()
    found = await eventually(lambda: ended(sreops, [*taken, *left]), 90, every_s=0.5, what="every incident's end")
    assert {one["event_count"] for one in found} == {1}
    assert await unread(broker, group) == 0
    assert (await health(sreops))["checks"]["intake"]["status"] == "up"


async def test_what_can_not_be_read_is_listed_goes_back_and_dies_again_as_the_same_letter(
    broker: Kafka, group: str, start: Start, names: Callable[[int], list[str]]
) -> None:
    sreops = start()
    poisonous, healthy = names(2)
    await post(sreops, [healthy])
    await produce(broker, TOPIC, poisonous, b"\xff\x00 not json", ("traceparent", b"kept"))
    await eventually(lambda: ended(sreops, [healthy]), 60, what="the alert beside it to be handled")

    async def listed() -> str:
        shown = (await sreops.run("dead-letter", "list", timeout_s=90)).stdout
        return shown if poisonous in shown else ""

    shown = await eventually(listed, 60, every_s=0.5, what="the dead letter to be listed")
    [letter_id] = [line.split()[0] for line in shown.splitlines() if f"  {poisonous}  " in line]
    assert "not an event of schema 1" in shown
    back = await sreops.run("dead-letter", "requeue", letter_id, timeout_s=90)
    assert (back.returncode, "1 put back" in back.stdout) == (0, True), back.stdout + back.stderr

    async def died_twice() -> bool:
        found = [one for one in await records_of(broker, poisonous) if one.value]
        assert len(found) == 2, "the record and the one that was put back"
        [line] = [line for line in (await listed()).splitlines() if line.startswith(letter_id)]
        return line.endswith(f"{poisonous}  dead")

    await eventually(died_twice, 60, every_s=0.5, what="it to be dead again")
    assert (await listed()).count(letter_id) == 1, "it is one letter, however often it dies"
    assert await unread(broker, group) == 0, "it holds up nothing"


async def test_an_event_that_was_handled_before_is_worked_on_again_once_where_a_person_puts_it_back(
    broker: Kafka, start: Start, names: Callable[[int], list[str]]
) -> None:
    sreops = start()
    [service] = names(1)
    await post(sreops, [service])
    [first] = await eventually(lambda: ended(sreops, [service]), 60)
    [record] = await records_of(broker, service)
    event_id = json.loads(record.value)["event_id"]
    await produce(
        broker, "sre-dead-letter", service, record.value,
        *record.headers, ("dead-letter-id", event_id.encode()), ("error", b"a bug of yesterday"),
        ("origin-topic", TOPIC.encode()),
    )  # fmt: skip

    async def listed() -> str:
        shown = (await sreops.run("dead-letter", "list", timeout_s=90)).stdout
        return shown if event_id in shown else ""

    assert "a bug of yesterday" in await eventually(listed, 60, every_s=0.5)
    sreops.stop()  # put back while nobody reads: it waits in the broker
    back = await sreops.run("dead-letter", "requeue", event_id, timeout_s=90)
    assert back.returncode == 0, back.stdout + back.stderr
    again = await sreops.run("dead-letter", "requeue", "--all", timeout_s=90)
    assert f"{event_id}: put back" not in again.stdout, "what was put back is not put back twice by --all"
    await asyncio.to_thread(sreops.start)

    async def handled_again() -> dict[str, Any]:
        [found] = await ended(sreops, [service])
        begun = [one for one in found["thoughts"] if "was put back by a person" in one["text"]]
        assert len(begun) == 1
        return found

    second = await eventually(handled_again, 60, every_s=0.5)
    assert (second["id"], second["event_count"]) == (first["id"], 2)
    sent = await records_of(broker, service)
    assert [dict(one.headers).get("requeued") for one in sent] == [None, event_id.encode()]
    assert "put back 20" in await listed()
