"""Reading the runbooks file again when it changes: a bad one leaves the old one in force, and says so."""

import asyncio
from collections.abc import Callable
from typing import Final

from sreops.domain.records.record import Action
from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.in_force import RunbooksInForce, version_of
from sreops.errors import RunbooksInvalid, StoreUnavailable
from sreops.ports import Clock, Health, IncidentStore
from sreops.telemetry import log

EVERY_S: Final = 2.0
RUNBOOKS_NOT_AUDITED: Final = "runbooks.not_audited"
RELOADED: Final = "runbooks.reloaded"
REFUSED: Final = "runbooks.refused"
_TOLD = 3  # of the faults of a bad file, in health and log


class RunbooksReloader:
    """Looks at the file every two seconds; ``read`` returns its text and name, or raises RunbooksInvalid."""

    def __init__(
        self,
        *,
        in_force: RunbooksInForce,
        read: Callable[[], tuple[str, str]],
        store: IncidentStore,
        clock: Clock,
        host: str,
    ) -> None:
        self.in_force = in_force
        self._read = read
        self._store = store
        self._clock = clock
        self._host = host
        self._seen = in_force.version
        self._noted = ""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Read the file where it has changed, and see that the audit knows which version is in force."""
        try:
            text, shown = await asyncio.to_thread(self._read)
        except RunbooksInvalid as exc:
            self._refuse("", exc)
        else:
            if (version := version_of(text)) != self._seen:
                await self._take(text, shown, version)
        if self._noted != self.in_force.version:
            await self._note()

    async def _take(self, text: str, shown: str, version: str) -> None:
        try:
            runbooks = await asyncio.to_thread(load_runbooks, text, path=shown)
        except RunbooksInvalid as exc:
            self._refuse(version, exc)
            return
        self._seen = version
        self.in_force.take(runbooks, shown=shown, version=version)
        log.warning(RELOADED, path=shown, count=len(runbooks), version=version)

    def _refuse(self, version: str, exc: RunbooksInvalid) -> None:
        more = len(exc.problems) - _TOLD
        fault = "; ".join([*exc.problems[:_TOLD], *([f"and {more} more"] if more > 0 else [])])
        self._seen = version
        if fault != self.in_force.fault:
            log.error(REFUSED, problems=list(exc.problems[:_TOLD]), in_force=self.in_force.version)
        self.in_force.refuse(fault)

    async def _note(self) -> None:
        """Audit which runbooks are in force, once for all replicas that have the same."""
        books = self.in_force
        action = Action(
            action="change_runbooks",
            phase="decision",
            target="runbooks",
            by=f"file {books.shown} on {self._host}",
            detail=f"{len(books)} runbooks are in force",
            data={"version": books.version, "ids": [book.id for book in books]},
        )
        try:
            await self._store.note_rules(action, now=self._clock.now())
        except StoreUnavailable as exc:
            log.warning(RUNBOOKS_NOT_AUDITED, error=str(exc))
            return
        self._noted = books.version


async def runbooks_health(in_force: RunbooksInForce) -> Health:
    """Say which runbooks are in force, and whether the file as it is now could be read."""
    told = f"{len(in_force)} runbooks of {in_force.shown}, version {in_force.version}"
    if not in_force.fault:
        return Health("up", told)
    cure = "mend the file (`sreops runbooks lint` says where); it is read again by itself"
    return Health("down", f"the file can't be used: {in_force.fault}; still in force: {told}", cure)
