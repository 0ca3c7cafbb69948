"""Real Kafka killed, stopped and frozen under load, before a whole sreops: what was accepted is handled, once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from crash.world import Process, World, payload
from servers.installed import require
from servers.kafka import Kafka
from servers.waiting import eventually

SENDERS = 6
ALL = os.environ.get("SREOPS_CRASH") == "all"
STOPPED_S = 60.0 if ALL else 12.0
FROZEN_S = 30.0 if ALL else 10.0
TOPIC = "sre-critical"
PARTITIONS = 3

pytestmark = [pytest.mark.needs("kafka"), pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def broker() -> Iterator[Kafka]:
    """One of our own: a new group reads its topics from their beginning, and here they are killed."""
    require("kafka")
    with Kafka() as kafka:
        yield kafka


class Load:
    """Senders that repeat one alert with a running number, and remember which numbers were accepted."""

    def __init__(self, sreops: Process, run_id: str) -> None:
        self.sreops = sreops
        self.services = [f"bo-{run_id}-{number}" for number in range(SENDERS)]
        self.accepted: dict[str, list[str]] = defaultdict(list)
        self.refused: Counter[int] = Counter()
        self._stop = asyncio.Event()

    @property
    def count(self) -> int:
        return sum(map(len, self.accepted.values()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        async with asyncio.TaskGroup() as tasks:
            for service in self.services:
                tasks.create_task(self._send(service))
            try:
                yield self
            finally:
                self._stop.set()

    async def _send(self, service: str) -> None:
        body, number = payload(service, 1), 0
        async with httpx.AsyncClient(timeout=30) as client:
            while not self._stop.is_set():
                number += 1
                body["alerts"][0]["labels"]["n"] = str(number)
                answer = await client.post(f"{self.sreops.url}/alerts", json=body)
                if answer.status_code == 202:
                    self.accepted[service].append(str(number))
                else:
                    self.refused[answer.status_code] += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), 0.1)

    async def more(self, count: int = 60, timeout_s: float = 60) -> None:
        target = self.count + count
        await eventually(lambda: self.count >= target, timeout_s, what=f"{count} more accepted events")


async def test_what_is_accepted_while_kafka_is_away_is_handled_once_and_the_group_goes_on(
    broker: Kafka, tmp_path: Path
) -> None:
    run_id = uuid.uuid4().hex[:6]
    world = World(tmp_path)
    async with world.serving():
        sreops = Process(
            {
                **world.settings(),
                "SREOPS_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
                "SREOPS_KAFKA__REQUEST_TIMEOUT_S": "2",
                "SREOPS_KAFKA__GROUP_ID": run_id,
                "SREOPS_KAFKA__PARTITIONS": str(PARTITIONS),
                "SREOPS_ACK_TIMEOUT_S": "2",
            },
            ready_path="/readyz",
        )
        load = Load(sreops, run_id)
        try:
            for service in [*load.services, f"bo-{run_id}-after"]:
                world.add(service)
            await asyncio.to_thread(sreops.start)
            async with load.running():
                await load.more()
                for outage in ("killed", "stopped", "frozen"):
                    await break_and_mend(outage, broker, load)
                    await eventually(
                        lambda: asyncio.to_thread(is_healthy, sreops), 60, every_s=0.5, what=f"health after {outage}"
                    )
                    await load.more()
            await whole_again(sreops, load, broker, run_id)
            assert not load.refused, f"refused while the spool had room: {load.refused}"
        finally:
            await asyncio.to_thread(sreops.close)
            await asyncio.to_thread(broker.make_whole)


async def break_and_mend(outage: str, broker: Kafka, load: Load) -> None:
    if outage == "killed":
        await asyncio.to_thread(broker.kill)
        await load.more()
        await asyncio.to_thread(broker.start)
    elif outage == "stopped":
        await asyncio.to_thread(broker.stop)
        await load.more()
        await asyncio.sleep(STOPPED_S)
        await asyncio.to_thread(broker.start)
    else:
        broker.pause()
        await load.more()
        await asyncio.sleep(FROZEN_S)
        broker.resume()


async def whole_again(sreops: Process, load: Load, broker: Kafka, run_id: str) -> None:
    await eventually(lambda: asyncio.to_thread(all_handled, sreops, load), 90, every_s=0.5, what="all to be handled")
    # the group is not stuck: a new alert comes to its end, and everything that was read is committed
    after = f"bo-{run_id}-after"
    assert (await asyncio.to_thread(sreops.post, "/alerts", payload(after, 1))).status_code == 202
    await eventually(lambda: asyncio.to_thread(sreops.ended_incident_of, after), 60, every_s=0.3, what="the last one")
    for service in load.services:
        incident = await eventually(
            lambda service=service: asyncio.to_thread(sreops.ended_incident_of, service),  # type: ignore[misc]
            60,
            every_s=0.3,
            what="every incident to end",
        )
        assert incident is not None
        assert len(incident["effects"]) <= 1
    await eventually(lambda: asyncio.to_thread(is_healthy, sreops), 60, every_s=0.5, what="to be healthy again")
    topic = await read_topic(broker)
    for service in load.services:
        assert set(load.accepted[service]) <= topic[service], f"{service}: an accepted event is not in the topic"
    await eventually(lambda: all_committed(broker, run_id), 30, every_s=0.5, what="every offset to be committed")


def is_healthy(sreops: Process) -> bool:
    health = sreops.get("/health")
    assert health["backlog"]["spool_records"] == 0
    return bool(health["status"] == "healthy" and health["kafka"] == "connected")


def all_handled(sreops: Process, load: Load) -> bool:
    """Each accepted event is in the inbox, correlated, and counted once by its incident."""
    store = sqlite3.connect(f"file:{sreops.data_dir / 'sreops.db'}?mode=ro", uri=True)
    store.row_factory = sqlite3.Row
    with contextlib.closing(store):
        rows = store.execute("SELECT payload, disposition, incident_id FROM inbox").fetchall()
        counts = {row["id"]: row["event_count"] for row in store.execute("SELECT id, event_count FROM incidents")}
    handled: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        assert row["disposition"], "an event waits to be correlated"
        event: dict[str, Any] = json.loads(row["payload"])
        handled[event["service"]].append(event["labels"].get("n", ""))
    assert Counter(row["incident_id"] for row in rows if row["incident_id"]) == Counter(counts), "counted twice"
    for service in load.services:
        missing = set(load.accepted[service]) - set(handled[service])
        assert not missing, f"{service}: {len(missing)} accepted events are not handled yet"
        assert len(handled[service]) == len(set(handled[service])), f"{service}: an event was handled twice"
    return True


async def read_topic(broker: Kafka) -> dict[str, set[str]]:
    """Return by service the numbers that are in the topic."""
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[str, set[str]] = defaultdict(set)
    try:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for record in batch:
                    event = json.loads(record.value)
                    found[event["service"]].add(event["labels"].get("n", ""))
    finally:
        await consumer.stop()
    return found


async def all_committed(broker: Kafka, group: str) -> bool:
    """Say that the group has committed all of the topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
        committed = {one: await consumer.committed(one) or 0 for one in partitions}
    finally:
        await consumer.stop()
    assert committed == ends
    return sum(ends.values()) > 0
