"""The pages in Chromium: hostile text does nothing, thoughts arrive, people decide, and it works on a phone."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from contract.store_scene import alert, always, cleared, fresh_store, from_topic
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.records.record import Thought
from sreops.ports import Changes, Health
from web.browser_scene import HOSTILE, TOKEN, Site, chromium, live, now, sites
from web.web_scene import (
    analysed,
    awaiting,
    escalated,
    evidence_of,
    open_incident,
    remedied,
    think,
)

store = pytest.fixture(fresh_store)

pytestmark = pytest.mark.needs("chromium")

browser = pytest.fixture(chromium)
site = pytest.fixture(sites)


async def hostile_incident(store: SqlIncidentStore) -> str:
    lease = await open_incident(
        store,
        now(),
        f"svc{HOSTILE}",
        alertname=HOSTILE,
        labels={HOSTILE: HOSTILE},
        annotations={"summary": HOSTILE, HOSTILE: HOSTILE},
        generator_url="javascript:document.title='owned'",
        warnings=(HOSTILE,),
    )
    decision = await analysed(store, lease, now(), root_cause=HOSTILE, analyst_why=HOSTILE)
    pieces = [
        piece.model_copy(update={"finding": HOSTILE, "text": HOSTILE, "query": HOSTILE, "source": HOSTILE})
        for piece in evidence_of("x", now())
    ]
    pieces += [
        Evidence(id=f"E{9 + n}", kind="logs", source="s", finding=f"link {n}", url=url, data={"points": [[1, HOSTILE]]})
        for n, url in enumerate(
            ("javascript:alert(1)", "data:text/html,x", "//evil.example/x", "\tjavascript:alert(1)")
        )
    ]
    fields = {
        "decision": decision
        | {"why": HOSTILE, "handover": HOSTILE, "missing": {HOSTILE: HOSTILE}, "plan_hash": HOSTILE},
        "issue": {"iid": 7, "url": "javascript:document.title='owned'"},
        "status": "escalated",
        "reason": "low_confidence",
        "ended_at": now(),
        "runbook_id": HOSTILE,
        "category": HOSTILE,
    }
    thoughts = [Thought(node=HOSTILE, text=HOSTILE, data={"reasoning": HOSTILE})]
    await store.write(lease, Changes(incident=fields, evidence=pieces, thoughts=thoughts), now=now())
    await store.set_paused(True, by=HOSTILE[:150], reason=HOSTILE, now=now())
    return lease.incident_id


async def test_hostile_text_is_text_and_no_link_leaves_http(site: Site, store):
    incident_id = await hostile_incident(store)
    url, watched = await site(checks={"loki": _down}, missing={HOSTILE: Health("not_configured", HOSTILE, HOSTILE)})
    page = watched.page
    for path in ("/", f"/incidents/{incident_id}"):
        await page.goto(url + path)
        await live(page)
        for details in await page.locator("details").all():
            await details.evaluate("node => { node.open = true }")
        assert await page.locator("main img, main script, main svg[onload]").count() == 0
        assert await page.title() != "owned"
        assert await page.evaluate("document.querySelectorAll('[onerror], [onload]').length") == 0
    lease_thought = page.locator("#log li").last
    await expect(lease_thought).to_contain_text("<script>document.title='owned'</script>")
    hrefs = await page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert all(href.startswith(("/", "#", "http://", "https://")) and not href.startswith("//") for href in hrefs), (
        hrefs
    )
    assert watched.complaints == []
    assert all(asked.startswith(url) for asked in watched.requests), watched.requests


async def test_an_escalated_incident_says_what_is_wrong_what_was_done_and_what_to_do(site: Site, store):
    lease = await escalated(store, now())
    url, watched = await site()
    page = watched.page
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await expect(page.locator("#wrong")).to_contain_text("The certificate of ledger has expired")
    await expect(page.locator("#wrong")).to_contain_text("still firing")
    await expect(page.locator("#done")).to_contain_text("Nothing was changed. The cause is only 42 % sure")
    await expect(page.locator("#next")).to_contain_text("if so, follow runbook renew-certificate")
    assert lease.incident_id not in await page.locator("main").inner_text()
    await _resolve(store, lease)
    await page.reload()
    await expect(page.locator("#wrong")).to_contain_text("cleared")


@pytest.mark.parametrize("kind", [escalated, awaiting])
async def test_on_a_phone_the_first_screen_holds_what_somebody_who_was_woken_needs(site: Site, store, kind: Any):
    lease = await kind(store, now())
    url, watched = await site(context={"viewport": {"width": 390, "height": 844}})
    await watched.page.goto(f"{url}/incidents/{lease.incident_id}")
    wanted = ("#wrong", "#done", "#next") if kind is escalated else ("#wrong", "#decision")
    for section in wanted:
        # in one step: a live update may put another node in its place
        bottom = await watched.page.locator(section).evaluate("node => node.getBoundingClientRect().bottom")
        assert bottom <= 844, (section, bottom)
    blank = "all => all.filter(one => one.checkVisibility() && !one.innerText.trim()).length"
    assert await watched.page.locator("section").evaluate_all(blank) == 0
    if kind is awaiting:
        for name in ("Approve", "Reject"):
            await expect(watched.page.get_by_role("button", name=name)).to_be_in_viewport()


WORDY = "requests wait in vain for a connection from the pool, and the pool is 100 % in use by transactions " * 3
ALL_AT_ONCE = (
    Evidence(
        id="E20", kind="change", source="grafana", finding="noted", data={"own": [f"9 min before: {WORDY}"[:160]]}
    ),
    Evidence(id="E21", kind="change", source="gitlab", finding=WORDY[:300], data={"deployment": 7}),
    Evidence(id="E22", kind="logs", source="loki", finding="x", data={"top": [f"ERROR {WORDY}"[:160]]}),
)


@pytest.mark.parametrize("kind", [escalated, awaiting])
async def test_on_a_phone_a_long_story_leaves_room_for_what_is_asked(site: Site, store, kind: Any):
    said = {"summary": WORDY[:200], "description": WORDY}
    if kind is escalated:
        lease = await escalated(store, now(), annotations=said, evidence=ALL_AT_ONCE, root_cause=WORDY[:290])
    else:
        lease = await awaiting(store, now(), annotations=said)
        await store.write(lease, Changes(incident={"root_cause": WORDY[:290]}, evidence=ALL_AT_ONCE), now=now())
    url, watched = await site(context={"viewport": {"width": 390, "height": 844}})
    page = watched.page
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await expect(page.locator("#wrong .changed li").first).to_be_in_viewport(ratio=1)
    if kind is awaiting:
        for name in ("Approve", "Reject"):
            await expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
    else:
        await expect(page.locator("#done > p")).to_be_in_viewport(ratio=1)
        await expect(page.locator("#next > p").first).to_be_in_viewport(ratio=1)


async def test_where_no_cause_was_found_the_alert_speaks_and_a_person_says_what_it_was(site: Site, store):
    said = {"summary": "p95 of ledger is above 700 ms"}
    nothing = "No cause that the rules know shows in the evidence of ledger."
    lease = await escalated(store, now(), annotations=said, root_cause=nothing, category="unknown")
    url, watched = await site()
    page = watched.page
    await page.goto(url)
    await expect(page.locator("[data-live=needs] .row")).to_contain_text("no cause was found")
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await expect(page.locator("#wrong .trouble")).to_have_text("TLSHandshakeFailures: p95 of ledger is above 700 ms")
    await expect(page.get_by_role("button", name="The cause was right")).to_have_count(0)
    await page.get_by_text("What was the cause?").click()
    await page.get_by_label("What it was", exact=True).last.fill("a slow disk")
    await page.locator(".person").last.get_by_label("Who").fill("ada")
    await page.get_by_role("button", name="It was this").click()
    assert (await store.incident(lease.incident_id)).feedback["cause"] == "a slow disk"


async def test_a_person_acknowledges_closes_and_judges_the_cause_on_the_page(site: Site, store):
    lease = await escalated(store, now())
    url, watched = await site()
    page = watched.page
    await page.goto(url)
    await expect(page).to_have_title("1 need you · sreops")
    await expect(page.locator("[data-live=needs] .row")).to_contain_text("ledger")
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await page.locator(".seen").get_by_label("Who").fill("ada")
    await page.get_by_role("button", name="Acknowledge").click()
    await expect(page.locator("#wrong")).to_contain_text("acknowledged by ada")
    await page.goto(url)
    await expect(page).to_have_title("sreops")
    await expect(page.locator("[data-live=with-somebody] .row")).to_contain_text("with ada")
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await page.get_by_text("Was the cause right?").click()
    await page.get_by_role("button", name="The cause was right").click()
    await page.get_by_text("Close or give back").click()
    await page.locator("#next").get_by_label("Why").fill("renewed")
    await page.get_by_role("button", name="Close", exact=True).click()
    await expect(page.locator("#done")).to_contain_text("A person closed it")
    incident = await store.incident(lease.incident_id)
    assert (incident.status, incident.resolution, incident.closed["by"]) == ("resolved", "closed", "ada")


async def test_what_a_model_took_is_on_the_page_and_why_it_was_not_wholly_believed(site: Site, store):
    lease = await remedied(store, now())
    url, watched = await site()
    await watched.page.goto(f"{url}/incidents/{lease.incident_id}")
    cause = watched.page.locator("[data-live=cause]")
    for told in (
        "claude-sonnet-5-5", "$0.0612", "3, 1 of them failed", "41,250 in, 1,830 out", "33,000 tokens read (80%",
        "14.2 s, 4.7 s a call", "0.96 (taken down: all the evidence it cites is incomplete (0.96 → 0.91))",
    ):  # fmt: skip
        await expect(cause).to_contain_text(told)


async def test_where_no_model_was_asked_nothing_is_said_of_one(site: Site, store):
    lease = await open_incident(store, now())
    await store.write(lease, Changes(incident={"analyst": "rules", "root_cause": "x", "decision": {}}), now=now())
    url, watched = await site()
    await watched.page.goto(f"{url}/incidents/{lease.incident_id}")
    await expect(watched.page.locator("[data-live=cause]")).to_contain_text("rules")
    assert await watched.page.locator(".usage").count() == 0


async def _resolve(store: SqlIncidentStore, lease: Any) -> None:
    """Let the incident's alert end, as the bridge and correlation would write it."""
    firing = (await store.events(lease.incident_id))[0][0]
    ended = cleared(firing, received_at=now())
    await store.take_in([from_topic(ended, offset=1)], now=now())
    await store.correlate(ended, always("resolve", lease.incident_id, all_resolved=True), now=now())


async def _down() -> Health:
    return Health("down", HOSTILE, HOSTILE)


async def test_a_hostile_thought_that_arrives_live_is_text_too(site: Site, store):
    lease = await open_incident(store, now())
    url, watched = await site()
    await watched.page.goto(f"{url}/incidents/{lease.incident_id}")
    await live(watched.page)
    await think(store, lease, "enrich_context", HOSTILE, now())
    arrived = watched.page.locator("#log li").last
    await expect(arrived).to_contain_text("<img src=x onerror=")
    assert await watched.page.title() == "payments · sreops"
    assert await watched.page.locator("#log img, #log script").count() == 0
    assert watched.complaints == []


async def test_thoughts_arrive_once_each_and_in_order_while_details_stay_open(site: Site, store):
    lease = await open_incident(store, now())
    await analysed(store, lease, now())
    url, watched = await site()
    page = watched.page
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await live(page)
    reasoning = page.locator("[data-live=cause] details")
    await reasoning.locator("summary").click()
    before = await page.locator("#log li").count()
    for number in range(30):
        await think(store, lease, "match_runbook", f"thought {number}", now())
    await store.write(lease, Changes(incident={"confidence": 0.55}), now=now())
    await think(store, lease, "match_runbook", "the last", now())
    await expect(page.locator("#log li").last).to_contain_text("the last")
    await expect(page.locator("[data-live=cause]")).to_contain_text("0.55")
    said = await page.locator("#log li .said").all_text_contents()
    assert said[before:] == [f"thought {number}" for number in range(30)] + ["the last"]
    assert await reasoning.evaluate("node => node.open")
    await expect(page.locator(".stages .now")).to_contain_text("Runbook")


async def test_the_overview_follows_incidents_as_they_open_and_end(site: Site, store):
    url, watched = await site()
    page = watched.page
    await page.goto(url)
    await live(page)
    await expect(page.locator("[data-live=needs]")).to_contain_text("Nothing is wrong")
    lease = await open_incident(store, now(), "orders")
    await expect(page.locator("[data-live=work] .row")).to_contain_text("orders")
    fields = {"status": "resolved", "resolution": "recovered", "ended_at": now()}
    await store.write(lease, Changes(incident=fields, thoughts=[Thought(node="n", text="x")]), now=now())
    await expect(page.locator("[data-live=ended] .row")).to_contain_text("recovered")
    assert await page.locator("[data-live=work] .row").count() == 0


async def test_a_person_approves_while_thoughts_arrive_and_loses_no_typing(site: Site, store):
    lease = await awaiting(store, now())
    url, watched = await site()
    page = watched.page
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await live(page)
    await expect(page.locator(".approval .steps")).to_contain_text("restart container payments")
    await page.get_by_label("Who").last.fill("ada")
    await page.get_by_label("Why").last.fill("memory is full, restart is fine")
    await think(store, lease, "await_approval", "still waiting", now())
    await expect(page.locator("#log li").last).to_contain_text("still waiting")
    assert await page.locator(".approval [name=reason]").input_value() == "memory is full, restart is fine"
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator(".confirm")).to_contain_text("restart container payments")
    assert (await store.approval(lease.incident_id, 1)).decision is None, "what disrupts is confirmed first"
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator(".decided")).to_contain_text("approved by ada")
    approval = await store.approval(lease.incident_id, 1)
    assert (approval.decision, approval.by, approval.reason) == ("approved", "ada", "memory is full, restart is fine")


async def test_who_decides_sees_cause_confidence_evidence_what_it_hits_and_what_waiting_does(site: Site, store):
    lease = await awaiting(store, now())
    calling = Evidence(
        id="E7", kind="neighbour", source="neighbour", finding="checkout calls it",
        data={"service": "checkout", "role": "caller"},
    )  # fmt: skip
    deployed = Evidence(
        id="E8", kind="change", source="gitlab", finding="4.2.1 deployed 12 min before the alert by ada",
        data={"deployment": 7},
    )  # fmt: skip
    await store.write(lease, Changes(evidence=[calling, deployed]), now=now())
    url, watched = await site()
    await watched.page.goto(f"{url}/incidents/{lease.incident_id}")
    decision = watched.page.locator("#decision")
    await expect(decision).to_contain_text("91 % sure of the cause above. checkout calls it.")
    await decision.locator("summary").click()
    for told in (
        "The basket cache of payments grows without bound", "E3 memory rose from 210 MiB to 486 MiB",
        "Last change: 4.2.1 deployed 12 min before the alert by ada", "Nothing is done until somebody decides.",
        "the incident is handed over and nothing is changed; Reject does that at once", "tier supervised",
    ):  # fmt: skip
        await expect(decision).to_contain_text(told)


@pytest.mark.parametrize("script", [True, False])
async def test_enter_in_a_field_decides_nothing(site: Site, store, script: bool):
    lease = await awaiting(store, now())
    url, watched = await site(context={"java_script_enabled": script})
    page = watched.page
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    for label in ("Who", "Why"):
        field = page.get_by_label(label).last
        await field.fill("ada")
        await field.press("Enter")
        await field.press("Control+Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Approve")).to_be_focused()
    assert not [asked for asked in watched.requests if asked.endswith("/decision")]
    assert (await store.approval(lease.incident_id, 1)).decision is None


async def test_by_keyboard_alone_a_plan_is_rejected_and_another_approved_after_a_second_look(site: Site, store):
    rejected, approved = await awaiting(store, now(), "orders"), await awaiting(store, now(), "payments")
    url, watched = await site()
    page = watched.page
    await page.goto(f"{url}/incidents/{rejected.incident_id}")
    await page.get_by_label("Who").last.focus()
    await page.keyboard.type("ada")
    await page.keyboard.press("Tab")
    await page.keyboard.type("it drains by itself")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".decided")).to_contain_text("rejected by ada")
    await page.goto(f"{url}/incidents/{approved.incident_id}")
    await page.get_by_label("Why").last.focus()
    await page.keyboard.type("the heap is full")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".confirm")).to_be_visible()
    await page.keyboard.press("Enter")  # a second press of the same key, a moment later
    assert (await store.approval(approved.incident_id, 1)).decision is None
    await page.get_by_role("button", name="Approve").press("Enter")
    await expect(page.locator(".decided")).to_contain_text("approved by ada")


async def test_nothing_is_wrong_is_said_only_where_nothing_fires_and_nothing_waits(site: Site, store):
    lease = await escalated(store, now())
    url, watched = await site()
    page = watched.page
    await page.goto(url)
    await live(page)
    assert "Nothing is wrong" not in await page.locator("main").inner_text()
    await expect(page.locator("[data-live=needs] .row")).to_contain_text("ledger")
    await store.acknowledge(lease.incident_id, by="ada", reason="looking", now=now())
    await page.reload()
    assert "Nothing is wrong" not in await page.locator("main").inner_text()
    await _resolve(store, lease)
    await page.reload()
    # what waits in the inbox is counted now and then only: the page asks again by itself
    await expect(page.locator("[data-live=needs]")).to_contain_text("Nothing is wrong", timeout=30_000)
    await expect(page.locator("[data-live=ended] .row")).to_contain_text("ledger")
    assert await page.locator("[data-live=with-somebody] .row").count() == 0


async def test_an_alert_that_nobody_looked_at_yet_is_not_nothing(site: Site, store):
    await store.take_in([from_topic(alert("web", received_at=now()))], now=now())
    url, watched = await site()
    await watched.page.goto(url)
    await expect(watched.page.locator("[data-live=needs]")).to_contain_text("1 alert waits")
    assert "Nothing is wrong" not in await watched.page.locator("main").inner_text()


async def test_a_decision_that_comes_too_late_is_told_on_the_page(site: Site, store):
    lease = await awaiting(store, now())
    url, watched = await site()
    page = watched.page
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await page.get_by_label("Who").last.fill("ada")
    await page.get_by_label("Why").last.fill("no")
    plan_hash = (await store.approval(lease.incident_id, 1)).plan_hash
    await store.decide(lease.incident_id, approve=True, by="bob", reason="yes", plan_hash=plan_hash, now=now())
    await page.evaluate("document.querySelector('.decide [value=reject]').click()")
    await expect(page.get_by_role("alert")).to_contain_text("bob")


async def test_automation_is_paused_and_resumed_in_the_header(site: Site, store):
    url, watched = await site()
    page = watched.page
    await page.goto(url)
    for word, button in (("paused", "Pause automation"), ("on", "Resume automation")):
        await page.locator("[data-live=automation] > summary").click()
        await page.get_by_label("Who").fill("ada")
        await page.get_by_label("Why").fill("release day")
        await page.get_by_role("button", name=button).click()
        await expect(page.locator("[data-live=automation] > summary")).to_contain_text(f"automation {word}")
        assert (await store.pause_state())["paused"] is (word == "paused")


async def test_signing_in_and_out_and_a_link_from_another_site(site: Site, store):
    lease = await remedied(store, now() - timedelta(minutes=5))
    url, watched = await site(api_token=TOKEN)
    page = watched.page
    incident = f"{url}/incidents/{lease.incident_id}"
    await page.goto(incident)
    await page.get_by_label("API token").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not the API token")
    await page.goto(incident)
    await page.get_by_label("API token").fill(TOKEN)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(incident)
    await live(page)
    # the ticket's page links here from another site, where a strict cookie is not sent along
    other = f"http://localhost:{url.rpartition(':')[2]}/"
    await page.goto(other)
    await page.evaluate(
        "target => { const a = document.createElement('a'); a.href = target; document.body.append(a); a.click() }",
        incident,
    )
    await live(page)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API token")).to_be_visible()
    assert TOKEN not in str(await page.context.cookies())


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
async def test_no_page_is_wider_than_its_screen(site: Site, store, width: int):
    leases = [await remedied(store, now() - timedelta(minutes=9)), await escalated(store, now() - timedelta(minutes=8))]
    leases.append(await awaiting(store, now(), "a-service-with-a-very-long-name-without-any-blank-in-eu-central-1"))
    url, watched = await site(context={"viewport": {"width": width, "height": 800}})
    for path in ("/", *(f"/incidents/{lease.incident_id}" for lease in leases)):
        await watched.page.goto(url + path)
        wide, screen = await watched.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= screen, path


async def test_without_script_the_page_shows_and_decides_all_the_same(site: Site, store):
    lease = await awaiting(store, now())
    url, watched = await site(context={"java_script_enabled": False})
    page = watched.page
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await expect(page.locator("[data-live=cause]")).to_contain_text("heap is exhausted")
    await page.locator(".decide [name=by]").fill("ada")
    await page.locator(".decide [name=reason]").fill("no")
    await page.get_by_role("button", name="Reject").click()
    await expect(page.locator(".decided")).to_contain_text("rejected by ada")


async def test_from_an_incident_it_is_shown_what_was_asked_and_what_is_missing(site: Site, store):
    lease = await open_incident(store, now(), HOSTILE)
    hostile = [
        piece.model_copy(update={"finding": HOSTILE, "query": HOSTILE, "data": {"tried": [HOSTILE], "cure": HOSTILE}})
        for piece in evidence_of("payments", now())
    ]
    await store.write(lease, Changes(evidence=hostile), now=now())
    url, watched = await site()
    page = watched.page
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await page.get_by_role("link", name="What was asked").click()
    await expect(page.locator("h1")).to_contain_text("What was asked about")
    await expect(page.locator(".probe li")).to_have_count(5)  # container, logs, two metrics, and Grafana's gap
    await expect(page.locator(".alertbox")).to_contain_text("logs, other")
    await expect(page.locator(".probe")).to_contain_text("<script>document.title='owned'</script>")
    assert await page.locator("main img, main script, main svg[onload]").count() == 0
    assert watched.complaints == []


async def test_every_time_is_the_readers_own_and_utc_is_one_press_away(site: Site, store):
    lease = await awaiting(store, now() - timedelta(days=2), ttl_s=3 * 86400)
    url, watched = await site(context={"timezone_id": "Asia/Tokyo"})
    page = watched.page
    await page.goto(f"{url}/incidents/{lease.incident_id}")
    await live(page)
    await think(store, lease, "await_approval", "still waiting", now())
    await expect(page.locator("#log li").last).to_contain_text("still waiting")
    for zone, offset_h in (("Asia/Tokyo", 9), ("UTC", 0)):
        await expect(page.locator("#zone")).to_contain_text(f"times are {zone}")
        shown = await page.locator("time[data-at]").evaluate_all(
            "all => all.map(one => [one.dateTime, one.textContent, one.title, one.closest('[id]')?.id])"
        )
        assert {"wrong", "log", "decision"} <= {place for *_, place in shown}
        for moment, text, title, place in shown:
            at = datetime.fromisoformat(moment)
            local = at + timedelta(hours=offset_h)
            assert text.removesuffix(" UTC").endswith(f"{local:%H:%M:%S}"), (zone, place, text)
            assert text.endswith(" UTC") == (zone == "UTC"), (zone, place, text)
            assert title == f"{at:%Y-%m-%d %H:%M:%S} UTC"
        assert await page.locator("main time:not([data-at]):not([data-age])").count() == 0
        await page.get_by_role("button", name="show them in").click()


async def test_a_fix_is_proven_in_words_with_what_it_was_before_and_the_query_behind_it(site: Site, store):
    lease = await remedied(store, now())
    url, watched = await site()
    await watched.page.goto(f"{url}/incidents/{lease.incident_id}")
    done = watched.page.locator("#done")
    await expect(done).to_contain_text("Proof: Memory 41 % of its limit, was 94 %; payments is healthy, for 30 s")
    await done.get_by_text("How it was measured").click()
    await expect(done.locator("code")).to_contain_text("container_memory_working_set_bytes")
    assert lease.incident_id not in await watched.page.locator("main").inner_text()
