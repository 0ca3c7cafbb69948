"""Signing in by OpenID Connect in Chromium: the provider is another site to the browser, as it is in life."""

import asyncio
from datetime import UTC, datetime

import pytest
from playwright.async_api import async_playwright, expect

from contract.store_scene import fresh_store
from servers import installed
from servers.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider
from sreops.adapters import oidc
from sreops.adapters.store import SqlIncidentStore
from sreops.settings import OidcSettings
from web.web_scene import WallClock, awaiting, scene, serving

store = pytest.fixture(fresh_store)

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.needs("oidc-provider")]


async def test_from_a_link_through_the_provider_to_an_approval_in_ones_own_name(store: SqlIncidentStore) -> None:
    """The strict cookie does not come with what follows from another site: the page must see to that."""
    lease = await awaiting(store, datetime.now(UTC))
    provider = OidcProvider([], {"olga": ["sre"]}, host="localhost")  # and sreops is 127.0.0.1: two sites
    settings = OidcSettings(
        issuer=provider.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, roles={"sre": "operator"}
    )
    made = scene(store, WallClock(), oidc=settings.model_dump(), identity=oidc.OidcProvider(settings))
    async with serving(made.app, made.context.stopping) as url, async_playwright() as playwright:
        provider.sends_back_to(f"{url}/sign-in/callback")
        await asyncio.to_thread(provider.start)
        try:
            path = str(installed.path_of("chromium"))
            browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = await browser.new_page()
            await page.goto(f"{url}/incidents/{lease.incident_id}")
            await page.get_by_role("link", name="Sign in with localhost").click()
            await page.locator("input[name=login]").fill("olga")
            await page.locator("input[name=password]").fill("any")
            await page.locator("button[type=submit]").click()
            await page.locator("button[type=submit]").click()  # consent
            await expect(page).to_have_url(f"{url}/incidents/{lease.incident_id}", timeout=20_000)
            await expect(page.locator("section.approval")).to_contain_text("Signed as olga")
            await page.get_by_label("Why").last.fill("it is right")
            await page.get_by_role("button", name="Approve").click()
            await page.get_by_role("button", name="Approve").click()  # it disrupts: asked once more
            await expect(page.locator(".decided")).to_contain_text("olga", timeout=20_000)
            approval = await store.approval(lease.incident_id, 1)
            assert approval is not None
            assert (approval.decision, approval.by) == ("approved", "olga")
            # from a page of another site, as from a ticket or a chat
            await page.goto(f"{provider.issuer}/.well-known/openid-configuration")
            await page.evaluate("to => { location.href = to }", f"{url}/")
            await expect(page.locator("main")).to_be_visible(timeout=20_000)
            await page.get_by_role("link", name="olga").click()
            await page.get_by_role("button", name="Sign out everywhere").click()
            await expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=20_000)
            await browser.close()
        finally:
            await asyncio.to_thread(provider.close)
