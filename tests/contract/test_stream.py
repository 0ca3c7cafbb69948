"""``GET /events`` over a real server: resuming by id, nothing lost or doubled, slow readers, the end."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from contract.store_scene import at, fresh_store
from servers.waiting import eventually
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.records.record import Action, Record, Thought
from sreops.errors import StoreUnavailable
from sreops.ports import Changes, Lease
from sreops.telemetry import REGISTRY
from sreops.web import feed as feed_module
from sreops.web import stream as stream_module
from sreops.web.feed import Feed, Subscriber
from web.web_scene import FakeClock, Scene, open_incident, scene, serving

store = pytest.fixture(fresh_store)


@pytest.fixture
async def lease(store: SqlIncidentStore) -> Lease:
    return await open_incident(store, at(0))


@pytest.fixture
def made(store: SqlIncidentStore) -> Scene:
    return scene(store, FakeClock(at(60)))


@pytest.fixture
async def url(made: Scene) -> AsyncIterator[str]:
    async with serving(made.app, made.context.stopping) as url:
        yield url


@contextlib.asynccontextmanager
async def reading(url: str, after: int | str | None = None, **params: Any) -> AsyncIterator[AsyncIterator[dict]]:
    """Read events as a browser does."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with (
        httpx.AsyncClient(timeout=10) as client,
        client.stream("GET", f"{url}/events", params=params, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def events() -> AsyncIterator[dict]:
            event: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    yield event
                    event = {}

        opened = events()
        first = await anext(opened)
        assert first["retry"] == "2000"
        yield opened


async def take(events: AsyncIterator[dict], count: int, *, within_s: float = 10) -> list[dict]:
    taken: list[dict] = []
    async with asyncio.timeout(within_s):
        while len(taken) < count:
            event = await anext(events)
            if "data" in event:
                taken.append(event)
    return taken


async def tell(store: SqlIncidentStore, lease: Lease, *texts: str) -> None:
    for text in texts:
        await store.write(lease, Changes(thoughts=[Thought(node="enrich_context", text=text)]), now=at(1))


async def newest(store: SqlIncidentStore) -> int:
    return (await store.records(limit=1, newest=True))[-1].seq


async def test_events_carry_the_record_its_kind_and_its_sequence_as_id(url: str, store, lease):
    async with reading(url) as events:
        changes = Changes(
            thoughts=[Thought(node="n", text="hm\nid: 7\u2028\r\n\r\nevent: forged", data={"x": float("nan")})],
            actions=[Action(action="close", phase="outcome")],
        )
        await store.write(lease, changes, now=at(1))
        first, second = await take(events, 2)
    assert {first["event"], second["event"]} == {"thought", "action"}
    records = await store.records(incident_id=lease.incident_id)
    expected = {str(record.seq): record.public() for record in records}
    for event in (first, second):
        told = json.loads(event["data"])
        assert told | {"data": 0} == expected[event["id"]] | {"data": 0}
        assert told["seq"] == int(event["id"])


async def test_a_reader_without_an_id_sees_what_happens_from_now_on(url: str, store, lease):
    await tell(store, lease, "before")
    async with reading(url) as events:
        await tell(store, lease, "after")
        [event] = await take(events, 1)
    assert json.loads(event["data"])["text"] == "after"


async def test_a_reader_resumes_exactly_after_its_last_id_by_header_or_query(url: str, store, lease):
    await tell(store, lease, *(str(number) for number in range(450)))  # more than a page of the replay
    first = (await store.records(limit=1))[0].seq
    async with reading(url, after=first) as events:
        replayed = await take(events, 450)
    assert [int(event["id"]) for event in replayed] == list(range(first + 1, first + 451))
    async with reading(url, last_event_id=first + 440) as events:
        assert [int(event["id"]) for event in await take(events, 10)] == list(range(first + 441, first + 451))
    async with reading(url, after=first + 449, last_event_id=first) as events:
        assert int((await take(events, 1))[0]["id"]) == first + 450


async def test_an_id_older_than_everything_gives_everything(url: str, store, lease):
    await tell(store, lease, "one")
    async with reading(url, after=0) as events:
        assert [event["id"] for event in await take(events, 2)] == ["1", "2"]


@pytest.mark.parametrize("garbage", ["-1", "abc", "1;2", "9" * 40, "٣", "", "1.5", "0x1"])
async def test_garbage_as_id_starts_from_now(url: str, store, lease, garbage: str):
    async with reading(url, last_event_id=garbage) as events:
        await tell(store, lease, "next")
        [event] = await take(events, 1)
    assert json.loads(event["data"])["text"] == "next"


async def test_an_id_from_the_future_is_of_another_database_and_starts_from_now(url: str, store, lease):
    async with reading(url, after=10_000) as events:
        await tell(store, lease, "next")
        [event] = await take(events, 1)
    assert json.loads(event["data"])["text"] == "next"


async def test_one_incident_or_one_kind_can_be_asked_for(url: str, store, lease):
    other = await open_incident(store, at(2), "orders")
    begin = await newest(store)
    async with (
        reading(url, incident_id=other.incident_id) as of_one,
        reading(url, kind="action", after=begin) as actions,
    ):
        await tell(store, lease, "of the first")
        await store.set_paused(True, by="ada", reason="r", now=at(3))
        await tell(store, other, "of the other")
        assert [json.loads(event["data"])["text"] for event in await take(of_one, 1)] == ["of the other"]
        assert [event["event"] for event in await take(actions, 1)] == ["action"]
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/events", params={"kind": "dream"})
    assert (answer.status_code, "kind" in answer.json()["error"]) == (422, True)


async def test_nothing_is_lost_or_doubled_while_others_write_and_readers_come_again(url: str, store, lease):
    """Readers hang up at random places and resume by their last id while records are written all the time."""
    total, begin = 300, await newest(store)

    async def write() -> None:
        for number in range(total):
            await tell(store, lease, f"t{number}")

    async def read(step: int) -> list[int]:
        seen: list[int] = []
        while len(seen) < total:
            async with reading(url, after=seen[-1] if seen else begin) as events:
                for event in await take(events, min(step, total - len(seen)), within_s=120):
                    seen.append(int(event["id"]))
        return seen

    async with asyncio.timeout(120):  # 300 transactions on a disk that others use too
        *readers, _ = await asyncio.gather(read(7), read(41), read(total), write())
    for seen in readers:
        assert seen == list(range(begin + 1, begin + total + 1))


async def test_many_readers_cost_one_reader_of_the_store(url: str, store, lease, monkeypatch):
    async with contextlib.AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(reading(url)) for _ in range(10)]
        calls = 0
        read = store.records

        async def counted(**options: Any) -> Any:
            nonlocal calls
            calls += 1
            return await read(**options)

        monkeypatch.setattr(store, "records", counted)
        began = time.monotonic()
        await tell(store, lease, "for all")
        for events in readers:
            assert json.loads((await take(events, 1))[0]["data"])["text"] == "for all"
        passed = time.monotonic() - began
        # every stream reads its missed records once; after that there is one poll per POLL_S
        assert calls <= 10 + passed / feed_module.POLL_S + 2


async def test_nobody_listening_means_nobody_reading(url: str, made: Scene, store, lease, monkeypatch):
    async with reading(url) as events:
        await tell(store, lease, "x")
        await take(events, 1)
    await eventually(lambda: REGISTRY.get_sample_value("sreops_stream_clients") == 0, every_s=0.01)
    names = {task.get_name() for task in asyncio.all_tasks() if not task.cancelling()}
    assert "event feed" not in names


async def test_stopping_ends_every_stream_at_once(made: Scene, store, lease):
    async with serving(made.app, made.context.stopping) as url, reading(url) as events:
        await tell(store, lease, "last words")
        await take(events, 1)
        began = time.monotonic()
        made.context.stopping.set()
        async with asyncio.timeout(5):
            assert [event async for event in events if "data" in event] == []
        assert time.monotonic() - began < 1
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{url}/events")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


async def test_too_many_streams_are_refused(url: str, monkeypatch):
    monkeypatch.setattr(stream_module, "MAX_STREAMS", 1)
    async with reading(url), httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/events")
    assert answer.status_code == 503


async def test_a_store_that_is_away_for_a_while_delays_but_loses_nothing(url: str, store, lease, monkeypatch):
    read, failed = store.records, asyncio.Event()

    async def away(**_: Any) -> Any:
        failed.set()
        raise StoreUnavailable("gone")

    async with reading(url) as events:
        await tell(store, lease, "first")
        await take(events, 1)
        monkeypatch.setattr(store, "records", away)
        await tell(store, lease, "second")
        async with asyncio.timeout(5):
            await failed.wait()
        monkeypatch.setattr(store, "records", read)
        [event] = await take(events, 1)
    assert json.loads(event["data"])["text"] == "second"


# --- the feed itself ----------------------------------------------------------------------------


def record(seq: int) -> Record:
    return Record(seq=seq, incident_id="i", kind="thought", at=at(seq), body={"node": "n", "text": str(seq)})


async def test_a_slow_subscriber_is_closed_after_what_its_queue_holds(monkeypatch):
    monkeypatch.setattr(feed_module, "QUEUE_SIZE", 3)
    subscriber = Subscriber(None, None)
    for seq in range(1, 6):
        subscriber.offer(record(seq))
    assert subscriber.overrun
    async with asyncio.timeout(5):
        assert [one.seq async for one in subscriber.records()] == [1, 2, 3]


class Records:
    """A store that has only records; a test can make it crash."""

    def __init__(self) -> None:
        self.all: list[Record] = []
        self.crash = False

    async def records(self, *, after: int = 0, limit: int = 500, newest: bool = False) -> list[Record]:
        if self.crash:
            raise ZeroDivisionError
        found = [one for one in self.all if one.seq > after]
        return found[-limit:] if newest else found[:limit]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_feed_that_crashes_ends_its_streams_and_begins_anew_with_the_next():
    store, handler = Records(), asyncio.get_running_loop().get_exception_handler()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    feed = Feed(store, asyncio.Event())  # type: ignore[arg-type]
    async with asyncio.timeout(5), feed.subscribe(None, None) as subscriber:
        store.crash = True
        assert [one async for one in subscriber.records()] == []
    store.crash = False
    async with asyncio.timeout(5), feed.subscribe(None, None) as subscriber:
        store.all.append(record(1))
        assert (await anext(subscriber.records())).seq == 1
    asyncio.get_running_loop().set_exception_handler(handler)


async def test_one_leaving_and_another_coming_at_once_keeps_the_other_served():
    store = Records()
    feed = Feed(store, asyncio.Event())  # type: ignore[arg-type]
    for seq in range(1, 20):
        async with feed.subscribe(None, None):
            pass
        async with asyncio.timeout(5), feed.subscribe(None, None) as subscriber:
            store.all.append(record(seq))
            assert (await anext(subscriber.records())).seq == seq
