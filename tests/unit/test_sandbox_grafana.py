"""The Grafana of the sandbox passes queries on, and answers for itself as Grafana 13 does."""

import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sreops.sandbox.clock import ManualClock
from sreops.sandbox.grafana.server import DataSource, Grafana, GrafanaRule
from sreops.sandbox.server import Server

TOKEN = "glsa_sandbox"
START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


async def echo(request: Request) -> Response:
    if request.url.path.endswith("/teapot"):
        return Response("short and stout", 418, media_type="text/plain")
    if request.url.path.endswith("/zipped"):
        return Response(gzip.compress(b"text"), headers={"content-encoding": "gzip"})
    raw: bytes = request.scope["raw_path"]
    return JSONResponse(
        {
            "method": request.method,
            "path": raw.decode(),
            "query": request.url.query,
            "body": (await request.body()).decode(),
            "headers": dict(request.headers),
        }
    )


UPSTREAM = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "DELETE"])])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def grafana(clock: ManualClock) -> Grafana:
    sources = {
        "loki1": DataSource("loki", UPSTREAM, headers={"X-Scope-OrgID": "shop"}),
        "prom1": DataSource("prometheus", UPSTREAM),
    }
    return Grafana(TOKEN, sources, clock=clock)


def connect(grafana: Grafana, token: str | None = TOKEN) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=grafana.app),
        base_url="http://grafana.test",
        headers={"authorization": f"Bearer {token}"} if token else {},
    )


@pytest.fixture
async def client(grafana: Grafana) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(grafana) as client:
        yield client


async def test_a_query_passes_through_as_it_was_sent(client: httpx.AsyncClient) -> None:
    got = await client.get(
        "/api/datasources/proxy/uid/loki1/loki/api/v1/label/a%2Fb/values?query=%7Bx%3D%22y%22%7D&n=1"
    )
    seen = got.json()
    assert (seen["method"], seen["path"]) == ("GET", "/loki/api/v1/label/a%2Fb/values")
    assert seen["query"] == "query=%7Bx%3D%22y%22%7D&n=1"
    assert seen["headers"]["x-scope-orgid"] == "shop"
    assert "authorization" not in seen["headers"]
    posted = await client.post("/api/datasources/proxy/uid/prom1/api/v1/query", data={"query": "up"})
    seen = posted.json()
    assert (seen["method"], seen["body"]) == ("POST", "query=up")
    assert seen["headers"]["content-type"] == "application/x-www-form-urlencoded"


async def test_an_error_of_the_upstream_is_passed_on(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/datasources/proxy/uid/prom1/teapot")
    assert (answer.status_code, answer.text) == (418, "short and stout")
    assert (await client.get("/api/datasources/proxy/uid/prom1/zipped")).text == "text"


async def test_the_proxy_reaches_an_upstream_by_its_address_and_says_when_it_cannot() -> None:
    server = Server(UPSTREAM)
    async with server:
        grafana = Grafana(TOKEN, {"prom1": DataSource("prometheus", server.url)})
        async with connect(grafana) as client:
            assert (await client.get("/api/datasources/proxy/uid/prom1/x")).json()["path"] == "/x"
            healthy = await client.get("/api/datasources/uid/prom1/health")
            await server.stop()
            gone = await client.get("/api/datasources/proxy/uid/prom1/x")
            sick = await client.get("/api/datasources/uid/prom1/health")
    assert (healthy.status_code, healthy.json()["status"]) == (200, "OK")
    assert (gone.status_code, gone.content) == (502, b"")
    assert (sick.status_code, sick.json()["status"]) == (400, "ERROR")


@pytest.mark.parametrize(
    "path",
    ["/api/datasources/1", "/api/datasources/proxy/1/api/v1/query", "/api/nothing", "/api/datasources/uid/none"],
)
async def test_numeric_ids_and_unknown_paths_are_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert "not found" in answer.json()["message"].lower()


async def test_the_proxy_of_an_unknown_source_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/datasources/proxy/uid/none/api/v1/query")
    assert (answer.status_code, answer.json()["message"]) == (404, "Data source not found")


PROTECTED = [
    "/api/datasources",
    "/api/datasources/uid/prom1",
    "/api/datasources/uid/prom1/health",
    "/api/datasources/proxy/uid/prom1/api/v1/query",
    "/api/alertmanager/grafana/api/v2/alerts",
    "/api/prometheus/grafana/api/v1/rules",
    "/api/annotations",
]


@pytest.mark.parametrize("path", PROTECTED)
async def test_a_token_is_needed_and_must_be_right(grafana: Grafana, path: str) -> None:
    async with connect(grafana, None) as nobody, connect(grafana, "glsa_other") as stranger:
        without, wrong = await nobody.get(path), await stranger.get(path)
        health = await nobody.get("/api/health")
    assert (without.status_code, without.json()["message"]) == (401, "Unauthorized")
    assert (wrong.status_code, wrong.json()["message"]) == (401, "Invalid API key")
    assert health.json()["database"] == "ok"


async def test_a_role_too_small_is_forbidden() -> None:
    sources = {"prom1": DataSource("prometheus", UPSTREAM)}
    grafana = Grafana(TOKEN, sources, can_query=False, can_list=False, can_read_rules=False)
    async with connect(grafana) as client:
        answers = [await client.get(path) for path in PROTECTED[:4] + PROTECTED[5:6]]
    assert [answer.status_code for answer in answers] == [403] * 5
    assert "datasources:read" in answers[0].json()["message"]
    assert "datasources:query" in answers[3].json()["message"]


async def test_data_sources_are_listed_with_uid_and_type(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/api/datasources")).json()
    assert [(source["uid"], source["type"], source["isDefault"]) for source in listed] == [
        ("loki1", "loki", True),
        ("prom1", "prometheus", False),
    ]


async def test_alerts_are_listed_until_they_resolve(client: httpx.AsyncClient, grafana: Grafana) -> None:
    path = "/api/alertmanager/grafana/api/v2/alerts"
    high = grafana.fire({"alertname": "High", "service": "payments"}, {"summary": "s"})
    silent = grafana.fire({"alertname": "Low"}, fingerprint="f00d")
    silent.state, silent.silenced_by = "suppressed", ("silence-1",)
    listed = (await client.get(path)).json()
    assert [(alert["labels"]["alertname"], alert["status"]["state"]) for alert in listed] == [
        ("High", "active"),
        ("Low", "suppressed"),
    ]
    assert listed[0]["startsAt"] == "2026-11-22T09:30:00.000Z"
    assert listed[0]["receivers"] == [{"name": "sreops"}]
    assert listed[1]["fingerprint"] == "f00d"
    unsilenced = (await client.get(path, params={"silenced": "false"})).json()
    assert [alert["labels"]["alertname"] for alert in unsilenced] == ["High"]
    chosen = (await client.get(path, params={"filter": 'service="payments"'})).json()
    assert len(chosen) == 1
    grafana.resolve(high)
    assert len((await client.get(path)).json()) == 1


async def test_rules_show_states_in_two_vocabularies(client: httpx.AsyncClient, grafana: Grafana) -> None:
    grafana.rules += [
        GrafanaRule("High", normal=[{"alertname": "High", "service": "cart"}]),
        GrafanaRule("Broken", health="error"),
    ]
    grafana.fire({"alertname": "High", "service": "payments"})
    answer = (await client.get("/api/prometheus/grafana/api/v1/rules")).json()
    high, broken = answer["data"]["groups"][0]["rules"]
    assert (high["state"], [alert["state"] for alert in high["alerts"]]) == ("firing", ["Alerting", "Normal"])
    assert (broken["state"], broken["health"], broken["alerts"]) == ("inactive", "error", [])


async def test_annotations_are_kept_and_found_by_time_and_tags(client: httpx.AsyncClient, clock: ManualClock) -> None:
    now = int(START.timestamp() * 1000)
    made = await client.post("/api/annotations", json={"text": "deployed v2", "tags": ["deploy", "payments"]})
    assert (made.status_code, made.json()) == (200, {"id": 1, "message": "Annotation added"})
    clock.advance(timedelta(hours=1).total_seconds())
    await client.post("/api/annotations", json={"text": "restarted", "tags": ["sreops", "payments"]})

    async def texts(**params: str | int | list[str]) -> list[str]:
        return [found["text"] for found in (await client.get("/api/annotations", params=params)).json()]

    assert await texts() == ["restarted", "deployed v2"]
    assert await texts(**{"from": now - 1, "to": now + 1}) == ["deployed v2"]
    assert await texts(tags=["payments", "deploy"]) == ["deployed v2"]
    assert await texts(tags=["sreops", "deploy"]) == []
    assert await texts(tags=["sreops", "deploy"], matchAny="true") == ["restarted", "deployed v2"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"text": ""}', b'{"text": "x", "time": "now"}'])
async def test_a_bad_annotation_is_refused(client: httpx.AsyncClient, grafana: Grafana, content: bytes) -> None:
    answer = await client.post("/api/annotations", content=content)
    assert answer.status_code == 400
    assert "message" in answer.json()
    assert grafana.annotations == []
    assert (await client.get("/api/annotations", params={"from": "now-1h"})).status_code == 400
