"""Intake and copies: what reaches the inbox, in which order, and that nothing is lost where something is away."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from contract.event_log_suite import started
from servers.waiting import eventually
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.event_record import event_json
from sreops.domain.alerts.routing import INFO, WARNING, NotWorkedOn
from sreops.domain.incidents.correlation import Correlation, Disposition, Windows
from sreops.domain.records.record import Record, RecordKind
from sreops.errors import EventLogUnavailable, StoreUnavailable
from sreops.ports import MAX_RECORD_BYTES, Health, LogRecord, UnreadableEvent
from sreops.telemetry import REGISTRY
from sreops.worker import dead_letter
from sreops.worker.copies import Copies
from sreops.worker.correlation import Correlator
from sreops.worker.inbox_room import InboxRoom
from sreops.worker.intake import Intake

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CRITICAL, DEAD_LETTER = "sre-critical", "sre-dead-letter"


class At:
    def now(self):
        return NOW


def event(number, *, service="checkout", status=AlertStatus.firing):
    return AlertEvent(
        event_id=f"event-{number}",
        source="grafana",
        fingerprint=f"fp-{service}",
        status=status,
        labels={"alertname": "Down", "service": service},
        annotations={},
        starts_at=NOW - timedelta(minutes=5),
        received_at=NOW,
        tier=Tier.supervised,
        severity=Severity.critical,
        service=service,
    )


def event_record(one):
    return LogRecord(CRITICAL, one.service, event_json(one), (("schema", b"1"),))


class Inbox:
    """The part of the store that intake uses; `away` and `broken` make it fail as the real one may."""

    def __init__(self):
        self.taken = {}
        self.recorded = {}
        self.used_bytes = 0
        self.correlated = []
        self.away = 0
        self.take_away = 0
        self.broken = {}
        self.unreadable = []
        self.windows = []

    async def take_in(self, records, *, now, recorded=None):
        if self.take_away:
            self.take_away -= 1
            raise StoreUnavailable("the inbox is away")
        before = len(self.taken)
        for one, _ in records:
            self.taken.setdefault(one.event_id, one)
            if why := (recorded or {}).get(one.event_id):
                self.recorded[one.event_id] = why
                self.correlated.append(one.event_id)
        return len(self.taken) - before

    async def inbox_bytes(self):
        return self.used_bytes

    async def uncorrelated(self, limit):
        if self.away:
            self.away -= 1
            raise StoreUnavailable("the store is away")
        done = set(self.correlated)
        return [*self.unreadable, *(one for one in self.taken.values() if one.event_id not in done)][:limit]

    async def set_aside(self, event_id, *, now):
        self.unreadable = [one for one in self.unreadable if one.event_id != event_id]

    async def correlate_all(self, events, decide, *, now, windows=None):
        done = len(self.correlated)
        try:
            return [await self.correlate(one, decide, now=now) for one in events]
        except Exception:
            del self.correlated[done:]
            raise

    async def correlate(self, one, decide, *, now, windows=None):
        error = self.broken.get(one.event_id)
        if error is not None:
            raise error
        correlation = decide(one, [])
        self.correlated.append(one.event_id)
        return correlation


class RefusingLog:
    """Passes on to a real log, and fails as often as told."""

    name = "embedded"

    def __init__(self, log):
        self._log = log
        self.away = 0

    async def append(self, records, *, timeout_s):
        if self.away:
            self.away -= 1
            raise EventLogUnavailable("away")
        await self._log.append(records, timeout_s=timeout_s)


class UnwillingSubscription:
    """Never commits."""

    async def poll(self, *, max_records, timeout_s):
        return ()

    async def commit(self, records):
        raise EventLogUnavailable("no broker")

    def health(self):
        return Health("down")

    async def lag(self):
        return None


@pytest.fixture
async def log(tmp_path):
    async with started(EmbeddedEventLog(tmp_path / "log.sqlite")) as opened:
        yield opened


@pytest.fixture
def store():
    return Inbox()


@pytest.fixture
def woken():
    return asyncio.Event()


def intake_of(log, store, woken, *, event_log=None, **options):
    return Intake(
        subscribe=lambda: log.subscribe([CRITICAL], group="sreops"),
        store=store,
        event_log=event_log or log,
        clock=At(),
        correlating=correlating_of(event_log or log, store, woken, **options),
        poll_s=0.05,
        retry_s=0.001,
        **options,
    )


def correlating_of(event_log, store, woken, **options):
    return Correlator(
        store=store,
        event_log=event_log,
        clock=At(),
        windows=Windows(),
        on_due=woken.set,
        retry_s=0.001,
        **options,
    )


@asynccontextmanager
async def running(job):
    task = asyncio.create_task(job.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()


async def read_topic(log, topic, count, group="looking"):
    async with log.subscribe([topic], group=group) as subscription:
        found = []
        while len(found) < count:
            got = await subscription.poll(max_records=100, timeout_s=5)
            assert got, f"{len(found)} of {count} records on {topic}"
            found += got
        return found


async def test_events_reach_the_inbox_are_correlated_and_dispatch_is_woken(log, store, woken):
    await log.append([event_record(event(n)) for n in range(3)], timeout_s=5)
    async with running(intake_of(log, store, woken)):
        await eventually(lambda: store.correlated == ["event-0", "event-1", "event-2"])
        assert woken.is_set()


async def test_what_is_not_worked_on_is_recorded_with_its_reason_and_a_resolve_of_it_still_finds_its_alert(
    log, store, woken
):
    info = {"severity": Severity.info}
    told = [
        event(0).model_copy(update=info),
        event(1).model_copy(update=info | {"status": AlertStatus.resolved}),
        event(2).model_copy(update={"tier": Tier.unknown}),
        event(3),
    ]
    before = counted("severity")
    await log.append([event_record(one) for one in told], timeout_s=5)
    async with running(intake_of(log, store, woken)):
        await eventually(lambda: len(store.correlated) == 4)
    assert store.recorded == {"event-0": NotWorkedOn.severity, "event-2": NotWorkedOn.tier}
    assert counted("severity") == before + 1


def counted(reason):
    return REGISTRY.get_sample_value("sreops_alerts_recorded_total", {"reason": reason}) or 0.0


async def test_a_fuller_inbox_takes_information_no_more_then_warnings_and_critical_until_it_is_full(store):
    room = InboxRoom(store, 100, 0.0)
    closed = {}
    for used in (10, 49, 50, 79, 80, 99):
        store.used_bytes = used
        room.take(1000)  # whatever it thought: it must look again
        await room.wait()
        closed[used] = room.closed_to()
    everything = {INFO, WARNING}
    assert closed == {10: set(), 49: set(), 50: {INFO}, 79: {INFO}, 80: everything, 99: everything}


async def test_a_room_that_is_free_again_is_seen(store):
    room = InboxRoom(store, 100, 0.0)
    store.used_bytes = 60
    await room.wait()
    assert room.closed_to() == {INFO}
    store.used_bytes = 0
    await room.wait()
    assert room.closed_to() == set()


async def test_every_record_of_a_batch_takes_its_room_and_a_full_inbox_is_seen_before_the_next_batch(log, store, woken):
    batch = [event_record(event(n, service=f"s{n}")) for n in range(4)]
    room = sum(one.size_bytes for one in batch) - 1
    intake = Intake(
        subscribe=lambda: log.subscribe([CRITICAL], group="sreops"),
        store=store,
        event_log=log,
        clock=At(),
        correlating=correlating_of(log, store, woken),
        batch_records=4,
        poll_s=0.05,
        full_poll_s=0.01,
        max_inbox_bytes=room,
    )
    await log.append([*batch, event_record(event(4, service="s4"))], timeout_s=5)
    take_in = store.take_in

    async def filling(records, **told):
        store.used_bytes = room
        return await take_in(records, **told)

    store.take_in = filling
    async with running(intake):
        await eventually(lambda: intake.health().status == "down", what="reading to be held back")
        assert len(store.taken) == 4, "the log keeps what there is no room for"
        store.used_bytes = 0
        await eventually(lambda: len(store.taken) == 5, what="the rest, now that there is room")


async def test_what_was_taken_in_is_committed_and_does_not_come_again(log, store, woken):
    await log.append([event_record(event(0))], timeout_s=5)
    async with log.subscribe([CRITICAL], group="sreops") as subscription:
        await intake_of(log, store, woken).take(subscription, await subscription.poll(max_records=5, timeout_s=5))
    async with log.subscribe([CRITICAL], group="sreops") as subscription:
        assert list(await subscription.poll(max_records=5, timeout_s=0.05)) == []


async def test_the_same_batch_is_tried_again_until_the_inbox_takes_it_and_only_then_committed(log, store, woken):
    store.take_away = 4
    await log.append([event_record(event(0))], timeout_s=5)
    async with log.subscribe([CRITICAL], group="sreops") as subscription:
        await intake_of(log, store, woken).take(subscription, await subscription.poll(max_records=5, timeout_s=5))
    assert store.take_away == 0
    assert list(store.taken) == ["event-0"]


async def test_a_cancelled_intake_commits_nothing_that_is_not_in_the_inbox(log, store, woken):
    store.take_away = 1_000_000
    await log.append([event_record(event(0))], timeout_s=5)
    async with running(intake_of(log, store, woken)):
        await eventually(lambda: store.take_away < 999_995)
    store.take_away = 0
    async with running(intake_of(log, store, woken)):
        await eventually(lambda: list(store.taken) == ["event-0"])


async def test_unreadable_records_go_to_the_dead_letter_with_bytes_and_origin_and_are_committed(log, store, woken):
    broken = LogRecord(CRITICAL, "checkout", b"\xff not json", (("traceparent", b"00-ab"),))
    await log.append([broken, event_record(event(0)), LogRecord(CRITICAL, "k", b'{"schema":99}')], timeout_s=5)
    async with running(intake_of(log, store, woken)):
        dead = await read_topic(log, DEAD_LETTER, 2)
        await eventually(lambda: store.correlated == ["event-0"])

        async def committed():
            return await log.count("sreops", {}, [CRITICAL]) == 0

        await eventually(committed)
    headers = dict(dead[0].headers)
    assert (dead[0].key, dead[0].value) == ("checkout", b"\xff not json")
    assert headers["traceparent"] == b"00-ab"
    assert (headers["origin-topic"], headers["origin-offset"]) == (b"sre-critical", b"0")
    assert b"schema 1" in headers["error"]
    async with log.subscribe([CRITICAL], group="sreops") as subscription:
        assert list(await subscription.poll(max_records=5, timeout_s=0.05)) == []


async def test_a_dead_letter_that_the_log_does_not_take_yet_is_tried_again_before_the_commit(log, store, woken):
    refusing = RefusingLog(log)
    refusing.away = 3
    await log.append([LogRecord(CRITICAL, "k", b"garbage")], timeout_s=5)
    async with running(intake_of(log, store, woken, event_log=refusing)):
        assert [one.value for one in await read_topic(log, DEAD_LETTER, 1)] == [b"garbage"]
    assert refusing.away == 0


async def test_nothing_is_committed_before_what_is_unreadable_lies_in_the_dead_letter(log, store, woken):
    refusing = RefusingLog(log)
    refusing.away = 1_000_000
    await log.append([LogRecord(CRITICAL, "k", b"garbage"), event_record(event(0))], timeout_s=5)
    async with running(intake_of(log, store, woken, event_log=refusing)):
        await eventually(lambda: refusing.away < 999_995, what="the dead letter to be refused again and again")
        assert list(store.taken) == ["event-0"]
    assert await log.count("sreops", {}, [CRITICAL]) == 2, "killed here, both would be gone for good"
    refusing.away = 0
    async with running(intake_of(log, store, woken, event_log=refusing)):
        assert [one.value for one in await read_topic(log, DEAD_LETTER, 1)] == [b"garbage"]


async def test_an_unreadable_record_too_large_for_the_dead_letter_is_cut_and_says_so(log, store, woken):
    largest = LogRecord(CRITICAL, "k", b"x" * (MAX_RECORD_BYTES - 4))
    await log.append([largest], timeout_s=5)
    async with running(intake_of(log, store, woken)):
        dead = (await read_topic(log, DEAD_LETTER, 1))[0]
    assert dict(dead.headers)["original-bytes"] == str(len(largest.value)).encode()
    assert largest.value.startswith(dead.value)


async def test_a_commit_that_fails_is_no_end_since_the_events_are_in_the_inbox(log, store, woken):
    await log.append([event_record(event(0))], timeout_s=5)
    records = await read_topic(log, CRITICAL, 1)
    await intake_of(log, store, woken).take(UnwillingSubscription(), records)
    assert list(store.taken) == ["event-0"]


async def test_records_that_come_twice_are_taken_once(log, store, woken):
    await log.append([event_record(event(0)), event_record(event(0))], timeout_s=5)
    async with running(intake_of(log, store, woken)):
        await eventually(lambda: store.correlated == ["event-0"])
    assert len(store.taken) == 1


async def test_an_event_that_fails_holds_back_its_own_service_alone_and_keeps_its_place(log, store, woken):
    firing, resolved, other = event(0), event(1, status=AlertStatus.resolved), event(2, service="search")
    store.broken["event-0"] = StoreUnavailable("locked")
    await log.append([event_record(one) for one in (firing, resolved, other)], timeout_s=5)
    async with running(intake_of(log, store, woken)):
        await eventually(lambda: store.correlated == ["event-2"])
        del store.broken["event-0"]
        await eventually(lambda: store.correlated == ["event-2", "event-0", "event-1"])


async def test_an_event_that_trips_our_own_code_does_not_stop_the_others(log, store, woken):
    store.broken["event-0"] = ValueError("a bug")
    await log.append([event_record(event(0)), event_record(event(1, service="search"))], timeout_s=5)
    async with running(intake_of(log, store, woken)):
        await eventually(lambda: store.correlated == ["event-1"])
        del store.broken["event-0"]
        await eventually(lambda: store.correlated == ["event-1", "event-0"])


async def test_an_inbox_row_that_does_not_read_goes_to_the_dead_letter_and_the_rest_goes_on(log, store, woken):
    store.unreadable = [UnreadableEvent("strange", CRITICAL, b'{"schema":99}', "the inbox row does not read")]
    store.taken = {one.event_id: one for one in (event(1), event(2))}
    away = RefusingLog(log)
    away.away = 2
    correlating = correlating_of(away, store, woken)
    assert await correlating.pending(), "its letter is not written yet"
    assert (len(store.correlated), len(store.unreadable)) == (2, 1)
    assert not await correlating.pending()
    assert store.unreadable == []
    [letter] = dead_letter.letters(await read_topic(log, DEAD_LETTER, 1))
    assert (letter.id, letter.origin, letter.record.value) == ("strange", CRITICAL, b'{"schema":99}')


async def test_more_held_back_events_than_a_batch_do_not_hide_those_behind_them(log, store, woken):
    for number in range(30):
        store.taken[f"event-{number}"] = event(number)
    store.taken["event-30"] = event(30, service="search")
    store.broken["event-0"] = StoreUnavailable("locked")
    assert await correlating_of(log, store, woken, batch_records=4).pending() is True
    assert store.correlated == ["event-30"]
    assert woken.is_set()


async def test_a_store_that_is_away_is_not_asked_for_every_event(log, store, woken):
    for number in range(50):
        store.taken[f"event-{number}"] = event(number, service=f"service-{number}")
        store.broken[f"event-{number}"] = StoreUnavailable("away")
    asked = []
    correlate = store.correlate

    async def counting(one, decide, *, now, windows=None):
        asked.append(one.event_id)
        return await correlate(one, decide, now=now)

    store.correlate = counting
    assert await correlating_of(log, store, woken).pending() is True
    assert len(asked) == 4, "all together, and then three alone"
    assert not woken.is_set()


async def test_an_inbox_that_cannot_be_read_is_read_again(log, store, woken):
    store.taken["event-0"] = event(0)  # taken in before a restart: nothing arrives on the topic for it
    store.away = 3
    async with running(intake_of(log, store, woken)):
        await eventually(lambda: store.correlated == ["event-0"])


async def test_what_can_not_be_correlated_for_long_is_told_by_health_until_it_is_over(log, store, woken):
    intake = intake_of(log, store, woken)
    store.taken["event-0"] = event(0)
    store.broken["event-0"] = StoreUnavailable("a row that no index takes")
    async with running(intake):
        await eventually(lambda: "event-0" in intake.health().detail)
        assert (intake.health().status, "no index takes" in intake.health().detail) == ("down", True)
        store.correlated.append("event-0")  # by another replica
        await log.append([event_record(event(1, service="search"))], timeout_s=5)
        await eventually(lambda: intake.health().status == "up")
        store.away = 10**6
        await log.append([event_record(event(2, service="search"))], timeout_s=5)
        await eventually(lambda: "the store is away" in intake.health().detail)
        store.away = 0
        await eventually(lambda: intake.health().status == "up", 20)


async def test_correlation_decides_by_what_the_store_knows(log, store, woken):
    decided = []

    async def correlate(one, decide, *, now, windows=None):
        decided.append(decide(one, []))
        store.correlated.append(one.event_id)
        return decided[-1]

    store.correlate = correlate
    store.taken["event-0"] = event(0)
    store.taken["event-1"] = event(1, status=AlertStatus.resolved)
    assert await correlating_of(log, store, woken).pending() is False
    assert [one.disposition for one in decided] == [Disposition.open, Disposition.stale]
    assert all(isinstance(one, Correlation) for one in decided)


# --- copies ---------------------------------------------------------------------------------------


def record(seq, kind=RecordKind.thought, **body):
    return Record(
        seq=seq, incident_id=f"incident-{seq % 2}", kind=kind, at=NOW, body=body or {"text": f"thought {seq}"}
    )


class Outbox:
    def __init__(self, records):
        self.records = list(records)
        self.marked = []
        self.away = 0

    async def unpublished(self, limit):
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        return [one for one in self.records if one.seq not in self.marked][:limit]

    async def published(self, seqs):
        self.marked += seqs


async def test_thoughts_and_actions_are_copied_in_order_to_their_topics_and_marked(log):
    action = record(3, RecordKind.action, action="restart_container", phase="intent").model_copy(
        update={"prev_hash": "0", "hash": "ab"}
    )
    outbox = Outbox([record(1), record(2), action, record(4)])
    async with running(Copies(clock=At(), store=outbox, event_log=log, retry_s=0.001, batch_records=3)):
        thoughts = await read_topic(log, "agent-thoughts", 3)
        actions = await read_topic(log, "agent-actions", 1)
        await eventually(lambda: outbox.marked == [1, 2, 3, 4])
    assert [json.loads(one.value)["seq"] for one in thoughts] == [1, 2, 4]
    assert [one.key for one in thoughts] == ["incident-1", "incident-0", "incident-0"]
    assert json.loads(actions[0].value) == action.public()


async def test_copies_wait_for_a_log_that_is_away_and_mark_nothing_before_it_acknowledges(log):
    refusing = RefusingLog(log)
    refusing.away = 3
    outbox = Outbox([record(1)])
    with pytest.raises(EventLogUnavailable):
        await Copies(clock=At(), store=outbox, event_log=refusing).copy_once()
    assert outbox.marked == []
    outbox.away = 2
    async with running(Copies(clock=At(), store=outbox, event_log=refusing, retry_s=0.001)):
        await eventually(lambda: outbox.marked == [1])
    assert len(await read_topic(log, "agent-thoughts", 1)) == 1


async def test_a_record_too_large_for_the_log_is_announced_without_its_text_and_holds_up_nothing(log):
    outbox = Outbox([record(1), record(2, text="x" * MAX_RECORD_BYTES), record(3)])
    assert await Copies(clock=At(), store=outbox, event_log=log).copy_once() == 3
    copies = [json.loads(one.value) for one in await read_topic(log, "agent-thoughts", 3)]
    assert [one["seq"] for one in copies] == [1, 2, 3]
    assert copies[1] == {
        "seq": 2, "incident_id": "incident-0", "kind": "thought", "at": NOW.isoformat(), "cut": True,
    }  # fmt: skip
    assert outbox.marked == [1, 2, 3]


async def test_copies_look_at_once_when_woken(log):
    outbox, wake = Outbox([]), asyncio.Event()
    looks = []
    unpublished = outbox.unpublished

    async def counting(limit):
        looks.append(limit)
        return await unpublished(limit)

    outbox.unpublished = counting
    async with running(Copies(clock=At(), store=outbox, event_log=log, wake=wake)):
        await eventually(lambda: looks)
        outbox.records.append(record(1))
        wake.set()
        await eventually(lambda: outbox.marked == [1], 1.5)
