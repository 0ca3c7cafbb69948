"""``/api`` over ASGI on a real store: shapes, refusals, decisions, the token."""

import asyncio
import html
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from contract.store_scene import T0, alert, always, at, at_work, ended, fresh_store, from_topic, opened
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import Severity
from sreops.domain.alerts.routing import NotWorkedOn
from sreops.domain.alerts.subject import Subject, SubjectKind
from sreops.domain.evidence.evidence import Evidence
from sreops.errors import StoreUnavailable
from sreops.ports import Changes
from sreops.web.api import MAX_EVENTS
from sreops.web.last_webhook import WebhookSeen
from sreops.web.pages import SHOWN_OPEN
from web.web_scene import PLAN_HASH, FakeClock, Scene, awaiting, escalated, open_incident, remedied, scene

store = pytest.fixture(fresh_store)

WHO = {"by": "ada", "reason": "looks right", "plan_hash": PLAN_HASH}
INCIDENT_FIELDS = {
    "id", "status", "resolution", "reason", "service", "alertname", "severity", "tier", "fingerprints", "event_count",
    "opened_at", "ended_at", "analyst", "root_cause", "confidence", "runbook_id", "plan_hash", "effects",
    "verification", "issue",
}  # fmt: skip
Make = Callable[..., tuple[Scene, httpx.AsyncClient]]


@pytest.fixture
def make(store: SqlIncidentStore) -> Make:
    def build(*, base_url: str = "http://localhost", crashes: bool = True, **settings: Any) -> Any:
        made = scene(store, FakeClock(at(60)), **settings)
        transport = httpx.ASGITransport(app=made.app, raise_app_exceptions=crashes)
        return made, httpx.AsyncClient(transport=transport, base_url=base_url)

    return build


async def test_what_is_recorded_only_is_listed_and_on_the_page_with_the_last_webhook(make: Make, store):
    info = alert("search", severity=Severity.info)
    await store.take_in([from_topic(info)], now=T0, recorded={info.event_id: NotWorkedOn.severity})
    made, client = make()
    made.context.last_webhook.note(WebhookSeen(at(0), "grafana at 10.0.0.9", 202, "1 skipped; <b>a test</b>"))
    found = (await client.get("/api/recorded")).json()
    assert found["next"] is None
    (item,) = found["items"]
    assert item["received_at"] == info.received_at.isoformat()
    assert (item["subject"]["name"], item["alertname"], item["severity"]) == ("search", info.alertname, "info")
    assert item["reason"] == "severity: its severity is not worked on (SREOPS_WORK_ON)"
    page = (await client.get("/", headers={"accept": "text/html"})).text
    assert "Recorded, not worked on" in page
    assert "The last webhook" in page
    assert "from grafana at 10.0.0.9: 1 skipped; &lt;b&gt;a test&lt;/b&gt;." in page
    assert (await client.get("/api/recorded", params={"cursor": "x"})).status_code == 422


async def test_incidents_are_listed_newest_first_in_pages_and_by_status_and_service(make: Make, store):
    ids = []
    for number in range(5):
        lease = await open_incident(store, at(-100 + number), f"svc-{number}")
        ids.append(lease.incident_id)
    done = await remedied(store, at(-300), "payments")
    _, client = make()
    first = (await client.get("/api/incidents", params={"limit": 2})).json()
    assert [one["id"] for one in first["items"]] == [ids[4], ids[3]]
    assert first["items"][0].keys() >= INCIDENT_FIELDS
    second = (await client.get("/api/incidents", params={"limit": 10, "cursor": first["next"]})).json()
    assert [one["id"] for one in second["items"]] == [ids[2], ids[1], ids[0], done.incident_id]
    assert second["next"] is None
    still_open = (await client.get("/api/incidents", params={"status": "open"})).json()["items"]
    assert len(still_open) == 5
    ended = (await client.get("/api/incidents", params={"status": "resolved"})).json()["items"]
    assert [one["id"] for one in ended] == [done.incident_id]
    named = (await client.get("/api/incidents", params={"service": "svc-3"})).json()["items"]
    assert [one["id"] for one in named] == [ids[3]]


async def test_incidents_are_looked_for_by_severity_subject_scope_words_and_time_in_pages(make: Make, store):
    shop = Subject(name="svc-2", kind=SubjectKind.container, scope={"namespace": "shop"}, read_from="label container")
    for number in range(4):
        changes = {"subject": shop} if number == 2 else {}
        await open_incident(store, at(-100 + number), f"svc-{number}", **changes)
    mended = await remedied(store, at(-3600), "payments")
    _, client = make()

    async def names(**asked: str) -> list[str]:
        answer = await client.get("/api/incidents", params=asked)
        assert answer.status_code == 200, answer.text
        return [one["service"] for one in answer.json()["items"]]

    assert await names(severity="critical", subject="SVC") == ["svc-3", "svc-2", "svc-1", "svc-0"]
    assert await names(severity="info,warning") == []
    assert await names(scope="namespace=shop") == await names(scope="shop") == ["svc-2"]
    assert await names(text="basket cache") == await names(text=mended.incident_id) == ["payments"]
    assert await names(text="basket", status="open") == []
    assert await names(since="10m", until=at(-98).isoformat()) == ["svc-1", "svc-0"]
    assert await names(since=at(-98).isoformat().replace("+00:00", "Z")) == ["svc-3", "svc-2"]
    assert await names(until="30m") == ["payments"]
    first = (await client.get("/api/incidents", params={"text": "svc-", "limit": "3"})).json()
    rest = (await client.get("/api/incidents", params={"text": "svc-", "limit": "3", "cursor": first["next"]})).json()
    assert [one["service"] for one in first["items"] + rest["items"]] == ["svc-3", "svc-2", "svc-1", "svc-0"]
    assert rest["next"] is None


async def test_the_pages_list_search_and_go_on_without_a_script(make: Make, store):
    for number in range(52):
        await opened(store, f"svc-{number:02}", now=at(-100 + number))
    info = alert("disk-7", severity=Severity.info)
    await store.take_in([from_topic(info)], now=T0, recorded={info.event_id: NotWorkedOn.severity})
    made, client = make()
    made.context.last_webhook.note(WebhookSeen(at(0), "grafana at 10.0.0.9", 202, "1 queued"))
    made.context.last_webhook.note(WebhookSeen(at(1), "10.0.0.8", 401, "wrong <b>token</b>"))
    client.headers["accept"] = "text/html"
    start = (await client.get("/")).text
    for address in ("/incidents", "/recorded", "/webhooks", "/runbooks"):
        assert f'href="{address}"' in start, "one click away"
        assert (await client.get(address)).status_code == 200
    page = (await client.get("/incidents", params={"text": "svc", "severity": "critical"})).text
    assert "svc-51" in page
    assert "svc-01" not in page
    onward = html.unescape(re.search(r'href="([^"]+)" rel="next"', page)[1])
    rest = (await client.get(onward)).text
    assert "svc-01" in rest
    assert "svc-02" not in rest
    assert 'rel="next"' not in rest
    assert 'value="svc"' in rest, "the form says what was asked"
    bad = await client.get("/incidents", params={"since": "<b>"})
    assert bad.status_code == 422
    assert "since=&#39;&lt;b&gt;&#39; is no time" in bad.text
    assert "No incident is like that" in (await client.get("/incidents", params={"subject": "nobody"})).text
    assert "disk-7" in (await client.get("/recorded")).text
    webhooks = (await client.get("/webhooks")).text
    assert webhooks.index("wrong &lt;b&gt;token") < webhooks.index("1 queued")
    assert "restart-on-memory" in (await client.get("/runbooks")).text


async def test_a_storm_is_one_row_on_top_however_many_came_after_it(make: Make, store):
    over = {"status": "escalated", "resolution": None, "verification": None}
    await ended(store, await at_work(store, "nodes", now=at(-900)), now=at(-890), **over, reason="storm")
    for number in range(SHOWN_OPEN + 1):
        lease = await at_work(store, f"svc-{number}", now=at(-800 + number))
        await ended(store, lease, now=at(-800 + number), **over, reason="timed_out")
    _, client = make()
    page = (await client.get("/", headers={"accept": "text/html"})).text
    rows = re.findall(r'<span class="who"><strong>([^<]+)', page)
    assert rows[:2] == ["nodes", f"svc-{SHOWN_OPEN}"]
    assert 'href="/incidents?needs=person"' in page


async def test_one_incident_shows_events_evidence_thoughts_decision_and_effects(make: Make, store):
    lease = await remedied(store, at(-100))
    _, client = make()
    shown = (await client.get(f"/api/incidents/{lease.incident_id}")).json()
    assert shown["status"] == "resolved"
    assert shown["resolution"] == shown["verification"] == "fixed"
    assert [event["disposition"] for event in shown["events"]] == ["open"]
    assert shown["events_total"] == 1
    assert shown["events"][0]["startsAt"].startswith("2026-03-01T11:58:20")
    assert [piece["id"] for piece in shown["evidence"]] == ["E1", "E2", "E3", "E4", "E5", "E6"]
    assert shown["decision"]["plan_hash"] == PLAN_HASH
    assert {thought["kind"] for thought in shown["thoughts"]} == {"thought"}
    assert "analyze_root_cause" in {thought["node"] for thought in shown["thoughts"]}
    [effect] = shown["effects"]
    assert (effect["step"], effect["target"], effect["outcome"]) == (0, "payments", "succeeded")
    assert shown["issue"] == {"iid": 118, "url": "https://gitlab.example/shop/ops/-/issues/118"}


async def test_of_very_many_alerts_the_newest_are_shown_with_how_many_there_are(make: Make, store):
    lease = await open_incident(store, at(-10_000))
    first, _ = (await store.events(lease.incident_id))[0]
    for number in range(MAX_EVENTS + 2):
        again = first.model_copy(update={"event_id": str(uuid.uuid4()), "annotations": {"n": str(number)}})
        await store.correlate(again, always("repeat", lease.incident_id), now=at(number - 9000))
    _, client = make()
    shown = (await client.get(f"/api/incidents/{lease.incident_id}")).json()
    assert (len(shown["events"]), shown["events_total"]) == (MAX_EVENTS, MAX_EVENTS + 3)
    assert [event["annotations"]["n"] for event in shown["events"][:: MAX_EVENTS - 1]] == ["2", str(MAX_EVENTS + 1)]


async def test_numbers_that_json_does_not_have_become_null(make: Make, store):
    lease = await open_incident(store, at(-10), values={"A": float("nan"), "B": 2.0})
    piece = Evidence(
        id="E1", kind="metric", source="prometheus", finding="x", data={"last": float("inf"), "s": [float("nan"), 1]}
    )
    await store.write(lease, Changes(evidence=[piece]), now=T0)
    _, client = make()
    answer = await client.get(f"/api/incidents/{lease.incident_id}")
    shown = json.loads(answer.content, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert shown["events"][0]["values"] == {"A": None, "B": 2.0}
    assert shown["evidence"][0]["data"]["s"] == [None, 1]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/incidents?status=gone", "status"),
        ("/api/incidents?severity=critical,bad", "severity"),
        ("/api/incidents?since=yesterday", "since"),
        ("/api/incidents?until=0001-01-01T00:00%2B10:00", "until"),
        ("/api/incidents?text=" + "x" * 201, "text"),
        ("/api/incidents?text=" + "x+" * 11, "text"),
        ("/api/incidents?limit=0", "limit"),
        ("/api/incidents?limit=501", "limit"),
        ("/api/incidents?limit=ten", "limit"),
        ("/api/incidents?limit=%D9%A3", "limit"),
        ("/api/incidents?cursor=%00nonsense", "cursor"),
        ("/api/incidents?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6eA==", "cursor"),
        ("/api/audit?after=-1", "after"),
        ("/api/audit?after=99999999999999999999", "after"),
        ("/api/audit?after=9223372036854775808", "after"),
        ("/api/audit?limit=1.5", "limit"),
    ],
)
async def test_a_bad_query_value_is_422_and_named(make: Make, path: str, named: str):
    _, client = make()
    answer = await client.get(path)
    assert answer.status_code == 422, answer.text
    assert named in answer.json()["error"]


async def test_what_is_not_there_is_said_in_json(make: Make):
    _, client = make()
    for path in ("/api/incidents/nothing", "/api/incidents/%00%ff", "/api/nothing", "/api/incidents/", "/nothing"):
        answer = await client.get(path)
        assert answer.status_code == 404, path
        assert set(answer.json()) == {"error", "cure"}
    answer = await client.delete("/api/incidents")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert "GET" in answer.json()["cure"]


async def test_an_approval_is_stored_audited_and_wakes_the_worker(make: Make, store):
    lease = await awaiting(store, at(0))
    made, client = make()
    assert not made.context.wake.is_set()
    answer = await client.post(f"/api/incidents/{lease.incident_id}/approve", json=WHO)
    assert answer.status_code == 200, answer.text
    assert answer.json()["decision"] == "approved"
    assert answer.json()["by"] == "ada"
    assert made.context.wake.is_set()
    approval = await store.approval(lease.incident_id, 1)
    assert (approval.decision, approval.reason) == ("approved", "looks right")
    [record] = (await client.get("/api/audit", params={"incident_id": lease.incident_id})).json()["items"]
    assert (record["action"], record["by"], record["data"]["plan_hash"]) == ("approve", "ada", PLAN_HASH)
    assert len(record["hash"]) == 64


async def test_a_rejection_is_a_decision_too(make: Make, store):
    lease = await awaiting(store, at(0))
    _, client = make()
    answer = await client.post(f"/api/incidents/{lease.incident_id}/reject", json=WHO)
    assert (answer.status_code, answer.json()["decision"]) == (200, "rejected")


async def test_a_decision_that_does_not_apply_is_409_and_says_why(make: Make, store):
    waiting, ended = await awaiting(store, at(0)), await escalated(store, at(0))
    late = await awaiting(store, at(0), "orders", ttl_s=10)
    made, client = make()

    async def approve(lease: Any, **changes: str) -> httpx.Response:
        return await client.post(f"/api/incidents/{lease.incident_id}/approve", json=WHO | changes)

    changed = await approve(waiting, plan_hash="another")
    assert (changed.status_code, PLAN_HASH in changed.json()["error"]) == (409, True)
    assert not made.context.wake.is_set()
    over = await approve(ended)
    assert (over.status_code, "ended" in over.json()["error"]) == (409, True)
    expired = await approve(late)
    assert (expired.status_code, "expired" in expired.json()["error"]) == (409, True)
    assert (await approve(waiting)).status_code == 200
    second = await approve(waiting, by="bob")
    assert (second.status_code, "ada" in second.json()["error"]) == (409, True)
    unknown = await client.post("/api/incidents/nothing/approve", json=WHO)
    assert unknown.status_code == 404


async def test_of_two_decisions_at_once_one_holds(make: Make, store):
    lease = await awaiting(store, at(0))
    _, client = make()
    tries = [
        client.post(f"/api/incidents/{lease.incident_id}/{verb}", json=WHO | {"by": verb})
        for verb in ("approve", "reject") * 4
    ]
    statuses = sorted([answer.status_code for answer in await asyncio.gather(*tries)])
    assert statuses == [200] + [409] * 7


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "object"),
        (b"[" * 100_000, "body"),
        (b'{"reason": "r", "plan_hash": "p"}', "by"),
        (b'{"by": "a", "plan_hash": "p"}', "reason"),
        (b'{"by": "a", "reason": "r"}', "plan_hash"),
        (b'{"by": "   ", "reason": "r", "plan_hash": "p"}', "by"),
        (b'{"by": 7, "reason": "r", "plan_hash": "p"}', "by"),
        (b'{"by": "\\ud800", "reason": "r", "plan_hash": "p"}', "by"),
        (json.dumps({"by": "a" * 201, "reason": "r", "plan_hash": "p"}).encode(), "by"),
    ],
)
async def test_a_bad_body_is_422_and_names_the_field(make: Make, store, body: bytes, named: str):
    lease = await awaiting(store, at(0))
    _, client = make()
    answer = await client.post(f"/api/incidents/{lease.incident_id}/approve", content=body)
    assert answer.status_code in (413, 422), answer.text
    assert named in answer.json()["error"]
    assert (await store.approval(lease.incident_id, 1)).decision is None


async def test_a_body_over_the_limit_is_413_also_where_no_length_is_declared(make: Make):
    _, client = make()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    for content in (b" " * 70_000, chunks()):
        answer = await client.post("/api/automation/pause", content=content)
        assert answer.status_code == 413


async def test_the_kill_switch_is_switched_shown_and_audited(make: Make):
    made, client = make()
    assert (await client.get("/api/automation")).json() == {"paused": False, "by": "", "reason": "", "at": None}
    paused = await client.post("/api/automation/pause", json={"by": "ada", "reason": "release day"})
    expected = {"paused": True, "by": "ada", "reason": "release day", "at": at(60).isoformat()}
    assert paused.json() == expected == (await client.get("/api/automation")).json()
    made.clock.at += timedelta(seconds=1)
    resumed = await client.post("/api/automation/resume", json={"by": "bob", "reason": "done"})
    assert resumed.json()["paused"] is False
    verbs = [record["action"] for record in (await client.get("/api/audit")).json()["items"]]
    assert verbs == ["pause_automation", "resume_automation"]
    assert (await client.post("/api/automation/pause", json={"by": "ada"})).status_code == 422


async def test_the_audit_trail_pages_by_sequence(make: Make, store):
    for number in range(5):
        await store.set_paused(bool(number % 2), by="ada", reason=str(number), now=at(number))
    _, client = make()
    seen, after = [], 0
    while True:
        page = (await client.get("/api/audit", params={"after": after, "limit": 2})).json()
        seen += [record["detail"] for record in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == ["0", "1", "2", "3", "4"]


async def test_runbooks_are_shown_as_they_were_read(make: Make):
    made, client = make()
    shown = (await client.get("/api/runbooks")).json()["items"]
    assert [one["id"] for one in shown] == [one.id for one in made.context.runbooks]
    assert shown[0]["steps"][0]["action"] == "restart_container"


async def test_with_a_token_nothing_of_the_api_is_open(make: Make, store):
    lease = await awaiting(store, at(0))
    _, client = make(api_token="s3cret-ü")
    for path in ("/api/incidents", f"/api/incidents/{lease.incident_id}", "/api/audit", "/api/runbooks", "/events"):
        for headers in ({}, {b"authorization": b"Bearer wrong"}, {b"authorization": b"Basic czNjcmV0"}):
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
    answer = await client.post(f"/api/incidents/{lease.incident_id}/approve", json=WHO)
    assert answer.status_code == 401
    assert (await store.approval(lease.incident_id, 1)).decision is None
    shown = {b"authorization": "Bearer s3cret-ü".encode()}
    assert (await client.get("/api/incidents", headers=shown)).status_code == 200
    done = await client.post(f"/api/incidents/{lease.incident_id}/approve", json=WHO, headers=shown)
    assert done.status_code == 200


async def test_without_a_store_it_is_503_with_a_time_to_wait(make: Make, store, monkeypatch):
    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("incident store: the disk is full; free space")

    monkeypatch.setattr(store, "incidents", away)
    _, client = make()
    answer = await client.get("/api/incidents")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "disk is full" in answer.json()["error"]


async def test_a_bug_is_500_in_json_and_says_nothing_of_the_inside(make: Make, store, monkeypatch):
    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret inside")

    monkeypatch.setattr(store, "incidents", broken)
    _, client = make(crashes=False)
    answer = await client.get("/api/incidents")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["cure"]


async def test_the_webhook_is_there_only_with_the_role_bridge(make: Make):
    made, client = make(roles=("worker",))
    assert (await client.post("/alerts", json={"alerts": []})).status_code == 404
    made, client = make()
    alerts = {"alerts": [{"status": "firing", "labels": {"alertname": "A", "severity": "critical"}}]}
    answer = await client.post("/alerts", json=alerts)
    assert answer.status_code == 202
    assert len(made.log.records) == 1
