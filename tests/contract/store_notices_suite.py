"""The outbox of what people are told: with the state, once for each state, to each channel once."""

from typing import Any

from store_scene import Opener, alert, always, at, at_work, cleared, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.store.leases import incident_row
from sreops.adapters.store.notices import put_out_worse
from sreops.domain.records.notice import NoticeKind
from sreops.ports import Changes

ESCALATED = {"status": "escalated", "reason": "no_runbook_matched"}


async def handed_over(store: SqlIncidentStore, **fields: Any) -> str:
    lease = await at_work(store)
    await store.write(lease, Changes(incident=ESCALATED | fields), now=at(5))
    await store.finish(lease)
    return lease.incident_id


async def put_out(store: SqlIncidentStore) -> list[str]:
    return [notice.kind.value for notice in await store.unplanned_notices()]


class NoticesSuite:
    async def test_what_waits_for_approval_is_put_out_with_that_state_once_for_each_plan(
        self, store: SqlIncidentStore
    ) -> None:
        lease = await at_work(store)
        for plan in ("p1", "p1", "p2"):
            waits = {"status": "awaiting_approval", "plan_hash": plan}
            await store.write(lease, Changes(incident=waits), now=at(5))
        assert [notice.notice_id.rpartition(":")[2] for notice in await store.unplanned_notices()] == ["p1", "p2"]

    async def test_what_is_handed_over_is_put_out_and_what_goes_on_is_not(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.write(lease, Changes(incident={"root_cause": "a leak"}), now=at(4))
        assert await put_out(store) == []
        await store.write(lease, Changes(incident=ESCALATED), now=at(5))
        await store.write(lease, Changes(incident={"root_cause": "worded better"}), now=at(6))
        [notice] = await store.unplanned_notices()
        assert (notice.kind, notice.at, notice.severity.value) == (NoticeKind.attention, at(5), "critical")

    async def test_an_alert_that_makes_it_worse_is_put_out_once_and_asks_anew(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        await store.acknowledge(incident_id, by="ann", reason="looking", now=at(7))
        for second in (8, 9):
            event = alert(labels={"alertname": "Down", "service": "payments"})
            await store._db.write(
                lambda connection, event=event, second=second: put_out_worse(  # type: ignore[misc]  # bound at once
                    connection, incident_row(connection, incident_id), event, "Down joined", at(second)
                )
            )
        assert await put_out(store) == ["attention", "worse"]
        assert (await store.incident(incident_id)).acknowledged_by is None

    async def test_what_comes_back_is_put_out(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        resolved = {"status": "resolved", "resolution": "recovered"}
        await store.write(lease, Changes(incident=resolved), now=at(5))
        again = alert(starts_at=at(50), received_at=at(50))
        await store.correlate(again, always("refire", lease.incident_id), now=at(50))
        told = await store.unplanned_notices()
        assert [notice.kind.value for notice in told] == ["resolved", "returned"]
        assert told[1].facts["ended_as"] == "recovered"

    async def test_the_last_resolve_of_what_was_handed_over_is_put_out_once(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        for second in (20, 30):
            resolve = cleared(alert(starts_at=at(0)), ends=second, received_at=at(second))
            await store.correlate(resolve, always("resolve", incident_id, all_resolved=True), now=at(second))
        assert await put_out(store) == ["attention", "cleared"]
        assert (await store.incident(incident_id)).cleared_at == at(30)

    async def test_a_notice_is_planned_once_and_its_deliveries_are_claimed_by_one(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        incident_id = await handed_over(store)
        [notice] = await store.unplanned_notices()
        plan: dict[str, Any] = {"message": {"title": "t"}, "quiet": None, "channels": [("a", False, at(6))]}
        other = await another()
        assert await store.plan_notice(notice.seq, **plan, now=at(6))
        assert not await other.plan_notice(notice.seq, **plan, now=at(6))
        [delivery] = await other.undone_deliveries()
        claim: dict[str, Any] = {"now": at(7), "lease_s": 30}
        assert not await store.claim_deliveries([delivery.seq], attempt_id="0", owner="x", now=at(5), lease_s=30)
        assert await store.claim_deliveries([delivery.seq], attempt_id="1", owner="one", **claim)
        assert not await other.claim_deliveries([delivery.seq], attempt_id="2", owner="two", **claim)
        assert await store.deliveries_sent("1", now=at(8)) == 1
        assert await other.undone_deliveries() == []
        [told] = await other.deliveries(incident_id)
        assert (told.channel, told.outcome, told.done_at) == ("a", "sent", at(8))

    async def test_what_was_not_taken_comes_again_and_is_seen(self, store: SqlIncidentStore) -> None:
        await handed_over(store)
        [notice] = await store.unplanned_notices()
        await store.plan_notice(notice.seq, message={}, quiet=None, channels=[("a", False, at(6))], now=at(6))
        [delivery] = await store.undone_deliveries()
        assert await store.claim_deliveries([delivery.seq], attempt_id="1", owner="one", now=at(7), lease_s=30)
        await store.deliveries_failed("1", error="refused", retry_at=at(9), now=at(8))
        [again] = await store.undone_deliveries()
        assert (again.attempts, again.due_at, again.claimed_by) == (1, at(9), None)
        [overdue] = await store.overdue_deliveries(before=at(99))
        assert (overdue.channel, overdue.count, overdue.error) == ("a", 1, "refused")
        assert await store.overdue_deliveries(before=at(1)) == []

    async def test_what_was_for_a_channel_that_is_no_more_goes_to_the_others_once(
        self, store: SqlIncidentStore
    ) -> None:
        await handed_over(store)
        [notice] = await store.unplanned_notices()
        channels = [("old", False, at(6)), ("kept", False, at(6))]
        await store.plan_notice(notice.seq, message={}, quiet=None, channels=channels, now=at(6))
        old = next(one.seq for one in await store.undone_deliveries() if one.channel == "old")
        await store.move_deliveries([old], ["kept", "new"], why="gone", now=at(7))
        assert sorted(one.channel for one in await store.undone_deliveries()) == ["kept", "new"]

    async def test_an_incident_is_forgotten_with_what_was_told_of_it(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        [notice] = await store.unplanned_notices()
        await store.plan_notice(notice.seq, message={}, quiet=None, channels=[("a", False, at(6))], now=at(6))
        await store.published([record.seq for record in await store.unpublished(99)])
        late = at(10_000_000)
        assert await store.forget([incident_id], before=late, now=late) == 1
        assert await store.unplanned_notices() == []
        assert await opened(store, now=late)
