"""The store's promises about what the agent writes, what is told, tickets, and reading."""

import asyncio
import random
from typing import Any

import pytest
from store_scene import T0, Opener, alert, always, at, at_work, cleared, ended, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.incident import IncidentStatus, Issue, Reason
from sreops.domain.records.audit import verify_chain
from sreops.domain.records.record import Action, Thought
from sreops.errors import NotFound, PayloadRejected
from sreops.ports import Changes, TicketOp


def thought(text: str) -> Thought:
    return Thought(node="analyze_root_cause", text=text, data={"n": 1})


def action(verb: str, **changes: Any) -> Action:
    return Action(**({"action": verb, "phase": "outcome", "target": "payments"} | changes))


def piece(number: int, finding: str = "memory grows") -> Evidence:
    return Evidence(id=f"E{number}", kind=EvidenceKind.metric, source="prometheus", finding=finding)


class WritesSuite:
    """The agent's writes and the records."""

    async def test_a_step_writes_everything_at_once(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        op = TicketOp("op1", lease.incident_id, "create", {"title": "t"})
        fields = {
            "status": "verifying", "confidence": 0.9, "root_cause": "leak", "analyst": "rules", "runbook_id": "r",
            "decision": {"analysis": {"x": [1, None]}}, "issue": Issue(iid=4, url="http://git/4"), "category": None,
        }  # fmt: skip
        changes = Changes(
            incident=fields,
            thoughts=[thought("hm")],
            actions=[action("close")],
            tickets=[op, op],
            evidence=[piece(1), piece(10), piece(2)],
        )
        after = await store.write(lease, changes, now=at(1))
        incident = await store.incident(lease.incident_id)
        assert after == incident, "a write returns the incident as it is then"
        assert await store.write(lease, Changes(thoughts=[]), now=at(1)) == incident
        assert (incident.status, incident.confidence) == (IncidentStatus.verifying, 0.9)
        assert (incident.issue, incident.decision) == (Issue(iid=4, url="http://git/4"), fields["decision"])
        assert [found.id for found in await store.evidence(incident.id)] == ["E1", "E2", "E10"]
        assert [(r.kind.value, r.at) for r in (await store.records())[1:]] == [("thought", at(1)), ("action", at(1))]
        assert await store.due_tickets(now=at(1)) == [op]

    async def test_evidence_of_the_same_id_is_replaced(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.write(lease, Changes(evidence=[piece(1), piece(2)]), now=at(1))
        await store.write(lease, Changes(evidence=[piece(1, "memory fell")]), now=at(2))
        assert [found.finding for found in await store.evidence(lease.incident_id)] == ["memory fell", "memory grows"]

    @pytest.mark.parametrize(
        "fields", [{"no_such_field": 1}, {"id": "x"}, {"episode": 2}, {"status": "closed"}, {"confidence": "high"}]
    )
    async def test_a_field_that_is_none_or_has_a_bad_value_writes_nothing(
        self, store: SqlIncidentStore, fields: dict[str, Any]
    ) -> None:
        lease = await at_work(store)
        with pytest.raises(ValueError, match=r"field|validation"):
            await store.write(lease, Changes(incident=fields, thoughts=[thought("x")]), now=at(1))
        assert len(await store.records()) == 1

    async def test_a_naive_datetime_is_refused(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        with pytest.raises(ValueError, match="naive"):
            await store.park(lease, wake_at=at(1).replace(tzinfo=None), timer="poll")
        assert await store.renew([lease], now=at(1), lease_s=30) == [lease]

    async def test_an_end_without_a_time_ends_now(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.write(lease, Changes(incident={"status": "escalated", "reason": Reason.storm}), now=at(7))
        assert (await store.incident(lease.incident_id)).ended_at == at(7)

    async def test_actions_form_one_unbroken_chain_per_incident(self, store: SqlIncidentStore) -> None:
        leases = [await at_work(store, f"s{number}") for number in range(4)]

        async def tell(number: int) -> None:
            lease = leases[number % 4]
            data = {"f": 1.0, "nan": float("nan"), "text": "\u2028\x00 \U0001f600"}
            changes = Changes(thoughts=[thought("t")], actions=[action(f"a{number}", data=data)])
            await store.write(lease, changes, now=at(number))

        await asyncio.gather(*map(tell, range(20)))
        records = await store.records(limit=1000)
        assert verify_chain(records, b"audit key") == []
        assert [found.fault for found in verify_chain([r for r in records if r != records[-1]], b"audit key")] == []
        assert verify_chain(records, b"another key") != []
        assert [record.seq for record in records] == sorted({record.seq for record in records})
        changed = [r.model_copy(update={"body": r.body | {"by": "mallory"}}) for r in records]
        assert verify_chain(changed, b"audit key") != []

    async def test_records_are_read_by_sequence_incident_and_kind(self, store: SqlIncidentStore) -> None:
        lease, other = await at_work(store), await at_work(store, "cart")
        for number in range(5):
            await store.write(lease, Changes(thoughts=[thought(f"t{number}")]), now=at(number))
        await store.write(other, Changes(actions=[action("close")]), now=at(9))
        everything = await store.records()
        assert len(everything) == 8
        assert [r.seq for r in await store.records(after=everything[4].seq)] == [r.seq for r in everything[5:]]
        mine = await store.records(incident_id=lease.incident_id, limit=2, newest=True)
        assert [record.body["text"] for record in mine] == ["t3", "t4"]
        assert [record.body["action"] for record in await store.records(kind="action")] == ["close"]
        assert [r.seq for r in await store.records(limit=2)] == [r.seq for r in everything[:2]]

    async def test_a_copy_stays_due_until_it_is_published(self, store: SqlIncidentStore, another: Opener) -> None:
        lease = await at_work(store)
        await store.write(lease, Changes(thoughts=[thought("t")], actions=[action("close")]), now=at(1))
        due = await store.unpublished(10)
        assert [record.seq for record in due] == [record.seq for record in await store.records()]
        await store.published([due[0].seq, due[2].seq])
        await store.published([])
        assert await (await another()).unpublished(10) == [due[1]]
        assert len(await store.unpublished(0)) == 0


class TicketsSuite:
    """Ticket writes: in order per incident."""

    async def queued(self, store: SqlIncidentStore, *kinds: str, service: str = "payments") -> str:
        lease = await at_work(store, service)
        ops = [TicketOp(f"{service}-{kind}", lease.incident_id, kind, {"note": "x"}) for kind in kinds]
        await store.write(lease, Changes(tickets=ops), now=T0)
        return lease.incident_id

    async def due(self, store: SqlIncidentStore, seconds: float = 0, incident_id: str | None = None) -> list[str]:
        return [op.op_id for op in await store.due_tickets(now=at(seconds), incident_id=incident_id)]

    async def test_only_the_first_undone_write_of_each_incident_is_due(self, store: SqlIncidentStore) -> None:
        payments = await self.queued(store, "create", "note", "close")
        await self.queued(store, "create", service="cart")
        assert await self.due(store) == ["payments-create", "cart-create"]
        assert await self.due(store, incident_id=payments) == ["payments-create"]
        assert await store.ticket_done("payments-create", issue=Issue(iid=3, url="u"), now=at(1)), "there is more"
        assert (await store.incident(payments)).issue == Issue(iid=3, url="u")
        assert await self.due(store, 1) == ["payments-note", "cart-create"]
        assert [op.issue for op in await store.due_tickets(now=at(1))] == [Issue(iid=3, url="u"), None]
        assert await store.ticket_done("payments-note", issue=None, now=at(1)), "there is more"
        assert (await store.incident(payments)).issue == Issue(iid=3, url="u")
        assert await self.due(store, 1, payments) == ["payments-close"]
        assert not await store.ticket_done("payments-close", issue=None, now=at(1)), "the others' is not its own"

    async def test_a_write_that_failed_holds_the_next_ones_until_its_time(self, store: SqlIncidentStore) -> None:
        await self.queued(store, "create", "note")
        await store.ticket_failed("payments-create", error="502", retry_at=at(30), now=at(0))
        assert await self.due(store, 29) == []
        [op] = await store.due_tickets(now=at(30))
        assert (op.op_id, op.attempts) == ("payments-create", 1)

    async def test_a_write_that_is_refused_for_good_lets_the_next_one_go(self, store: SqlIncidentStore) -> None:
        await self.queued(store, "create", "note")
        await store.ticket_failed("payments-create", error="403", retry_at=None, now=at(1))
        assert await self.due(store, 1) == ["payments-note"]
        await store.ticket_failed("payments-create", error="late", retry_at=at(5), now=at(2))
        assert await self.due(store, 9) == ["payments-note"], "done is done"

    async def test_a_note_made_before_the_issue_was_asked_for_comes_after_it(self, store: SqlIncidentStore) -> None:
        incident_id = await opened(store)
        joined = alert(fingerprint="other")
        await store.correlate(joined, always("attach", incident_id), now=at(1))
        assert await self.due(store, 2) == []
        [lease] = await store.claim("w1", now=at(2), lease_s=30, limit=1)
        create = TicketOp("create", incident_id, "create", {"title": "t"})
        await store.write(lease, Changes(tickets=[create]), now=at(2))
        assert await self.due(store, 2) == ["create"]
        await store.ticket_done("create", issue=None, now=at(3))
        [note] = await store.due_tickets(now=at(7))
        assert note.kind == "list"

    async def test_a_ticket_write_is_sent_by_one_replica_at_a_time(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        lease = await at_work(store)
        ops = [TicketOp("create", lease.incident_id, "create", {}), TicketOp("note", lease.incident_id, "note", {})]
        await store.write(lease, Changes(tickets=ops), now=at(0))
        replica = await another()
        claims = await asyncio.gather(
            *(one.claim_ticket("create", str(number), now=at(1), lease_s=30)
              for number, one in enumerate([store, replica] * 4))
        )  # fmt: skip
        assert claims.count(True) == 1
        assert await store.claim_ticket("create", str(claims.index(True)), now=at(1), lease_s=30), "kept"
        assert await self.due(replica, 31) == [], "not the note either: it comes after"
        assert await self.due(replica, 31.1) == ["create"], "whoever claimed it is gone"
        assert await replica.claim_ticket("create", "w2", now=at(32), lease_s=30)
        await replica.ticket_failed("create", error="away", retry_at=at(40), now=at(33))
        assert not await store.claim_ticket("create", "w1", now=at(39), lease_s=30), "not due yet"
        assert await store.claim_ticket("create", "w1", now=at(40), lease_s=30), "a failure ends the claim"
        await store.ticket_done("create", issue=None, now=at(41))
        assert not await replica.claim_ticket("create", "w2", now=at(99), lease_s=30)
        assert not await replica.claim_ticket("unknown", "w2", now=at(99), lease_s=30)
        assert await self.due(replica, 99) == ["note"]

    async def test_one_replica_at_a_time_has_the_turn_at_a_chore(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        replica = await another()
        got = await asyncio.gather(
            *(one.take_turn("copies", f"w{number}", now=at(0), lease_s=15)
              for number, one in enumerate([store, replica] * 4))
        )  # fmt: skip
        assert got.count(True) == 1
        first = f"w{got.index(True)}"
        assert await store.take_turn("copies", first, now=at(10), lease_s=15), "kept"
        assert not await replica.take_turn("copies", "other", now=at(25), lease_s=15), "held to its last moment"
        assert await replica.take_turn("another chore", "other", now=at(25), lease_s=15)
        assert await replica.take_turn("copies", "other", now=at(25.1), lease_s=15), "lapsed"
        assert not await store.take_turn("copies", first, now=at(26), lease_s=15)
        await store.end_turn("copies", first)
        assert not await store.take_turn("copies", first, now=at(27), lease_s=15), "it was not ours to end"
        await replica.end_turn("copies", "other")
        assert await store.take_turn("copies", first, now=at(28), lease_s=15)


class ReadingSuite:
    """Pages, history, health."""

    async def test_an_unknown_incident_is_not_found(self, store: SqlIncidentStore) -> None:
        with pytest.raises(NotFound, match="nobody"):
            await store.incident("nobody")
        assert await store.events("nobody") == []
        assert await store.evidence("nobody") == []

    async def test_pages_go_through_all_incidents_newest_first_while_new_ones_come(
        self, store: SqlIncidentStore
    ) -> None:
        order = list(range(23))
        random.Random(1).shuffle(order)
        for number in order:
            await opened(store, f"s{number}", now=at(number // 3))  # several at one instant
        seen, cursor, pages = [], None, 0
        while True:
            page, cursor = await store.incidents(limit=5, cursor=cursor)
            seen += page
            pages += 1
            await opened(store, f"late{pages}", now=at(1000 + pages))
            if cursor is None:
                break
        assert len({incident.id for incident in seen}) == len(seen) == 23
        assert [incident.opened_at for incident in seen] == sorted((i.opened_at for i in seen), reverse=True)

    async def test_pages_can_be_asked_by_status_and_service(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await ended(store, lease, now=at(1))
        other = await opened(store, "cart", now=at(2))

        async def ids(**asked: Any) -> list[str]:
            return [incident.id for incident in (await store.incidents(**asked))[0]]

        assert await ids() == [other, lease.incident_id]
        assert await ids(status="open") == [other]
        assert await ids(status="resolved") == [lease.incident_id]
        assert await ids(status="resolved", service="cart") == []
        assert await ids(service="cart") == [other]
        assert await ids(limit=0) == [other]

    @pytest.mark.parametrize("cursor", ["", "x", "ÿ", "MTIz", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTp4", "AAAA", "YTpi"])
    async def test_a_cursor_of_nobody_is_refused(self, store: SqlIncidentStore, cursor: str) -> None:
        with pytest.raises(PayloadRejected, match="cursor") as rejected:
            await store.incidents(cursor=cursor)
        assert rejected.value.status == 422

    async def test_an_unknown_status_is_refused(self, store: SqlIncidentStore) -> None:
        with pytest.raises(PayloadRejected, match="investigating"):
            await store.incidents(status="closed")

    async def test_history_is_what_ended_before_newest_first(self, store: SqlIncidentStore) -> None:
        for number in range(4):
            await ended(store, await at_work(store, now=at(number * 10)), now=at(number * 10 + 5))
        await opened(store, now=at(100))
        await ended(store, await at_work(store, "cart", now=at(20)), now=at(21))
        found = await store.history("payments", before=at(35), limit=2)
        assert [incident.ended_at for incident in found] == [at(25), at(15)]

    async def test_what_is_with_people_counts_as_firing_until_its_last_alert_has_resolved(
        self, store: SqlIncidentStore
    ) -> None:
        lease, other = await at_work(store), await at_work(store, "orders", now=at(1))
        handed_over = {"status": "escalated", "reason": "low_confidence", "resolution": None, "verification": None}
        assert await store.still_firing(limit=10) == []  # what is worked on is not with people
        await ended(store, lease, now=at(2), **handed_over)
        await ended(store, other, now=at(2), **handed_over)
        first, second = (await store.events(lease.incident_id))[0][0], alert(fingerprint="another", starts_at=at(3))
        await store.correlate(second, always("attach", lease.incident_id), now=at(3))
        await store.correlate(cleared(first), always("resolve", lease.incident_id), now=at(4))
        assert [one.id for one in await store.still_firing(limit=10)] == [other.incident_id, lease.incident_id]
        assert [one.id for one in await store.still_firing(limit=1)] == [other.incident_id]
        last = always("resolve", lease.incident_id, all_resolved=True)
        await store.correlate(cleared(second), last, now=at(5))
        assert [one.id for one in await store.still_firing(limit=10)] == [other.incident_id]

    async def test_health_is_up_while_it_takes_writes(self, store: SqlIncidentStore) -> None:
        assert (await store.health()).status == "up"
        assert (await store.health()).status == "up"

    async def test_readers_and_writers_work_beside_each_other(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)

        async def write(number: int) -> None:
            await store.write(lease, Changes(thoughts=[thought(str(number))]), now=at(number))

        async def read(_: int) -> int:
            return len((await store.incidents())[0]) + len(await store.records())

        await asyncio.gather(*(write(n) for n in range(20)), *(read(n) for n in range(20)))
        assert len(await store.records()) == 21

    async def test_a_cancelled_caller_leaves_the_store_whole(self, store: SqlIncidentStore) -> None:
        for delay in range(6):
            event = alert(f"s{delay}")
            task = asyncio.create_task(store.correlate(event, always("open"), now=T0))
            for _ in range(delay):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            made = await store.correlate(event, always("open"), now=at(1))
            incident = await store.incident(made.incident_id or "")
            assert (incident.event_count, len(incident.fingerprints)) == (1, 1)
