"""Ingest: durable alerts a second of one process against the least that does the same, in the same run.

Real Kafka; 10 alerts a request, 16 connections (wrk). Both servers and the broker run all the while and are
loaded in turns; what counts is the records in the log, not the answers.

    .venv/bin/python bench/ingest.py [--quick]
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from load import Comparison, Side, compare
from report import BENCH, Row, arguments, finish

from servers.kafka import Kafka
from servers.ports import free_port
from servers.process import Server
from servers.sreops import Sreops
from servers.waiting import poll

TOPICS = ("sre-critical", "sre-warning", "sre-info")
PARTITIONS = 6  # of each of ours, by default; the bare topic gets as many


class Bare(Server):
    """A bare loop under uvicorn, with the same event loop and parser that sreops has."""

    name = "bare"

    def __init__(self, module: str, settings: Mapping[str, str]) -> None:
        super().__init__()
        self._module = module
        self._settings = settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        options = ["--app-dir", str(BENCH), "--port", str(self.port), "--no-access-log", "--log-level", "warning"]
        return [sys.executable, "-m", "uvicorn", f"{self._module}:app", *options]

    def environment(self) -> dict[str, str]:
        return super().environment() | dict(self._settings)

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/livez", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


def kafka_count(bootstrap: str, topics: Sequence[str]) -> Callable[[], int]:
    """Return a count of the records in these topics: the broker's own end offsets."""

    async def count() -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        try:
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                for number in consumer.partitions_for_topic(topic) or await _partitions(consumer, topic)
            ]
            ends = await consumer.end_offsets(partitions)
            return sum(ends.values())
        finally:
            await consumer.stop()

    return lambda: asyncio.run(count())


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    await consumer._client._wait_on_metadata(topic)
    return consumer.partitions_for_topic(topic) or set()


def sqlite_count(path: Path) -> Callable[[], int]:
    """Return a count of the rows that are committed."""

    def count() -> int:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT count(*) FROM records").fetchone()[0])

    return count


async def make_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    finally:
        await admin.close()


def on_kafka(kafka: Kafka, bare: Bare, roles: str, rounds: int, seconds: float) -> Comparison:
    """Compare on Kafka, with these roles."""
    settings = {"SREOPS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap, "SREOPS_ROLES": roles}
    with Sreops(settings, ready_path="/readyz") as ours:
        poll(lambda: _connected(ours), 30, what="sreops to be connected to Kafka")
        return compare(
            Side(ours.url, ours.pid, kafka_count(kafka.bootstrap, TOPICS)),
            Side(bare.url, bare.pid, kafka_count(kafka.bootstrap, ["bare"])),
            rounds=rounds,
            seconds=seconds,
        )


def _connected(ours: Sreops) -> bool:
    """Say whether Kafka takes the alerts: a bridge that spools would be measured against the wrong log."""
    return bool(httpx.get(f"{ours.url}/health", timeout=5).json().get("kafka") == "connected")


def on_embedded(rounds: int, seconds: float) -> Comparison:
    """Compare the embedded log with bare SQLite."""
    with Sreops({"SREOPS_ROLES": "bridge"}) as ours:
        place = ours.directory / "bare.db"  # the same disk
        with Bare("bare_sqlite", {"DATABASE": str(place)}) as bare:
            return compare(
                Side(ours.url, ours.pid, sqlite_count(ours.data_dir / "events.db")),
                Side(bare.url, bare.pid, sqlite_count(place)),
                rounds=rounds,
                seconds=seconds,
            )


def main() -> int:
    """Measure all three."""
    quick = arguments(__doc__).quick
    rounds, seconds = (2, 3.0) if quick else (5, 8.0)
    rows: list[Row] = []
    with Kafka() as kafka:
        asyncio.run(make_topic(kafka.bootstrap, "bare"))
        with Bare("bare_kafka", {"BOOTSTRAP": kafka.bootstrap}) as bare:
            alone = on_kafka(kafka, bare, "bridge", rounds, seconds)
            both = on_kafka(kafka, bare, "bridge,worker", rounds, seconds)
    rows += [
        Row("Kafka, bridge alone", alone.rate_ratio, 0.6, alone.detail()),
        Row("the same, p99", alone.p99_ratio, 3.0, alone.p99_detail(), at_most=True),
        Row("Kafka, the worker taking in meanwhile", both.rate_ratio, 0.4, f"{both.detail()}; {both.p99_detail()}"),
    ]
    embedded = on_embedded(rounds, seconds)
    detail = f"{embedded.detail()}; {embedded.p99_detail()}"
    rows.append(Row("embedded log against bare SQLite", embedded.rate_ratio, 0.5, detail))
    return finish("Ingest", rows)


if __name__ == "__main__":
    raise SystemExit(main())
