"""Silences asked of a real Alertmanager and of the sandbox's Grafana: the same answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from servers.alertmanager import Alertmanager as RealAlertmanager
from servers.waiting import eventually
from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.silences import Alertmanager, GrafanaSilences
from sreops.domain.alerts.alert import AlertEvent
from sreops.errors import QueryRefused, SilencesUnavailable
from sreops.sandbox.grafana.server import Grafana as SandboxGrafana
from sreops.sandbox.server import Server
from sreops.settings import AlertmanagerSettings, GrafanaSettings

TOKEN = "glsa-sandbox"


def event(service: str, **changes: Any) -> AlertEvent:
    now = datetime.now(UTC)
    base: dict[str, Any] = {
        "event_id": service, "source": "alertmanager", "fingerprint": "0" * 16, "status": "firing",
        "labels": {"alertname": "HighErrorRate", "service": service}, "annotations": {}, "startsAt": now,
        "received_at": now, "tier": "autonomous", "severity": "critical", "service": service,
    }  # fmt: skip
    return AlertEvent.model_validate(base | changes)


@pytest.fixture
def real() -> Iterator[RealAlertmanager]:
    with RealAlertmanager("http://127.0.0.1:9/nobody") as server:
        yield server


def put(server: RealAlertmanager, *matchers: dict[str, Any], **changes: Any) -> str:
    now = datetime.now(UTC)
    body = {
        "matchers": list(matchers), "createdBy": "kim", "comment": "db upgrade",
        "startsAt": (now - timedelta(seconds=1)).isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
    } | changes  # fmt: skip
    answer = httpx.post(f"{server.url}/api/v2/silences", json=body, timeout=10)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["silenceID"])


async def asked(client: Alertmanager | GrafanaSilences, *events: AlertEvent) -> list[str]:
    found = await client.silenced(events, now=datetime.now(UTC) + timedelta(seconds=1), timeout_s=10)
    return [one.why.split(" until ")[0] for one in found]


@pytest.mark.needs("alertmanager")
async def test_what_a_real_alertmanager_silences_is_silenced_here(real: RealAlertmanager) -> None:
    client = Alertmanager(AlertmanagerSettings.model_validate({"url": real.url}))
    try:
        assert await asked(client, event("payments")) == []
        assert (await client.health()).status == "up"
        pattern = {"name": "service", "value": "pay.*|ledger", "isRegex": True, "isEqual": True}
        other = {"name": "alertname", "value": "Watchdog", "isRegex": False, "isEqual": False}
        silence = await asyncio.to_thread(put, real, pattern, other)
        assert await asked(client, event("payments"), event("repay")) == [
            "HighErrorRate is silenced in Alertmanager by kim"
        ]
        assert await asked(client, event("payments", labels={"alertname": "Watchdog", "service": "payments"})) == []
        await asyncio.to_thread(httpx.delete, f"{real.url}/api/v2/silence/{silence}")
        assert await asked(client, event("payments")) == [], "ended early: it is listed as expired"
        later = datetime.now(UTC) + timedelta(minutes=5)
        await asyncio.to_thread(put, real, pattern, startsAt=later.isoformat())
        assert await asked(client, event("payments")) == [], "not begun yet"
    finally:
        await client.aclose()


@pytest.mark.needs("alertmanager")
async def test_an_alert_that_it_holds_as_silenced_is_found_by_its_fingerprint(real: RealAlertmanager) -> None:
    client = Alertmanager(AlertmanagerSettings.model_validate({"url": real.url}))
    try:
        labels = {"alertname": "HighErrorRate", "service": "payments", "replica": "a"}
        posted = await asyncio.to_thread(httpx.post, f"{real.url}/api/v2/alerts", json=[{"labels": labels}])
        assert posted.status_code == 200
        await asyncio.to_thread(put, real, {"name": "replica", "value": "a", "isRegex": False})

        async def listed() -> dict[str, Any] | None:
            found = (await asyncio.to_thread(httpx.get, f"{real.url}/api/v2/alerts")).json()
            return found[0] if found and found[0]["status"]["silencedBy"] else None

        shown = await eventually(listed, 20, what="the alert to be silenced")
        assert shown is not None
        one = event("payments", fingerprint=shown["fingerprint"])  # the label `replica` was dropped on the way to us
        assert await asked(client, one) == ["HighErrorRate is silenced in Alertmanager by kim"]
        assert await client.firing(one, timeout_s=5) is True
        assert await client.firing(event("orders"), timeout_s=5) is None, "that it holds none proves no end"
    finally:
        await client.aclose()


async def test_grafanas_silences_are_asked_on_its_own_path() -> None:
    sandbox = SandboxGrafana(TOKEN, {})
    async with Server(sandbox.app) as server:
        grafana = Grafana(GrafanaSettings.model_validate({"url": server.url, "token": TOKEN}))
        client = GrafanaSilences(grafana)
        try:
            assert await asked(client, event("payments")) == []
            sandbox.silence(60, service="payments")
            assert await asked(client, event("payments"), event("orders")) == [
                "HighErrorRate is silenced in Grafana by sre"
            ]
        finally:
            await grafana.aclose()


async def test_a_token_that_may_not_see_silences_leaves_it_unknown_and_a_grafana_without_alerting_has_none() -> None:
    sandbox = SandboxGrafana(TOKEN, {}, can_read_rules=False)
    async with Server(sandbox.app) as server:
        grafana = Grafana(GrafanaSettings.model_validate({"url": server.url, "token": TOKEN}))
        with pytest.raises(QueryRefused, match="shows silences"):
            await GrafanaSilences(grafana).silenced([event("payments")], now=datetime.now(UTC), timeout_s=5)
        await grafana.aclose()

    def no_alertmanager(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={"message": "Alertmanager does not exist for this organization"})

    settings = GrafanaSettings.model_validate({"url": "http://grafana", "token": TOKEN})
    without = Grafana(settings, transport=httpx.MockTransport(no_alertmanager))
    assert await GrafanaSilences(without).silenced([event("payments")], now=datetime.now(UTC), timeout_s=5) == ()
    await without.aclose()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(503, text="starting"), SilencesUnavailable),
        (httpx.Response(200, text="<html>"), SilencesUnavailable),
        (httpx.Response(200, json={"silences": []}), SilencesUnavailable),
        (httpx.Response(401, text="no"), QueryRefused),
        (httpx.Response(404, text="404 page not found"), QueryRefused),
    ],
)
async def test_an_alertmanager_that_does_not_answer_usably_is_an_error_of_ours(
    answer: httpx.Response, error: type[Exception]
) -> None:
    settings = AlertmanagerSettings.model_validate({"url": "http://alertmanager:9093"})
    client = Alertmanager(settings, attempts=1, transport=httpx.MockTransport(lambda _: answer))
    with pytest.raises(error):
        await client.silenced([event("payments")], now=datetime.now(UTC), timeout_s=5)
    assert (await client.health()).status == "down"
    await client.aclose()
