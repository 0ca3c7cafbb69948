"""The store's promises about what is set aside, put back, and pruned."""

from datetime import datetime
from typing import Any

from sqlalchemy import Text, type_coerce, update
from store_scene import T0, alert, always, at, at_work, claimed, cleared, effect_of, ended, from_topic, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.store.tables import inbox, metadata
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.correlation import Correlation, Disposition, Windows, correlate
from sreops.domain.incidents.incident import EffectOutcome, IncidentStatus
from sreops.domain.records.audit import verify_chain
from sreops.domain.records.record import Action, Thought
from sreops.domain.remediation.policy import PolicyLimits
from sreops.ports import Changes, StoredRecord, TicketOp, UnreadableEvent

KEY = b"audit key"
DAY = 86400.0


def put_back(event: AlertEvent, offset: int) -> tuple[AlertEvent, StoredRecord]:
    _, record = from_topic(event, offset)
    return event, StoredRecord(**{**vars(record), "headers": (("requeued", event.event_id.encode()),)})


async def decided(store: SqlIncidentStore, event: AlertEvent, now: datetime) -> Correlation:
    return await store.correlate(event, lambda one, known: correlate(one, known, now, Windows()), now=now)


async def escalated_incident(store: SqlIncidentStore, event: AlertEvent) -> str:
    await store.take_in([from_topic(event, 7)], now=T0)
    made = await decided(store, event, T0)
    lease = await claimed(store, now=at(1))
    await ended(store, lease, now=at(2), status="escalated", resolution=None, reason="internal_error")
    assert made.incident_id is not None
    return made.incident_id


class DeadLetterSuite:
    """What is set aside, and what a person puts back."""

    async def test_an_event_that_is_set_aside_holds_up_no_other_and_is_of_no_incident(
        self, store: SqlIncidentStore
    ) -> None:
        poison, other = alert("poison"), alert("other")
        await store.take_in([from_topic(poison, 1), from_topic(other, 2)], now=T0)
        await store.set_aside(poison.event_id, now=at(1))
        assert [event.event_id for event in await store.uncorrelated(9)] == [other.event_id]
        await store.take_in([from_topic(poison, 1)], now=at(2))
        assert len(await store.uncorrelated(9)) == 1, "a redelivery does not bring it back"

    async def test_a_row_that_does_not_read_is_told_apart_and_holds_up_no_other(self, store: SqlIncidentStore) -> None:
        strange, other = alert("strange"), alert("other")
        await store.take_in([from_topic(strange, 1), from_topic(other, 2)], now=T0)
        newer = '{"schema": 99, "payload": "of a version to come"}'
        await store._db.write(
            lambda connection: connection.execute(
                update(inbox).where(inbox.c.event_id == strange.event_id).values(payload=type_coerce(newer, Text()))
            )
        )
        [unreadable, event] = await store.uncorrelated(9)
        assert isinstance(unreadable, UnreadableEvent)
        assert (unreadable.event_id, unreadable.payload.decode()) == (strange.event_id, newer)
        assert "does not read" in unreadable.error
        assert event == other
        await store.set_aside(unreadable.event_id, now=at(1))
        assert await store.uncorrelated(9) == [other]

    async def test_a_set_aside_event_that_is_put_back_is_decided_as_if_for_the_first_time(
        self, store: SqlIncidentStore
    ) -> None:
        poison = alert()
        await store.take_in([from_topic(poison, 1)], now=T0)
        await store.set_aside(poison.event_id, now=at(1))
        assert await store.take_in([put_back(poison, 5)], now=at(2)) == 1
        assert [event.event_id for event in await store.uncorrelated(9)] == [poison.event_id]
        made = await decided(store, poison, at(3))
        assert made.disposition is Disposition.open
        assert (await claimed(store, now=at(3))).incident_id == made.incident_id

    async def test_an_event_that_was_handled_and_is_put_back_begins_its_ended_incident_anew(
        self, store: SqlIncidentStore
    ) -> None:
        event = alert()
        incident_id = await escalated_incident(store, event)
        assert await store.take_in([put_back(event, 20)], now=at(100)) == 1
        made = await decided(store, event, at(101))
        assert (made.disposition, made.incident_id) == (Disposition.requeue, incident_id)
        incident = await store.incident(incident_id)
        assert (incident.episode, incident.status, incident.ended_at) == (2, IncidentStatus.investigating, None)
        assert incident.all_resolved_at is None
        lease = await claimed(store, now=at(102))
        assert (lease.incident_id, lease.episode, lease.woken_by) == (incident_id, 2, "start")
        assert [how for _, how in await store.events(incident_id)] == ["requeue"]

    async def test_the_same_putting_back_delivered_again_changes_nothing_and_a_second_one_counts(
        self, store: SqlIncidentStore
    ) -> None:
        event = alert()
        incident_id = await escalated_incident(store, event)
        await store.take_in([put_back(event, 20)], now=at(100))
        assert await store.take_in([put_back(event, 20), from_topic(event, 7)], now=at(101)) == 0
        await decided(store, event, at(102))
        assert await store.take_in([put_back(event, 20)], now=at(103)) == 0
        assert await store.uncorrelated(9) == []
        await ended(store, await claimed(store, now=at(104)), now=at(105), status="escalated", resolution=None)
        assert await store.take_in([put_back(event, 31)], now=at(106)) == 1
        await decided(store, event, at(107))
        assert (await store.incident(incident_id)).episode == 3

    async def test_one_that_is_put_back_while_its_incident_is_open_is_only_counted(
        self, store: SqlIncidentStore
    ) -> None:
        event = alert()
        await store.take_in([from_topic(event, 7)], now=T0)
        made = await decided(store, event, T0)
        await store.take_in([put_back(event, 20)], now=at(5))
        assert (await decided(store, event, at(6))).disposition is Disposition.repeat
        assert (await store.incident(made.incident_id or "")).episode == 1

    async def test_alerts_that_were_resolved_meanwhile_stay_resolved_when_their_event_is_put_back(
        self, store: SqlIncidentStore
    ) -> None:
        event = alert()
        incident_id = await escalated_incident(store, event)
        over = cleared(event, ends=50, received_at=at(50))
        await store.take_in([from_topic(over, 9)], now=at(50))
        await decided(store, over, at(51))
        await store.take_in([put_back(event, 20)], now=at(100))
        await decided(store, event, at(101))
        incident = await store.incident(incident_id)
        assert (incident.all_resolved_at, incident.resolve_proven) == (at(101), True)

    async def test_one_whose_inbox_row_is_gone_is_taken_in_as_new(self, store: SqlIncidentStore) -> None:
        event = alert()
        assert await store.take_in([put_back(event, 20)], now=T0) == 1
        assert (await decided(store, event, T0)).disposition is Disposition.open


async def full_incident(store: SqlIncidentStore, service: str, *, now: datetime, **end: Any) -> str:
    """Go through a whole incident that leaves a row in every table."""
    event = alert(service, starts_at=now)
    await store.take_in([from_topic(event)], now=now)
    await store.correlate(event, always("open"), now=now)
    leases = await store.claim("w1", now=now, lease_s=30, limit=100)
    lease = next(one for one in leases if one.service == service)
    told = Changes(
        thoughts=[Thought(node="n", text="t")],
        actions=[Action(action="look", phase="outcome")],
        tickets=[TicketOp(op_id=f"{lease.incident_id}:create", incident_id=lease.incident_id, kind="create", body={})],
        evidence=[Evidence(id="E1", kind=EvidenceKind.logs, source="loki", finding="f")],
    )
    await store.write(lease, told, now=now)
    effect = await store.begin_effect(lease, effect_of(lease, now=now), PolicyLimits(), now=now)
    await store.end_effect(lease, effect.effect_id, EffectOutcome.succeeded, "", now=now)
    await store.request_approval(lease, plan_hash="p", now=now, expires_at=at(DAY))
    await ended(store, lease, now=now, **end)
    return lease.incident_id


async def settle_debts(store: SqlIncidentStore, now: datetime) -> None:
    """Copy out what is told and send what is queued."""
    await store.published([record.seq for record in await store.unpublished(1000)])
    while ops := await store.due_tickets(now=now):
        for op in ops:
            await store.ticket_done(op.op_id, issue=None, now=now)


async def prune(store: SqlIncidentStore, *, before: datetime, now: datetime) -> int:
    found = await store.prunable(before=before, now=now, limit=100)
    return await store.forget([one.id for one in found], before=before, now=now)


class RetentionSuite:
    """What goes, and what stays."""

    async def test_an_old_closed_incident_goes_whole_and_the_others_chains_still_verify(
        self, store: SqlIncidentStore
    ) -> None:
        old = await full_incident(store, "old", now=at(0))
        young = await full_incident(store, "young", now=at(5 * DAY))
        await settle_debts(store, at(6 * DAY))
        assert await prune(store, before=at(3 * DAY), now=at(6 * DAY)) == 1

        def rows(connection: Any) -> dict[str, int]:
            return {
                table.name: len(connection.execute(table.select().where(table.c.incident_id == old)).all())
                for table in metadata.sorted_tables
                if "incident_id" in table.columns
            }

        assert set((await store._db.read(rows)).values()) == {0}
        assert [incident.id for incident in (await store.incidents())[0]] == [young]
        left = await store.records(kind="action", limit=500)
        assert {record.incident_id for record in left} == {young}
        assert verify_chain(list(left), KEY) == []
        assert len(await store.events(young)) == 1

    async def test_what_is_open_or_owed_or_leased_stays_however_old(self, store: SqlIncidentStore) -> None:
        still_open = await opened(store, "open")
        unpublished = await full_incident(store, "unpublished", now=T0)
        assert await prune(store, before=at(90 * DAY), now=at(91 * DAY)) == 0
        await store.published([record.seq for record in await store.unpublished(1000)])
        assert await prune(store, before=at(90 * DAY), now=at(91 * DAY)) == 0, "its ticket is not written yet"
        await settle_debts(store, at(1))
        assert await prune(store, before=at(90 * DAY), now=at(91 * DAY)) == 1
        assert [incident.id for incident in (await store.incidents())[0]] == [still_open]
        assert unpublished != still_open

    async def test_an_incident_that_still_hears_of_its_alert_stays(self, store: SqlIncidentStore) -> None:
        incident_id = await full_incident(store, "noisy", now=T0)
        again = alert("noisy")
        await store.take_in([from_topic(again, 3)], now=at(80 * DAY))
        await store.correlate(again, always("repeat", incident_id), now=at(80 * DAY))
        await settle_debts(store, at(80 * DAY))
        assert await prune(store, before=at(30 * DAY), now=at(120 * DAY)) == 0
        assert await prune(store, before=at(81 * DAY), now=at(171 * DAY)) == 1

    async def test_an_incident_that_begins_anew_before_it_is_forgotten_stays(self, store: SqlIncidentStore) -> None:
        incident_id = await full_incident(store, "s", now=T0)
        await settle_debts(store, at(1))
        [found] = await store.prunable(before=at(DAY), now=at(2 * DAY), limit=9)
        assert (found.id, found.episode, found.ended_at) == (incident_id, 1, T0)
        await store.correlate(alert("s", starts_at=at(DAY)), always("refire", incident_id), now=at(2 * DAY))
        assert await store.forget([incident_id], before=at(DAY), now=at(2 * DAY)) == 0
        assert (await store.incident(incident_id)).episode == 2

    async def test_failures_that_hold_a_breaker_open_stay_until_a_later_remediation_helped(
        self, store: SqlIncidentStore
    ) -> None:
        failed = {"status": "escalated", "resolution": None, "verification": "not_fixed"}
        for day in range(3):
            await full_incident(store, "s", now=at(day * DAY), **failed)
        await settle_debts(store, at(3 * DAY))
        assert await prune(store, before=at(90 * DAY), now=at(91 * DAY)) == 0
        probe = await opened(store, "s", now=at(92 * DAY))
        facts = await store.policy_facts(probe, "s", "restart-leak", now=at(92 * DAY))
        assert facts.failures_in_a_row == 3
        await ended(store, await claimed(store, now=at(92 * DAY)), now=at(92 * DAY))
        await full_incident(store, "s", now=at(93 * DAY))
        await settle_debts(store, at(94 * DAY))
        assert await prune(store, before=at(92 * DAY), now=at(200 * DAY)) == 3

    async def test_the_inbox_loses_what_is_of_no_incident_and_repeats_of_ended_ones(
        self, store: SqlIncidentStore
    ) -> None:
        incident_id = await full_incident(store, "s", now=T0)
        open_id = await opened(store, "open", now=T0)
        for number, (how, owner) in enumerate(
            [("stale", None), ("repeat", incident_id), ("repeat", open_id), ("attach", incident_id)]
        ):
            event = alert("s", fingerprint=f"f{number}")
            await store.take_in([from_topic(event, number)], now=T0)
            await store.correlate(event, always(how, owner), now=T0)
        waiting, aside = alert("waiting"), alert("aside")
        await store.take_in([from_topic(waiting, 8), from_topic(aside, 9)], now=T0)
        await store.set_aside(aside.event_id, now=T0)
        assert await store.prune_inbox(before=at(-1), limit=100) == 0
        assert await store.prune_inbox(before=at(DAY), limit=2) == 2
        assert await store.prune_inbox(before=at(DAY), limit=100) == 1
        assert [how for _, how in await store.events(incident_id)] == ["open", "attach"]
        assert [how for _, how in await store.events(open_id)] == ["open", "repeat"]
        assert [event.service for event in await store.uncorrelated(9)] == ["waiting"]

    async def test_ended_incidents_are_paged_in_the_order_of_their_ends(self, store: SqlIncidentStore) -> None:
        ids = [await full_incident(store, f"s{number}", now=at(number // 2)) for number in range(5)]
        await opened(store, "open")
        found: list[str] = []
        after = None
        while page := await store.ended(after=after, until=at(1.5), limit=2):
            found += [one.id for one in page]
            after = (page[-1].ended_at, page[-1].id)
        assert sorted(found) == sorted(ids[:4])
        assert sorted(found[:2]) == sorted(ids[:2])

    async def test_the_inbox_is_measured_by_what_waits(self, store: SqlIncidentStore) -> None:
        assert await store.inbox_bytes() == 0
        waiting = alert("waiting", annotations={"text": "😀" * 1000})
        await store.take_in([from_topic(waiting)], now=T0)
        assert 4000 < (one := await store.inbox_bytes()) < 6000, "bytes, not characters"
        await store.correlate(waiting, always("open"), now=T0)
        assert await store.inbox_bytes() == one, "its incident is open"
        await ended(store, await claimed(store), now=at(1))
        assert await store.inbox_bytes() == 0

    async def test_nothing_is_pruned_of_a_leased_incident(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.write(lease, Changes(incident={"status": "resolved", "ended_at": at(1)}), now=at(1))
        await settle_debts(store, at(2))
        assert await prune(store, before=at(20), now=at(29)) == 0, "its worker has yet to finish"
        assert await prune(store, before=at(20), now=at(31)) == 1
