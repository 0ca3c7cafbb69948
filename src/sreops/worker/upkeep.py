"""Periodic work that belongs to no incident's graph: ticket catch-up, who joined, the watchdog, the gauges."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from sreops.agent.context import Tools
from sreops.agent.tickets import TicketDesk
from sreops.errors import SreopsError
from sreops.telemetry import BACKLOG, BACKLOG_AGE, NEEDS_PERSON, log

INCIDENT_OVERDUE: Final = "watchdog.incident_overdue"
CATCH_UP_FAILED: Final = "ticket.catch_up_failed"
JOINS_LOOK_FAILED: Final = "joins.look_failed"
WATCHDOG_LOOK_FAILED: Final = "watchdog.look_failed"
ANALYSIS_BEGUN: Final = "joins.analysis_begun"

_TICKETS_EVERY_S = 2.0
_WATCH_EVERY_S = 5.0
_JOINS_EVERY_S = 1.0


async def catch_up_tickets(desk: TicketDesk) -> None:
    """Carry out ticket writes that are due, for ever: what GitLab did not take comes again, in order."""
    while True:
        try:
            await desk.drain()
        except SreopsError as exc:
            log.warning(CATCH_UP_FAILED, error=str(exc))
        await asyncio.sleep(_TICKETS_EVERY_S)


async def analyse_again(tools: Tools, wake: asyncio.Event) -> None:
    """Begin, for ever, the analyses that are due because of who joined an incident."""
    while True:
        try:
            begun = await tools.store.begin_rejoins(now=tools.clock.now())
        except SreopsError as exc:
            log.warning(JOINS_LOOK_FAILED, error=str(exc))
        else:
            for incident_id in begun:
                log.info(ANALYSIS_BEGUN, incident_id=incident_id)
                wake.set()
        await asyncio.sleep(_JOINS_EVERY_S)


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
