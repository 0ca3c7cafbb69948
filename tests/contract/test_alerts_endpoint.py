"""``POST /alerts`` over ASGI with an event log in memory: status codes, credentials, durability, any input."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from structlog.testing import capture_logs

from development_cases import ABSENT, CASES
from servers.waiting import eventually
from sreops.domain.alerts.event_record import read_event
from sreops.errors import EventLogRefused, EventLogUnavailable
from sreops.ports import LogRecord
from sreops.settings import Settings, WebhookSettings
from sreops.telemetry import REGISTRY
from sreops.web import alert_bodies
from sreops.web.alerts import AlertsContext, alerts_routes, read_traceparent
from sreops.web.credentials import WebhookCredentials
from sreops.web.wrong_credentials import WrongCredentials

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
WEBHOOKS = CASES / "webhooks"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
AUTH = "Authorization"
JSON_TYPE = {"Content-Type": "application/json"}


class FakeClock:
    def now(self) -> datetime:
        return NOW


class MemoryLog:
    """Keeps what it is given, refuses while ``away``, and waits for ``gate`` where a test holds it shut."""

    name = "memory"

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self.timeouts: list[float] = []
        self.away = False
        self.refuses = False
        self.entered = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def append(self, records: Sequence[LogRecord], *, timeout_s: float) -> None:
        self.timeouts.append(timeout_s)
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise EventLogUnavailable("the broker did not acknowledge within 5 s")
        if self.refuses:
            raise EventLogRefused("a record is over 1000000 bytes")
        self.records += records


class Bridge:
    def __init__(
        self,
        *,
        mint: Callable[[], str] | None = None,
        default_tier: str = "supervised",
        wall: Callable[[], datetime] = lambda: NOW,
        whole: dict[str, Any] | None = None,
        guesses: WrongCredentials | None = None,
        **webhook: Any,
    ):
        self.log = MemoryLog()
        # the environment of whoever runs the tests must not configure them
        told = {"default_tier": default_tier, **(whole or {})}
        settings = Settings(_env_file=None, webhook=WebhookSettings(**webhook), **told)
        options: dict[str, Any] = {} if mint is None else {"mint": mint}
        options["guesses"] = guesses or WrongCredentials()
        context = AlertsContext(event_log=self.log, settings=settings, clock=FakeClock(), wall=wall, **options)
        self.last = context.last
        app = Starlette(routes=alerts_routes(context))
        transport = httpx.ASGITransport(app=app)  # raises what the app raises: a 500 fails the test loudly
        self.client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8080", headers=JSON_TYPE)

    async def post(self, body: Any, path: str = "/alerts", headers: dict[str, str] | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) or hasattr(body, "__aiter__") else json.dumps(body).encode()
        raw = {name.encode(): value.encode() for name, value in (headers or {}).items()}  # httpx takes no "é" as text
        return await self.client.post(path, content=content, headers=raw)


def alert(**fields: Any) -> dict[str, Any]:
    labels = {"alertname": "HighMemory", "service": "payments", "severity": "critical", "tier": "autonomous"}
    base = {"status": "firing", "labels": labels, "startsAt": "2026-11-22T11:58:00Z", "fingerprint": "fp1"}
    return base | fields


def payload(*alerts: Any) -> dict[str, Any]:
    return {"version": "1", "orgId": 1, "status": "firing", "alerts": list(alerts)}


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_every_alert_is_answered_for_and_every_event_is_on_its_topic():
    bridge = Bridge()
    answer = await bridge.post(
        payload(
            alert(),
            alert(labels={"alertname": "B", "job": "orders", "severity": "warn"}),
            alert(status="resolved", endsAt="2026-11-22T11:59:00Z"),
            alert(labels={"alertname": "C", "tier": "2"}),
            alert(labels={"alertname": "TestAlert", "instance": "Grafana"}),
            "nonsense",
        )
    )
    assert answer.status_code == 202
    assert answer.json() == {
        "status": "accepted",
        "queued": 2,
        "resolved": 1,
        "skipped": 2,
        "rejected": [{"index": 5, "reason": "is not an object"}],
        "notes": answer.json()["notes"],
    }
    assert [(record.topic, record.key) for record in bridge.log.records] == [
        ("sre-critical", "payments"),
        ("sre-warning", "orders"),
        ("sre-critical", "payments"),
    ]
    assert {record.headers for record in bridge.log.records} == {(("schema", b"1"),)}
    events = [read_event(record.value) for record in bridge.log.records]
    assert len({event.event_id for event in events}) == 3
    assert {event.received_at for event in events} == {NOW}
    assert bridge.log.timeouts == [5.0]


@pytest.mark.parametrize("path", ["/alerts", "/alerts/"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_both_spellings_and_both_methods_are_answered_without_a_redirect(path, method):
    bridge = Bridge()
    body = json.dumps(payload(alert())).encode()
    answer = await bridge.client.request(method, path, content=body)
    assert answer.status_code == 202


async def test_the_log_tells_the_first_request_at_once_and_those_of_the_second_after_it_together():
    bridge = Bridge()
    with capture_logs() as told:

        def accepted() -> list[tuple[int, int]]:
            return [(one["requests"], one["queued"]) for one in told if one["event"] == "alerts.accepted"]

        await bridge.post(payload(alert()))
        assert accepted() == [(1, 1)]
        for _ in range(3):
            await bridge.post(payload(alert(), alert()))
        assert await eventually(lambda: accepted() == [(1, 1), (3, 6)])
        await bridge.post(payload(alert()))
        assert await eventually(lambda: accepted() == [(1, 1), (3, 6), (1, 1)])


async def test_2500_alerts_of_one_webhook_are_taken_and_none_rejected():
    bridge = Bridge()
    before = count("sreops_alerts_truncated_total")
    many = [alert(fingerprint=f"{number:016x}") for number in range(2500)]
    answer = await bridge.post(payload(*many) | {"truncatedAlerts": 7})
    assert (answer.status_code, answer.json()["queued"], answer.json()["rejected"]) == (202, 2500, [])
    assert any("left out 7 alerts" in note for note in answer.json()["notes"])
    assert len({read_event(record.value).fingerprint for record in bridge.log.records}) == 2500
    assert count("sreops_alerts_truncated_total") == before + 7


async def test_others_are_answered_while_a_huge_webhook_is_read():
    bridge = Bridge()
    many = payload(*(alert(fingerprint=f"{number:016x}") for number in range(2500)))
    async with asyncio.TaskGroup() as group:
        huge = group.create_task(bridge.post(many))
        await bridge.log.entered.wait()
        small = await bridge.post(payload(alert()))
        assert small.status_code == 202
        assert not huge.done()


async def test_the_last_webhook_is_known_by_when_from_where_and_what_became_of_it():
    bridge = Bridge()
    await bridge.post(payload(alert(labels={"alertname": "TestAlert", "instance": "Grafana"})))
    (seen,) = bridge.last.all()
    assert (seen.at, seen.status, seen.sender) == (NOW, 202, "grafana at 127.0.0.1")
    assert seen.outcome.startswith("1 skipped; 1 of 1 alerts: Grafana's test, which has arrived")
    await bridge.post(b"{")
    refused, taken = bridge.last.all()
    assert (refused.status, taken) == (400, seen)
    await bridge.post(payload(alert()))
    (seen,) = bridge.last.all()
    assert seen.outcome.startswith("1 firing taken; 1 of 1 alerts: tier autonomous, read as supervised")


async def test_other_methods_are_refused():
    assert (await Bridge().client.get("/alerts")).status_code == 405


async def test_the_answer_waits_until_the_log_has_the_events():
    bridge = Bridge()
    bridge.log.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        post = group.create_task(bridge.post(payload(alert())))
        await bridge.log.entered.wait()
        await asyncio.sleep(0)
        assert not post.done()
        bridge.log.gate.set()
    assert post.result().status_code == 202


async def test_without_durability_it_is_a_503_that_asks_for_another_try():
    bridge = Bridge(retry_after_s=7)
    bridge.log.away = True
    answer = await bridge.post(payload(alert()))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "7"
    assert "could not be made durable" in answer.json()["error"]
    bridge.log.away = False
    assert (await bridge.post(payload(alert()))).status_code == 202


async def test_what_the_log_will_never_take_is_refused_for_good():
    bridge = Bridge()
    bridge.log.refuses = True
    answer = await bridge.post(payload(alert()))
    assert answer.status_code == 413
    assert "retry-after" not in answer.headers


async def test_a_payload_without_events_needs_no_log():
    bridge = Bridge()
    bridge.log.away = True
    answer = await bridge.post(payload(alert(labels={"alertname": "C", "tier": "2"})))
    assert (answer.status_code, answer.json()["skipped"]) == (202, 1)


async def test_default_tier_and_minted_ids_reach_the_events():
    bridge = Bridge(mint=map(str, itertools.count()).__next__, default_tier="unknown")
    await bridge.post(payload(alert(labels={"alertname": "A", "severity": "critical"})))
    assert bridge.log.records[0].topic == "sre-info"
    assert read_event(bridge.log.records[0].value).event_id == "0"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe\x00", 400, "not JSON"),
        (b'{"alerts": "\xff"}', 400, "not JSON"),
        (b'{"alerts": [' + b"9" * 5000 + b"]}", 400, "not JSON"),
        (b"[" * 200_000, 400, "nested"),
        (b'{"alerts":' * 100_000, 400, "nested"),
        (b"[]", 422, "body:"),
        (b"null", 422, "body:"),
        (b"NaN", 422, "body:"),
        (b"{}", 422, "alerts:"),
        (b'{"alerts": {}}', 422, "alerts:"),
        (b'{"ruleName": "x", "state": "alerting", "evalMatches": []}', 422, "legacy"),
    ],
    ids=lambda value: repr(value)[:24] if isinstance(value, bytes) else None,
)
async def test_what_is_no_webhook_is_refused_with_the_reason(body, status, words):
    bridge = Bridge()
    before = count("sreops_webhook_refused_total", status=str(status)), count("sreops_alerts_total", outcome="refused")
    answer = await bridge.post(body)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert bridge.log.records == []
    after = count("sreops_webhook_refused_total", status=str(status)), count("sreops_alerts_total", outcome="refused")
    assert after == (before[0] + 1, before[1] + 1)


async def test_duplicate_keys_and_constants_that_json_lacks_do_not_lose_the_alert():
    bridge = Bridge()
    body = b'{"alerts": 1, "alerts": [{"status":"firing","labels":{"alertname":"A"},"values":{"A":NaN,"B":-Infinity}}]}'
    assert (await bridge.post(body)).json()["queued"] == 1
    assert read_event(bridge.log.records[0].value).values == {}


async def test_a_byte_order_mark_does_no_harm():
    assert (await Bridge().post(b"\xef\xbb\xbf" + json.dumps(payload(alert())).encode())).status_code == 202


async def test_outcomes_are_counted():
    outcomes = ("queued", "resolved", "skipped", "rejected")
    before = {outcome: count("sreops_alerts_total", outcome=outcome) for outcome in outcomes}
    test_alert = alert(labels={"alertname": "TestAlert", "instance": "Grafana"})
    await Bridge().post(payload(alert(), alert(), alert(status="resolved"), test_alert, 1))
    after = {outcome: count("sreops_alerts_total", outcome=outcome) - before[outcome] for outcome in outcomes}
    assert after == {"queued": 2, "resolved": 1, "skipped": 1, "rejected": 1}


# --- limits --------------------------------------------------------------------------------------


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_body_over_the_limit_is_a_413_announced_or_chunked():
    bridge = Bridge(max_body_bytes=1024)
    fits = json.dumps(payload(alert())).encode().ljust(1024)
    assert (await bridge.post(fits)).status_code == 202
    assert (await bridge.post(chunks(fits[:500], fits[500:]))).status_code == 202
    for over in (fits + b" ", chunks(fits, b" "), chunks(*[b" " * 100] * 20)):
        answer = await bridge.post(over)
        assert answer.status_code == 413
        assert "1024 bytes" in answer.json()["error"]
    assert len(bridge.log.records) == 2


@pytest.mark.parametrize("length", ["9" * 30, "-1", "x", "²", ""])
async def test_a_strange_content_length_is_no_500(length):
    assert (await Bridge().post(b"{}", headers={"Content-Length": length})).status_code in (413, 422)


async def test_a_body_that_does_not_arrive_is_a_503(monkeypatch):
    monkeypatch.setattr(alert_bodies, "BODY_TIMEOUT_S", 0.01)
    bridge = Bridge()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    answer = await bridge.post(stalls())
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


async def test_a_sender_that_hangs_up_is_no_500():
    app = Starlette(routes=alerts_routes(AlertsContext(MemoryLog(), Settings(_env_file=None), FakeClock())))
    incoming = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/alerts", "headers": headers, "query_string": b""}
    await app(scope, receive, send)
    assert sent[0]["status"] == 400


async def test_too_many_requests_in_flight_are_a_503_and_room_comes_back():
    bridge = Bridge(max_in_flight=1, retry_after_s=3)
    bridge.log.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bridge.post(payload(alert())))
        await bridge.log.entered.wait()
        second = await bridge.post(payload(alert()))
        assert (second.status_code, second.headers["retry-after"]) == (503, "3")
        bridge.log.gate.set()
    assert first.result().status_code == 202
    assert (await bridge.post(b"not json")).status_code == 400
    assert (await bridge.post(payload(alert()))).status_code == 202


class Held:
    """A body whose sender takes all the time that it is given."""

    def __init__(self, first: bytes = b"{") -> None:
        self.begun = asyncio.Event()
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        self.begun.set()
        await asyncio.Event().wait()


async def hold(bridge: Bridge, group: asyncio.TaskGroup, count: int, **options: Any) -> list[asyncio.Task[Any]]:
    """Send that many bodies that do not come to their end, one after the other."""
    held = []
    for _ in range(count):
        body = Held(**options)
        held.append(group.create_task(bridge.post(body, headers={"X-Grafana-Alerting-Signature": "00"})))
        await body.begun.wait()
    return held


async def test_who_only_names_the_signature_takes_no_room_from_those_who_sign():
    bridge = Bridge(hmac_secret="k", max_in_flight=1)
    async with asyncio.TaskGroup() as group:
        held = await hold(bridge, group, 10)
        for _ in range(3):
            assert (await bridge.post(BODY, headers=signed(BODY))).status_code == 202
        for one in held:
            one.cancel()


async def test_of_too_many_bodies_without_proof_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(alert_bodies, "STRANGERS", 3)
    bridge = Bridge(hmac_secret="k", retry_after_s=7)
    async with asyncio.TaskGroup() as group:
        held = await hold(bridge, group, 4)
        pushed = await held[0]
        assert (pushed.status_code, pushed.headers["retry-after"]) == (503, "7")
        assert (await bridge.post(BODY, headers=signed(BODY))).status_code == 202
        assert (await held[1]).status_code == 503
        assert not held[2].done()
        for one in held[2:]:
            one.cancel()


async def test_bodies_without_proof_share_a_budget_of_bytes(monkeypatch):
    monkeypatch.setattr(alert_bodies, "STRANGERS_BYTES", 3000)
    bridge = Bridge(hmac_secret="k", max_body_bytes=1500)
    async with asyncio.TaskGroup() as group:
        held = await hold(bridge, group, 3, first=b" " * 1100)
        assert (await held[0]).status_code == 503
        assert (await bridge.post(BODY, headers=signed(BODY))).status_code == 202
        assert not held[2].done()
        for one in held[1:]:
            one.cancel()


async def test_a_large_signed_body_is_verified_too():
    bridge = Bridge(hmac_secret="k")
    large = BODY.ljust(600_000)
    assert (await bridge.post(large, headers=signed(large))).status_code == 202
    assert (await bridge.post(large, headers=signed(BODY))).status_code == 401


async def test_wrong_credentials_are_counted_told_and_answered_slower_and_the_right_ones_are_not():
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    bridge = Bridge(guesses=WrongCredentials(pause=pause), token="right")
    before = count("sreops_credentials_refused_total", where="alerts")
    with capture_logs() as told:
        for _ in range(13):
            assert (await bridge.post(payload(alert()), headers={AUTH: "Bearer wrong"})).status_code == 401
        assert (await bridge.post(payload(alert()), headers={AUTH: "Bearer right"})).status_code == 202
        lines = [one for one in told if one["event"] == "web.credentials_wrong"]
    assert waited == [1.0] * 3
    assert count("sreops_credentials_refused_total", where="alerts") == before + 13
    assert 1 <= len(lines) <= 3
    assert lines[0]["latest_address"] == "127.0.0.1"
    assert "wrong" not in str([list(one.values()) for one in lines]).replace("web.credentials_wrong", "")


# --- credentials ---------------------------------------------------------------------------------


def basic(pair: str) -> dict[str, str]:
    return {AUTH: "Basic " + base64.b64encode(pair.encode()).decode()}


@pytest.mark.parametrize("headers", [{AUTH: "Bearer s3cret"}, {AUTH: "bearer  s3cret"}])
async def test_the_bearer_token_opens(headers):
    assert (await Bridge(token="s3cret").post(payload(alert()), headers=headers)).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {}, {AUTH: ""}, {AUTH: "Bearer"}, {AUTH: "Bearer "}, {AUTH: "Bearer s3cre"}, {AUTH: "Bearer s3crett"},
        {AUTH: "s3cret"}, {AUTH: "Basic s3cret"}, {AUTH: "Basic !!"}, basic("u:p"), basic(":"), basic(""),
    ],
)  # fmt: skip
async def test_anything_else_does_not(headers):
    bridge = Bridge(token="s3cret")
    answer = await bridge.post(payload(alert()), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "s3cret" not in answer.text
    assert bridge.log.records == []


async def test_tokens_outside_ascii_compare_and_never_crash():
    bridge = Bridge(token="schlüssel")
    right = b"Bearer " + "schlüssel".encode()
    for header, status in ((right, 202), (b"Bearer \xff\xfe", 401), (b"Basic \xff", 401)):
        answer = await bridge.client.post(
            "/alerts", content=json.dumps(payload(alert())), headers={b"Authorization": header}
        )
        assert answer.status_code == status


async def test_basic_opens_with_exactly_its_pair():
    bridge = Bridge(basic_user="grafana", basic_password="pä:ss")
    for pair, status in (("grafana:pä:ss", 202), ("grafana:p", 401), ("x:pä:ss", 401), ("grafana:", 401)):
        answer = await bridge.post(payload(alert()), headers=basic(pair))
        assert answer.status_code == status
    assert "Basic" in answer.headers["www-authenticate"]


async def test_a_user_without_a_password_is_no_credential():
    assert (await Bridge(basic_user="u", token="t").post(payload(), headers=basic("u:"))).status_code == 401


def signed(body: bytes, stamp: str | None = None, secret: str = "k") -> dict[str, str]:
    text = body if stamp is None else stamp.encode() + b":" + body
    headers = {"X-Grafana-Alerting-Signature": hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}
    return headers if stamp is None else headers | {"X-Stamp": stamp}


BODY = json.dumps(payload(alert()), indent=1).encode()


async def test_grafanas_signature_covers_the_raw_body():
    bridge = Bridge(hmac_secret="k")
    assert (await bridge.post(BODY, headers=signed(BODY))).status_code == 202
    for headers in ({}, signed(BODY + b" "), signed(BODY, secret="other"), {"X-Grafana-Alerting-Signature": "é"}):
        answer = await bridge.post(BODY, headers=headers)
        assert answer.status_code == 401
        assert "HMAC" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(("offset", "status"), [(0, 202), (-299, 202), (299, 202), (-301, 401), (301, 401)])
async def test_a_signature_with_a_timestamp_expires(offset, status):
    bridge = Bridge(hmac_secret="k", hmac_timestamp_header="X-Stamp")
    stamp = str(int(NOW.timestamp()) + offset)
    assert (await bridge.post(BODY, headers=signed(BODY, stamp))).status_code == status


async def test_a_clock_that_was_set_right_does_not_lock_senders_out_until_ours_has_caught_up():
    """The steady clock goes on from the wrong time: an hour ahead of everybody for two hours."""
    right = NOW - timedelta(hours=1)
    bridge = Bridge(hmac_secret="k", hmac_timestamp_header="X-Stamp", wall=lambda: right)
    for sent, status in ((right, 202), (NOW, 202), (right - timedelta(seconds=301), 401), (right + HALF_HOUR, 401)):
        stamp = str(int(sent.timestamp()))
        assert (await bridge.post(BODY, headers=signed(BODY, stamp))).status_code == status, sent


@pytest.mark.parametrize("stamp", [None, "", "x", "-1", "1e9", "²", "9" * 400])
async def test_a_signature_needs_a_readable_timestamp_where_one_is_configured(stamp):
    bridge = Bridge(hmac_secret="k", hmac_timestamp_header="X-Stamp")
    assert (await bridge.post(BODY, headers=signed(BODY, stamp))).status_code == 401


def test_without_a_secret_no_signature_is_valid():
    credentials = WebhookCredentials(WebhookSettings(token="t"))
    assert not credentials.accept_signature(signed(BODY, secret=""), BODY, NOW)


async def test_a_timestamp_of_another_body_does_not_fit():
    bridge = Bridge(hmac_secret="k", hmac_timestamp_header="X-Stamp")
    stamp = str(int(NOW.timestamp()))
    swapped = signed(BODY, stamp) | {"X-Stamp": str(int(stamp) + 1)}
    assert (await bridge.post(BODY, headers=swapped)).status_code == 401


async def test_any_of_several_credentials_opens():
    bridge = Bridge(hmac_secret="k", token="t", basic_user="u", basic_password="p")
    for headers in (signed(BODY), {AUTH: "Bearer t"}, basic("u:p"), {AUTH: "Bearer wrong"} | signed(BODY)):
        assert (await bridge.post(BODY, headers=headers)).status_code == 202
    answer = await bridge.post(BODY)
    assert answer.headers["www-authenticate"].count("realm") == 3


async def test_without_credentials_shown_the_body_is_not_even_read():
    bridge = Bridge(token="t")

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    assert (await bridge.post(unread())).status_code == 401


# --- without credentials: what a web page could send -----------------------------------------------

PAGE = "https://evil.example"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},  # <form enctype=text/plain>: no preflight, no question
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": ""},
        {"Origin": PAGE},
        {"Origin": "null"},
        {"Origin": "http://[evil"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8080"},
        {"Host": "rebound.example:8080", "Origin": "http://rebound.example:8080", "Sec-Fetch-Site": "same-origin"},
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.rebound.example"},
        {"Host": "localhost@rebound.example"},
        {"Host": "[::1"},
        {"Host": ""},
    ],
    ids=str,
)
async def test_without_credentials_no_web_page_opens_an_incident(headers):
    bridge = Bridge()
    answer = await bridge.post(payload(alert()), headers=headers)
    assert answer.status_code == 403
    assert answer.json()["status"] == "refused"
    assert bridge.log.records == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "Application/JSON"},
        {"Host": "127.0.0.1:8080"},
        {"Host": "[::1]:8080"},
        {"Host": "LOCALHOST."},
        {"Host": "sreops.localhost"},
        {"Host": "10.1.2.3:8080"},
        {"Host": "sre.example"},
        {"Origin": "http://localhost:8080"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
async def test_without_credentials_a_sender_that_uses_our_own_names_is_heard(headers):
    bridge = Bridge(whole={"host": "10.1.2.3", "public_url": "https://SRE.example:8443/ops"})
    assert (await bridge.post(payload(alert()), headers=headers)).status_code == 202


async def test_where_anonymous_senders_are_allowed_any_name_will_do_but_no_foreign_page():
    bridge = Bridge(whole={"allow_anonymous": True})
    assert (await bridge.post(payload(alert()), headers={"Host": "sreops:8080"})).status_code == 202
    for headers in ({"Host": "sreops", "Origin": PAGE}, {"Host": "sreops", "Content-Type": "text/plain"}):
        assert (await bridge.post(payload(alert()), headers=headers)).status_code == 403


async def test_with_credentials_neither_name_nor_content_type_is_judged():
    bridge = Bridge(token="t")
    told = {AUTH: "Bearer t", "Host": "sreops:8080", "Content-Type": "text/plain"}
    assert (await bridge.post(payload(alert()), headers=told)).status_code == 202


@pytest.mark.parametrize("labels", [{"tier": "autonomous"}, {"tier": "Tier-0"}, {}], ids=str)
async def test_without_credentials_nobody_makes_an_alert_autonomous(labels):
    bridge = Bridge(default_tier="autonomous")
    sent = payload(alert(labels={"alertname": "A", "severity": "critical", **labels}), alert(labels={"tier": "1"}))
    answer = (await bridge.post(sent)).json()
    event = read_event(bridge.log.records[0].value)
    assert event.tier == "supervised"
    assert "tier: autonomous, read as supervised: it was sent without credentials" in event.warnings
    [note] = [one for one in answer["notes"] if "autonomous" in one]
    assert note.startswith("1 of 2 alerts: tier autonomous, read as supervised")
    assert "SREOPS_WEBHOOK__TOKEN" in note


@pytest.mark.parametrize("webhook", [{"token": "t"}, {"anonymous_autonomous": True}], ids=str)
async def test_an_autonomous_alert_of_a_known_sender_stays_so(webhook):
    bridge = Bridge(**webhook)
    answer = (await bridge.post(payload(alert()), headers={AUTH: "Bearer t"})).json()
    assert read_event(bridge.log.records[0].value).tier == "autonomous"
    assert answer["notes"] == []


# --- tracing -------------------------------------------------------------------------------------


async def test_a_valid_trace_context_travels_with_the_record():
    bridge = Bridge()
    await bridge.post(payload(alert()), headers={"traceparent": TRACEPARENT})
    assert bridge.log.records[0].headers == (("schema", b"1"), ("traceparent", TRACEPARENT.encode()))


@pytest.mark.parametrize(
    "given_header",
    [
        "", "x", TRACEPARENT.upper(), TRACEPARENT + "-x", "ff" + TRACEPARENT[2:], TRACEPARENT + "\n0",
        TRACEPARENT.replace("b7ad6b7169203331", "0" * 16),
        TRACEPARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
    ],
)  # fmt: skip
def test_an_invalid_trace_context_is_dropped(given_header):
    assert read_traceparent({"traceparent": given_header}) is None
    assert read_traceparent({}) is None


# --- any input -----------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
SEEDS = [payload(alert(), alert(status="resolved", values={"A": 1.0}, annotations={"summary": "s"})), {"alerts": [{}]}]
if WEBHOOKS.is_dir():
    SEEDS += [json.loads(file.read_text()) for file in sorted(WEBHOOKS.glob("[0-9]*.json"))]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A real payload with one or two of its places replaced, removed, or doubled."""
    body = json.loads(json.dumps(draw(st.sampled_from(SEEDS))))
    for _ in range(draw(st.integers(1, 2))):
        place: Any = body
        while isinstance(place, dict | list) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.integers(0, 3)) == 0:
                action = draw(st.sampled_from(["replace", "remove", "double"]))
                if action == "replace":
                    place[key] = draw(JSON)
                elif action == "remove":
                    del place[key]
                elif isinstance(place, list):
                    place.append(place[key])
                break
            place = place[key]
    return body


async def accounted(body: bytes) -> None:
    bridge = Bridge()
    answer = await bridge.post(body)
    assert answer.status_code in (202, 400, 413, 422), answer.text
    if answer.status_code == 202:
        told = answer.json()
        alerts = json.loads(body)["alerts"]
        assert told["queued"] + told["resolved"] + told["skipped"] + len(told["rejected"]) == len(alerts)
        assert len(bridge.log.records) == told["queued"] + told["resolved"]
        for record in bridge.log.records:
            read_event(record.value)
            record.key.encode()
    else:
        assert bridge.log.records == []
        assert answer.json()["error"]


@hypothesis_settings(deadline=None, max_examples=150)
@given(mutated() | JSON)
async def test_any_json_is_answered_and_accounted_for(body):
    await accounted(json.dumps(body).encode())


@hypothesis_settings(deadline=None, max_examples=150)
@given(st.data())
async def test_any_bytes_are_answered_and_accounted_for(data):
    seed = json.dumps(data.draw(st.sampled_from(SEEDS)), ensure_ascii=data.draw(st.booleans())).encode()
    start, end = sorted((data.draw(st.integers(0, len(seed))), data.draw(st.integers(0, len(seed)))))
    await accounted(
        data.draw(st.binary(max_size=40) | st.just(seed[:start] + data.draw(st.binary(max_size=8)) + seed[end:]))
    )


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("file", sorted(WEBHOOKS.glob("[0-9]*.json")), ids=lambda file: file.name[:12])
async def test_recorded_payloads_are_answered_as_their_index_says(file):
    expected = next(
        case["expected"] for case in json.loads((WEBHOOKS / "index.json").read_text()) if case["file"] == file.name
    )
    answer = await Bridge().post(file.read_bytes())
    if "alerts" not in json.loads(file.read_bytes()):
        assert answer.status_code == 422
        return
    told = answer.json()
    assert answer.status_code == 202
    assert told["queued"] == expected["n_firing"]
    assert told["queued"] + told["resolved"] + told["skipped"] + len(told["rejected"]) == expected["n_alerts"]
