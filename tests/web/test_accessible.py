"""Every page without a violation that axe-core finds, light and dark, on a phone and wide; and without a mouse."""

from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from contract.store_scene import alert, fresh_store, from_topic
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import Severity
from sreops.domain.alerts.routing import NotWorkedOn
from sreops.ports import Changes
from web.browser_scene import HOSTILE, TOKEN, Site, chromium, live, now, sites
from web.web_scene import analysed, awaiting, escalated, open_incident, remedied

store = pytest.fixture(fresh_store)
browser = pytest.fixture(chromium)
site = pytest.fixture(sites)

pytestmark = pytest.mark.needs("chromium")


async def one_of_each(store: SqlIncidentStore) -> dict[str, str]:
    """Put an incident in every state there, and an alert that is only recorded; return the pages to look at."""
    began = now() - timedelta(minutes=3)
    at_work = await open_incident(store, began, "search")
    await analysed(store, at_work, began)
    waiting = await awaiting(store, began)
    handed_over, mended = await escalated(store, began), await remedied(store, began, "cart")
    acknowledged = await escalated(store, began, "mail")
    await store.acknowledge(acknowledged.incident_id, by="ada", reason="I look", now=now())
    storm = await open_incident(store, began, "nodes", alertname="NodeDown")
    named = {"storm": {"labels": {"alertname": "NodeDown", "cluster": "eu-1"}, "members": 70}}
    await store.write(storm, Changes(incident={"status": "escalated", "reason": "storm", "decision": named,
                                               "ended_at": now()}), now=now())  # fmt: skip
    hostile = await open_incident(store, began, HOSTILE, alertname=HOSTILE, annotations={"summary": HOSTILE})
    await analysed(store, hostile, began, root_cause=HOSTILE)
    info = alert("disk", severity=Severity.info, received_at=began)
    await store.take_in([from_topic(info)], now=began, recorded={info.event_id: NotWorkedOn.severity})
    incidents = {
        "at work": at_work, "waits": waiting, "handed over": handed_over, "mended": mended,
        "acknowledged": acknowledged, "storm": storm, "hostile": hostile,
    }  # fmt: skip
    return {
        "overview": "/",
        "all incidents": "/incidents",
        "a search": "/incidents?text=nothing+like+it&since=24h",
        "a wrong search": "/incidents?since=x",
        "recorded": "/recorded",
        "webhooks": "/webhooks",
        "runbooks": "/runbooks",
        "account": "/account",
        "not there": "/incidents/nobody",
        "probe": f"/incidents/{handed_over.incident_id}/probe",
        **{name: f"/incidents/{lease.incident_id}" for name, lease in incidents.items()},
    }


async def sign_in(page: Page, url: str) -> None:
    await page.goto(f"{url}/")
    await page.get_by_label("API token").fill(TOKEN)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("[data-live=needs]")).to_be_visible()


async def violations(page: Page, name: str) -> list[str]:
    found = (await Axe().run(page)).response["violations"]
    return [
        f"{name}: {one['id']} ({one['impact']}): {one['help']}: {node['html'][:160]} {node.get('failureSummary', '')}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_axe_finds_nothing_on_any_page(site: Site, store: SqlIncidentStore, scheme: str, width: int) -> None:
    pages = await one_of_each(store)
    shown: dict[str, Any] = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    url, watched = await site(api_token=TOKEN, context=shown | {"reduced_motion": "reduce"})
    page = watched.page
    await page.goto(f"{url}/")
    found = await violations(page, "sign-in")
    await sign_in(page, url)
    for name, path in pages.items():
        await page.goto(url + path)
        found += await violations(page, name)
        # and with everything open: what is folded is read too
        await page.locator("details:not(.drop)").evaluate_all("all => all.forEach(one => { one.open = true })")
        found += await violations(page, f"{name}, unfolded")
    for drop in ("health", "automation"):
        await page.goto(f"{url}/")
        await page.locator(f"details[data-live={drop}] > summary").click()
        found += await violations(page, drop)
    await page.goto(url + pages["waits"])
    await page.get_by_label("Who").last.fill("ada")
    await page.get_by_label("Why").last.fill("memory is full")
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator(".confirm")).to_be_visible()
    found += await violations(page, "the second look")
    assert sorted(set(found)) == []


async def test_a_violation_would_be_found(site: Site) -> None:
    url, watched = await site()
    await watched.page.goto(f"{url}/runbooks")
    await watched.page.locator("main h1").evaluate(
        "one => { one.style.color = '#aaa'; one.innerHTML += '<img src=x>' }"
    )
    found = " ".join(await violations(watched.page, "spoilt"))
    assert "color-contrast" in found
    assert "image-alt" in found


async def test_with_reduced_motion_nothing_moves(site: Site, store: SqlIncidentStore) -> None:
    lease = await open_incident(store, now())
    url, watched = await site(context={"reduced_motion": "reduce"})
    await watched.page.goto(f"{url}/incidents/{lease.incident_id}")
    await live(watched.page)
    moving = "[...document.querySelectorAll('*')].filter(one => one.getAnimations().length).length"
    await analysed(store, lease, now())
    await expect(watched.page.locator("#log li").last).to_contain_text("Cause:")
    assert await watched.page.evaluate(moving) == 0


async def test_by_keyboard_alone_every_control_is_reached_and_seen_to_be_reached(
    site: Site, store: SqlIncidentStore
) -> None:
    pages = await one_of_each(store)
    url, watched = await site()
    page = watched.page
    for name in ("overview", "all incidents", "waits", "handed over"):
        await page.goto(url + pages[name])
        await live(page) if name != "all incidents" else None
        wanted = await page.evaluate(REACHABLE)
        reached = []
        for _ in range(wanted + 3):
            await page.keyboard.press("Tab")
            seen = await page.evaluate(FOCUSED)
            if seen is None:
                break
            reached.append(seen)
        assert len(reached) >= wanted, (name, wanted, len(reached))
        assert all(one["outline"] for one in reached), (name, [one["html"] for one in reached if not one["outline"]])


REACHABLE = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter(one => !one.disabled && one.type !== 'hidden' && one.checkVisibility()).length"""
FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one);
  const outline = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
  return { outline, html: one.outerHTML.slice(0, 120) };
}"""
