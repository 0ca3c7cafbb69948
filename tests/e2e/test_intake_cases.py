"""Alerts as real senders label them, through the whole process: who is unwell, how badly, and nothing overlooked.

Our own cases are of every kind that the recorded ones beside the checkout (``../shared/cases/intake``) are of; those
say what must be seen, and are posted as they are where they are there.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from development_cases import ABSENT, CASES
from servers.waiting import eventually
from sreops.app import running
from sreops.settings import Settings

RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted((CASES / "intake").glob("*.json"))}
END_S = 40.0  # of the slowest analysis on a machine that does much else


@pytest.fixture
async def sreops(tmp_path: Path) -> AsyncIterator[Sreops]:
    async with serving(tmp_path, slow_s=0.0) as serves:
        yield serves


class Sreops:
    """The whole process on an in-memory transport."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def post(self, payload: object) -> dict[str, Any]:
        answer = await self._client.post("/alerts", json=payload)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def get(self, path: str) -> Any:
        answer = await self._client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json() if path.startswith("/api") else answer.text

    async def incidents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get("/api/incidents?limit=200"))["items"]
        return found

    async def settled(self) -> list[dict[str, Any]]:
        """Wait until everything that was posted is correlated and no incident is being worked on."""

        async def at_rest() -> bool:
            backlog = (await self.get("/api/backlog_of_test"))["inbox"]
            open_ones = [one for one in await self.incidents() if one["status"] not in ("resolved", "escalated")]
            return backlog == 0 and not open_ones

        await eventually(at_rest, END_S, every_s=0.1, what="all incidents to be at their ends")
        return await self.incidents()


@asynccontextmanager
async def serving(directory: Path, *, slow_s: float) -> AsyncIterator[Sreops]:
    """Run sreops; with ``slow_s`` its one dependency, a Loki, takes so long for each answer."""
    async with slow_loki(slow_s) as loki:
        settings = Settings(
            _env_file=None, data_dir=directory, loki={"url": loki, "timeout_s": 30.0} if loki else {}, log_level="error"
        )
        async with running(settings) as app:
            store = app.parts.store

            async def backlog(request: object) -> Any:
                from starlette.responses import JSONResponse

                # in the order in which an event goes, so that none is between the two looks
                intake = await app.parts.event_log.measure("sreops")
                waits = await store.backlog(now=datetime.now(UTC))
                unread = sum(one.records for topic, one in intake.items() if topic.startswith("sre-"))
                return JSONResponse({"inbox": waits.inbox + unread})

            app.web.router.add_route("/api/backlog_of_test", backlog)
            transport = httpx.ASGITransport(app=app.web)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080", timeout=60) as client:
                yield Sreops(client)


@asynccontextmanager
async def slow_loki(slow_s: float) -> AsyncIterator[str]:
    if not slow_s:
        yield ""
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline() not in (b"\r\n", b""):
            pass
        await asyncio.sleep(slow_s)  # the analysis lasts, so that what comes next finds it under way
        body = b'{"status":"success","data":[]}'
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def alert(number: int, labels: dict[str, str], **fields: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "Broken", "severity": "critical", **labels},
        "annotations": {"summary": "s"},
        "startsAt": (datetime.now(UTC) - timedelta(seconds=120)).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"{number:016x}",
    } | fields


def grafana(*alerts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"version": "1", "orgId": 1, "status": "firing", "groupKey": "{}:{}", "alerts": list(alerts)} | fields


async def test_each_kind_of_subject_has_its_incident_and_no_exporter_has_one(sreops: Sreops) -> None:
    scraped = {"job": "cadvisor", "instance": "cadvisor:8080", "image": "x:1"}
    labels = [
        {"name": "shop-payments-1", **scraped, "container_label_com_docker_compose_project": "shop"},
        {"name": "shop-cart-1", **scraped, "container_label_com_docker_compose_project": "shop"},
        {"deployment": "checkout", "namespace": "shop", "job": "kube-state-metrics", "container": "kube-state-metrics"},
        {"job": "node", "instance": "db-1:9100", "mountpoint": "/var"},
        {"job": "blackbox", "instance": "https://shop.example/health"},
        {"service.name": "rails", "job": "shop/otel-collector"},
    ]
    payload = grafana(*(alert(number, one) for number, one in enumerate(labels)))
    assert (await sreops.post(payload))["queued"] == 6
    found = {one["service"]: one["subject"] for one in await sreops.settled()}
    assert {name: subject["kind"] for name, subject in found.items()} == {
        "shop-payments-1": "container",
        "shop-cart-1": "container",
        "checkout": "workload",
        "db-1": "host",
        "https://shop.example/health": "target",
        "rails": "workload",
    }
    assert found["shop-cart-1"]["scope"] == {"compose_project": "shop"}
    assert found["shop-cart-1"]["from"] == "label name, because job=cadvisor speaks about others"
    incident = next(one for one in await sreops.incidents() if one["service"] == "db-1")
    page = await sreops.get(f"/incidents/{incident['id']}")
    assert "host db-1, from label instance, because job=node speaks about others" in page
    for kind, name in (("host", "db-1"), ("target", "https://shop.example/health")):
        identified = next(one["id"] for one in await sreops.incidents() if one["service"] == name)
        account = (await sreops.get(f"/api/incidents/{identified}"))["decision"]["handover"]
        assert f"### The {kind}" in account
        assert "no container is named" not in account


async def test_an_alert_without_a_severity_is_worked_on_and_information_is_recorded(sreops: Sreops) -> None:
    unsaid, info = alert(1, {"service": "checkout"}), alert(2, {"service": "search", "severity": "info"})
    del unsaid["labels"]["severity"]
    answer = await sreops.post(grafana(unsaid, info))
    assert any("SREOPS_DEFAULT_SEVERITY" in note for note in answer["notes"])
    assert any("SREOPS_WORK_ON" in note for note in answer["notes"])
    assert [(one["service"], one["severity"]) for one in await sreops.settled()] == [("checkout", "warning")]
    (recorded,) = (await sreops.get("/api/recorded"))["items"]
    assert (recorded["subject"]["name"], recorded["severity"]) == ("search", "info")
    assert "sreops_alerts_recorded_total" in await sreops.get("/metrics")


async def test_a_resolve_without_the_annotation_that_made_it_critical_finds_its_alert(sreops: Sreops) -> None:
    said = alert(1, {"service": "search"}, annotations={"severity": "critical"})
    del said["labels"]["severity"]
    await sreops.post(grafana(said))
    await sreops.settled()
    over = said | {"status": "resolved", "annotations": {}, "endsAt": datetime.now(UTC).isoformat()}
    await sreops.post(grafana(over, status="resolved"))

    async def cleared() -> bool:
        return all(one["cleared_at"] for one in await sreops.incidents())

    await eventually(cleared, END_S)
    (incident,) = await sreops.incidents()
    assert incident["severity"] == "critical"


async def test_grafanas_test_opens_nothing_and_the_page_tells_that_it_came(sreops: Sreops) -> None:
    test = alert(1, {"alertname": "TestAlert", "instance": "Grafana", "service": "payments"})
    assert (await sreops.post(grafana(test)))["skipped"] == 1
    assert await sreops.settled() == []
    assert re.search("The last webhook.*came.*ago.*from grafana at .*: 1 skipped", await sreops.get("/"))


async def test_2500_alerts_of_one_service_in_one_webhook_are_all_in_its_incident(sreops: Sreops) -> None:
    alerts = [alert(number, {"service": "big", "instance": f"host-{number}:9100"}) for number in range(2500)]
    answer = await sreops.post(grafana(*alerts, truncatedAlerts=3))
    assert (answer["queued"], answer["rejected"]) == (2500, [])

    async def all_there() -> bool:
        return sum(one["event_count"] for one in await sreops.incidents()) == 2500

    await eventually(all_there, 120, every_s=0.5)
    await sreops.settled()
    first = (await sreops.incidents())[-1]
    account = (await sreops.get(f"/api/incidents/{first['id']}"))["decision"]["handover"]
    assert "the sender left out 3 alerts" in account


# --- the recorded ones ---------------------------------------------------------------------------------------


def placed(value: Any, now: datetime) -> Any:
    """Return the payload with its times: ``@-120`` is two minutes ago."""
    if isinstance(value, str) and re.fullmatch(r"@-?[0-9.]+", value):
        return (now + timedelta(seconds=float(value[1:]))).isoformat()
    if isinstance(value, dict):
        return {name: placed(inner, now) for name, inner in value.items()}
    return [placed(inner, now) for inner in value] if isinstance(value, list) else value


def payload_of(step: dict[str, Any]) -> Any:
    if "many" not in step:
        return step["post"]
    alerts = []
    for number in range(step["many"]):
        one = copy.deepcopy(step["alert"])
        one["fingerprint"] = f"{number:016x}"
        one["labels"]["instance"] = f"host-{number}:9100"
        alerts.append(one)
    return step["post"] | {"alerts": alerts}


Expectation = Callable[[Any, list[dict[str, Any]]], bool]
EXPECTATIONS: dict[str, Expectation] = {
    "services": lambda patterns, found: (
        len(found) == len(patterns) and all(any(re.search(one, it["service"]) for it in found) for one in patterns)
    ),
    "severity": lambda wanted, found: all(it["severity"] == wanted[it["service"]] for it in found),
    "count": lambda wanted, found: len(found) == wanted,
    "at_least": lambda wanted, found: len(found) >= wanted,
    "cleared": lambda _, found: all(it["cleared_at"] for it in found),
    "not_recovered": lambda _, found: all(it["resolution"] != "recovered" for it in found),
    "worst": lambda wanted, found: any(it["severity"] == wanted for it in found),
}


@pytest.mark.skipif(not RECORDED, reason=ABSENT)
@pytest.mark.parametrize("name", RECORDED)
async def test_the_recorded_payloads_come_to_what_must_be_seen(name: str, tmp_path: Path) -> None:
    case = copy.deepcopy(RECORDED[name])
    now = datetime.now(UTC)
    async with serving(tmp_path, slow_s=case.get("slow", 0.0)) as sreops:
        rejected: list[Any] = []
        for step in case["steps"]:
            if "settle" in step:
                await sreops.settled()
            elif "wait" in step:
                await asyncio.sleep(step["wait"])
            else:
                rejected += (await sreops.post(placed(payload_of(step), now)))["rejected"]
        expected = case["expected"]
        assert len(rejected) == expected.pop("rejected", 0)
        deadline = time.monotonic() + END_S
        while True:
            found = await sreops.settled()
            wrong = {name: wanted for name, wanted in expected.items() if not EXPECTATIONS[name](wanted, found)}
            if not wrong or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        assert wrong == {}, [(it["service"], it["severity"], it["status"], it["resolution"]) for it in found]
