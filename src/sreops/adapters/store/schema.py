"""The schema's version: a forward list of upgrades; a database from a newer sreops is refused."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, inspect, select

from sreops.adapters.store.tables import metadata, schema_version
from sreops.errors import SettingsInvalid

UPGRADES: tuple[Callable[[Connection], None], ...] = ()
"""Upgrade n brings a database from version n + 1 to n + 2. Add to the end; never change what has been released."""


def latest() -> int:
    """Return the version that ``tables.py`` describes."""
    return 1 + len(UPGRADES)


def bring_up_to_date(connection: Connection) -> None:
    """Create or upgrade the tables in the caller's transaction; raises SettingsInvalid for a newer schema."""
    found = 0
    if inspect(connection).has_table(schema_version.name):
        found = max(connection.execute(select(schema_version.c.version)).scalars().all(), default=0)
    if found > latest():
        raise SettingsInvalid(
            [
                f"the incident store has schema version {found}, this sreops knows up to {latest()}: "
                "it was written by a newer sreops; run that one, or use another SREOPS_DATA_DIR or SREOPS_DATABASE_URL"
            ]
        )
    if found == latest():
        return
    if found == 0:
        metadata.create_all(connection)
    for upgrade in UPGRADES[found - 1 :] if found else ():
        upgrade(connection)
    # the time is for people only
    connection.execute(insert(schema_version).values(version=latest(), applied_at=datetime.now(UTC)))
