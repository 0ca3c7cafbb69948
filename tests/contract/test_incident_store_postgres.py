"""The incident store on a real PostgreSQL: the same contract, and what replicas need."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from incident_store_suite import IncidentStoreSuite
from store_scene import T0, Opener, alert, always

from servers.postgres import Postgres
from sreops.adapters.store import SqlIncidentStore
from sreops.errors import StoreUnavailable

pytestmark = pytest.mark.needs("postgres")
KEY = b"audit key"
_numbers = itertools.count()


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database(f"store_{next(_numbers)}")


@pytest.fixture
async def another(url: str) -> AsyncIterator[Opener]:
    stores: list[SqlIncidentStore] = []

    async def open_one() -> SqlIncidentStore:
        store = SqlIncidentStore(url, KEY)
        stores.append(store)
        await store.open()
        return store

    yield open_one
    for store in stores:
        await store.close()


@pytest.fixture
async def store(another: Opener) -> SqlIncidentStore:
    return await another()


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
