"""The incident store on SQLite: the contract, and what is SQLite's own."""

import asyncio
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from incident_store_suite import IncidentStoreSuite
from store_scene import T0, Opener, alert, always, first_opened, from_topic, opened, opener

from sreops.adapters.store import SqlIncidentStore
from sreops.errors import SettingsInvalid, StoreUnavailable

KEY = b"audit key"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sreops.db"


@pytest.fixture
async def another(path: Path) -> AsyncIterator[Opener]:
    async with opener(path, KEY) as another:
        yield another


store = pytest.fixture(first_opened)


class TestSqliteIncidentStore(IncidentStoreSuite):
    """The contract."""


async def test_the_database_is_readable_by_its_owner_only(store: SqlIncidentStore, path: Path) -> None:
    await opened(store)
    files = list(path.parent.iterdir())
    assert len(files) == 3, "with its WAL"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_it_commits_to_disk_and_lets_readers_in(store: SqlIncidentStore) -> None:
    def pragmas(connection: object) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]  # type: ignore[attr-defined]

    assert await store._db.read(pragmas) == ["wal", 2, 1, 5000]


async def test_a_reader_is_not_held_up_by_a_writer_elsewhere(store: SqlIncidentStore, path: Path) -> None:
    incident_id = await opened(store)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE incidents SET service = 'changed'")
        assert (await store.incident(incident_id)).service == "payments"
        other.execute("ROLLBACK")


async def test_a_writer_elsewhere_that_never_ends_makes_it_unavailable(store: SqlIncidentStore, path: Path) -> None:
    store._db.busy_timeout_ms = 50
    await store.close()
    await store.open()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process") as raised:
            await opened(store)
        assert raised.value.retryable
        assert (await store.health()).status == "down"
        other.execute("ROLLBACK")
    await opened(store)
    assert (await store.health()).status == "up"


async def test_a_full_disk_is_told_with_its_cure_and_nothing_is_half_written(store: SqlIncidentStore) -> None:
    def shrink(connection: object) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()  # type: ignore[attr-defined]
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")  # type: ignore[attr-defined]

    event = alert(annotations={"text": "x" * 200_000})
    await store._db.read(shrink)  # the pool has one connection as yet: the next call gets the same
    with pytest.raises(StoreUnavailable, match="free space"):
        await store.take_in([from_topic(alert("small")), from_topic(event)], now=T0)
    assert await store.uncorrelated(10) == []


@pytest.fixture
def letter(path: Path) -> Path:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, it is a letter to a friend" * 100)
    return path


async def test_a_file_that_is_no_database_is_refused_with_a_cure(letter: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no database") as raised:
        await SqlIncidentStore(letter).open()
    assert raised.value.retryable is False


async def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="file"):
        await SqlIncidentStore(tmp_path / "file" / "sreops.db").open()


async def test_a_store_that_is_not_open_says_so(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="not open"):
        await SqlIncidentStore(path).incident("x")


async def test_a_database_of_a_newer_sreops_is_refused(store: SqlIncidentStore, path: Path) -> None:
    await store.close()
    with sqlite3.connect(path) as other:
        other.execute("INSERT INTO schema_version (version, applied_at) VALUES (99, 0)")
    other.close()
    with pytest.raises(SettingsInvalid, match="newer"):
        await SqlIncidentStore(path).open()


@pytest.mark.parametrize("url", ["mysql://u:geheim@h/d", "postgresql://u:geheim@h:port/d", "://", "nonsense://geheim"])
def test_a_url_that_is_not_understood_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="postgresql://user") as raised:
        SqlIncidentStore(url)
    assert "geheim" not in str(raised.value)


WRITER = """
import asyncio, sys
from store_scene import T0, alert, always
from sreops.adapters.store import SqlIncidentStore

async def main():
    store = SqlIncidentStore(sys.argv[1], b"audit key")
    await store.open()
    async def write(lane):
        number = 0
        while True:
            event = alert(f"s{lane}-{number}", event_id=f"{lane}-{number}")
            made = await store.correlate(event, always("open"), now=T0)
            print(made.incident_id, flush=True)
            number += 1
    await asyncio.gather(*map(write, range(4)))

asyncio.run(main())
"""


async def test_kill_9_loses_nothing_that_was_told(path: Path, another: Opener) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert process.stdout is not None
    told = [await process.stdout.readline() for _ in range(40)]
    process.kill()
    told += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    store = await another()
    known = {line.decode().strip() for line in told if line.endswith(b"\n")}
    assert len(known) >= 40
    for incident_id in known:
        incident = await store.incident(incident_id)
        assert (incident.event_count, len(incident.fingerprints)) == (1, 1)
    backlog = await store.backlog(now=T0)
    assert backlog.open_incidents == backlog.ready == backlog.outbox, "each transaction whole, or not there"
    await store.correlate(alert("after"), always("open"), now=T0)
