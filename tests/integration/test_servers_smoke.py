"""Every real server comes up, does one round trip, and survives what crash tests will do to it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]

from servers.alertmanager import Alertmanager
from servers.dockerd import Dockerd
from servers.installed import REPOSITORY, path_of, required
from servers.kafka import Kafka
from servers.loki import Loki
from servers.postgres import Postgres
from servers.prometheus import Prometheus
from servers.waiting import DidNotHappen, eventually, poll


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback; gives host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def produce(kafka: Kafka, topic: str, value: bytes) -> int:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all") as producer:
        return int((await producer.send_and_wait(topic, value)).offset)


async def consume(kafka: Kafka, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(20):
        return [(await consumer.getone()).value for _ in range(count)]


async def test_kafka_gives_back_what_it_was_given(kafka: Kafka) -> None:
    assert await produce(kafka, "smoke", b"one") == 0
    assert await consume(kafka, "smoke", 1) == [b"one"]


async def test_kafka_killed_and_restarted_has_its_records_and_its_port(kafka: Kafka) -> None:
    await produce(kafka, "smoke-crash", b"before")
    bootstrap, pid = kafka.bootstrap, kafka.pid
    kafka.kill()
    assert not kafka.running
    await asyncio.to_thread(kafka.start)
    assert (kafka.bootstrap, kafka.pid != pid) == (bootstrap, True)
    assert await produce(kafka, "smoke-crash", b"after") == 1
    assert await consume(kafka, "smoke-crash", 2) == [b"before", b"after"]


async def test_kafka_paused_answers_nothing_until_it_is_resumed(kafka: Kafka) -> None:
    kafka.pause()
    sending = asyncio.create_task(produce(kafka, "smoke-pause", b"x"))
    done, _ = await asyncio.wait([sending], timeout=0.5)
    assert not done
    kafka.resume()
    async with asyncio.timeout(30):
        assert await sending == 0


async def test_loki_finds_the_line_it_was_sent(loki: Loki) -> None:
    now = datetime.now(UTC)
    loki.push({"app": "smoke"}, [(now, "GET / 200"), (now, "boom: out of cheese")])
    window = {"start": (now - timedelta(hours=1)).isoformat(), "end": (now + timedelta(minutes=1)).isoformat()}

    async def lines() -> list[str]:
        async with httpx.AsyncClient(base_url=loki.url) as client:
            query = {"query": '{app="smoke"} |= "boom"', **window}
            answer = await client.get("/loki/api/v1/query_range", params=query)
        streams = answer.raise_for_status().json()["data"]["result"]
        return [line for stream in streams for _, line in stream["values"]]

    assert await eventually(lines) == ["boom: out of cheese"]


async def test_loki_killed_and_restarted_has_its_lines(loki: Loki) -> None:
    now = datetime.now(UTC)
    loki.push({"app": "smoke-crash"}, [(now, "before")])
    loki.kill()
    await asyncio.to_thread(loki.start)
    query = {"query": '{app="smoke-crash"}', "start": (now - timedelta(hours=1)).isoformat()}
    url = f"{loki.url}/loki/api/v1/query_range"
    async with httpx.AsyncClient() as client:
        answer = await client.get(url, params=query)
    found = answer.raise_for_status().json()["data"]["result"]
    assert [value[1] for stream in found for value in stream["values"]] == ["before"]


async def test_a_metric_scraped_over_its_limit_reaches_the_webhook_and_resolves(
    prometheus_factory: Callable[..., Prometheus], alertmanager_factory: Callable[..., Alertmanager]
) -> None:
    errors = {"now": 7}
    received: list[dict[str, Any]] = []

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f'smoke_errors{{service="web"}} {errors["now"]}\n'.encode())

        def log_message(self, *_: object) -> None: ...

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    rule = {"alert": "TooManyErrors", "expr": "smoke_errors > 5", "labels": {"severity": "critical"}}
    with http_server(Metrics) as metrics, http_server(Webhook) as webhook:
        alertmanager = alertmanager_factory(f"http://{webhook}/alerts")
        prometheus = prometheus_factory({"web": [metrics]}, [rule], [alertmanager.address])
        await eventually(lambda: prometheus.value("smoke_errors") == 7)
        firing = await eventually(lambda: received, 20)
        assert (firing[0]["version"], firing[0]["status"]) == ("4", "firing")
        assert firing[0]["alerts"][0]["labels"]["service"] == "web"
        errors["now"] = 0
        await eventually(lambda: received[-1]["status"] == "resolved", 20)


def test_a_container_is_run_read_and_restarted(dockerd: Dockerd) -> None:
    image = dockerd.import_busybox_image()
    script = "echo hello; echo oops >&2; trap 'exit 0' TERM; while :; do sleep 0.1; done"
    container = dockerd.run_container(image, ["sh", "-c", script], name="smoke", labels={"app": "smoke"})
    poll(lambda: set(dockerd.logs(container).split()) == {"hello", "oops"})
    started_at = dockerd.inspect("smoke")["State"]["StartedAt"]
    dockerd.restart_container("smoke")
    assert dockerd.inspect("smoke")["State"]["StartedAt"] > started_at
    poll(lambda: dockerd.logs(container).count("hello") == 2)
    dockerd.remove(container)
    assert dockerd.api.get(f"/containers/{container}/json").status_code == 404


def test_a_python_service_in_a_container_is_reached_on_loopback(dockerd: Dockerd, free_port: int) -> None:
    image = dockerd.import_python_image()
    serve = ["python3", "-u", "-m", "http.server", str(free_port), "--bind", "127.0.0.1"]
    container = dockerd.run_container(image, serve, config={"WorkingDir": "/etc"})

    def users() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{free_port}/passwd").text
        except httpx.TransportError:
            return ""

    assert "root:x:0:0" in poll(users, 20)
    dockerd.remove(container)


def test_dockerd_killed_and_restarted_starts_what_must_always_run(dockerd: Dockerd) -> None:
    image = dockerd.import_busybox_image()
    script = "trap 'exit 0' TERM; while :; do sleep 0.1; done"  # the daemon stops it first: 10 s if it won't
    container = dockerd.run_container(image, ["sh", "-c", script], restart_policy="always")
    before = dockerd.inspect(container)["State"]
    dockerd.kill()
    assert Path(f"/proc/{before['Pid']}").exists()  # a daemon's crash leaves its containers
    dockerd.start()
    poll(lambda: dockerd.inspect(container)["State"]["Running"], 20)
    assert dockerd.inspect(container)["State"]["StartedAt"] > before["StartedAt"]
    dockerd.remove(container)


def test_a_swarm_service_runs_as_many_tasks_as_it_was_told(dockerd: Dockerd) -> None:
    image = dockerd.import_busybox_image()
    dockerd.swarm_init()
    service = dockerd.run_service(image, ["sleep", "1000"], name="smoke", replicas=2)
    poll(lambda: dockerd.running_tasks(service) == 2, 30)
    dockerd.swarm_leave()


def test_postgres_keeps_what_was_committed_before_it_was_killed(postgres: Postgres) -> None:
    dsn = postgres.new_database("smoke")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    postgres.kill()
    postgres.start()
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


@pytest.mark.needs("compose")
def test_compose_resolves_a_file_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    def config(text: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "compose.yaml").write_text(text)
        command = [str(path_of("compose")), "-f", "compose.yaml", "config", "--format", "json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)

    right = config("name: smoke\nservices:\n  web:\n    image: busybox\n    ports: ['8080:80']\n")
    assert json.loads(right.stdout)["services"]["web"]["ports"][0]["target"] == 80
    wrong = config("services:\n  web:\n    imag: busybox\n")
    assert wrong.returncode != 0
    assert "imag" in wrong.stderr


async def test_eventually_waits_for_a_condition_and_says_what_it_saw_last() -> None:
    looks = iter([0, None, 3])
    assert await eventually(lambda: next(looks), every_s=0.001) == 3
    with pytest.raises(DidNotHappen, match="a queue to drain; the last time, it was 0"):
        await eventually(lambda: 0, 0.01, every_s=0.001, what="a queue to drain")


@pytest.mark.parametrize(
    ("environment", "outcome", "status"),
    [({}, "1 skipped", 0), ({"CI": "true"}, "1 error", 1)],
)
def test_a_missing_server_skips_its_test_and_fails_it_in_ci_and_is_named_at_the_end(
    tmp_path: Path, environment: dict[str, str], outcome: str, status: int
) -> None:
    quiet = {name: value for name, value in os.environ.items() if name not in ("CI", "SREOPS_REQUIRE_SERVERS")}
    selected = "tests/integration/test_servers_smoke.py::test_kafka_gives_back_what_it_was_given"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", selected],
        cwd=REPOSITORY,
        env={**quiet, **environment, "SREOPS_SERVERS_DIR": str(tmp_path)},  # as on a machine with Python only
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome in done.stdout
    assert "1 tests did not run for want of: kafka (1). To run them: `scripts/servers kafka`" in done.stdout
    assert done.returncode == status


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_servers_can_be_required_outside_of_ci(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("SREOPS_REQUIRE_SERVERS", value)
    assert required() is expected
