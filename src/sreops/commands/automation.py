"""automation pause, resume, status: the kill switch, also beside serving processes, for all replicas."""

import asyncio
import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sreops.app import open_store
from sreops.app.store import missing_file, steady_clock
from sreops.commands.terminal import Terminal, complaints
from sreops.settings import load_settings


def switch(*, paused: bool, reason: str) -> int:
    """Pause or resume, audited; exit status 0."""
    return asyncio.run(_switch(paused, reason))


def status() -> int:
    """Say whether automation is paused; exit status 0."""
    return asyncio.run(_status())


async def _switch(paused: bool, reason: str) -> int:
    settings = load_settings()
    new = missing_file(settings)  # then nobody looks at this switch
    async with open_store(settings) as store:
        now = (await steady_clock(store)).now()
        by = f"command line of {getpass.getuser()}"
        await store.set_paused(paused, by=by, reason=reason, now=now)
        _tell(await store.pause_state())
    _warn(new)
    return 0


async def _status() -> int:
    settings = load_settings()
    new = missing_file(settings)  # then nobody looks at this switch
    async with open_store(settings) as store:
        _tell(await store.pause_state())
    _warn(new)
    return 0


def _warn(new: Path | None) -> None:
    if new is not None:
        cure = "SREOPS_DATA_DIR (or SREOPS_DATABASE_URL) must name the one of the sreops that serves"
        complaints().say(f"{new}: there was no such database, so no sreops that runs looks at it; {cure}")


def _tell(state: Mapping[str, Any]) -> None:
    terminal = Terminal()
    if state["at"] is None:
        terminal.say("automation runs; nobody has ever paused it")
        return
    why = f": {state['reason']}" if state["reason"] else ""
    what = "automation is paused" if state["paused"] else "automation runs"
    terminal.say(f"{what}, by {state['by']} at {state['at']:%Y-%m-%d %H:%M:%S} UTC{why}")
