"""Where the incident store is built, and the clock that goes on from it."""

import contextlib
from collections.abc import AsyncIterator

from sreops.adapters.sql.postgres import is_postgres
from sreops.adapters.steady_clock import SteadyClock
from sreops.adapters.store import SqlIncidentStore
from sreops.errors import StoreUnavailable
from sreops.settings import Settings


def build_store(settings: Settings) -> SqlIncidentStore:
    """Return the incident store that the settings name, not yet open; raises SettingsInvalid for no such address."""
    key = settings.audit_key.get_secret_value().encode() if settings.audit_key else None
    is_postgres(settings.database_url)  # raises SettingsInvalid for what would else be taken for a file's name
    windows = settings.correlation
    longest_s = max(windows.clear_grace_s, windows.refire_window_s, windows.escalated_window_s) + 3600
    return SqlIncidentStore(settings.database_url or settings.data_dir / "sreops.db", key, longest_window_s=longest_s)


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
