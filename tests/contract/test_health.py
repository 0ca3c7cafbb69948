"""``/livez``, ``/readyz``, ``/health``, ``/metrics``: what they say, to whom, and that nothing makes them slow."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contract.store_scene import at, fresh_store
from sreops.adapters.store import SqlIncidentStore
from sreops.ports import Backlog, Health, SpoolState
from sreops.web import health as health_module
from sreops.web.health import FULL_INBOX, LATE_READY_S, judge
from web.web_scene import FakeClock, Scene, scene

store = pytest.fixture(fresh_store)

UP, DOWN = Health("up"), Health("down", "no answer from 10.0.0.7", "start it")
Make = Callable[..., tuple[Scene, httpx.AsyncClient]]


@pytest.fixture
def make(store: SqlIncidentStore) -> Make:
    def build(**options: Any) -> Any:
        made = scene(store, FakeClock(at(60)), **options)
        return made, httpx.AsyncClient(transport=httpx.ASGITransport(app=made.app), base_url="http://localhost")

    return build


def always(health: Health) -> Callable[[], Any]:
    async def check() -> Health:
        return health

    return check


async def test_all_well_is_healthy_and_names_what_is_not_configured(make: Make):
    missing = {"gitlab": Health("not_configured", "incidents are kept locally", "set SREOPS_GITLAB__URL")}
    _, client = make(missing=missing)
    answer = await client.get("/health")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["kafka"]) == ("healthy", "embedded")
    assert told["checks"]["event_log"] == {"status": "up", "detail": "data/events.db"}
    assert told["checks"]["gitlab"]["status"] == "not_configured"
    assert told["backlog"]["inbox"] == 0
    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/readyz")).status_code == 200


async def test_a_dependency_away_degrades_but_still_answers_200(make: Make):
    _, client = make(checks={"loki": always(DOWN)}, log_name="kafka")
    answer = await client.get("/health")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["kafka"]) == ("degraded", "connected")
    assert told["checks"]["loki"] == {"status": "down", "detail": "no answer from 10.0.0.7", "cure": "start it"}
    assert "loki" in told["why"][0]
    assert (await client.get("/readyz")).status_code == 200


async def test_without_the_event_log_it_is_unhealthy_not_ready_and_alive(make: Make):
    made, client = make(log_name="kafka")
    made.log.state = DOWN
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["kafka"]) == (503, "unhealthy", "disconnected")
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert "10.0.0.7" not in ready.text
    assert (await client.get("/livez")).status_code == 200


async def test_without_the_store_it_is_unhealthy(make: Make):
    _, client = make(checks={"store": always(DOWN)})
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")


async def test_while_it_stops_it_is_not_ready(make: Make):
    made, client = make()
    made.context.stopping.set()
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/livez")).status_code == 200


async def test_details_are_for_those_with_the_token(make: Make):
    _, client = make(api_token="t0ken", checks={"loki": always(DOWN)})
    told = (await client.get("/health")).json()
    assert told == {"status": "degraded", "kafka": "embedded"}
    full = (await client.get("/health", headers={"Authorization": "Bearer t0ken"})).json()
    assert {"checks", "backlog"} <= full.keys()
    for path in ("/livez", "/readyz", "/metrics"):
        assert (await client.get(path)).status_code == 200


async def test_a_check_that_hangs_or_ignores_its_cancellation_makes_nothing_slow(make: Make, monkeypatch):
    monkeypatch.setattr(health_module, "CHECK_TIMEOUT_S", 0.2)
    release = asyncio.Event()

    async def hangs() -> Health:
        await asyncio.Event().wait()
        return UP

    async def stubborn() -> Health:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return UP

    _, client = make(checks={"loki": hangs, "docker": stubborn})
    began = time.monotonic()
    answers = await asyncio.gather(*(client.get("/health") for _ in range(5)))
    assert time.monotonic() - began < 2
    for answer in answers:
        checks = answer.json()["checks"]
        assert checks["loki"]["status"] == checks["docker"]["status"] == "down"
        assert checks["event_log"]["status"] == "up"
    began = time.monotonic()
    assert (await client.get("/readyz")).status_code == 200
    assert time.monotonic() - began < 0.15
    release.set()


async def test_a_check_that_crashes_is_down_and_says_so(make: Make):
    async def crashes() -> Health:
        raise ZeroDivisionError("division by zero")

    _, client = make(checks={"loki": crashes})
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert "division by zero" in answer.json()["checks"]["loki"]["detail"]


async def test_many_askers_cost_one_check_and_a_change_is_seen_again(make: Make, monkeypatch):
    calls, state = 0, UP

    async def counted() -> Health:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return state

    _, client = make(checks={"loki": counted})
    await asyncio.gather(*(client.get("/health") for _ in range(20)))
    assert calls == 1
    state = DOWN
    monkeypatch.setattr(health_module, "FRESH_S", 0.0)
    assert (await client.get("/health")).json()["checks"]["loki"]["status"] == "down"


def test_a_backlog_that_grows_old_or_large_degrades():
    checks = {"event_log": UP, "store": UP}

    def status(**backlog: Any) -> str:
        return judge(checks, Backlog(**backlog), log_name="kafka").status

    assert status(ready=3, oldest_ready_s=LATE_READY_S) == "healthy"
    assert status(ready=3, oldest_ready_s=LATE_READY_S + 1) == "degraded"
    assert status(inbox=FULL_INBOX + 1) == "degraded"
    assert judge(checks, None, log_name="kafka").status == "degraded"


async def test_while_alerts_go_to_the_spool_it_is_degraded_ready_and_says_that_kafka_is_away(make: Make):
    waits = SpoolState(records=3, size_bytes=900, oldest_at=at(20))
    made, client = make(checks={"kafka": always(DOWN), "spool": always(UP)}, log_name="kafka", spool=lambda: waits)
    made.log.state = Health("up", "spooling: no answer")
    answer = await client.get("/health")
    told = answer.json()
    assert (answer.status_code, told["status"], told["kafka"]) == (200, "degraded", "disconnected")
    assert (told["backlog"]["spool_records"], told["backlog"]["spool_age_s"]) == (3, 40.0)
    assert any("3 events wait in the spool" in why for why in told["why"])
    assert (await client.get("/readyz")).status_code == 200


async def test_metrics_are_in_the_format_of_prometheus(make: Make):
    _, client = make()
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE sreops_alerts_total counter" in answer.text
