"""A running process: what is open, and how it is told to stop."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette

from sreops.adapters.event_log.spooled import SpooledEventLog
from sreops.app.parts import Parts
from sreops.ports import Health
from sreops.settings import Settings
from sreops.worker.dispatch import Dispatcher


@dataclass
class Running:
    """A running process: its web application, and how it is told to stop. ``broken`` is set by a failed part."""

    settings: Settings
    web: Starlette
    parts: Parts
    stopping: asyncio.Event
    broken: asyncio.Event
    spooled: SpooledEventLog | None = None
    dispatch: Dispatcher | None = None
    intake: asyncio.Task[None] | None = None
    reading: Callable[[], Health] | None = None
    background: list[asyncio.Task[None]] = field(default_factory=list)

    async def drain(self) -> None:
        """Stop taking work, let running incidents come to their next node boundary, within the grace."""
        self.stopping.set()
        if self.intake is not None:
            self.intake.cancel()
        if self.dispatch is None:
            return
        self.dispatch.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.shutdown_grace_s):
                await self.dispatch.idle()
