"""Prepared statements mean on SQLite what SQLAlchemy's own execution means; reads that wait share a snapshot."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.database import Database
from sreops.adapters.store.tables import incidents, records, tickets, turns
from sreops.errors import NotFound, StoreUnavailable

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = "x'; DROP TABLE records; --\x00\ud800"
RECORD = {
    "incident_id": "i", "kind": "thought", "at": AT, "body": {"text": HOSTILE}, "prev_hash": None, "hash": None,
    "published": False,
}  # fmt: skip
APPEND = Prepared(insert(records))
OF_INCIDENT = Prepared(select(records).where(records.c.incident_id == bindparam("of_incident")).order_by(records.c.seq))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "store.db")
    await database.open()
    yield database
    await database.close()


async def test_rows_read_as_sqlalchemys_do(database: Database) -> None:
    await database.write(lambda connection: APPEND.run(connection, **RECORD))
    plainly = select(records).where(records.c.incident_id == "i")
    [ours] = await database.read(lambda connection: OF_INCIDENT.all(connection, of_incident="i"))
    [theirs] = await database.read(lambda connection: connection.execute(plainly).all())
    assert ours._asdict() == theirs._asdict()
    assert tuple(ours) == tuple(theirs)
    assert (ours.at, ours.published, ours.body) == (AT, False, {"text": HOSTILE})


async def test_hostile_text_stays_a_value(database: Database) -> None:
    for incident_id in (HOSTILE, "other"):
        await database.write(lambda c, name=incident_id: APPEND.run(c, **(RECORD | {"incident_id": name})))  # type: ignore[misc]
    found = await database.read(lambda connection: OF_INCIDENT.all(connection, of_incident=HOSTILE))
    assert len(found) == 1
    assert "\x00" not in found[0].incident_id


async def test_an_update_takes_the_columns_that_are_given_and_says_how_many_rows(database: Database) -> None:
    change = Prepared(update(records).where(records.c.incident_id == bindparam("of_incident")))
    await database.write(lambda connection: APPEND.run(connection, **RECORD))
    assert await database.write(lambda c: change.run(c, of_incident="i", published=True)) == 1
    assert await database.write(lambda c: change.run(c, of_incident="i", hash="h", at=AT + timedelta(hours=1))) == 1
    assert await database.write(lambda c: change.run(c, of_incident="nobody", hash="x")) == 0
    row = await database.read(lambda connection: OF_INCIDENT.first(connection, of_incident="i"))
    assert row is not None
    assert (row.published, row.hash, row.at) == (True, "h", AT + timedelta(hours=1))
    forget = Prepared(delete(records).where(records.c.incident_id == bindparam("of_incident")))
    assert await database.write(lambda connection: forget.run(connection, of_incident="i")) == 1


async def test_a_naive_datetime_is_refused_as_everywhere(database: Database) -> None:
    naive = RECORD | {"at": datetime(2026, 3, 1)}  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match=r"naive|aware|timezone"):
        await database.write(lambda connection: APPEND.run(connection, **naive))


@pytest.mark.parametrize(
    ("statement", "given"),
    [
        (insert(incidents), {"id": "i"}),  # a default of Python's would be needed
        (select(tickets).where(tickets.c.op_id == bindparam("of_op")), {}),  # no value for it
        (select(tickets).where(tickets.c.op_id.in_(["a", "b"])), {}),  # a list has no fixed text
    ],
)
async def test_what_can_not_be_prepared_says_so(database: Database, statement: Any, given: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        await database.write(lambda connection: Prepared(statement).run(connection, **given))


async def test_rows_of_any_number_are_inserted_in_their_order(database: Database) -> None:
    many = [RECORD | {"hash": f"h{number}"} for number in range(250)]
    await database.write(lambda connection: APPEND.run_all(connection, many))
    rows = await database.read(lambda connection: OF_INCIDENT.all(connection, of_incident="i"))
    assert [row.hash for row in rows] == [given["hash"] for given in many]


async def test_writes_that_wait_share_a_commit_and_none_is_told_anothers_failure(database: Database) -> None:
    def good(connection: Connection) -> int:
        return APPEND.run(connection, **RECORD)

    def refuses(connection: Connection) -> None:
        APPEND.run(connection, **RECORD)
        raise NotFound("mine alone")

    def broken(connection: Connection) -> None:
        APPEND.run(connection, **RECORD)
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")

    given = [good, broken, good, refuses, good, good]
    told = await asyncio.gather(*(database.write(work) for work in given), return_exceptions=True)
    assert [type(one) for one in told] == [int, StoreUnavailable, int, NotFound, int, int]
    assert len(await database.read(lambda connection: OF_INCIDENT.all(connection, of_incident="i"))) == 4


async def test_reads_that_wait_share_a_hop_and_none_is_told_anothers_failure(database: Database) -> None:
    def fails(connection: Connection) -> None:
        raise NotFound("mine alone")

    def broken(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT * FROM nowhere")

    before = len(asyncio.all_tasks())
    reads: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(database.read(lambda connection: turns.name)) for _ in range(40)
    ]
    reads += [asyncio.ensure_future(database.read(fails)), asyncio.ensure_future(database.read(broken))]
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= before + len(reads) + 3, "a few readers serve them all"
    told = await asyncio.gather(*reads, return_exceptions=True)
    assert told[:40] == ["turns"] * 40
    assert isinstance(told[40], NotFound)
    assert isinstance(told[41], StoreUnavailable)


async def test_a_read_sees_what_was_committed_before_it_was_asked_for(database: Database) -> None:
    for number in range(30):
        await database.write(lambda connection: APPEND.run(connection, **RECORD))
        seen = await asyncio.gather(
            *(database.read(lambda connection: len(OF_INCIDENT.all(connection, of_incident="i"))) for _ in range(5))
        )
        assert seen == [number + 1] * 5
