"""The spool at its bounds: full, on a full or broken disk, and what it measures."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from contract.event_log_suite import read, record, values
from contract.spool_scene import MIB, OTHER, TOPIC, SpoolScene, forwarding_scene
from servers.small_disk import small_disk_at
from servers.waiting import eventually
from sreops.adapters.event_log.spooled import HAND_OVER_RECORDS
from sreops.errors import EventLogUnavailable
from sreops.telemetry import REGISTRY

scene = pytest.fixture(forwarding_scene)


async def test_a_full_spool_refuses_and_takes_again_when_it_has_been_forwarded(tmp_path):
    scene = await SpoolScene(tmp_path, max_bytes=10_000).start()
    scene.log.away = True
    accepted = []

    async def fill(value):
        while len(accepted) < 1000:
            await scene.append(f"{len(accepted):04d}{value}")
            accepted.append(f"{len(accepted):04d}")

    with pytest.raises(EventLogUnavailable, match="spool is full"):
        await fill("x" * 1000)
    assert 8 <= len(accepted) <= 10
    assert (await scene.front.spool_health()).status == "up"  # smaller ones still fit
    with pytest.raises(EventLogUnavailable, match="spool is full"):
        await fill("")
    scene.log.away = False
    await scene.emptied()
    assert [one[:4] for one in await scene.arrived()] == accepted
    scene.log.away = True
    await scene.append("again")
    await scene.stop()


async def test_health_is_up_while_the_spool_takes_and_down_when_it_is_full(tmp_path):
    scene = await SpoolScene(tmp_path, max_bytes=1000).start()
    assert (await scene.front.health()).detail == "embedded"
    scene.log.away = True
    health = await scene.front.health()
    assert (health.status, "spooling" in health.detail) == ("up", True)
    await scene.append("x" * (1000 - 4))
    assert (await scene.front.health()).status == "down"
    assert "full" in (await scene.front.spool_health()).detail
    scene.log.away = False
    await scene.emptied()
    assert (await scene.front.health()).status == "up"
    await scene.stop()


async def test_depth_and_age_are_measured(scene):
    scene.log.away = True
    await scene.append("1", "2")
    state = scene.front.state()
    assert (state.records, state.size_bytes > 0) == (2, True)
    assert 0 <= state.age_s(datetime.now(UTC)) < 5
    await eventually(lambda: REGISTRY.get_sample_value("sreops_backlog", {"what": "spool"}) == 2, what="the gauge")
    scene.log.away = False
    await scene.emptied()
    await eventually(lambda: REGISTRY.get_sample_value("sreops_backlog", {"what": "spool"}) == 0, what="the gauge")
    assert scene.front.state().age_s(datetime.now(UTC)) == 0


async def test_the_disk_gets_its_space_back_when_a_large_spool_has_been_forwarded(scene, tmp_path):
    scene.log.away = True
    for n in range(12):
        await scene.append(f"{n}" + "x" * 900_000)
    path = tmp_path / "spool" / "spool.db"
    size = path.stat().st_size + path.with_name("spool.db-wal").stat().st_size
    assert size > 10 * MIB
    scene.log.away = False
    await scene.emptied()
    await eventually(lambda: path.stat().st_size < MIB, what="the file to be small")
    wal = path.with_name("spool.db-wal")
    await eventually(lambda: wal.stat().st_size < MIB, what="its log to be small")


async def test_a_spool_that_cannot_be_opened_does_not_keep_events_from_the_log(tmp_path):
    (tmp_path / "spool").write_text("a file where the directory should be")
    scene = await SpoolScene(tmp_path).start()
    await scene.append("1")
    assert await scene.arrived() == ["1"]
    assert (await scene.front.health()).status == "up"
    assert (await scene.front.spool_health()).status == "down"
    scene.log.away = True
    with pytest.raises(EventLogUnavailable, match=r"away.*spool"):
        await scene.append("2")
    (tmp_path / "spool").unlink()
    await scene.append("3")
    scene.log.away = False
    await scene.emptied()
    assert await scene.arrived() == ["1", "3"]
    await scene.stop()


async def test_a_spool_that_breaks_while_it_holds_events_lets_new_ones_go_to_the_log(tmp_path):
    scene = await SpoolScene(tmp_path).start(forward=False)
    scene.log.away = True
    await scene.append("held")
    files = {path: path.read_bytes() for path in (tmp_path / "spool").iterdir()}
    for path, content in files.items():
        path.write_bytes(b"this is no database " * (len(content) // 20 + 1))
    scene.log.away = False
    scene.forward()

    async def goes_through():
        with contextlib.suppress(EventLogUnavailable):
            await scene.append("new")
        return await scene.arrived() == ["new"]

    await eventually(goes_through, what="a new event to be in the log")
    assert (await scene.front.health()).status == "up"
    assert (await scene.front.spool_health()).status == "down"
    # the database last: one that is opened before its WAL is there again is taken for an empty one
    for path, content in sorted(files.items(), reverse=True):
        path.write_bytes(content)

    async def all_arrived():
        return set(await scene.arrived()) == {"new", "held"}

    await eventually(all_arrived, what="what was held to be forwarded")
    await scene.stop()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, mounted at the spool's directory."""
    with small_disk_at(tmp_path / "spool", "1m") as place:
        yield place


async def test_a_full_disk_refuses_loses_nothing_accepted_and_drains_while_it_is_still_full(small_disk, tmp_path):
    def used():
        return sum(path.stat().st_size for path in small_disk.glob("spool.db*"))

    scene = await SpoolScene(tmp_path).start()
    scene.log.away = True
    accepted = []
    refused = []
    for n in range(60):
        try:
            await scene.append(f"{n:04d}" + "x" * 40_000)
            accepted.append(f"{n:04d}")
        except EventLogUnavailable as exc:
            refused.append(str(exc))
    assert accepted
    assert refused
    assert all("full" in one for one in refused)  # "database or disk is full"
    assert scene.front.state().records == len(accepted)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError):
        filler.write_bytes(b"x" * MIB)
    assert (await scene.front.spool_health()).status == "down"
    assert (await scene.front.health()).status == "down"
    scene.log.away = False
    await scene.emptied()
    assert [one[:4] for one in await scene.arrived()] == accepted
    await scene.append("directly")
    assert (await scene.front.health()).status == "up"
    assert filler.exists()
    # the file had nothing but what has been forwarded: it made room, though the disk took no deletion of rows
    await eventually(lambda: used() < 200_000, what="room")
    scene.log.away = True
    await scene.append("spooled again")
    scene.log.away = False
    await scene.emptied()
    assert (await scene.arrived())[-2:] == ["directly", "spooled again"]
    await scene.stop()


async def test_a_hand_over_that_fails_sends_those_who_wait_for_it_to_the_spool(tmp_path):
    scene = await SpoolScene(tmp_path).start(forward=False)
    scene.log.away = True
    await scene.append("1", "2")
    scene.log.away = False
    first = await scene.front.waiting(TOPIC, max_records=1, max_bytes=MIB, timeout_s=1)
    await scene.log.append(first, timeout_s=1)
    await scene.front.forwarded(first)
    assert scene.front.state().records == 1 < HAND_OVER_RECORDS
    waiting = asyncio.create_task(scene.append("3", timeout_s=5))
    await asyncio.sleep(0)  # it begins, and waits for the hand-over
    attempts = scene.log.attempts
    scene.front.not_forwarded(TOPIC)
    await waiting
    assert scene.log.attempts == attempts
    assert scene.front.state().records == 2
    scene.forward()
    await scene.emptied()
    assert await scene.arrived() == ["1", "2", "3"]
    await scene.stop()


async def test_a_log_that_is_back_is_not_enough_while_a_full_spool_holds_earlier_events(tmp_path):
    """New events of that topic must go behind those, and there is no room: nothing could be made durable."""
    scene = await SpoolScene(tmp_path, max_bytes=1000).start(forward=False)
    scene.log.away = True
    await scene.append("x" * (1000 - 4))
    scene.log.away = False
    with pytest.raises(EventLogUnavailable, match="spool is full"):
        await scene.append("more")
    health = await scene.front.health()
    assert (health.status, "spool: the spool is full" in health.detail) == ("down", True)
    assert "SREOPS_MAX_SPOOL_BYTES" in health.cure
    scene.forward()
    await scene.emptied()
    assert (await scene.front.health()).status == "up"
    await scene.append("more")
    await scene.stop()


@pytest.mark.parametrize(("emptying", "filling"), [(TOPIC, OTHER), (OTHER, TOPIC)])
async def test_a_lane_that_fills_while_another_empties_is_not_overtaken(tmp_path, emptying, filling):
    """One append of two topics: while it waits for the one to be handed over, the other begins to fill."""
    scene = await SpoolScene(tmp_path).start(forward=False)

    async def handed_over():
        batch = await scene.front.waiting(emptying, max_records=1, max_bytes=MIB, timeout_s=1)
        await scene.log.append(batch, timeout_s=1)
        await scene.front.forwarded(batch)

    scene.log.away = True
    await scene.append("1", "2", topic=emptying)
    scene.log.away = False
    await handed_over()
    both = asyncio.create_task(
        scene.front.append([record(emptying, "k", "3"), record(filling, "k", "second")], timeout_s=5)
    )
    await asyncio.sleep(0)  # it begins, and waits for the hand-over
    scene.log.away_topics = {filling}
    await scene.append("first", topic=filling)
    scene.log.away_topics = set()
    await handed_over()
    await both
    assert scene.front.state().records == 3, "what came second waits behind what came first"
    scene.forward()
    await scene.emptied()
    assert await scene.arrived(filling) == ["first", "second"]
    assert await scene.arrived(emptying) == ["1", "2", "3"]
    await scene.stop()


@contextlib.contextmanager
def broken(scene):
    """The spool's file is damaged, and afterwards gone: somebody has deleted it, and a new one is begun."""
    places = list((scene.directory / "spool").iterdir())
    for place in places:
        place.write_bytes(b"this is no database " * (place.stat().st_size // 20 + 1))
    yield
    for place in places:
        place.unlink(missing_ok=True)


async def test_a_new_file_is_read_from_its_beginning_whatever_was_forwarded_of_the_old_one(tmp_path):
    scene = await SpoolScene(tmp_path).start(forward=False)
    scene.log.away = True
    await scene.append("1", "2", "3")
    batch = await scene.front.waiting(TOPIC, max_records=10, max_bytes=MIB, timeout_s=1)
    with broken(scene):
        await scene.front.forwarded(batch[:2])  # its removal fails: it is noted, to be made up for
        assert scene.front.state().records == 1
    await scene.append("new")  # the first one of another file
    again = await scene.front.waiting(TOPIC, max_records=10, max_bytes=MIB, timeout_s=1)
    assert values(again) == ["new"]
    await scene.stop()


async def test_what_is_forwarded_of_an_old_file_removes_nothing_from_the_one_that_came_after_it(tmp_path):
    scene = await SpoolScene(tmp_path).start(forward=False)
    scene.log.away = True
    await scene.append("1", "2", "3")
    batch = await scene.front.waiting(TOPIC, max_records=10, max_bytes=MIB, timeout_s=1)
    with broken(scene), pytest.raises(EventLogUnavailable):
        await scene.append("refused")
    await scene.append("new", "newer")  # the first ones of another file, while the old one's are on their way
    await scene.front.forwarded(batch)
    again = await scene.front.waiting(TOPIC, max_records=10, max_bytes=MIB, timeout_s=1)
    assert values(again) == ["new", "newer"]
    await scene.stop()


async def test_reading_from_the_front_is_reading_from_the_log(scene):
    await scene.append("1")
    async with scene.front.subscribe([TOPIC], group="g") as subscription:
        assert values(await read(subscription, 1)) == ["1"]
