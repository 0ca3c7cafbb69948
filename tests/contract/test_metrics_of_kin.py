"""Mimir, Thanos and VictoriaMetrics, which speak Prometheus' API and add to it; Grafana before them."""

from collections.abc import Callable
from typing import Any

import httpx
from pydantic import SecretStr

from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.prometheus import PrometheusMetrics
from sreops.settings import GrafanaSettings, PrometheusSettings

ONE = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "1"]}]}


def answering(status: int, body: Any, seen: list[httpx.Request] | None = None) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return httpx.Response(status, json=body) if not isinstance(body, str) else httpx.Response(status, text=body)

    return httpx.MockTransport(answer)


def metrics(transport: httpx.MockTransport, **given: Any) -> PrometheusMetrics:
    return PrometheusMetrics(PrometheusSettings(url="http://mimir/prometheus", **given), transport=transport)


async def test_the_tenant_is_sent_with_every_question() -> None:
    seen: list[httpx.Request] = []
    asked = metrics(answering(200, {"status": "success", "data": ONE}, seen), tenant="team-a")
    await asked.instant("up", at=None, timeout_s=5)
    await asked.health()
    assert [request.headers["X-Scope-OrgID"] for request in seen] == ["team-a", "team-a"]
    seen.clear()
    await metrics(answering(200, {"status": "success", "data": ONE}, seen)).instant("up", at=None, timeout_s=5)
    assert "X-Scope-OrgID" not in seen[0].headers


async def test_no_org_id_is_a_tenant_and_not_a_wrong_token() -> None:
    health = await metrics(answering(401, "no org id\n")).health()
    assert health.status == "down"
    assert "SREOPS_PROMETHEUS__TENANT" in health.cure
    assert "TOKEN" not in health.cure
    assert "SREOPS_PROMETHEUS__TOKEN" in (await metrics(answering(401, "Unauthorized")).health()).cure


async def test_what_the_server_calls_partial_is_partial() -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, False),
        ({"isPartial": False}, False),
        ({"isPartial": True}, True),
        ({"warnings": ["store 10.0.0.2:10901 is away"]}, True),
        ({"infos": ["metric might not be a counter"]}, False),
    ]
    for told, partial in cases:
        found = await metrics(answering(200, {"status": "success", "data": ONE, **told})).instant(
            "up", at=None, timeout_s=5
        )
        assert found.partial is partial, told
        assert bool(found.notes) is bool(told.get("isPartial") or told.get("warnings") or told.get("infos"))


async def test_a_grafana_that_lists_no_data_sources_is_not_down_where_both_uids_are_set() -> None:
    def grafana(status: int, **uids: str) -> Grafana:
        settings = GrafanaSettings(url="http://grafana", token=SecretStr("t"), **uids)
        return Grafana(settings, transport=answering(status, {"message": "no permission"}))

    both = {"loki_uid": "l", "prometheus_uid": "p"}
    look: Callable[..., Any] = grafana
    assert (await look(403, **both).health()).status == "up"
    assert (await look(401, **both).health()).status == "down", "a wrong token is one wherever it shows"
    assert (await look(403, loki_uid="l").health()).status == "down"
