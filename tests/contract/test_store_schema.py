"""Databases of every earlier schema version are brought up to date with what is in them; newer ones are refused.

``schema/vN.*.sql`` are databases that a sreops of that version has written. Add one when a version is released, and
raise ``RELEASED``; what lies between two releases nobody has.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect
from store_scene import at

from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.store.schema import latest
from sreops.domain.incidents.incident import EffectOutcome
from sreops.domain.records.audit import verify_chain
from sreops.errors import SettingsInvalid
from sreops.ports import Changes

FROZEN = Path(__file__).with_name("schema")
VERSIONS = sorted({int(path.name.split(".")[0][1:]) for path in FROZEN.glob("v*.sql")})
RELEASED = 4
"""The schema of sreops 0.1.0."""
KEY = b"audit key"
_numbers = itertools.count()
Old = Callable[[int | None], str]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    """Make a database of an earlier version (None: an empty one) and return its place."""

    def make(version: int | None) -> str:
        sql = (FROZEN / f"v{version}.{request.param}.sql").read_text() if version else ""
        if request.param == "sqlite":
            path = tmp_path / f"{next(_numbers)}.db"
            with sqlite3.connect(path) as database:
                database.executescript(sql)
            database.close()
            return str(path)
        import psycopg

        url: str = request.getfixturevalue("postgres").new_database(f"schema_{next(_numbers)}")
        if sql:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(sql.encode())
        return url

    return make


async def layout(store: SqlIncidentStore) -> dict[str, Any]:
    """Return the tables with their columns, keys and indices, as the database itself tells."""

    def look(connection: Connection) -> dict[str, Any]:
        found = inspect(connection)
        return {
            table: {
                "columns": sorted(
                    (column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(table)
                ),
                "key": sorted(found.get_pk_constraint(table)["constrained_columns"]),
                "unique": sorted(one["column_names"] for one in found.get_unique_constraints(table)),
                "indices": sorted(
                    (str(one["name"]), one["column_names"], *map(str, one.get("dialect_options", {}).values()))
                    for one in found.get_indexes(table)
                ),
            }
            for table in found.get_table_names()
        }

    return await store._db.read(look)


def test_every_released_version_is_frozen() -> None:
    assert list(range(1, RELEASED + 1)) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_upgraded_database_is_laid_out_like_a_new_one(old: Old, version: int) -> None:
    upgraded, new = SqlIncidentStore(old(version), KEY), SqlIncidentStore(old(None), KEY)
    await upgraded.open()
    await new.open()
    try:
        assert await layout(upgraded) == await layout(new)
    finally:
        await upgraded.close()
        await new.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_an_earlier_version_wrote_is_kept_and_worked_on(old: Old, version: int) -> None:
    place = old(version)
    stores = [SqlIncidentStore(place, KEY) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))  # replicas that start at once
    store = stores[0]
    try:
        [search, cart, payments] = (await store.incidents())[0]
        assert [search.service, cart.service, payments.service] == ["search", "cart", "payments"]
        assert (payments.status.value, payments.issue.iid if payments.issue else None) == ("resolved", 7)
        assert [effect.outcome for effect in payments.effects] == [EffectOutcome.succeeded]
        assert (await store.pause_state())["reason"] == "maintenance"
        records = await store.records(limit=1000)
        assert verify_chain(records, KEY) == []
        [op] = await store.due_tickets(now=at(9), incident_id=payments.id)
        assert op.body == {"note": "still to be sent"}
        assert await store.claim_ticket(op.op_id, "w", now=at(9), lease_s=30)
        leases = await store.claim("w", now=at(601), lease_s=30, limit=9)
        assert sorted(lease.service for lease in leases) == ["cart", "search"]
        await stores[1].write(leases[0], Changes(incident={"root_cause": "found"}), now=at(602))
        assert (await stores[2].records(limit=1, newest=True))[0].seq == records[-1].seq
    finally:
        for one in stores:
            await one.close()
    again = SqlIncidentStore(place, KEY)
    await again.open()  # nothing left to do
    await again.close()


async def test_a_newer_database_is_refused_with_the_reason(old: Old) -> None:
    place = old(None)
    store = SqlIncidentStore(place, KEY)
    await store.open()
    await store._db.write(
        lambda connection: connection.exec_driver_sql("INSERT INTO schema_version (version, applied_at) VALUES (99, 0)")
    )
    await store.close()
    for _ in range(2):  # nothing is changed by the refusal
        with pytest.raises(SettingsInvalid, match=f"version 99, this sreops knows up to {latest()}.*newer sreops"):
            await SqlIncidentStore(place, KEY).open()


async def test_an_upgrade_that_fails_changes_nothing(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    from sreops.adapters.store import schema

    place = old(VERSIONS[0])

    def fails(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE work ADD COLUMN half BIGINT")
        raise SettingsInvalid(["on purpose"])

    with monkeypatch.context() as patched:
        patched.setattr(schema, "UPGRADES", (*schema.UPGRADES, fails))
        with pytest.raises(SettingsInvalid, match="on purpose"):
            await SqlIncidentStore(place, KEY).open()
    store = SqlIncidentStore(place, KEY)
    await store.open()
    try:
        assert "half" not in str((await layout(store))["work"])
        assert "claimed_until" in str((await layout(store))["tickets"])
    finally:
        await store.close()
