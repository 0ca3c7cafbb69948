"""`python -m sreops` on a real PostgreSQL: what a single process does with it, and what it does without it."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from servers.postgres import Postgres
from servers.sreops import Sreops
from servers.waiting import eventually

pytestmark = pytest.mark.needs("postgres")
_numbers = itertools.count()


def webhook(service: str) -> dict[str, Any]:
    alert = {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "service": service, "severity": "critical", "tier": "0"},
        "annotations": {"summary": "NUL \x00 and more"},
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"f-{service}",
    }
    return {"version": "1", "orgId": 1, "status": "firing", "receiver": "sreops", "alerts": [alert]}


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database(f"process_{next(_numbers)}")


@pytest.fixture
def sreops(url: str) -> Iterator[Sreops]:
    with Sreops({"SREOPS_DATABASE_URL": url, "SREOPS_WORKER__LEASE_S": "3"}) as process:
        yield process


async def ends(process: Sreops, service: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        try:
            return process.ended_incident_of(service)
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code != 503:  # anything else than "the store is away" is a mistake
                raise
            return None

    return await eventually(lambda: asyncio.to_thread(look), 45)


def refused(process: Sreops, **changes: str) -> str:
    done = subprocess.run(
        process.command(), env=process.environment() | changes, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


async def test_an_incident_ends_and_outlives_kill_9_and_nothing_but_the_log_is_in_the_data_dir(sreops: Sreops) -> None:
    assert (await asyncio.to_thread(sreops.post, "/alerts", webhook("payments"))).status_code == 202
    ended = await ends(sreops, "payments")
    assert ended["status"] == "escalated"
    sreops.kill()
    await asyncio.to_thread(sreops.start)
    assert (await ends(sreops, "payments"))["id"] == ended["id"]
    assert not list(sreops.data_dir.glob("sreops.db*"))
    assert not list(sreops.data_dir.glob("checkpoints.db*"))
    health = await asyncio.to_thread(sreops.get, "/health")
    assert health["checks"]["store"]["status"] == "up"


async def test_a_second_process_without_kafka_is_refused_with_the_reason(sreops: Sreops, url: str) -> None:
    second = Sreops(sreops.settings | {"SREOPS_DATA_DIR": str(sreops.directory / "other"), "SREOPS_PORT": "0"})
    said = await asyncio.to_thread(refused, second)
    assert "SREOPS_KAFKA__BOOTSTRAP_SERVERS" in said
    with_kafka = {"SREOPS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    said = await asyncio.to_thread(lambda: refused(second, **with_kafka))
    assert "another sreops uses postgresql://" in said, "the first one has none"
    second.close()


async def test_a_database_that_is_away_at_the_start_is_told_and_opened_when_it_is_there(
    postgres: Postgres, url: str
) -> None:
    await asyncio.to_thread(postgres.kill)
    with Sreops({"SREOPS_DATABASE_URL": url, "SREOPS_WORKER__LEASE_S": "3"}) as process:
        health = await asyncio.to_thread(httpx.get, f"{process.url}/health", timeout=10)
        assert health.status_code == 503
        assert "PostgreSQL does not answer" in health.json()["checks"]["store"]["detail"]
        ready = await asyncio.to_thread(httpx.get, f"{process.url}/readyz")
        assert ready.status_code == 200, "alerts are durable without it"
        assert (await asyncio.to_thread(process.post, "/alerts", webhook("payments"))).status_code == 202
        await asyncio.to_thread(postgres.start)
        await ends(process, "payments")
        await eventually(
            lambda: httpx.get(f"{process.url}/health", timeout=10).status_code == 200, 20, what="health to recover"
        )


async def test_a_database_that_goes_away_meanwhile_is_found_again(sreops: Sreops, postgres: Postgres) -> None:
    pid = sreops.pid
    await asyncio.to_thread(sreops.post, "/alerts", webhook("before"))
    await ends(sreops, "before")
    await asyncio.to_thread(sreops.post, "/alerts", webhook("half-way"))
    await asyncio.to_thread(postgres.kill)
    assert (await asyncio.to_thread(sreops.post, "/alerts", webhook("during"))).status_code == 202
    await eventually(
        lambda: httpx.get(f"{sreops.url}/health", timeout=10).status_code == 503, 20, what="health to tell"
    )
    await asyncio.to_thread(postgres.start)
    for service in ("half-way", "during"):
        assert (await ends(sreops, service))["reason"] != "internal_error", "an outage is no bug of the graph"
    await asyncio.to_thread(sreops.post, "/alerts", webhook("after"))
    await ends(sreops, "after")
    assert (sreops.running, sreops.pid) == (True, pid)


@pytest.mark.parametrize("missing", ["psycopg", "psycopg_pool", "langgraph.checkpoint.postgres"])
def test_the_missing_extra_is_named(url: str, missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from sreops.__main__ import main; sys.exit(main([]))"
    process = Sreops({"SREOPS_DATABASE_URL": url})
    done = subprocess.run(
        [sys.executable, "-c", code], env=process.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    process.close()
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "pip install 'sreops[postgres]'" in done.stderr


def test_a_database_that_does_not_exist_is_refused_at_once(url: str) -> None:
    process = Sreops({"SREOPS_DATABASE_URL": f"{url}_not"})
    done = subprocess.run(
        process.command(), env=process.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    process.close()
    assert done.returncode == 2
    assert "there is no such database" in done.stderr
