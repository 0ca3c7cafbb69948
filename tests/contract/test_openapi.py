"""``/openapi.json``: it names every address of the API, and what the API answers is as it says."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import schemathesis
from jsonschema import Draft202012Validator

from contract.store_scene import T0, alert, at, fresh_store, from_topic
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import Severity
from sreops.domain.alerts.routing import NotWorkedOn
from web.web_scene import PLAN_HASH, FakeClock, awaiting, escalated, remedied, scene

store = pytest.fixture(fresh_store)
Document = dict[str, Any]


@pytest.fixture
async def served(store: SqlIncidentStore) -> tuple[Any, httpx.AsyncClient, Document]:
    made = scene(store, FakeClock(at(60)))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=made.app), base_url="http://localhost")
    return made, client, (await client.get("/openapi.json")).json()


def says(document: Document, path: str, method: str, status: int) -> Callable[[Any], None]:
    content = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]
    schema = content["schema"] | {"components": document["components"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate


async def test_it_names_every_address_of_the_api_and_no_other(served: Any) -> None:
    made, _, document = served
    there = {
        (route.path, method.lower())
        for route in made.app.routes
        for method in route.methods
        if method != "HEAD" and (route.path.startswith("/api/") or route.path in document["paths"])
    }
    told = {(path, one) for path, item in document["paths"].items() for one in item if one in ("get", "post", "put")}
    assert told == there
    assert {"/alerts", "/events", "/health", "/livez", "/readyz", "/metrics"} <= set(document["paths"])


async def test_it_is_openapi_that_tools_read(served: Any) -> None:
    _, _, document = served
    schema = schemathesis.openapi.from_dict(document)
    assert len(list(schema.get_all_operations())) == sum(
        one in ("get", "post", "put") for item in document["paths"].values() for one in item
    )


async def test_what_is_answered_is_as_it_says(served: Any, store: SqlIncidentStore) -> None:
    _, client, document = served
    waiting = await awaiting(store, T0, "orders")
    handed_over, mended = await escalated(store, T0), await remedied(store, T0)
    info = alert("search", severity=Severity.info)
    await store.take_in([from_topic(info)], now=T0, recorded={info.event_id: NotWorkedOn.severity})
    for path in ("/api/incidents", "/api/recorded", "/api/audit", "/api/runbooks", "/api/automation"):
        says(document, path, "get", 200)((await client.get(path)).json())
    for lease in (waiting, handed_over, mended):
        found = (await client.get(f"/api/incidents/{lease.incident_id}")).json()
        says(document, "/api/incidents/{incident_id}", "get", 200)(found)
    body = {"by": "ada", "reason": "I look", "was": "fixed"}
    for verb in ("acknowledge", "close"):
        found = (await client.post(f"/api/incidents/{handed_over.incident_id}/{verb}", json=body)).json()
        says(document, f"/api/incidents/{{incident_id}}/{verb}", "post", 200)(found)
    decision = {"by": "ada", "reason": "no", "plan_hash": PLAN_HASH}
    rejected = await client.post(f"/api/incidents/{waiting.incident_id}/reject", json=decision)
    says(document, "/api/incidents/{incident_id}/reject", "post", 200)(rejected.json())
    sent = {"version": "1", "status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "A"}}, 1]}
    taken = await client.post("/alerts", json=sent)
    says(document, "/alerts", "post", 202)(taken.json())


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("post", "/alerts", b"{", 400),
        ("post", "/alerts", b'{"alerts": 3}', 422),
        ("post", "/alerts", b" " * (5 * 1024 * 1024 + 1), 413),
        ("post", "/api/automation/pause", b"{", 422),
        ("post", "/api/automation/pause", b" " * 100_000, 413),
        ("get", "/api/incidents?limit=0", b"", 422),
        ("get", "/api/audit?cursor=x", b"", 422),
        ("get", "/events?kind=x", b"", 422),
    ],
)
async def test_every_refusal_is_one_that_it_names(
    served: Any, method: str, path: str, sent: bytes, status: int
) -> None:
    _, client, document = served
    answer = await client.request(method, path, content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert str(status) in document["paths"][path.partition("?")[0]][method]["responses"]


async def test_health_and_streams_are_described_by_what_they_send(served: Any) -> None:
    _, client, document = served
    for path in ("/health", "/livez", "/readyz", "/metrics"):
        answer = await client.get(path)
        described = document["paths"][path]["get"]["responses"][str(answer.status_code)]["content"]
        assert answer.headers["content-type"].partition(";")[0] in described
    assert "text/event-stream" in document["paths"]["/events"]["get"]["responses"]["200"]["content"]
    assert "409" not in document["paths"]["/alerts"]["post"]["responses"]


async def test_the_audit_is_read_page_by_page_with_the_cursor_that_it_gives(
    served: Any, store: SqlIncidentStore
) -> None:
    _, client, _ = served
    await remedied(store, T0)
    whole = (await client.get("/api/audit")).json()["items"]
    read: list[dict[str, Any]] = []
    cursor: int | None = 0
    while cursor is not None:
        page = (await client.get("/api/audit", params={"limit": 1, "cursor": cursor})).json()
        read, cursor = read + page["items"], page["next"]
    assert len(whole) > 1
    assert read == whole
