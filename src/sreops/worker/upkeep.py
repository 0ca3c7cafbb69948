"""Periodic work of no incident's graph: catching up tickets, starting analyses that joining alerts made due."""

import asyncio
from typing import Final

from sreops.agent.context import Tools
from sreops.agent.tickets import TicketDesk
from sreops.errors import SreopsError
from sreops.telemetry import log

CATCH_UP_FAILED: Final = "ticket.catch_up_failed"
JOINS_LOOK_FAILED: Final = "joins.look_failed"
ANALYSIS_BEGUN: Final = "joins.analysis_begun"

_TICKETS_EVERY_S = 2.0
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
