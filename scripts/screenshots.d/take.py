"""Screenshots of sreops at work: plays the demo, and photographs its pages as people see them.

scripts/screenshots [FOLDER]      into docs/screenshots, or the folder
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, async_playwright

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
DESK = {"viewport": {"width": 1280, "height": 800}}
PATIENCE_S = 240.0


class Demo:
    """The running demo, and its API."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, token: str) -> None:
        self.process = process
        self.url = url
        self.token = token
        headers = {"Authorization": f"Bearer {token}"}
        self.client = httpx.AsyncClient(base_url=url, headers=headers, timeout=10, trust_env=False)

    async def incident(self, service: str, status: str) -> str:
        """Return the id of the service's incident once it has this status."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self.client.get("/api/incidents", params={"service": service, "status": status})
                if items := answer.json()["items"]:
                    return str(items[0]["id"])
                await asyncio.sleep(0.2)


async def started() -> Demo:
    """Start the demo, and wait until it says where its page is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-m", "sreops", "demo", "--stay", "--approve-after", "30", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while line := (await process.stdout.readline()).decode():
            if found := re.search(r"The page: (http\S+?)/, and its API token: (\S+)", line):
                demo = Demo(process, found[1], found[2])
                demo.reader = asyncio.create_task(_drain(process.stdout))  # type: ignore[attr-defined]  # kept alive
                return demo
    raise SystemExit("the demo ended before it said where its page is")


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


async def take(
    browser: Browser, demo: Demo, name: str, path: str, look: dict[str, Any], *, whole: bool = False
) -> None:
    """Sign in, open a page, and keep its picture."""
    context = await browser.new_context(**look, reduced_motion="reduce", timezone_id="Europe/Berlin")
    page = await context.new_page()
    await page.goto(f"{demo.url}/")
    await page.get_by_label("API token").fill(demo.token)
    await page.get_by_role("button", name="Sign in").click()
    await page.locator("[data-live=needs]").wait_for()
    await page.goto(demo.url + path)
    await page.locator("main h1").first.wait_for()
    await page.screenshot(path=FOLDER / f"{name}.png", full_page=whole)
    await context.close()
    print(f"{FOLDER / name}.png")


async def main() -> None:
    """Play and photograph."""
    chromium = shutil.which("chromium") or sys.exit("chromium is not installed: apt-get install chromium")
    FOLDER.mkdir(parents=True, exist_ok=True)
    demo = await started()
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            waiting = f"/incidents/{await demo.incident('inventory', 'awaiting_approval')}"
            await take(browser, demo, "decide-phone", waiting, PHONE | {"color_scheme": "dark"})
            await take(browser, demo, "decide", waiting, DESK)
            handed_over = f"/incidents/{await demo.incident('ledger-db', 'escalated')}"
            await take(browser, demo, "handed-over-phone", handed_over, PHONE)
            mended = f"/incidents/{await demo.incident('payments', 'resolved')}"
            await take(browser, demo, "fixed", mended, DESK)
            await take(browser, demo, "overview", "/", DESK)
            await take(browser, demo, "overview-phone", "/", PHONE)
            await take(browser, demo, "search", "/incidents?severity=critical", DESK)
            await browser.close()
    finally:
        await demo.client.aclose()
        demo.process.send_signal(signal.SIGINT)
        await demo.process.wait()


if __name__ == "__main__":
    if sys.argv[1:]:
        FOLDER = Path(sys.argv[1])
    asyncio.run(main())
