"""Where the incident store is built, and the clock that goes on from it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from sreops.adapters.sql.postgres import read_url
from sreops.adapters.steady_clock import SteadyClock
from sreops.adapters.store import SqlIncidentStore
from sreops.errors import StoreUnavailable
from sreops.settings import Settings


def build_store(settings: Settings) -> SqlIncidentStore:
    """Return the incident store that the settings name, not yet open; raises SettingsInvalid for no such address."""
    key = settings.audit_key.get_secret_value().encode() if settings.audit_key else None
    if settings.database_url:
        read_url(settings.database_url)  # raises SettingsInvalid for what would else be taken for a file's name
    windows = settings.correlation
    longest_s = max(windows.clear_grace_s, windows.refire_window_s, windows.escalated_window_s) + 3600
    return SqlIncidentStore(settings.database_url or _file(settings), key, longest_window_s=longest_s)


def missing_file(settings: Settings) -> Path | None:
    """Return the database's file where it is to be one and is not there: opening it would make an empty one."""
    file = _file(settings)
    return None if settings.database_url or file.is_file() else file


def _file(settings: Settings) -> Path:
    return settings.data_dir / "sreops.db"


@contextlib.asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[SqlIncidentStore]:
    """Open the incident store alone, for commands that only read."""
    store = build_store(settings)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def steady_clock(store: SqlIncidentStore) -> SteadyClock:
    """Return a clock that goes on from the last time that the store was told."""
    clock = SteadyClock()
    with contextlib.suppress(StoreUnavailable):  # PostgreSQL may be away: then nothing is known to be later
        for record in await store.records(newest=True, limit=1):
            clock.not_before(record.at)
    return clock
