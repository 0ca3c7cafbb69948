"""Who decides is known: roles, signatures, the way to the provider and back, API tokens; with a provider in memory."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from contract.store_scene import at, fresh_store
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.records.api_token import new_secret
from sreops.domain.records.audit import verify_chain
from sreops.errors import IdentityUnavailable, SignInRefused
from sreops.ports import Health
from sreops.ports.identity import Departure, Identity
from sreops.web.access import SESSION_COOKIE
from sreops.web.oidc_departure_cookie import DEPARTURE_COOKIE
from sreops.web.wrong_credentials import FREE_GUESSES
from web.web_scene import PLAN_HASH, FakeClock, Scene, awaiting, scene, serving

store = pytest.fixture(fresh_store)

TOKEN = "a-long-token-of-the-api"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ROLES = {"sre": "operator", "leads": "admin", "watchers": "viewer"}
OIDC = {
    "issuer": "https://id.example",
    "client_id": "sreops",
    "client_secret": "c",
    "roles": ROLES,
}
OURS = {"Sec-Fetch-Site": "same-origin"}
SWITCH = {"by": "mallory", "reason": "release"}


class Memory:
    """A provider that has signed in whom a test says."""

    def __init__(self) -> None:
        self.identity = Identity("ada", ("sre",))
        self.fault: Exception | None = None
        self.sent: list[str] = []
        self.arrived: list[dict[str, Any]] = []

    async def depart(self, redirect_uri: str) -> Departure:
        self.sent.append(redirect_uri)
        if self.fault:
            raise self.fault
        number = len(self.sent)
        return Departure(f"https://id.example/auth?n={number}", f"state-{number}", "nonce", "verifier")

    async def arrive(self, **told: Any) -> Identity:
        self.arrived.append(told)
        if self.fault:
            raise self.fault
        return self.identity

    async def health(self) -> Health:
        return Health("up")


Made = tuple[Scene, httpx.AsyncClient, Memory]
Make = Callable[..., Made]


@pytest.fixture
def make(store: SqlIncidentStore) -> Make:
    def build(*, base_url: str = "https://sreops.example", **settings: Any) -> Made:
        memory = Memory()
        settings = {"oidc": OIDC, "public_url": "https://sreops.example", **settings}
        made = scene(store, FakeClock(at(60)), identity=memory, **settings)
        transport = httpx.ASGITransport(app=made.app)
        return made, httpx.AsyncClient(transport=transport, base_url=base_url, headers={"Accept": "text/html"}), memory

    return build


async def signs_in(client: httpx.AsyncClient, memory: Memory, *groups: str, account: str = "ada") -> httpx.Response:
    memory.identity = Identity(account, groups)
    await client.get("/sign-in/oidc?next=/")
    return await client.get(f"/sign-in/callback?code=c&state=state-{len(memory.sent)}")


async def test_the_way_there_and_back(make: Make):
    _, client, memory = make()
    shut = await client.get("/")
    assert shut.status_code == 401
    assert "Sign in with id.example" in shut.text
    assert 'name="token"' not in shut.text
    there = await client.get("/sign-in/oidc?next=/incidents/abc")
    assert there.headers["location"] == "https://id.example/auth?n=1"
    assert memory.sent == ["https://sreops.example/sign-in/callback"]
    cookie = there.headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", "secure", "path=/sign-in"} <= set(cookie.replace(" ", "").split(";"))
    back = await client.get("/sign-in/callback?code=c&state=state-1&iss=https://id.example")
    assert back.status_code == 200  # a page that leads on: a redirect would come without the strict cookie
    assert 'content="0; url=/incidents/abc"' in back.text
    told = memory.arrived[0]
    assert (told["code"], told["nonce"], told["verifier"]) == ("c", "nonce", "verifier")
    assert told["issuer"] == "https://id.example"
    session = next(one.lower() for one in back.headers.get_list("set-cookie") if one.startswith(SESSION_COOKIE))
    assert {"httponly", "samesite=strict", "secure"} <= set(session.replace(" ", "").split(";"))
    assert (await client.get("/api/me")).json() == {"account": "ada", "role": "operator", "proven_by": "oidc"}
    assert DEPARTURE_COOKIE not in client.cookies


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (("sre",), "operator"),
        (("watchers", "leads", "sre"), "admin"),
        (("watchers",), "viewer"),
        ((), None),
        (("SRE",), None),
        (("sre/sub", "the sre", "sr"), None),
    ],
)
async def test_the_highest_role_of_whole_group_names_counts_and_without_one_nobody_gets_in(
    make: Make, groups: tuple[str, ...], role: str | None
):
    _, client, memory = make()
    answer = await signs_in(client, memory, *groups)
    if role is None:
        assert answer.status_code == 403
        assert "ada" in answer.text
        assert (await client.get("/api/me")).status_code == 401
    else:
        assert (await client.get("/api/me")).json()["role"] == role


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/api/audit", 'x" onload="alert(1)'])
async def test_signing_in_leads_to_our_pages_only(make: Make, target: str):
    _, client, _ = make()
    await client.get("/sign-in/oidc", params={"next": target})
    back = await client.get("/sign-in/callback?code=c&state=state-1")
    assert 'content="0; url=/"' in back.text


async def test_a_callback_needs_the_cookie_its_state_and_its_time(make: Make):
    made, client, memory = make()
    other = make()[1]
    await client.get("/sign-in/oidc")
    assert (await other.get("/sign-in/callback?code=c&state=state-1")).status_code == 400
    for query in ("code=c", "code=c&state=", "code=c&state=state-9", "code=c&state=%ff"):
        await client.get("/sign-in/oidc")
        memory.sent.pop()
        assert (await client.get(f"/sign-in/callback?{query}")).status_code == 400
    await client.get("/sign-in/oidc")
    made.clock.at += timedelta(minutes=11)
    assert (await client.get(f"/sign-in/callback?code=c&state=state-{len(memory.sent)}")).status_code == 400
    assert memory.arrived == []


@pytest.mark.parametrize("forged", ["", "x", ".", "W10.0", "é", "W10=." + "0" * 64])
async def test_a_forged_journey_is_worth_nothing(make: Make, forged: str):
    _, client, memory = make()
    headers = {b"cookie": f"{DEPARTURE_COOKIE}={forged}".encode("latin-1")}
    assert (await client.get("/sign-in/callback?code=c&state=state-1", headers=headers)).status_code == 400
    assert memory.arrived == []


async def test_what_the_provider_refuses_or_fails_at_is_said_and_opens_nothing(make: Make):
    _, client, memory = make()
    await client.get("/sign-in/oidc")
    told = await client.get("/sign-in/callback?error=access_denied&error_description=<b>no</b>&state=state-1")
    assert told.status_code == 403
    assert "access_denied &lt;b&gt;no" in told.text
    for fault, status in ((SignInRefused("its inside"), 403), (IdentityUnavailable("away"), 503)):
        memory.fault = None
        await client.get("/sign-in/oidc")
        memory.fault = fault
        answer = await client.get(f"/sign-in/callback?code=c&state=state-{len(memory.sent)}")
        assert answer.status_code == status
        assert "its inside" not in answer.text
    assert (await client.get("/sign-in/oidc")).status_code == 503
    assert (await client.get("/api/me")).status_code == 401


async def test_a_decision_is_signed_with_the_account_whatever_the_body_claims(make: Make, store):
    lease = await awaiting(store, at(0))
    _, client, memory = make()
    await signs_in(client, memory, "sre", account="ada (7)")
    url = f"/api/incidents/{lease.incident_id}/approve"
    body = {"by": "mallory", "reason": "fine", "plan_hash": PLAN_HASH}
    assert (await client.post(url, json=body, headers=OURS)).json()["by"] == "ada (7)"
    by_form = await client.post("/automation", data={"switch": "pause", **SWITCH}, headers=OURS)
    assert by_form.status_code == 303
    assert (await store.pause_state())["by"] == "ada (7)"
    assert {record.public()["by"] for record in await store.records(kind="action")} == {"ada (7)"}


async def test_with_the_shared_token_alone_a_decision_says_that_nobody_is_known(make: Make, store):
    _, client, _ = make(oidc={}, api_token=TOKEN)
    for body, by in (({"by": "ada"}, "shared token, says ada"), ({"by": "shared token, says ada"},) * 2):
        told = by if isinstance(by, str) else by["by"]
        answer = await client.post("/api/automation/pause", json={"reason": "x", **body}, headers=BEARER)
        assert answer.json()["by"] == told
    assert (await client.post("/api/automation/pause", json={"reason": "x"}, headers=BEARER)).status_code == 422
    long = {"reason": "x", "by": "y" * 201}
    assert (await client.post("/api/automation/pause", json=long, headers=BEARER)).status_code == 422


async def test_who_may_only_look_gets_no_buttons_and_no_change(make: Make, store):
    lease = await awaiting(store, at(0))
    _, client, memory = make(api_token=TOKEN)
    await signs_in(client, memory, "watchers")
    page = (await client.get(f"/incidents/{lease.incident_id}")).text
    assert 'value="approve"' not in page
    assert "may only look" in page
    body = {"reason": "x", "by": "ada", "plan_hash": PLAN_HASH}
    paths = (f"/api/incidents/{lease.incident_id}/approve", "/api/automation/pause", "/api/tokens")
    for headers, cookies in ((OURS, client.cookies), (BEARER, {})):
        client.cookies = httpx.Cookies(cookies)
        for path in paths:
            assert (await client.post(path, json=body, headers=headers)).status_code == 403, path
    assert (await store.approval(lease.incident_id, 1)).decision is None


async def test_a_role_that_the_settings_no_longer_give_is_over_with_its_sessions(make: Make):
    _, client, memory = make()
    await signs_in(client, memory, "sre")
    cookies = {"Cookie": f"{SESSION_COOKIE}={client.cookies[SESSION_COOKIE]}"}
    same = make()[1]
    assert (await same.get("/api/me", headers=cookies)).status_code == 200
    changed = make(oidc={**OIDC, "roles": {"leads": "admin"}})[1]
    assert (await changed.get("/api/me", headers=cookies)).status_code == 401
    elsewhere = make(oidc={**OIDC, "issuer": "https://other.example"})[1]
    assert (await elsewhere.get("/api/me", headers=cookies)).status_code == 401
    without = make(oidc={}, api_token=TOKEN)[1]
    assert (await without.get("/api/me", headers=cookies)).status_code == 401


async def test_a_session_of_the_provider_ends_after_its_time(make: Make):
    made, client, memory = make(oidc={**OIDC, "session_s": 600})
    await signs_in(client, memory, "sre")
    made.clock.at += timedelta(seconds=599)
    assert (await client.get("/api/me")).status_code == 200
    made.clock.at += timedelta(seconds=2)
    assert (await client.get("/api/me")).status_code == 401


async def test_a_stream_tells_nothing_more_once_its_session_is_over(make: Make, store):
    made, client, memory = make()
    await signs_in(client, memory, "sre")
    session = {"Cookie": f"{SESSION_COOKIE}={client.cookies[SESSION_COOKIE]}"}
    told: list[str] = []

    async with serving(made.app, made.context.stopping) as url, httpx.AsyncClient(timeout=20) as reader:
        begun = asyncio.Event()

        async def listen() -> None:
            async with reader.stream("GET", f"{url}/events", headers=session) as answer:
                begun.set()
                told.extend([line async for line in answer.aiter_lines() if line.startswith("data:")])

        listening = asyncio.create_task(listen())
        await begun.wait()
        await client.post("/api/automation/pause", json=SWITCH, headers=OURS)
        await client.post("/sign-out", headers=OURS)
        made.clock.at += timedelta(seconds=6)
        await store.set_paused(False, by="ada", reason="what nobody should hear", now=at(90))
        await asyncio.wait_for(listening, 20)
    assert "what nobody should hear" not in str(told)


# --- API tokens ----------------------------------------------------------------------------------

WANTED = {"name": "ci", "role": "operator", "days": 7}


async def test_a_token_of_a_person_acts_as_that_person_until_it_ends(make: Make, store):
    made, client, memory = make()
    await signs_in(client, memory, "sre")
    answer = await client.post("/api/tokens", json=WANTED, headers=OURS)
    assert answer.status_code == 201
    secret = answer.json()["token"]
    bearer = {"Authorization": f"Bearer {secret}"}
    client.cookies.clear()
    assert (await client.get("/api/me", headers=bearer)).json() == {
        "account": "ada, token ci", "role": "operator", "proven_by": "api token",
    }  # fmt: skip
    paused = await client.post("/api/automation/pause", json=SWITCH, headers=bearer)
    assert paused.json()["by"] == "ada, token ci"
    records = await store.records(kind="action")
    assert verify_chain([one for one in records if one.incident_id == "access"], None) == []
    assert secret not in str([record.public() for record in records])
    made.clock.at += timedelta(days=8)
    assert (await client.get("/api/me", headers=bearer)).status_code == 401


@pytest.mark.parametrize(
    ("groups", "wanted", "status"),
    [
        ("sre", {}, 201),
        ("sre", {"role": "admin"}, 403),
        ("sre", {"kind": "service"}, 403),
        ("leads", {"kind": "service", "role": "admin"}, 201),
        ("watchers", {"role": "viewer"}, 403),
        ("sre", {"days": 0}, 422),
        ("sre", {"days": 1000}, 422),
        ("sre", {"name": "a b"}, 422),
        ("sre", {"name": "ci\n"}, 422),
        ("sre", {"role": "root"}, 422),
    ],
)
async def test_who_may_make_which_token(make: Make, groups: str, wanted: dict[str, Any], status: int):
    _, client, memory = make()
    await signs_in(client, memory, groups)
    assert (await client.post("/api/tokens", json=WANTED | wanted, headers=OURS)).status_code == status


async def test_others_tokens_are_neither_seen_nor_ended_but_by_an_admin(make: Make):
    _, ada, memory = make()
    await signs_in(ada, memory, "sre")
    made = (await ada.post("/api/tokens", json=WANTED, headers=OURS)).json()
    assert (await ada.post("/api/tokens", json=WANTED, headers=OURS)).status_code == 409
    _, bob, memory = make()
    await signs_in(bob, memory, "sre", account="bob")
    assert (await bob.get("/api/tokens")).json() == {"items": []}
    assert (await bob.post(f"/api/tokens/{made['id']}/revoke", headers=OURS)).status_code == 403
    assert (await bob.post("/api/tokens/nothing/revoke", headers=OURS)).status_code == 404
    bearer = {"Authorization": f"Bearer {made['token']}"}
    fresh = make()[1]
    assert (await fresh.post("/api/tokens", json=WANTED | {"name": "more"}, headers=bearer)).status_code == 403
    _, lead, memory = make()
    await signs_in(lead, memory, "leads", account="lea")
    assert [one["name"] for one in (await lead.get("/api/tokens")).json()["items"]] == ["ci"]
    assert (await lead.post(f"/api/tokens/{made['id']}/revoke", headers=OURS)).status_code == 200
    assert (await fresh.get("/api/me", headers=bearer)).status_code == 401


async def test_the_account_page_makes_a_token_shows_it_once_and_ends_it(make: Make):
    _, client, memory = make()
    await signs_in(client, memory, "sre")
    form = {"name": "ci", "role": "viewer", "kind": "person", "days": "7"}
    made = (await client.post("/account/tokens", data=form, headers=OURS)).text
    secret = made.split("<code>")[1].split("</code>")[0]
    assert (await client.get("/api/me", headers={"Authorization": f"Bearer {secret}"})).json()["role"] == "viewer"
    page = (await client.get("/account")).text
    assert secret not in page
    assert "ada, token ci" in page
    again = await client.post("/account/tokens", data=form, headers=OURS)
    assert again.status_code == 409
    assert "already" in again.text
    revoke = page.split('action="/account/tokens/')[1].split('"')[0]
    assert (await client.post(f"/account/tokens/{revoke}", headers=OURS)).status_code == 303
    assert "revoked" in (await client.get("/account")).text
    assert (await client.post("/account/sessions/end", headers=OURS)).status_code == 303
    assert (await client.get("/account")).status_code == 401


async def test_guessing_tokens_of_the_right_shape_is_slowed_too(make: Make):
    made, client, _ = make()
    statuses = []
    for _ in range(FREE_GUESSES + 2):
        guess = {"Authorization": f"Bearer {new_secret()}"}
        statuses.append((await client.get("/api/me", headers=guess)).status_code)
    assert statuses == [401] * FREE_GUESSES + [429] * 2
    assert len(made.paused) == 2


# --- behind a proxy ------------------------------------------------------------------------------


@pytest.mark.parametrize(("trusted", "counted"), [(["127.0.0.1"], "203.0.113.9"), (["10.0.0.0/8"], "127.0.0.1")])
async def test_wrong_credentials_are_counted_by_client_where_the_proxy_is_trusted(
    make: Make, trusted: list[str], counted: str
):
    made, _, _ = make(api_token=TOKEN)
    options = {"proxy_headers": True, "forwarded_allow_ips": trusted}
    with capture_logs() as told:
        async with serving(made.app, made.context.stopping, **options) as url, httpx.AsyncClient() as client:
            headers = {"Authorization": "Bearer guess", "X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
            assert (await client.get(f"{url}/api/me", headers=headers)).status_code == 401
    assert [one["latest_address"] for one in told if one["event"] == "web.credentials_wrong"] == [counted]
