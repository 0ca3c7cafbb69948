"""Carrying the kill switch of a file to all replicas: through the store, where it appears and where it goes."""

import asyncio
from typing import Final

from sreops.errors import StoreUnavailable
from sreops.ports import Clock, IncidentStore, PauseFile
from sreops.telemetry import log

EVERY_S: Final = 1.0
STORE_AWAY: Final = "automation.store_away"
SWITCHED: Final = "automation.switched_by_file"


class PauseFileWatch:
    """Pauses automation while the file is there; when it goes, takes back what the file did, and nothing else."""

    def __init__(self, *, store: IncidentStore, file: PauseFile, clock: Clock, host: str) -> None:
        self._store = store
        self._file = file
        self._clock = clock
        self._by = f"file PAUSE on {host}"

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as exc:  # the process that has the file asks it itself before each effect
                log.warning(STORE_AWAY, error=str(exc))
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Look once."""
        why, state = await self._file.reason(), await self._store.pause_state()
        if why is not None and not state["paused"]:
            await self._switch(True, why)
        elif why is None and state["paused"] and state["by"] == self._by:
            await self._switch(False, "the file is gone")

    async def _switch(self, paused: bool, why: str) -> None:
        log.warning(SWITCHED, paused=paused, by=self._by, reason=why)
        await self._store.set_paused(paused, by=self._by, reason=why, now=self._clock.now())
