"""The incident store on a real PostgreSQL: the same contract, and what replicas need."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from incident_store_suite import IncidentStoreSuite
from langgraph.checkpoint.base import empty_checkpoint
from store_scene import T0, Opener, alert, always, first_opened, opener

from servers.postgres import Postgres
from sreops.adapters.sql.postgres import CONNECT_ARGS
from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.store.database import WRITE_LOCK
from sreops.errors import AlreadyRunning, StoreUnavailable

psycopg = pytest.importorskip("psycopg", reason="needs the extra postgres")
from sreops.adapters.database import postgres_membership  # noqa: E402
from sreops.adapters.database.postgres_checkpoints import PostgresCheckpoints  # noqa: E402
from sreops.adapters.database.postgres_membership import Membership  # noqa: E402

pytestmark = pytest.mark.needs("postgres")
KEY = b"audit key"
_numbers = itertools.count()


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database(f"store_{next(_numbers)}")


@pytest.fixture
async def another(url: str) -> AsyncIterator[Opener]:
    async with opener(url, KEY) as another:
        yield another


store = pytest.fixture(first_opened)


class TestPostgresIncidentStore(IncidentStoreSuite):
    """The contract."""


async def test_replicas_that_start_at_once_make_one_schema(another: Opener) -> None:
    stores = await asyncio.gather(*(another() for _ in range(4)))
    assert [(await store.health()).status for store in stores] == ["up"] * 4


async def test_records_of_several_replicas_become_visible_in_their_order(another: Opener) -> None:
    stores = [await another() for _ in range(3)]
    seen: list[int] = []

    async def write(number: int) -> None:
        await stores[number % 2].correlate(alert(f"s{number}"), always("open"), now=T0)

    async def follow() -> None:
        while len(seen) < 40:
            seen.extend(record.seq for record in await stores[2].records(after=seen[-1] if seen else 0))

    async with asyncio.timeout(60):
        await asyncio.gather(follow(), *(write(number) for number in range(40)))
    assert len(seen) == 40, "a record that shows up behind a later one would be passed over"


async def test_a_server_that_goes_away_is_told_and_found_again(store: SqlIncidentStore, postgres: Postgres) -> None:
    await store.correlate(alert("before"), always("open"), now=T0)
    await asyncio.to_thread(postgres.kill)
    with pytest.raises(StoreUnavailable, match="PostgreSQL"):
        await store.correlate(alert("during"), always("open"), now=T0)
    with pytest.raises(StoreUnavailable, match="PostgreSQL"):
        await store.incidents()
    assert (await store.health()).status == "down"
    await asyncio.to_thread(postgres.start)
    await store.correlate(alert("after"), always("open"), now=T0)
    services = {incident.service for incident in (await store.incidents())[0]}
    assert services == {"before", "after"}


async def test_an_unreachable_server_is_told_without_the_password() -> None:
    store = SqlIncidentStore("postgresql://someone:geheim@127.0.0.1:1/none")
    with pytest.raises(StoreUnavailable, match="PostgreSQL does not answer") as raised:
        await store.open()
    assert "geheim" not in str(raised.value)


async def test_a_replica_that_hangs_in_a_transaction_does_not_stop_the_others_for_long(
    store: SqlIncidentStore, url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(url, **CONNECT_ARGS) as hung:  # as a paused process would
        await hung.execute(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})".encode())
        assert (await store.health()).status == "down"
        await store.correlate(alert("after"), always("open"), now=T0)  # waits until the server has ended the other
        with pytest.raises(psycopg.InternalError, match="idle-in-transaction"):
            await hung.execute("SELECT 1")
    assert (await store.health()).status == "up"


async def test_replicas_with_kafka_share_a_database_and_one_without_has_it_alone(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_membership, "_JOIN_POLL_S", 0.01)
    with_kafka = [Membership(url, alone=False) for _ in range(3)]
    alone = [Membership(url, alone=True) for _ in range(2)]
    try:
        await asyncio.gather(*(one.join() for one in with_kafka))
        with pytest.raises(AlreadyRunning, match="SREOPS_KAFKA__BOOTSTRAP_SERVERS"):
            await alone[0].join()
        for one in with_kafka:
            await one.leave()
        await alone[0].join()
        await alone[0].join()  # stays
        for other in (alone[1], with_kafka[0]):
            with pytest.raises(AlreadyRunning, match="no Kafka"):
                await other.join()
        await alone[0].leave()
        await alone[1].join()
    finally:
        for one in (*with_kafka, *alone):
            await one.leave()


async def test_a_membership_outlives_a_restart_of_the_server(url: str, postgres: Postgres) -> None:
    first, second = Membership(url, alone=True), Membership(url, alone=True)
    try:
        await first.join()
        await asyncio.to_thread(postgres.kill)
        with pytest.raises(StoreUnavailable):
            await first.join()
        await asyncio.to_thread(postgres.start)
        await first.join()
        with pytest.raises(AlreadyRunning):
            await second.join()
    finally:
        await first.leave()
        await second.leave()


async def test_checkpoints_are_made_once_by_replicas_that_start_at_once_and_their_failures_are_ours(
    url: str, postgres: Postgres
) -> None:
    several = [PostgresCheckpoints(url) for _ in range(3)]
    config: Any = {"configurable": {"thread_id": "t:1", "checkpoint_ns": ""}}
    try:
        await asyncio.gather(*(one.start() for one in several))
        await asyncio.gather(*(one.set_up() for one in several))
        checkpoint = empty_checkpoint() | {"channel_values": {"n": 1}, "channel_versions": {"n": 1}}
        await several[0].saver.aput(config, checkpoint, {"source": "loop", "step": 1}, {"n": 1})  # type: ignore[typeddict-item,arg-type]
        seen = [await one.saver.aget_tuple(config) for one in several]
        assert [one.checkpoint["channel_values"] for one in seen if one] == [{"n": 1}] * 3
        await asyncio.to_thread(postgres.kill)
        with pytest.raises(StoreUnavailable) as raised:
            await several[0].saver.aget_tuple(config)
        assert raised.value.retryable
        await asyncio.to_thread(postgres.start)
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(StoreUnavailable):
                    assert await several[0].saver.aget_tuple(config) is not None
                    break
    finally:
        await asyncio.gather(*(one.stop() for one in several))


@pytest.mark.parametrize(("off_s", "status"), [(0.0, "up"), (-2.0, "up"), (40.0, "down"), (-40.0, "down")])
async def test_a_clock_that_differs_from_the_others_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch, off_s: float, status: str
) -> None:
    member = Membership(url, alone=False, tolerated_s=10)
    assert member.health().status == "down", "not a member yet"
    monkeypatch.setattr(postgres_membership, "time", SimpleNamespace(time=lambda: time.time() + off_s))
    try:
        await member.join()
        assert member.health().status == status
        assert status == "up" or "NTP" in member.health().cure
    finally:
        await member.leave()
