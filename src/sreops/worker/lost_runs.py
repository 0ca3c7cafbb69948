"""Runs that ended without a word, because their process died: counted, begun again, and in the end given up.

What kills its process kills the runs beside it too. So a run's last start is made while no other suspected run is
active: if the process dies again, this run was the cause.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sreops.agent.runner import Runner
from sreops.ports import IncidentStore, Lease


class LostRuns:
    """Counts in the store before the graph runs; ``most`` is how often a run may die at one checkpoint."""

    def __init__(self, runner: Runner, store: IncidentStore, most: int) -> None:
        self._runner = runner
        self._store = store
        self._most = most
        self._alone = asyncio.Lock()
        self.waiting = 0

    @contextlib.asynccontextmanager
    async def begun_again(self, lease: Lease) -> AsyncIterator[bool]:
        """Yield whether the graph may run: False where it died too often at this very place."""
        async with self._turn(lease):
            start = await self._store.begin_again(lease, place=await self._runner.place(lease))
            yield start <= self._most

    @contextlib.asynccontextmanager
    async def _turn(self, lease: Lease) -> AsyncIterator[None]:
        if lease.starts + 1 < self._most:
            yield
            return
        self.waiting += 1
        try:
            await self._alone.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._alone.release()
