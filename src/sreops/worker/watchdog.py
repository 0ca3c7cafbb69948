"""The watchdog: incidents that are open for too long are interrupted and woken, and the gauges are set."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from sreops.agent.context import Tools
from sreops.errors import SreopsError
from sreops.telemetry import BACKLOG, BACKLOG_AGE, NEEDS_PERSON, log

INCIDENT_OVERDUE: Final = "watchdog.incident_overdue"
WATCHDOG_LOOK_FAILED: Final = "watchdog.look_failed"

_WATCH_EVERY_S = 5.0


async def watch(tools: Tools, wake: asyncio.Event, interrupt: Callable[[Sequence[str]], None]) -> None:
    """Wake incidents that are open for too long (dispatch then escalates them) and measure the backlog."""
    while True:
        try:
            await watch_once(tools, wake, interrupt)
        except SreopsError as exc:
            log.warning(WATCHDOG_LOOK_FAILED, error=str(exc))
        await asyncio.sleep(_WATCH_EVERY_S)


async def watch_once(tools: Tools, wake: asyncio.Event, interrupt: Callable[[Sequence[str]], None]) -> None:
    """Look once; what is open for too long is interrupted where it runs, and woken where it sleeps."""
    now = tools.clock.now()
    overdue = await tools.store.overdue(now=now, max_incident_s=tools.settings.worker.max_incident_s)
    interrupt(overdue)
    for incident_id in overdue:
        log.warning(INCIDENT_OVERDUE, incident_id=incident_id)
        await tools.store.wake(incident_id, woken_by="timer")
        wake.set()
    backlog = await tools.store.backlog(now=now)
    for what in ("inbox", "ready", "running", "waiting", "open_incidents", "outbox", "tickets"):
        BACKLOG.labels(what).set(getattr(backlog, what))
    for need, count in (await tools.store.needs_counts(now=now)).items():
        NEEDS_PERSON.labels(need.value).set(count)
    BACKLOG_AGE.labels("ready").set(backlog.oldest_ready_s)
    BACKLOG_AGE.labels("open").set(backlog.oldest_open_s)
