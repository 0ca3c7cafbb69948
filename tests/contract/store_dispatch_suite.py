"""The store's promises about leases, timers and wakes."""

import asyncio
import random

import pytest
from store_scene import T0, Opener, alert, always, at, at_work, claimed, cleared, effect_of, ended, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import Severity
from sreops.domain.incidents.incident import EffectOutcome
from sreops.domain.records.record import Thought
from sreops.domain.remediation.policy import PolicyLimits
from sreops.errors import LeaseLost
from sreops.ports import Changes, Lease


class DispatchSuite:
    """Who works on what, and when."""

    async def test_critical_before_warning_before_info_then_the_oldest(self, store: SqlIncidentStore) -> None:
        await opened(store, "info-old", now=at(0), severity=Severity.info)
        await opened(store, "warning", now=at(1), severity=Severity.warning)
        await opened(store, "critical-new", now=at(3))
        await opened(store, "critical-old", now=at(2))
        leases = await store.claim("w1", now=at(9), lease_s=30, limit=3)
        assert [lease.service for lease in leases] == ["critical-old", "critical-new", "warning"]
        assert [lease.service for lease in await store.claim("w1", now=at(9), lease_s=30, limit=3)] == ["info-old"]

    async def test_a_warning_is_not_starved_by_critical_ones(self, store: SqlIncidentStore) -> None:
        await opened(store, "warning", now=at(0), severity=Severity.warning)
        for number in range(4):
            await opened(store, f"critical-{number}", now=at(50 + 30 * number))
        served = []
        for number in range(5):  # one slot, and a new critical incident each time that it is free
            [lease] = await store.claim("w1", now=at(200 + number), lease_s=30, limit=1, ageing_s=100)
            served.append(lease.service)
            await ended(store, lease, now=at(200 + number))
            await opened(store, f"later-{number}", now=at(200 + number))
        assert served == ["critical-0", "critical-1", "warning", "critical-2", "critical-3"]

    async def test_never_two_of_one_service_at_a_time(self, store: SqlIncidentStore) -> None:
        first = await opened(store, now=at(0), fingerprint="a")
        second = await opened(store, now=at(1), fingerprint="b")
        [lease] = await store.claim("w1", now=at(2), lease_s=30, limit=10)
        assert lease.incident_id == first
        assert await store.claim("w2", now=at(32), lease_s=30, limit=10) == [], "held to its last moment"
        await store.park(lease, wake_at=at(100), timer="poll")
        [lease] = await store.claim("w2", now=at(4), lease_s=30, limit=10)
        assert lease.incident_id == second

    async def test_a_long_backlog_of_one_service_holds_up_no_other(self, store: SqlIncidentStore) -> None:
        for number in range(7):
            await opened(store, "busy", now=at(number), fingerprint=f"b{number}")
        await opened(store, "second", now=at(7))
        await opened(store, "third", now=at(8), severity=Severity.warning)
        await opened(store, "third", now=at(9), fingerprint="t")
        leases = await store.claim("w1", now=at(20), lease_s=30, limit=2)
        assert [lease.service for lease in leases] == ["busy", "second"]
        [lease] = await store.claim("w1", now=at(20), lease_s=30, limit=2)
        assert (lease.service, (await store.incident(lease.incident_id)).severity) == ("third", Severity.critical)

    @pytest.mark.parametrize("seed", range(4))
    async def test_claims_come_in_the_order_of_a_sorted_list(self, store: SqlIncidentStore, seed: int) -> None:
        dice = random.Random(seed)
        rows: list[tuple[float, int, str, str, float]] = []  # turn, rank, id, service, due
        for number in range(40):
            rank, opened_s = dice.randrange(3), dice.randrange(30)
            service = f"s{dice.randrange(12)}"
            severity = (Severity.critical, Severity.warning, Severity.info)[rank]
            incident_id = await opened(store, service, now=at(opened_s), severity=severity, fingerprint=f"f{number}")
            rows.append((opened_s + 10 * rank, rank, incident_id, service, 0.0))
        for round_ in range(6):
            now, limit = at(100 + 10 * round_), dice.randrange(1, 9)
            leases = await store.claim("w", now=now, lease_s=5, limit=limit, ageing_s=10)
            expected: dict[str, str] = {}
            for _, _, incident_id, service, due_s in sorted(rows):
                if due_s <= 100 + 10 * round_ and len(expected) < limit:
                    expected.setdefault(service, incident_id)
            assert [lease.incident_id for lease in leases] == list(expected.values())
            for lease in leases:  # some end, some sleep for two rounds, some are left to lapse
                how = dice.randrange(3)
                if how == 0:
                    await store.finish(lease)
                    rows = [row for row in rows if row[2] != lease.incident_id]
                elif how == 1:
                    due_s = 115.0 + 10 * round_
                    await store.park(lease, wake_at=at(due_s), timer="poll")
                    if lease.woken_by == "takeover":
                        due_s = 0.0  # it looks once more
                    rows = [(*row[:4], due_s) if row[2] == lease.incident_id else row for row in rows]

    async def test_a_run_that_is_taken_over_looks_once_more_before_it_sleeps(self, store: SqlIncidentStore) -> None:
        incident_id = await opened(store, now=at(0))
        await store.claim("dies", now=at(1), lease_s=5, limit=1)
        await store.wake(incident_id, woken_by="decision")
        [lease] = await store.claim("next", now=at(8), lease_s=30, limit=1)
        assert lease.woken_by == "takeover"
        await store.park(lease, wake_at=at(1000), timer="approval")
        [lease] = await store.claim("next", now=at(9), lease_s=30, limit=1)
        await store.park(lease, wake_at=at(1000), timer="approval")
        assert await store.claim("next", now=at(10), lease_s=30, limit=1) == []

    async def test_twenty_claimers_share_the_work_without_a_double(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        for number in range(30):
            await opened(store, f"s{number % 15}", now=at(number), fingerprint=f"f{number}")
        replica = await another()
        claims = await asyncio.gather(
            *((store, replica)[number % 2].claim(f"w{number}", now=at(60), lease_s=30, limit=2) for number in range(20))
        )
        services = [lease.service for leases in claims for lease in leases]
        assert sorted(services) == sorted({f"s{number}" for number in range(15)})

    async def test_a_lapsed_lease_is_taken_over_and_the_old_token_is_refused_everywhere(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        old = await at_work(store)
        begun = await store.begin_effect(old, effect_of(old), PolicyLimits(), now=at(1))
        assert await store.claim("w2", now=at(30), lease_s=30, limit=1) == [], "held to its last moment"
        new = await claimed(await another(), now=at(31), owner="w2")
        assert (new.incident_id, new.woken_by, new.token > old.token) == (old.incident_id, "takeover", True)
        refused = [
            store.write(old, Changes(thoughts=[Thought(node="n", text="late")]), now=at(32)),
            store.begin_effect(old, effect_of(old, 1), PolicyLimits(), now=at(32)),
            store.begin_effect(old, begun, PolicyLimits(), now=at(32)),
            store.end_effect(old, begun.effect_id, EffectOutcome.succeeded, "", now=at(32)),
            store.request_approval(old, plan_hash="p", now=at(32), expires_at=at(99)),
            store.park(old, wake_at=at(99), timer="poll"),
            store.retry(old, wake_at=at(99), error="x"),
            store.release(old),
            store.finish(old),
        ]
        for call in refused:
            with pytest.raises(LeaseLost):
                await call
        assert await store.renew([old, new], now=at(32), lease_s=30) == [new]
        assert "late" not in [record.body.get("text") for record in await store.records()]
        assert [effect.outcome for effect in await store.effects(old.incident_id, 1)] == [None]
        await store.finish(new)

    async def test_starts_after_a_run_that_died_are_counted_by_its_checkpoint(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        lease = await at_work(store)
        assert lease.starts == 0
        for number, (place, start) in enumerate([("c1", 2), ("c1", 3), ("c2", 2), ("c2", 3), ("c2", 4)], start=1):
            lapsed = lease
            lease = await claimed(await another(), now=at(31 * number), owner=f"w{number}")  # the last owner is dead
            assert await store.begin_again(lease, place=place) == start
            with pytest.raises(LeaseLost):
                await store.begin_again(lapsed, place=place)
        await store.park(lease, wake_at=at(200), timer="poll")
        lease = await claimed(store, now=at(200))
        assert lease.starts == 0, "it came to an end of a lease: whatever died before is over"
        lease = await claimed(store, now=at(231), owner="x")
        assert await store.begin_again(lease, place="c2") == 2

    async def test_a_lapsed_lease_that_nobody_took_still_writes(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.write(lease, Changes(thoughts=[Thought(node="n", text="slow")]), now=at(300))
        assert await store.renew([lease], now=at(300), lease_s=30) == [lease]
        assert await store.claim("w2", now=at(301), lease_s=30, limit=1) == []

    async def test_a_renewed_lease_is_not_taken_over(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.renew([lease], now=at(25), lease_s=30)
        assert await store.claim("w2", now=at(40), lease_s=30, limit=1) == []
        assert len(await store.claim("w2", now=at(56), lease_s=30, limit=1)) == 1

    async def test_a_lease_that_has_ended_can_not_write(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.park(lease, wake_at=at(60), timer="poll")
        with pytest.raises(LeaseLost):
            await store.write(lease, Changes(), now=at(1))
        with pytest.raises(LeaseLost):
            await store.park(lease, wake_at=at(90), timer="poll")
        unknown = Lease(incident_id="nobody", episode=1, service="x", token=1, attempts=0, woken_by="start")
        with pytest.raises(LeaseLost):
            await store.finish(unknown)

    async def test_a_parked_incident_comes_back_when_its_timer_is_due(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.park(lease, wake_at=at(60), timer="settle")
        assert await store.claim("w1", now=at(59.9), lease_s=30, limit=1) == []
        again = await claimed(store, now=at(60))
        assert (again.woken_by, again.token) == ("timer", lease.token + 1)

    async def test_a_wake_during_the_work_makes_park_due_at_once(self, store: SqlIncidentStore) -> None:
        first = alert()
        incident_id = (await store.correlate(first, always("open"), now=T0)).incident_id or ""
        lease = await claimed(store)
        await store.correlate(cleared(first), always("resolve", incident_id, all_resolved=True), now=at(20))
        await store.park(lease, wake_at=at(600), timer="settle")
        again = await claimed(store, now=at(20))
        assert again.woken_by == "resolved"
        await store.park(again, wake_at=at(600), timer="settle")  # the wake was seen: now it sleeps
        assert await store.claim("w1", now=at(21), lease_s=30, limit=1) == []

    async def test_park_and_wake_at_the_same_moment_never_lose_the_wake(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        for round_ in range(10):
            await asyncio.gather(
                store.park(lease, wake_at=at(86400), timer="settle"),
                store.wake(lease.incident_id, woken_by="decision"),
            )
            lease = await claimed(store, now=at(round_))
            assert lease.woken_by == "decision"

    async def test_wake_of_a_sleeper_makes_it_due_now(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.park(lease, wake_at=at(600), timer="poll")
        await store.wake(lease.incident_id, woken_by="timer")
        assert (await claimed(store, now=at(1))).woken_by == "timer"

    async def test_a_wake_of_what_is_due_already_does_not_make_it_look_younger(self, store: SqlIncidentStore) -> None:
        event = alert()
        incident_id = (await store.correlate(event, always("open"), now=T0)).incident_id or ""
        await store.correlate(cleared(event), always("resolve", incident_id, all_resolved=True), now=at(60))
        assert (await store.backlog(now=at(70))).oldest_ready_s == 70

    async def test_wake_before_the_first_start_stays_a_start(self, store: SqlIncidentStore) -> None:
        incident_id = await opened(store)
        await store.wake(incident_id, woken_by="resolved")
        assert (await claimed(store)).woken_by == "start"

    async def test_wake_of_an_ended_incident_does_nothing(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await ended(store, lease, now=at(5))
        await store.wake(lease.incident_id, woken_by="resolved")
        assert await store.claim("w1", now=at(9), lease_s=30, limit=5) == []

    async def test_an_open_incident_whose_work_was_finished_can_be_woken(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.finish(lease)  # a bug of the worker's: the watchdog must still be able to end it
        await store.wake(lease.incident_id, woken_by="timer")
        assert (await claimed(store, now=at(1))).incident_id == lease.incident_id

    async def test_retry_counts_failures_in_a_row_and_park_forgets_them(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        assert await store.retry(lease, wake_at=at(2), error="boom") == 1
        assert await store.claim("w1", now=at(1), lease_s=30, limit=1) == []
        lease = await claimed(store, now=at(2))
        assert (lease.attempts, lease.woken_by) == (1, "start"), "it has not begun yet"
        assert await store.retry(lease, wake_at=at(4), error="boom" * 9999) == 2
        lease = await claimed(store, now=at(4))
        await store.park(lease, wake_at=at(6), timer="poll")
        assert (await claimed(store, now=at(6))).attempts == 0

    async def test_release_gives_the_work_back_as_it_was(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.retry(lease, wake_at=at(1), error="boom")
        lease = await claimed(store, now=at(1))
        await store.release(lease)
        again = await claimed(store, now=at(1), owner="w2")
        assert (again.attempts, again.woken_by) == (1, "start")
        assert again.token > lease.token

    async def test_overdue_does_not_count_the_time_awaiting_approval(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)

        async def becomes(status: str, seconds: float) -> None:
            await store.write(lease, Changes(incident={"status": status}), now=at(seconds))

        async def late(seconds: float) -> bool:
            return lease.incident_id in await store.overdue(now=at(seconds), max_incident_s=3600)

        assert not await late(3600)
        assert await late(3601)
        await becomes("awaiting_approval", 100)
        assert not await late(50_000), "it waits, and has worked for 100 s"
        await becomes("awaiting_approval", 5000)  # told twice: one wait
        await becomes("remediating", 10_100)
        assert not await late(13_600)
        assert await late(13_601)
        await becomes("awaiting_approval", 13_601)
        await becomes("remediating", 14_601)
        assert not await late(14_599)
        assert await late(14_602), "both waits together"
        await ended(store, lease, now=at(14_700))
        assert not await late(99_999)

    async def test_backlog_counts_what_waits_and_how_long(self, store: SqlIncidentStore) -> None:
        empty = await store.backlog(now=T0)
        assert (empty.inbox, empty.ready, empty.oldest_open_s, empty.outbox) == (0, 0, 0.0, 0)
        running = await at_work(store, "a", now=at(0))
        parked = await at_work(store, "b", now=at(1))
        await store.park(parked, wake_at=at(900), timer="poll")
        await opened(store, "c", now=at(4))
        await store.take_in([(alert("d"), None)], now=at(5))  # type: ignore[list-item]  # origin does not matter
        backlog = await store.backlog(now=at(10))
        assert (backlog.inbox, backlog.ready, backlog.running, backlog.waiting) == (1, 1, 1, 1)
        assert (backlog.open_incidents, backlog.oldest_ready_s, backlog.oldest_open_s) == (3, 6.0, 10.0)
        assert (backlog.outbox, backlog.tickets) == (3, 0)
        assert (await store.backlog(now=at(60))).ready == 2, "a lapsed lease is ready again"
        await ended(store, running, now=at(61))
        assert (await store.backlog(now=at(62))).open_incidents == 2
