"""What guards the page: headers, sessions, changes that another site asks for, names that strangers point here."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from contract.store_scene import at, fresh_store
from sreops.adapters.store import SqlIncidentStore
from sreops.telemetry import REGISTRY
from sreops.web.access import SESSION_COOKIE
from sreops.web.sign_in import after_sign_in
from sreops.web.wrong_credentials import FREE_GUESSES, SLOW_S
from web.web_scene import FakeClock, Scene, open_incident, scene

store = pytest.fixture(fresh_store)

SWITCH = {"by": "ada", "reason": "release"}
TOKEN = "a-long-token-of-the-api"
Make = Callable[..., tuple[Scene, httpx.AsyncClient]]


def wrong(where: str) -> float:
    return REGISTRY.get_sample_value("sreops_credentials_refused_total", {"where": where}) or 0.0


@pytest.fixture
def make(store: SqlIncidentStore) -> Make:
    def build(*, base_url: str = "http://localhost:8080", **settings: Any) -> Any:
        made = scene(store, FakeClock(at(60)), **settings)
        return made, httpx.AsyncClient(transport=httpx.ASGITransport(app=made.app), base_url=base_url)

    return build


async def test_every_answer_carries_the_headers(make: Make, store):
    lease = await open_incident(store, at(0))
    _, client = make()
    for path in ("/", f"/incidents/{lease.incident_id}", "/api/incidents", "/health", "/metrics", "/nothing"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store", path
        assert "unsafe" not in headers["content-security-policy"]
    page = (await client.get("/")).headers["content-security-policy"]
    assert {"script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(page.split("; "))


async def test_static_files_are_kept_only_under_the_url_of_their_content(make: Make):
    _, client = make()
    page = (await client.get("/")).text
    url = page.split('href="/static/page.css?v=')[1].split('"')[0]
    kept = await client.get(f"/static/page.css?v={url}")
    assert "immutable" in kept.headers["cache-control"]
    assert kept.headers["content-type"].startswith("text/css")
    assert (await client.get("/static/page.css?v=old")).headers["cache-control"] == "no-cache"
    for name in ("..%2f__init__.py", "nothing.css", "%00"):
        assert (await client.get(f"/static/{name}")).status_code == 404


async def signed_in(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post(
        "/sign-in", data={"token": TOKEN, "next": "/"}, headers={"Origin": "http://localhost:8080"}
    )


async def test_signing_in_gives_a_strict_cookie_that_is_not_the_token(make: Make):
    _, client = make(api_token=TOKEN)
    shut = await client.get("/", headers={"Accept": "text/html"})
    assert shut.status_code == 401
    assert 'name="token"' in shut.text
    answer = await signed_in(client)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.replace(" ", "").split(";"))
    assert TOKEN not in cookie
    assert "secure" not in cookie
    assert (await client.get("/")).status_code == 200
    assert (await client.get("/api/incidents")).status_code == 200


async def test_behind_tls_the_cookie_is_secure(make: Make):
    _, client = make(api_token=TOKEN, base_url="http://sre.example")
    told = {"Origin": "https://sre.example"}
    answer = await client.post("/sign-in", data={"token": TOKEN}, headers=told)
    assert "secure" in answer.headers["set-cookie"].lower()


def copied(client: httpx.AsyncClient) -> dict[str, str]:
    return {"Cookie": f"{SESSION_COOKIE}={client.cookies[SESSION_COOKIE]}"}


async def test_a_session_ends_by_time_and_with_its_token(make: Make):
    made, client = make(api_token=TOKEN)
    await signed_in(client)
    _, other = make(api_token="another-token")
    assert (await other.get("/api/audit", headers=copied(client))).status_code == 401
    made.clock.at += timedelta(hours=11)
    assert (await client.get("/api/audit")).status_code == 200
    made.clock.at += timedelta(hours=2)
    assert (await client.get("/api/audit")).status_code == 401


async def test_a_session_and_its_end_hold_after_a_restart_and_on_every_replica(make: Make, store):
    _, client = make(api_token=TOKEN)
    await signed_in(client)
    copy = copied(client)
    _, replica = make(api_token=TOKEN)  # on the same store: another replica, or this one after a restart
    assert (await replica.get("/api/audit", headers=copy)).status_code == 200
    await client.post("/sign-out", headers={"Sec-Fetch-Site": "same-origin"})
    for one in (client, replica, make(api_token=TOKEN)[1]):
        one.cookies.clear()
        assert (await one.get("/api/audit", headers=copy)).status_code == 401


async def test_a_copy_of_the_store_opens_nothing(make: Make, store):
    _, client = make(api_token=TOKEN)
    await signed_in(client)
    cookie = client.cookies[SESSION_COOKIE]

    def kept(connection: Connection) -> list[Any]:
        return [list(row) for row in connection.exec_driver_sql("SELECT * FROM sessions").all()]

    rows = await store._db.read(kept)
    assert len(rows) == 1
    assert cookie not in str(rows)
    assert TOKEN not in str(rows)
    client.cookies.clear()
    for told in rows[0]:
        answer = await client.get("/api/audit", headers={"Cookie": f"{SESSION_COOKIE}={told}"})
        assert answer.status_code == 401


@pytest.mark.parametrize("forged", ["", "x", "...", "é", "0" * 64, "' OR 1=1 --", "%00", "a" * 4000])
async def test_a_forged_session_is_worth_nothing(make: Make, forged: str):
    _, client = make(api_token=TOKEN)
    await signed_in(client)
    client.cookies.clear()
    answer = await client.get("/api/audit", headers={b"cookie": f"{SESSION_COOKIE}={forged}".encode("latin-1")})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost:8080"}, 200),
        ({"Origin": "http://localhost:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[evil"}, 403),
        ({}, 403),  # a browser sends one of them, so this is none, and whose cookie it is can't be known
    ],
)
async def test_a_change_by_cookie_must_come_from_our_own_page(make: Make, store, headers: dict[str, str], status: int):
    _, client = make(api_token=TOKEN)
    await signed_in(client)
    answer = await client.post("/api/automation/pause", json=SWITCH, headers=headers)
    assert answer.status_code == status
    assert (await store.pause_state())["paused"] is (status == 200)


async def test_without_a_token_a_stranger_page_can_change_nothing_but_curl_can(make: Make, store):
    _, client = make()
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert (await client.post("/api/automation/pause", json=SWITCH, headers=foreign)).status_code == 403
    form = {"switch": "pause", **SWITCH}
    assert (await client.post("/automation", data=form, headers=foreign)).status_code == 403
    assert (await client.post("/api/automation/pause", json=SWITCH)).status_code == 200


async def test_the_token_itself_needs_no_origin(make: Make):
    _, client = make(api_token=TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://elsewhere.example"}
    assert (await client.post("/api/automation/pause", json=SWITCH, headers=headers)).status_code == 200


async def test_without_a_token_only_this_machines_names_are_answered(make: Make):
    for base_url in ("http://localhost:1", "http://127.0.0.1:8080", "http://[::1]:8080", "http://sreops.localhost"):
        _, client = make(base_url=base_url)
        assert (await client.get("/api/incidents")).status_code == 200, base_url
    _, client = make(base_url="http://rebound.example:8080")
    answer = await client.get("/api/incidents")
    assert answer.status_code == 403
    assert "SREOPS_API_TOKEN" in answer.json()["cure"]
    assert "checks" not in (await client.get("/health")).json()
    _, client = make(base_url="http://sre.example", api_token=TOKEN)
    assert (await client.get("/api/incidents", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200
    _, client = make(base_url="http://sre.example", allow_anonymous=True)
    assert (await client.get("/api/incidents")).status_code == 200


async def test_wrong_sign_ins_are_slowed_and_lock_nobody_out(make: Make):
    """Behind a proxy all have one address: ten wrong ones used to lock the right one out for everybody."""
    made, client = make(api_token=TOKEN)
    for _ in range(FREE_GUESSES):
        assert (await client.post("/sign-in", data={"token": "guess"})).status_code == 401
    assert made.paused == []
    late = await client.post("/sign-in", data={"token": "guess"})
    assert (late.status_code, int(late.headers["retry-after"])) == (429, 60)
    assert made.paused == [SLOW_S]
    assert (await signed_in(client)).status_code == 303
    assert made.paused == [SLOW_S]


async def test_wrong_bearer_tokens_are_slowed_counted_and_told_and_lock_nobody_out(make: Make):
    made, client = make(api_token=TOKEN)
    before = wrong("api")
    with capture_logs() as told:
        for _ in range(FREE_GUESSES):
            assert (await client.get("/api/audit", headers={"Authorization": "Bearer gue55"})).status_code == 401
        assert (await client.get("/api/audit", headers={"Authorization": "Bearer gue55"})).status_code == 429
        assert (await client.get("/api/audit", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200
        lines = [one for one in told if one["event"] == "web.credentials_wrong"]
    assert made.paused == [SLOW_S]
    assert wrong("api") == before + FREE_GUESSES + 1
    assert 1 <= len(lines) <= 3
    assert "gue55" not in str(told)
    for _ in range(FREE_GUESSES + 3):  # who shows nothing guesses nothing
        assert (await client.get("/api/audit")).status_code == 401


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil", "/incidents/../x", "/incidents/a\n", "javascript:x"]
)
def test_signing_in_never_leads_elsewhere(wanted: str):
    assert after_sign_in(wanted) == "/"
    assert after_sign_in("/incidents/6f1f6c1e-0c6e-5d39-9a55-6f5d0c1c0a11").endswith("0a11")
