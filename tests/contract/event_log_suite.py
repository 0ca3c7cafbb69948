"""What every event log must do; subclasses say how one is made (see test_event_log_*.py)."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from sreops.errors import EventLogRefused
from sreops.ports import MAX_RECORD_BYTES, EventLog, LogRecord, StoredRecord, Subscription

Log = TypeVar("Log", bound=EventLog)
APPEND_S = 15.0  # generous: a broker creates what it needs for the first group and the first producer
READ_S = 40.0


def record(topic: str, key: str, value: str | bytes, *headers: tuple[str, bytes]) -> LogRecord:
    return LogRecord(topic, key, value.encode() if isinstance(value, str) else value, headers)


@asynccontextmanager
async def started(log: Log) -> AsyncIterator[Log]:
    """Start a log, and stop it at the end."""
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


async def read(subscription: Subscription, count: int, *, timeout_s: float = READ_S) -> list[StoredRecord]:
    """Poll until ``count`` records have come; fewer after ``timeout_s`` is a failure that shows what came."""
    found: list[StoredRecord] = []
    deadline = time.monotonic() + timeout_s
    while len(found) < count:
        assert time.monotonic() < deadline, (
            f"{len(found)} of {count} records after {timeout_s} s; {subscription.health()}"
        )
        found += await subscription.poll(max_records=500, timeout_s=1.0)
    return found


def values(records: Sequence[StoredRecord]) -> list[str]:
    return [one.value.decode() for one in records]


class EventLogContract:
    """Subclasses give the ``log`` fixture (started) and ``reopened``: a new object on the data of a stopped one."""

    topics = ("sre-critical", "sre-warning", "agent-thoughts")

    @asynccontextmanager
    async def reopened(self, log: EventLog) -> AsyncIterator[EventLog]:
        raise NotImplementedError
        yield log

    @pytest.fixture
    def group(self) -> str:
        return f"group-{uuid.uuid4().hex[:8]}"

    @pytest.fixture
    def names(self) -> tuple[str, str, str]:
        """Topics of this test alone, so that one server serves all tests."""
        raise NotImplementedError

    async def test_records_of_a_key_are_read_in_the_order_they_were_appended(self, log, names, group):
        for start in range(0, 30, 10):
            await log.append(
                [record(names[0], "checkout", str(n)) for n in range(start, start + 10)], timeout_s=APPEND_S
            )
        async with log.subscribe([names[0]], group=group) as subscription:
            assert values(await read(subscription, 30)) == [str(n) for n in range(30)]

    async def test_key_value_headers_and_time_come_back_as_they_were(self, log, names, group):
        sent = record(
            names[0], "zahlung-ü-支払い", b"\x00\xff\x80 binary", ("traceparent", b"00-ab"), ("schema", b"\x01")
        )
        await log.append([sent, record(names[0], "", "")], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            found = {one.key: one for one in await read(subscription, 2)}
        one = found[sent.key]
        assert (one.topic, one.value, one.headers) == (sent.topic, sent.value, sent.headers)
        assert one.at is not None
        assert one.at.utcoffset() is not None
        assert found[""].value == b""

    async def test_a_key_that_is_no_valid_unicode_is_taken_all_the_same(self, log, names, group):
        await log.append([record(names[0], "evil-\ud800", "kept")], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            assert values(await read(subscription, 1)) == ["kept"]

    async def test_one_append_may_span_topics(self, log, names, group):
        await log.append([record(name, "k", name) for name in names], timeout_s=APPEND_S)
        async with log.subscribe(names, group=group) as subscription:
            assert sorted(values(await read(subscription, 3))) == sorted(names)

    async def test_a_backlog_of_the_first_topic_is_read_before_the_others(self, log, names, group):
        await log.append([record(names[1], "k", f"warning-{n}") for n in range(20)], timeout_s=APPEND_S)
        await log.append([record(names[0], "k", f"critical-{n}") for n in range(20)], timeout_s=APPEND_S)
        async with log.subscribe(names[:2], group=group) as subscription:
            await read_lag(subscription, 40)
            subscription.pause(names[:2])
            await subscription.poll(max_records=1, timeout_s=1.0)  # a client that fetches ahead has both by then
            subscription.pause(())
            first = await read(subscription, 1)
        assert first[0].topic == names[0]

    async def test_what_was_appended_is_there_after_closing_and_opening_again(self, log, names, group):
        await log.append([record(names[0], "k", str(n)) for n in range(50)], timeout_s=APPEND_S)
        async with self.reopened(log) as again, again.subscribe([names[0]], group=group) as subscription:
            assert values(await read(subscription, 50)) == [str(n) for n in range(50)]

    async def test_uncommitted_records_come_again_and_committed_ones_do_not(self, log, names, group):
        await log.append([record(names[0], "k", str(n)) for n in range(10)], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            found = await read(subscription, 10)
            await subscription.commit(found[:4])
        async with log.subscribe([names[0]], group=group) as subscription:
            assert values(await read(subscription, 6)) == [str(n) for n in range(4, 10)]

    async def test_commits_hold_after_closing_and_opening_again(self, log, names, group):
        await log.append([record(names[0], "k", str(n)) for n in range(5)], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            await subscription.commit(await read(subscription, 5))
        async with self.reopened(log) as again:
            await again.append([record(names[0], "k", "new")], timeout_s=APPEND_S)
            async with again.subscribe([names[0]], group=group) as subscription:
                assert values(await read(subscription, 1)) == ["new"]

    async def test_two_groups_read_everything_independently(self, log, names, group):
        await log.append([record(names[0], "k", str(n)) for n in range(5)], timeout_s=APPEND_S)
        for one in (group, group + "-other"):
            async with log.subscribe([names[0]], group=one) as subscription:
                found = await read(subscription, 5)
                assert values(found) == [str(n) for n in range(5)]
                await subscription.commit(found)

    async def test_two_members_of_a_group_read_a_record_once_between_them(self, log, names, group):
        async with (
            log.subscribe([names[0]], group=group) as one,
            log.subscribe([names[0]], group=group) as other,
        ):
            await log.append([record(names[0], "k", "settle")], timeout_s=APPEND_S)
            await drain_committing([one, other], 1)  # both have joined or wait before what is counted
            await log.append([record(names[0], f"key-{n}", str(n)) for n in range(30)], timeout_s=APPEND_S)
            found = await drain_committing([one, other], 30)
            leftovers = [await member.poll(max_records=10, timeout_s=0.3) for member in (one, other)]
        assert sorted(values(found), key=int) == [str(n) for n in range(30)]
        assert [len(rest) for rest in leftovers] == [0, 0]

    async def test_an_empty_poll_returns_after_its_timeout(self, log, names, group):
        await log.append([record(names[0], "k", "only")], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            await read(subscription, 1)
            began = time.monotonic()
            assert list(await subscription.poll(max_records=10, timeout_s=0.5)) == []
            assert 0.4 <= time.monotonic() - began < 2.0

    async def test_a_waiting_poll_returns_as_soon_as_a_record_comes(self, log, names, group):
        await log.append([record(names[0], "k", "first")], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            await read(subscription, 1)
            waiting = asyncio.create_task(subscription.poll(max_records=10, timeout_s=20.0))
            await log.append([record(names[0], "k", "second")], timeout_s=APPEND_S)
            async with asyncio.timeout(10):
                assert values(await waiting) == ["second"]

    async def test_a_cancelled_poll_loses_nothing(self, log, names, group):
        await log.append([record(names[0], "k", "first")], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            await read(subscription, 1)
            waiting = asyncio.create_task(subscription.poll(max_records=10, timeout_s=20.0))
            await asyncio.sleep(0)  # let it begin
            waiting.cancel()
            await log.append([record(names[0], "k", "second")], timeout_s=APPEND_S)
            assert values(await read(subscription, 1)) == ["second"]

    async def test_poll_returns_no_more_than_it_was_asked_for(self, log, names, group):
        await log.append([record(names[0], "k", str(n)) for n in range(25)], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            found = await read(subscription, 25)
            assert len(found) == 25
        async with log.subscribe([names[0]], group=group) as subscription:
            sizes = []
            while sum(sizes) < 25:
                sizes.append(len(await subscription.poll(max_records=10, timeout_s=5.0)))
        assert max(sizes) == 10

    async def test_lag_counts_what_is_unread(self, log, names, group):
        await log.append([record(names[0], "k", str(n)) for n in range(7)], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            await read_lag(subscription, 7)
            await read(subscription, 7)
            await read_lag(subscription, 0)

    async def test_a_large_batch_is_appended_and_read_whole(self, log, names, group):
        big = "x" * 2000
        sent = [record(names[0], f"service-{n % 17}", f"{n:05d}{big}") for n in range(3000)]
        await log.append(sent, timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            found = await read(subscription, 3000)
        assert sorted(one.value[:5] for one in found) == sorted(one.value[:5] for one in sent)

    async def test_concurrent_appends_all_arrive_and_keep_their_own_order(self, log, names, group):
        async def appender(name: str) -> None:
            for n in range(20):
                await log.append([record(names[0], name, f"{name}:{n}")], timeout_s=APPEND_S)

        async with asyncio.TaskGroup() as tasks:
            for n in range(16):
                tasks.create_task(appender(f"service-{n}"))
        async with log.subscribe([names[0]], group=group) as subscription:
            found = values(await read(subscription, 320))
        for n in range(16):
            own = [one for one in found if one.startswith(f"service-{n}:")]
            assert own == [f"service-{n}:{m}" for m in range(20)]

    async def test_the_largest_record_is_taken_and_a_larger_one_refused_with_its_whole_append(self, log, names, group):
        largest = record(names[0], "k", b"x" * (MAX_RECORD_BYTES - 4))
        await log.append([largest], timeout_s=APPEND_S)
        with pytest.raises(EventLogRefused, match=str(MAX_RECORD_BYTES)):
            await log.append(
                [record(names[0], "k", "small"), record(names[0], "k", largest.value + b"y")], timeout_s=APPEND_S
            )
        await log.append([record(names[0], "k", "after")], timeout_s=APPEND_S)
        async with log.subscribe([names[0]], group=group) as subscription:
            assert [len(one.value) for one in await read(subscription, 2)] == [len(largest.value), len("after")]

    async def test_a_paused_topic_waits_and_the_others_go_on(self, log, names, group):
        first, second, _ = names
        await log.append([record(first, "k", "a"), record(second, "k", "b")], timeout_s=APPEND_S)
        async with log.subscribe([first, second], group=group) as subscription:
            subscription.pause([second])
            assert values(await read(subscription, 1)) == ["a"]
            assert list(await subscription.poll(max_records=10, timeout_s=0.5)) == []
            subscription.pause([])
            assert values(await read(subscription, 1)) == ["b"]

    async def test_a_topic_that_was_never_read_may_begin_a_while_back_and_one_that_was_goes_on(self, log, names, group):
        first, second, _ = names
        await log.append([record(first, "k", "a"), record(second, "k", "b")], timeout_s=APPEND_S)
        async with log.subscribe([first], group=group) as subscription:
            await subscription.commit(await read(subscription, 1))
        await asyncio.sleep(1.1)  # the records' age is the log's own, in whole milliseconds
        async with log.subscribe([first, second], group=group, recent_s={first: 0.5, second: 0.5}) as subscription:
            await log.append([record(first, "k", "c")], timeout_s=APPEND_S)
            assert values(await read(subscription, 1)) == ["c"]
            assert list(await subscription.poll(max_records=10, timeout_s=0.5)) == []
            await log.append([record(second, "k", "d")], timeout_s=APPEND_S)
            assert values(await read(subscription, 1)) == ["d"]
        other = f"{group}-other"
        async with log.subscribe([second], group=other, recent_s={second: 3600.0}) as subscription:
            assert values(await read(subscription, 2)) == ["b", "d"]

    async def test_appending_nothing_is_no_error(self, log):
        await log.append([], timeout_s=APPEND_S)

    async def test_health_is_up_while_appending_works(self, log, names, group):
        await log.append([record(names[0], "k", "1")], timeout_s=APPEND_S)
        assert (await log.health()).status == "up"
        async with log.subscribe([names[0]], group=group) as subscription:
            await read(subscription, 1)
            assert subscription.health().status == "up"


async def drain_committing(members: Sequence[Subscription], count: int) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    deadline = time.monotonic() + READ_S
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} records after {READ_S} s"
        for member in members:
            got = await member.poll(max_records=100, timeout_s=0.3)
            await member.commit(got)
            found += got
    return found


async def read_lag(subscription: Subscription, expected: int) -> None:
    from servers.waiting import eventually

    async def lag_is_known() -> bool:
        return await subscription.lag() == expected

    await eventually(lag_is_known, READ_S, what=f"a lag of {expected}")
