"""Where a process is opened, run and closed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from sreops import __version__
from sreops.adapters.database.data_dir_lock import DataDirLock
from sreops.adapters.database.opening import open_database
from sreops.agent.question import answer_question
from sreops.app.background import background_tasks
from sreops.app.event_log import build_event_log, build_spool, with_spool
from sreops.app.parts import build_parts
from sreops.app.process import Running
from sreops.app.store import build_store, steady_clock
from sreops.ports import EventLog, Health
from sreops.settings import Settings
from sreops.telemetry import log
from sreops.web.application import build_web
from sreops.web.context import WebContext

PART_MISSING: Final = "sreops.part_missing"


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Open everything, start the background tasks, and close it all in the reverse order."""
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(DataDirLock(settings.data_dir))
        database = await stack.enter_async_context(open_database(settings, build_store(settings)))
        store = database.store
        event_log = build_event_log(settings)
        spooled = build_spool(settings, event_log)
        accepting: EventLog = spooled or event_log
        await accepting.start()
        stack.push_async_callback(accepting.stop)
        parts = build_parts(settings, store, event_log, await steady_clock(store))
        for close in parts.closers:
            stack.push_async_callback(close)
        for name, health in parts.missing.items():
            log.warning(PART_MISSING, part=name, detail=health.detail, cure=health.cure)
        wake, stopping, broken = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def reading() -> Health:
            return app.reading() if app.reading is not None else Health("up", "not the role of this process")

        web = build_web(
            WebContext(
                settings=settings,
                clock=parts.tools.clock,
                event_log=accepting,
                store=store,
                runbooks=parts.tools.runbooks,
                checks={**with_spool(parts.checks, spooled), **database.checks, "intake": reading},
                missing=parts.missing,
                wake=wake,
                stopping=stopping,
                version=__version__,
                spool=spooled.state if spooled else None,
                identity=parts.identity,
                channels={channel.name: channel.label for channel in parts.notifier.channels} if parts.notifier else {},
                ask=partial(answer_question, parts.tools),
            )
        )
        app = Running(settings=settings, web=web, parts=parts, stopping=stopping, broken=broken, spooled=spooled)
        await stack.enter_async_context(background_tasks(app, database, wake))
        yield app
