"""The bridge as a process before a real Kafka that is stopped, killed, frozen, absent: nothing with a 202 is lost."""

import asyncio
import contextlib
import json
import time
import uuid
from collections import defaultdict

import httpx
import pytest

from contract.event_log_suite import read
from servers.small_disk import small_disk_at
from servers.sreops import Sreops
from servers.waiting import eventually
from sreops.adapters.event_log.kafka import KafkaEventLog
from sreops.settings import KafkaSettings

pytestmark = pytest.mark.needs("kafka")
TOPIC = "sre-critical"
SENDERS = 8


@pytest.fixture
def run_id():
    """Services of this test alone: the topics are shared by all tests of the session."""
    return uuid.uuid4().hex[:8]


@pytest.fixture
def settings(kafka):
    return {
        "SREOPS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "SREOPS_KAFKA__REQUEST_TIMEOUT_S": "2",
        "SREOPS_ACK_TIMEOUT_S": "2",
        "SREOPS_ROLES": "bridge",
        "SREOPS_LOG_LEVEL": "warning",
    }


@pytest.fixture
def bridge(settings):
    with Sreops(settings) as sreops:
        yield sreops


def webhook(service, *numbers):
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "Down", "service": service, "severity": "critical", "tier": "1", "n": str(n)},
            "annotations": {"summary": "x" * 200},
            "startsAt": "2026-11-22T11:58:00Z",
            "fingerprint": f"{service}-{n}",
        }
        for n in numbers
    ]
    return {"version": "1", "status": "firing", "alerts": alerts}


class Load:
    """Senders that wait for each answer and repeat what was not accepted, as Grafana does, only sooner."""

    def __init__(self, sreops, run_id):
        self._url = sreops.url
        self._run_id = run_id
        self.accepted = defaultdict(list)  # by service
        self.refused = []
        self.slowest_s = 0.0
        self._stop = asyncio.Event()

    @property
    def count(self):
        return sum(map(len, self.accepted.values()))

    async def send(self, service, client, *numbers):
        began = time.monotonic()
        answer = await client.post(f"{self._url}/alerts", json=webhook(service, *numbers))
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        if answer.status_code != 202:
            self.refused.append((answer.status_code, answer.text))
            return False
        self.accepted[service] += numbers
        return True

    async def _sender(self, number):
        service, sent = f"svc-{self._run_id}-{number}", 0
        async with httpx.AsyncClient(timeout=30) as client:
            while not self._stop.is_set():
                with contextlib.suppress(httpx.TransportError):  # sreops was killed: no answer, no promise
                    if await self.send(service, client, sent, sent + 1):
                        sent += 2
                await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as tasks:
            for number in range(SENDERS):
                tasks.create_task(self._sender(number))
            try:
                yield self
            finally:
                self._stop.set()

    async def more(self, count=100, timeout_s=30):
        """Wait until so many more have been accepted."""
        target = self.count + count
        await eventually(lambda: self.count >= target, timeout_s, what=f"{count} more accepted events")


async def found_in_kafka(kafka, load):
    """Return by service the numbers in the topic, each at its first coming, once all that was accepted is there."""
    log = KafkaEventLog(KafkaSettings(bootstrap_servers=kafka.bootstrap, request_timeout_s=5), [TOPIC])
    await log.start()
    found = defaultdict(dict)
    missing = {(service, n) for service, numbers in load.accepted.items() for n in numbers}
    try:
        async with log.subscribe([TOPIC], group=f"look-{uuid.uuid4().hex[:8]}") as subscription:
            while missing:
                for one in await read(subscription, 1):
                    if one.key in load.accepted:
                        number = int(json.loads(one.value)["labels"]["n"])
                        found[one.key].setdefault(number, None)
                        missing.discard((one.key, number))
    finally:
        await log.stop()
    return {service: list(numbers) for service, numbers in found.items()}


async def assert_nothing_lost_and_in_order(kafka, load):
    found = await found_in_kafka(kafka, load)
    for service, numbers in load.accepted.items():
        first_comings = [n for n in found[service] if n <= numbers[-1]]
        assert first_comings == numbers, service


async def get(sreops, path):
    async with httpx.AsyncClient(timeout=10) as client:
        return await client.get(sreops.url + path)


async def is_healthy(sreops):
    health = (await get(sreops, "/health")).json()
    assert health["backlog"]["spool_records"] == 0
    assert (health["status"], health["kafka"]) == ("healthy", "connected"), health["why"]
    return True


async def assert_degraded_and_ready(sreops):
    async def shows():
        answer = await get(sreops, "/health")
        body = answer.json()
        assert (answer.status_code, body["status"], body["kafka"]) == (200, "degraded", "disconnected")
        assert body["backlog"]["spool_records"] > 0
        assert body["backlog"]["spool_bytes"] > 0
        assert body["checks"]["event_log"]["status"] == "up"
        return True

    await eventually(shows, 15, what="health to be degraded")
    assert (await get(sreops, "/readyz")).status_code == 200


@pytest.mark.parametrize("fault", ["kill", "stop", "freeze"])
async def test_under_load_nothing_accepted_is_lost_and_it_comes_back_by_itself(kafka, bridge, run_id, fault):
    await eventually(lambda: is_healthy(bridge), 30, what="health")
    load = Load(bridge, run_id)
    async with load.running():
        await load.more()
        await asyncio.to_thread({"kill": kafka.kill, "stop": kafka.stop, "freeze": kafka.pause}[fault])
        await load.more(300)
        await assert_degraded_and_ready(bridge)
        await load.more(300)
        await asyncio.to_thread(kafka.resume if fault == "freeze" else kafka.start)
        await eventually(lambda: is_healthy(bridge), 60, what="health while the load goes on")
        await load.more()
    assert load.refused == []
    assert load.slowest_s < 2 + 5
    await assert_nothing_lost_and_in_order(kafka, load)


async def test_a_broker_that_comes_and_goes_loses_nothing(kafka, bridge, run_id):
    await eventually(lambda: is_healthy(bridge), 30, what="health")
    load = Load(bridge, run_id)
    async with load.running():
        for freeze_s in (0.5, 3.0, 1.0, 6.0, 2.5):  # around ack_timeout_s, and around what replaces the producer
            await load.more(50)
            kafka.pause()
            await asyncio.sleep(freeze_s)  # how long it is frozen is the case that is tested
            kafka.resume()
            await asyncio.sleep(0.3)
        await eventually(lambda: is_healthy(bridge), 60, what="health")
    assert load.refused == []
    await assert_nothing_lost_and_in_order(kafka, load)


async def test_starting_without_kafka_accepts_at_once_and_kill_9_loses_nothing(kafka, settings, run_id):
    await asyncio.to_thread(kafka.stop)
    with Sreops(settings) as sreops:
        load = Load(sreops, run_id)
        async with httpx.AsyncClient(timeout=30) as client:
            for n in range(40):
                assert await load.send(f"svc-{run_id}", client, n)
        assert load.slowest_s < 2.0
        await assert_degraded_and_ready(sreops)
        await asyncio.to_thread(sreops.kill)
        await asyncio.to_thread(sreops.start)
        assert (await get(sreops, "/health")).json()["backlog"]["spool_records"] == 40
        async with httpx.AsyncClient(timeout=30) as client:
            assert await load.send(f"svc-{run_id}", client, 40)
        await asyncio.to_thread(kafka.start)
        await eventually(lambda: is_healthy(sreops), 60, what="health")
    await assert_nothing_lost_and_in_order(kafka, load)


async def test_killed_again_and_again_while_it_spools_and_forwards_it_loses_nothing(kafka, bridge, run_id):
    load = Load(bridge, run_id)
    async with load.running():
        await load.more(50)
        await asyncio.to_thread(kafka.kill)
        for _ in range(2):
            await load.more(150)
            await asyncio.to_thread(bridge.kill)
            await asyncio.to_thread(bridge.start)
        await load.more(50)
        await asyncio.to_thread(kafka.start)
        for _ in range(3):
            await load.more(50)
            await asyncio.to_thread(bridge.kill)
            await asyncio.to_thread(bridge.start)
        await eventually(lambda: is_healthy(bridge), 60, what="health")
    await assert_nothing_lost_and_in_order(kafka, load)


async def test_a_full_spool_is_a_503_with_retry_after_and_is_over_when_kafka_is_back(kafka, settings, run_id):
    await asyncio.to_thread(kafka.stop)
    with Sreops(settings | {"SREOPS_MAX_SPOOL_BYTES": "20000"}) as sreops:
        load = Load(sreops, run_id)
        async with httpx.AsyncClient(timeout=30) as client:
            sent = 0
            while await load.send(f"svc-{run_id}", client, sent):
                sent += 1
            assert 5 < sent < 40
            answer = await client.post(f"{sreops.url}/alerts", json=webhook(f"svc-{run_id}", sent))
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert "spool is full" in answer.text
            await asyncio.to_thread(kafka.start)

            async def taken():
                return await load.send(f"svc-{run_id}", client, sent)

            await eventually(taken, 60, what="the next event to be accepted")
        await eventually(lambda: is_healthy(sreops), 60, what="health")
    await assert_nothing_lost_and_in_order(kafka, load)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB."""
    with small_disk_at(tmp_path / "data", "8m") as place:
        yield place


async def test_a_full_disk_is_a_503_and_never_a_202_that_is_not_true(kafka, settings, run_id, small_disk):
    await asyncio.to_thread(kafka.stop)
    with Sreops(settings | {"SREOPS_DATA_DIR": str(small_disk)}) as sreops:
        load = Load(sreops, run_id)
        async with httpx.AsyncClient(timeout=30) as client:
            sent = 0
            while await load.send(f"svc-{run_id}", client, *range(sent, sent + 500)):
                sent += 500
            assert sent >= 500
            assert load.refused[-1][0] == 503
            filler = small_disk / "filler"
            with contextlib.suppress(OSError):
                filler.write_bytes(b"x" * 8 * 1024 * 1024)
            assert (await get(sreops, "/readyz")).status_code == 503
            await asyncio.to_thread(sreops.kill)
            filler.unlink()
            await asyncio.to_thread(sreops.start)
            await asyncio.to_thread(kafka.start)
            await eventually(lambda: is_healthy(sreops), 60, what="health")
            assert await load.send(f"svc-{run_id}", client, sent)
    await assert_nothing_lost_and_in_order(kafka, load)
