"""What the tests in a browser share: Chromium, a site on a real store, and a page that is watched."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from servers import installed
from sreops.adapters.store import SqlIncidentStore
from web.web_scene import WallClock, scene, serving

TOKEN = "a-long-token-of-the-api"
HOSTILE = (
    "<script>document.title='owned'</script>"
    '"><img src=x onerror="document.title=\'owned\'">'
    "'><svg onload=\"document.title='owned'\">"
    "{{ 7*7 }} </pre></textarea></title> javascript:document.title='owned' \u202e\x07"
)
Site = Callable[..., Any]


def now() -> datetime:
    return datetime.now(UTC)


class Watched:
    """A page, the requests it made, and what its console complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)


async def chromium() -> AsyncIterator[Browser]:
    """A fixture, where a test module names it so: Debian's Chromium."""
    async with async_playwright() as playwright:
        path = str(installed.path_of("chromium"))
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def sites(browser: Browser, store: SqlIncidentStore) -> AsyncIterator[Site]:
    """A fixture, where a test module names it so: start a site and open a page; returns its address and the page."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*, context: dict[str, Any] | None = None, **settings: Any) -> tuple[str, Watched]:
            made = scene(store, WallClock(), **settings)
            url = await stack.enter_async_context(serving(made.app, made.context.stopping))
            opened: BrowserContext = await browser.new_context(**(context or {}))
            stack.push_async_callback(opened.close)
            return url, Watched(await opened.new_page())

        yield start


async def live(page: Page) -> None:
    """Wait until the page has its stream."""
    await expect(page.locator("#live")).to_have_text("live")
