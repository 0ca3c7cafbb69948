"""No query of the hot paths reads a whole table: SQLite's own plans of the statements that are really sent."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event
from store_scene import T0, alert, always, at, ended, from_topic, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.store.compiled_statements import direct
from sreops.domain.alerts.alert import Severity
from sreops.domain.incidents.search import Search

GROWS = ("work", "incidents", "incident_alerts", "inbox", "records", "tickets", "effects", "endings", "evidence")


class Sent:
    """The statements that SQLite was given, with their values in place: its own account of them."""

    def __init__(self, engine: Engine, kept: Sequence[Connection]) -> None:
        self.statements: set[str] = set()
        self._engine = engine
        event.listen(engine, "connect", lambda connection, _: connection.set_trace_callback(self._note))
        for connection in kept:
            driver = direct(connection)
            assert driver is not None
            driver.set_trace_callback(self._note)

    def _note(self, statement: str) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            self.statements.add(statement)

    async def sorts(self, table: str) -> list[str]:
        """Return the statements on a table whose rows are all read before the first one is known."""
        return await asyncio.to_thread(self._sorts, table)

    def _sorts(self, table: str) -> list[str]:
        with self._engine.connect() as connection:
            return [
                statement
                for statement in list(self.statements)
                if f"FROM {table}" in statement
                and any("TEMP B-TREE" in row[3] for row in connection.exec_driver_sql(_explain(statement)))
            ]

    async def full_scans(self) -> list[str]:
        """Return the plans' lines that read a growing table without an index, with their statements."""
        return await asyncio.to_thread(self._full_scans)

    def _full_scans(self) -> list[str]:
        found = []
        with self._engine.connect() as connection:
            for statement in list(self.statements):
                for row in connection.exec_driver_sql(_explain(statement)):
                    words = str(row[3]).split()
                    if words[0] == "SCAN" and words[1] in GROWS and "INDEX" not in words:
                        found.append(f"{row[3]}: {statement}")
        return found


def _explain(statement: str) -> str:
    return f"EXPLAIN QUERY PLAN {statement}"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlIncidentStore]:
    store = SqlIncidentStore(tmp_path / "sreops.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def sent(store: SqlIncidentStore) -> Sent:
    engine = store._db._engine
    assert isinstance(engine, Engine)
    return Sent(engine, store._db._kept)


async def test_claiming_and_letting_go_use_indices(store: SqlIncidentStore, sent: Sent) -> None:
    for number in range(3):
        await opened(store, f"svc-{number}")
    leases = await store.claim("w", now=T0, lease_s=30, limit=3)
    await store.renew(leases, now=at(1), lease_s=30)
    await store.park(leases[0], wake_at=at(60), timer="poll")
    await store.retry(leases[1], wake_at=at(60), error="x")
    await ended(store, leases[2], now=at(2))
    await store.overdue(now=at(5000), max_incident_s=3600)
    assert len(sent.statements) > 8
    assert await sent.full_scans() == []


async def test_claiming_from_a_backlog_walks_an_index_in_order_and_sorts_nothing(
    store: SqlIncidentStore, sent: Sent
) -> None:
    for number in range(5):
        await opened(store, "one", now=at(number), fingerprint=f"f{number}")
    await opened(store, "two", now=at(6))
    leases = await store.claim("w", now=at(9), lease_s=30, limit=2)  # more than a page of it
    assert [lease.service for lease in leases] == ["one", "two"]
    assert [statement for statement in sent.statements if "(work.opened_at, work.incident_id) >" in statement]
    assert await sent.sorts("work") == []


async def test_intake_and_correlation_use_indices(store: SqlIncidentStore, sent: Sent) -> None:
    event_ = alert()
    await store.take_in([from_topic(event_)], now=T0)
    [waiting] = await store.uncorrelated(10)
    await store.correlate(waiting, always("open"), now=T0)
    assert len(sent.statements) > 4
    assert await sent.full_scans() == []


async def test_what_a_node_reads_uses_indices(store: SqlIncidentStore, sent: Sent) -> None:
    incident_id = await opened(store)
    await store.incident(incident_id)
    await store.events(incident_id)
    await store.evidence(incident_id)
    await store.history("payments", before=at(1), limit=20)
    await store.due_tickets(now=T0, incident_id=incident_id)
    await store.unpublished(100)
    assert len(sent.statements) > 8
    assert await sent.full_scans() == []


async def test_asking_for_policy_facts_uses_indices(store: SqlIncidentStore, sent: Sent) -> None:
    incident_id = await opened(store)
    await store.policy_facts(
        incident_id, "payments", "restart", now=T0, targets=["payments", "p-1"], standings=["docker/container/p-1"]
    )
    assert await sent.full_scans() == []


async def test_what_the_pages_list_walks_an_index_newest_first(store: SqlIncidentStore, sent: Sent) -> None:
    for number in range(3):
        await opened(store, f"svc-{number}", now=at(number))
    cursor = (await store.incidents(limit=1))[1]
    await store.incidents(limit=2, cursor=cursor)
    await store.incidents(search=Search(severities=(Severity.critical,), words=("svc",)), limit=2)
    await store.incidents(search=Search(since=at(1), until=at(2), subject="svc", scope=("namespace=shop",)), limit=2)
    await store.recorded(limit=2)
    assert await sent.full_scans() == []
    assert await sent.sorts("incidents") == []


async def test_a_statement_without_an_index_is_seen(store: SqlIncidentStore, sent: Sent) -> None:
    await store._db.read(lambda connection: connection.exec_driver_sql("SELECT * FROM work WHERE timer = 'x'").all())
    assert len(await sent.full_scans()) == 1
