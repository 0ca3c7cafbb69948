"""People sign in by OpenID Connect: a whole process, a certified provider, and a browser's way between them."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from servers.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, through_the_forms
from servers.sreops import Sreops

pytestmark = pytest.mark.needs("oidc-provider")

GROUPS = {"olga": ["sre", "other"], "vera": ["watchers"], "anna": ["watchers", "leads"], "nina": ["nobody"], "none": []}
ROLES = '{"sre": "operator", "watchers": "viewer", "leads": "admin"}'
TOKEN = "the-token-that-all-of-us-share"
WHY = {"reason": "a release", "by": "somebody else"}

Site = tuple[Sreops, OidcProvider]


@pytest.fixture(params=[False, True], ids=["groups in userinfo only", "groups in the ID token"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    sreops = Sreops({"SREOPS_API_TOKEN": TOKEN, "SREOPS_OIDC__CLIENT_ID": CLIENT_ID})
    callback = f"{sreops.url}/sign-in/callback"
    with OidcProvider([callback], GROUPS, in_id_token=request.param) as provider:
        sreops.settings |= {
            "SREOPS_OIDC__ISSUER": provider.issuer,
            "SREOPS_OIDC__CLIENT_SECRET": CLIENT_SECRET,
            "SREOPS_OIDC__ROLES": ROLES,
        }
        with sreops:
            yield sreops, provider


def browser() -> httpx.Client:
    return httpx.Client(timeout=20, headers={"Accept": "text/html", "Sec-Fetch-Site": "same-origin"})


def signed_in(site: Site, account: str) -> httpx.Client:
    it = browser()
    answer = through_the_forms(it, f"{site[0].url}/sign-in/oidc?next=/", account)
    assert answer.status_code == 200, answer.text
    assert "Signed in" in answer.text
    return it


def me(it: httpx.Client, site: Site) -> dict[str, str]:
    answer: dict[str, str] = it.get(f"{site[0].url}/api/me").json()
    return answer


def check(site: Site) -> None:
    url = site[0].url
    shut = browser().get(f"{url}/")
    assert shut.status_code == 401
    assert 'href="/sign-in/oidc?next=/"' in shut.text

    # roles come from groups, the highest counts, and nobody without one gets in
    assert me(signed_in(site, "vera"), site) == {"account": "vera", "role": "viewer", "proven_by": "oidc"}
    assert me(signed_in(site, "anna"), site)["role"] == "admin"
    for stranger in ("nina", "none", "toString"):
        with browser() as it:
            refused = through_the_forms(it, f"{url}/sign-in/oidc", stranger)
            assert refused.status_code == 403
            assert stranger in refused.text
            assert it.get(f"{url}/api/me").status_code == 401

    # who decides is who signed in, whatever the body claims
    olga = signed_in(site, "olga")
    assert olga.post(f"{url}/api/automation/pause", json=WHY).json()["by"] == "olga"
    assert olga.post(f"{url}/api/automation/resume", json={"reason": "done"}).json()["by"] == "olga"
    page = olga.get(f"{url}/").text
    assert "Signed as <strong>olga</strong>" in page
    assert 'name="by"' not in page
    # who may only look decides nothing, neither does the token that all share
    for viewer in (signed_in(site, "vera"), httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)):
        assert viewer.get(f"{url}/api/incidents").status_code == 200
        answer = viewer.post(f"{url}/api/automation/pause", json=WHY)
        assert answer.status_code == 403
        assert "may only look" in answer.json()["error"]

    # a session survives a restart, and signing out does too
    vera = signed_in(site, "vera")
    copy = {"sreops_session": vera.cookies["sreops_session"]}
    site[0].stop()
    site[0].start()
    assert me(olga, site)["account"] == "olga"
    vera.post(f"{url}/sign-out")
    assert httpx.get(f"{url}/api/me", cookies=copy, timeout=20).status_code == 401
    # an admin ends somebody's sessions, nobody else may
    assert olga.post(f"{url}/api/sessions/end", json={"account": "anna"}).status_code == 403
    anna = signed_in(site, "anna")
    assert anna.post(f"{url}/api/sessions/end", json={"account": "olga"}).json() == {"ended": 1}
    assert olga.get(f"{url}/api/me").status_code == 401

    # API tokens: own ones within the own role, a service's by an admin, by command, ended at once
    olga = signed_in(site, "olga")
    wanted = {"name": "ci", "role": "operator", "days": 1}
    assert olga.post(f"{url}/api/tokens", json=wanted | {"role": "admin"}).status_code == 403
    assert olga.post(f"{url}/api/tokens", json=wanted | {"kind": "service"}).status_code == 403
    made = olga.post(f"{url}/api/tokens", json=wanted)
    assert made.status_code == 201
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    paused = httpx.post(f"{url}/api/automation/pause", json=WHY, headers=bearer, timeout=20)
    assert paused.json()["by"] == "olga, token ci"
    assert httpx.post(f"{url}/api/tokens", json=wanted, headers=bearer, timeout=20).status_code == 403
    assert anna.post(f"{url}/api/tokens/{made.json()['id']}/revoke").status_code == 200
    assert httpx.get(f"{url}/api/me", headers=bearer, timeout=20).status_code == 401


async def test_people_sign_in_by_the_provider_and_decide_as_themselves(site: Site) -> None:
    await asyncio.to_thread(check, site)


async def test_a_callback_that_was_not_begun_in_this_browser_opens_nothing(site: Site) -> None:
    def look() -> None:
        url = site[0].url
        with browser() as mine, browser() as theirs:
            there = mine.get(f"{url}/sign-in/oidc")
            state = httpx.URL(there.headers["location"]).params["state"]
            assert {"code_challenge", "nonce"} <= set(httpx.URL(there.headers["location"]).params)
            link = f"{url}/sign-in/callback?code=x&state={state}"
            assert theirs.get(link).status_code == 400  # somebody else's link, sent to me
            assert mine.get(f"{url}/sign-in/callback?code=x&state=other").status_code == 400
            mine.get(f"{url}/sign-in/oidc")
            answer = mine.get(link)  # an earlier state of this browser: a later one took its place
            assert answer.status_code == 400
            for one in (mine, theirs):
                assert one.get(f"{url}/api/me").status_code == 401
            # a state of ours with a code that is nobody's: the provider says no
            there = mine.get(f"{url}/sign-in/oidc")
            state = httpx.URL(there.headers["location"]).params["state"]
            assert mine.get(f"{url}/sign-in/callback?code=x&state={state}").status_code == 403
            assert mine.get(f"{url}/api/me").status_code == 401

    await asyncio.to_thread(look)


async def test_while_the_provider_is_away_who_is_signed_in_stays_so(site: Site) -> None:
    def look(olga: httpx.Client) -> None:
        url = site[0].url
        site[1].stop()
        assert me(olga, site)["account"] == "olga"
        with browser() as it:
            assert it.get(f"{url}/sign-in/oidc").status_code in (303, 503)
        health = olga.get(f"{url}/health").json()
        assert health["checks"]["oidc"]["status"] == "down"

    olga = await asyncio.to_thread(signed_in, site, "olga")
    await asyncio.to_thread(look, olga)
