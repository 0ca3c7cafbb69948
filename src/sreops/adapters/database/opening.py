"""What a process keeps in its database: the incident store and the graphs' checkpoints, opened together.

SQLite must open at the start: only a person can help where it does not. PostgreSQL may be away: the process then
serves without it (alerts go to the event log), says so in ``/health``, and opens it when it is there.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from langgraph.checkpoint.base import BaseCheckpointSaver

from sreops.adapters.database.checkpoints import open_checkpointer
from sreops.adapters.sql.postgres import NEEDS_EXTRA, is_postgres
from sreops.adapters.store import SqlIncidentStore
from sreops.backoff import Backoff
from sreops.errors import SettingsInvalid, StoreUnavailable
from sreops.ports import Health
from sreops.settings import Settings
from sreops.telemetry import log

AWAY: Final = "store.open_failed"
OPENED: Final = "store.opened"
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 4.0


async def _nothing_to_tend() -> None:
    """SQLite needs nobody to look after it."""


@dataclass(frozen=True)
class ProcessDatabase:
    """Store and checkpoints; ``ready`` is set once both can be used, and ``tend`` must run all the while.

    ``shared``: other replicas may use the same one.
    """

    store: SqlIncidentStore
    saver: BaseCheckpointSaver[str]
    shared: bool
    ready: asyncio.Event
    tend: Callable[[], Awaitable[None]] = _nothing_to_tend
    checks: Mapping[str, Callable[[], Awaitable[Health]]] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def open_database(settings: Settings, store: SqlIncidentStore) -> AsyncIterator[ProcessDatabase]:
    """Open both; raises SettingsInvalid, AlreadyRunning, and StoreUnavailable where waiting would not help."""
    ready = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        if not is_postgres(settings.database_url):
            await store.open()
            saver = await stack.enter_async_context(open_checkpointer(settings.data_dir / "checkpoints.db"))
            ready.set()
            yield ProcessDatabase(store, saver, shared=False, ready=ready)
            return
        try:
            from sreops.adapters.database.postgres_checkpoints import PostgresCheckpoints  # noqa: PLC0415
            from sreops.adapters.database.postgres_membership import Membership  # noqa: PLC0415  # the driver is an extra
        except ImportError as exc:
            raise SettingsInvalid([NEEDS_EXTRA]) from exc
        membership = Membership(
            settings.database_url,
            alone=not settings.kafka.bootstrap_servers,
            tolerated_s=settings.worker.lease_s / 3,
        )
        stack.push_async_callback(membership.leave)
        checkpoints = PostgresCheckpoints(settings.database_url)
        stack.push_async_callback(checkpoints.stop)
        await checkpoints.start()

        async def open_all() -> None:
            try:
                await membership.join()
            except StoreUnavailable as exc:
                store.closed_because(str(exc))
                raise
            await store.open()
            await checkpoints.set_up()
            ready.set()

        async def tend() -> None:
            await _until_it_works(open_all)
            log.info(OPENED)
            while True:
                await _until_it_works(membership.stay)

        try:
            await open_all()
        except StoreUnavailable as exc:
            if not exc.retryable:
                raise
            log.warning(AWAY, error=str(exc))

        async def members() -> Health:
            return membership.health()

        checks = {"replicas": members}
        yield ProcessDatabase(store, checkpoints.saver, shared=True, ready=ready, tend=tend, checks=checks)


async def _until_it_works(work: Callable[[], Awaitable[None]]) -> None:
    backoff = Backoff(_FIRST_RETRY_S, _LAST_RETRY_S)
    while True:
        try:
            await work()
        except StoreUnavailable as exc:
            log.warning(AWAY, error=str(exc))
            await backoff.wait()
        else:
            return
