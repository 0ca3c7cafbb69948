"""Three processes on PostgreSQL and Kafka share the work: killed, restarted, paused, and nothing is done twice."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from crash.world import Process, World, payload
from servers.kafka import Kafka
from servers.postgres import Postgres
from servers.waiting import eventually
from sreops.adapters.store.columns import moment
from sreops.domain.records.audit import verify_chain
from sreops.domain.records.record import Record

psycopg = pytest.importorskip("psycopg", reason="needs the extra postgres")
from psycopg.rows import dict_row  # noqa: E402

pytestmark = [pytest.mark.needs("postgres", "kafka"), pytest.mark.timeout(420)]

SEED = 20260301
LEASE_S = 3.0
RECORDED = "SELECT seq, incident_id, kind, at, body, prev_hash, hash FROM records ORDER BY seq"
"""All that was thought and done; whether it is published already changes behind it."""
_numbers = itertools.count()
Row = dict[str, Any]


class Replicas:
    """Several sreops on one database and one topic group, each with a data directory of its own."""

    def __init__(self, world: World, url: str, processes: Sequence[Process]) -> None:
        self.world, self.url, self.processes = world, url, processes

    def query(self, sql: str) -> list[Row]:
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(sql.encode()).fetchall()

    async def post(self, replica: Process, body: object) -> bool:
        """Send as Grafana does; a refusal or a dead replica is told to the caller, who sends again elsewhere."""
        try:
            return (await asyncio.to_thread(replica.post, "/alerts", body)).status_code == 202
        except httpx.TransportError:
            return False

    async def deliver(self, service: str, first: int) -> None:
        """Send a service's alerts to one replica after the other until one accepts them."""
        body = payload(service)
        for number in itertools.count(first):
            if await self.post(self.processes[number % len(self.processes)], body):
                return
            await asyncio.sleep(0.2)

    async def all_end(self, count: int, timeout_s: float) -> list[Row]:
        """Return the incidents once so many have ended and none is open, with nothing left to write."""

        def ended() -> list[Row]:
            found = self.query("SELECT * FROM incidents ORDER BY id")
            still = [(row["service"], row["status"]) for row in found if row["ended_at"] is None]
            assert not still
            assert len(found) >= count, f"{len(found)} incidents"
            waiting = self.query("SELECT kind, attempts, error FROM tickets WHERE done_at IS NULL")
            assert not waiting
            assert not self.query("SELECT event_id FROM inbox WHERE correlated_at IS NULL")
            return found

        return await eventually(lambda: asyncio.to_thread(ended), timeout_s, every_s=0.5, what="every incident to end")

    def books_balance(self, services: Sequence[str]) -> Counter[str]:
        """Hold the ledger against the engine and GitLab; return how the incidents ended."""
        incidents = {row["id"]: row for row in self.query("SELECT * FROM incidents")}
        assert Counter(row["service"] for row in incidents.values()) == Counter(services)
        effects = self.query("SELECT * FROM effects ORDER BY intent_at")
        outcomes = Counter((effect["service"], effect["outcome"]) for effect in effects)
        for service in services:
            restarts = self.world.restarts(service)
            [incident] = [row for row in incidents.values() if row["service"] == service]
            told = {outcome: n for (name, outcome), n in outcomes.items() if name == service}
            assert restarts <= 1, f"{service} was restarted {restarts} times: {told}"
            if incident["reason"] == "outcome_unknown":
                assert told == {"unknown": 1}
            else:
                assert told == ({"succeeded": restarts} if restarts else {}), f"{service}: {incident}"
            issues = self.world.issues(service)
            assert len(issues) == 1, f"{service} has {len(issues)} issues"
        self._no_two_at_once(effects, incidents)
        self._chains_hold()
        return Counter(f"{row['status']} {row['resolution'] or row['reason']}" for row in incidents.values())

    def _no_two_at_once(self, effects: Sequence[Row], incidents: dict[str, Row]) -> None:
        """From its first intent to its end an incident has its service to itself."""
        spans: dict[str, list[tuple[int, int]]] = {}
        for effect in effects:
            end = incidents[effect["incident_id"]]["ended_at"]
            spans.setdefault(effect["service"], []).append((effect["intent_at"], end))
        for service, taken in spans.items():
            for (_, end), (begin, _) in itertools.pairwise(sorted(taken)):
                assert begin > end, f"two incidents of {service} at once"

    def _chains_hold(self) -> None:
        rows = self.query(RECORDED)
        records = [
            Record.model_validate(row | {"at": moment(row["at"]), "body": json.loads(row["body"])}) for row in rows
        ]
        assert verify_chain(records, None) == []


@pytest.fixture
def kafka() -> Iterator[Kafka]:
    """A broker of the test's own: a new group reads all that the topics ever held."""
    with Kafka() as broker:
        yield broker


@pytest.fixture
def services() -> list[str]:
    return [f"service-{number:02}" for number in range(20)]


@asynccontextmanager
async def replicas(kafka: Kafka, postgres: Postgres, services: Sequence[str], count: int) -> AsyncIterator[Replicas]:
    number = next(_numbers)
    url = await asyncio.to_thread(postgres.new_database, f"replicas_{number}")
    directory = Path(tempfile.mkdtemp(prefix="sreops-replicas-"))  # short: a unix socket lies in it
    world = World(directory)
    async with world.serving():
        for service in services:
            world.add(service)
        settings = world.settings() | {
            "SREOPS_DATABASE_URL": url,
            "SREOPS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
            "SREOPS_KAFKA__GROUP_ID": f"replicas-{os.getpid()}-{number}",
            "SREOPS_KAFKA__PARTITIONS": "3",
            "SREOPS_WORKER__LEASE_S": str(LEASE_S),
            "SREOPS_SHUTDOWN_GRACE_S": "5",
        }
        with ExitStack() as stack:
            processes = [Process(settings) for _ in range(count)]
            for process in processes:
                stack.callback(process.close)
            await asyncio.gather(*(asyncio.to_thread(process.start) for process in processes))
            yield Replicas(world, url, processes)
            await asyncio.to_thread(stack.close)
    shutil.rmtree(directory, ignore_errors=True)


async def test_killed_every_few_seconds_they_lose_nothing_and_do_nothing_twice(
    kafka: Kafka, postgres: Postgres, services: list[str]
) -> None:
    chance = random.Random(SEED)
    async with replicas(kafka, postgres, services, 3) as three:

        async def send() -> None:
            for number, service in enumerate(services):
                await three.deliver(service, number)
                await asyncio.sleep(1.5)

        async def kill() -> None:
            for _ in range(8):
                await asyncio.sleep(chance.uniform(2, 5))
                victim = chance.choice(three.processes)
                await asyncio.to_thread(victim.kill)
                await asyncio.sleep(chance.uniform(0, 2))
                await asyncio.to_thread(victim.start)

        await asyncio.gather(send(), kill())
        await three.all_end(len(services), 150)
        ends = await asyncio.to_thread(three.books_balance, services)
    assert ends["resolved fixed"] >= len(services) * 0.7, ends
    assert set(ends) <= {"resolved fixed", "escalated outcome_unknown", "resolved recovered"}, ends


async def test_a_rolling_restart_loses_and_repeats_nothing(
    kafka: Kafka, postgres: Postgres, services: list[str]
) -> None:
    async with replicas(kafka, postgres, services, 3) as three:

        async def send() -> None:
            for number, service in enumerate(services):
                await three.deliver(service, number)
                await asyncio.sleep(0.7)

        async def roll() -> None:
            for replica in three.processes:
                await asyncio.sleep(1)
                os.kill(replica.pid, signal.SIGTERM)
                assert await asyncio.to_thread(replica.end_of_process) == 0
                await asyncio.to_thread(replica.start)

        await asyncio.gather(send(), roll())
        await three.all_end(len(services), 120)
        ends = await asyncio.to_thread(three.books_balance, services)
    assert ends == {"resolved fixed": len(services)}


async def test_another_replica_takes_over_within_the_lease_time(kafka: Kafka, postgres: Postgres) -> None:
    async with replicas(kafka, postgres, ["payments"], 2) as two:
        killed = asyncio.Event()
        loop = asyncio.get_running_loop()
        died_at = 0.0

        async def kill_whoever_acts() -> None:
            nonlocal died_at
            [row] = await asyncio.to_thread(two.query, "SELECT lease_owner FROM work")
            owner = int(row["lease_owner"].rsplit("-", 1)[1])
            [victim] = [process for process in two.processes if process.pid == owner]
            await asyncio.to_thread(victim.kill)
            died_at = loop.time()
            killed.set()

        two.world.engine_gate.rearm(1, "during", kill_whoever_acts)
        await two.deliver("payments", 0)
        await asyncio.wait_for(killed.wait(), 60)
        await eventually(
            lambda: asyncio.to_thread(two.query, "SELECT 1 FROM work WHERE token > 1 AND lease_owner IS NOT NULL"),
            LEASE_S + 5,
            what="the survivor to take over",
        )
        taken_s = loop.time() - died_at
        await two.all_end(1, 60)
        ends = await asyncio.to_thread(two.books_balance, ["payments"])
        assert ends == {"resolved fixed": 1}, "settled by looking: it was restarted"
    assert taken_s < LEASE_S + 3


async def test_one_that_was_paused_for_longer_than_its_lease_writes_and_does_nothing_more(
    kafka: Kafka, postgres: Postgres
) -> None:
    async with replicas(kafka, postgres, ["payments"], 2) as two:
        paused: list[Process] = []

        async def pause_whoever_acts() -> None:
            [row] = await asyncio.to_thread(two.query, "SELECT lease_owner FROM work")
            owner = int(row["lease_owner"].rsplit("-", 1)[1])
            [victim] = [process for process in two.processes if process.pid == owner]
            await asyncio.to_thread(victim.pause)
            paused.append(victim)

        two.world.engine_gate.rearm(1, "during", pause_whoever_acts)
        await two.deliver("payments", 0)
        await eventually(lambda: paused, 60, what="the intent to be acted on")
        await two.all_end(1, 60)
        before = await asyncio.to_thread(two.query, RECORDED)
        [old] = paused
        log_from = old.log.stat().st_size
        await asyncio.to_thread(old.resume)
        await eventually(
            lambda: b"lease" in old.log.read_bytes()[log_from:], 30, what="the old one to find that it lost its lease"
        )
        assert await asyncio.to_thread(two.query, RECORDED) == before
        ends = await asyncio.to_thread(two.books_balance, ["payments"])
        assert ends == {"resolved fixed": 1}
        [effect] = await asyncio.to_thread(two.query, "SELECT * FROM effects")
        assert "settled by looking" in effect["detail"], "the outcome is the survivor's"
        # it is a good member again
        two.world.add("cart")
        await two.deliver("cart", two.processes.index(old))
        await two.all_end(2, 60)
        assert old.running
        assert (await asyncio.to_thread(two.books_balance, ["payments", "cart"]))["resolved fixed"] == 2
