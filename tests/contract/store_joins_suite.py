"""The store's promises about who joins: severity, what is told, new analyses, bursts, turns at the inbox."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from store_scene import T0, alert, at, at_work, claimed, cleared, ended, from_topic, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import AlertEvent, Severity
from sreops.domain.incidents.correlation import Correlation, Disposition, Windows, correlate
from sreops.domain.incidents.incident import Incident, IncidentStatus, Reason
from sreops.domain.incidents.joins import APART_S
from sreops.ports import Changes, StoredRecord, TicketOp

WINDOWS = Windows()
WARNING, CRITICAL = Severity.warning, Severity.critical
HANDED_OVER = {"status": "escalated", "resolution": None, "reason": "low_confidence", "verification": None}


def of(name: str, severity: Severity = WARNING, service: str = "payments", **changes: Any) -> AlertEvent:
    """Return an alert of a name, with a fingerprint of its own."""
    labels = {"alertname": name, "service": service, "instance": "web-1:9100"}
    fields: dict[str, Any] = {"labels": labels, "severity": severity, "fingerprint": f"{name}-{severity.value}"}
    return alert(service, **(fields | changes))


async def told(
    store: SqlIncidentStore, *events: AlertEvent, seconds: float, windows: Windows = WINDOWS
) -> Sequence[Correlation]:
    """Correlate events by the real rules, as received then."""
    now = at(seconds)
    received = [event.model_copy(update={"received_at": now}) for event in events]
    return await store.correlate_all(
        received, lambda event, known: correlate(event, known, now, windows), now=now, windows=windows
    )


async def handed_over(store: SqlIncidentStore, *, seconds: float = 10) -> str:
    """Open a warning's incident and hand it over."""
    [made] = await told(store, of("HighMemory"), seconds=0)
    lease = await claimed(store)
    create = TicketOp(f"{made.incident_id}:create", made.incident_id or "", "create", {})
    await store.write(lease, Changes(tickets=[create]), now=at(seconds))
    await store.ticket_done(create.op_id, issue=None, now=at(seconds))
    await ended(store, lease, now=at(seconds), **HANDED_OVER)
    return made.incident_id or ""


async def carried_out(store: SqlIncidentStore, incident_id: str, *, seconds: float) -> list[TicketOp]:
    """Return the incident's ticket writes by then, each carried out."""
    done: list[TicketOp] = []
    while ops := await store.due_tickets(now=at(seconds), incident_id=incident_id):
        for op in ops:
            done.append(op)
            await store.ticket_done(op.op_id, issue=None, now=at(seconds))
    return done


class JoinsSuite:
    """Who joins is heard."""

    async def test_severity_and_the_order_of_work_follow_the_firing_alerts(self, store: SqlIncidentStore) -> None:
        [made] = await told(store, of("HighMemory"), seconds=0)
        incident_id = made.incident_id or ""
        await told(store, of("Other", service="cart"), seconds=0)
        await told(store, of("HighMemory", CRITICAL), seconds=5)
        assert (await store.incident(incident_id)).severity is CRITICAL
        [lease] = await store.claim("w", now=at(6), lease_s=30, limit=1)
        assert lease.incident_id == incident_id, "critical before warning"
        await told(store, cleared(of("HighMemory", CRITICAL), ends=7), seconds=7)
        assert (await store.incident(incident_id)).severity is WARNING
        await told(store, cleared(of("HighMemory"), ends=8), seconds=8)
        over = await store.incident(incident_id)
        assert over.severity is CRITICAL, "when it is over it was as bad as it has been"
        assert (over.cleared_at, over.all_resolved_at) == (at(8), at(8))

    async def test_a_critical_one_that_joins_what_was_handed_over_is_told_and_analysed(
        self, store: SqlIncidentStore
    ) -> None:
        incident_id = await handed_over(store)
        await told(store, of("HighMemory", CRITICAL), seconds=60)
        incident = await store.incident(incident_id)
        assert (incident.status, incident.episode, incident.severity) == (IncidentStatus.investigating, 2, CRITICAL)
        lease = await claimed(store, now=at(61))
        assert (lease.episode, lease.woken_by) == (2, "start")
        assert incident.joins is not None
        events = {event.event_id: event for event, _ in await store.events(incident_id)}
        assert events[incident.joins.began_by or ""].severity is CRITICAL
        [notice] = [one for one in await store.unplanned_notices() if one.kind == "worse"]
        assert notice.facts["severity"] == "critical"
        ops = await carried_out(store, incident_id, seconds=70)
        notes = " ".join(op.body.get("note", "") for op in ops)
        assert "**HighMemory** of payments (critical) at web-1:9100, since 2026-03-01T12:00:00" in notes
        [reopen] = [op for op in ops if op.kind == "reopen"]
        assert (reopen.body["add_labels"], reopen.body["remove_labels"]) == (
            ["severity-critical"],
            ["severity-warning"],
        )
        thoughts = [record.body["text"] for record in await store.records(incident_id=incident_id)]
        assert any("it is critical now (HighMemory): it is analysed again" in text for text in thoughts)

    async def test_a_repeat_that_says_the_alert_is_worse_now_is_heard(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        worse = of("HighMemory", CRITICAL, fingerprint="HighMemory-warning")  # an annotation is no part of it
        [made] = await told(store, worse, seconds=60)
        assert (made.disposition, made.incident_id) == (Disposition.repeat, incident_id)
        incident = await store.incident(incident_id)
        assert (incident.status, incident.episode, incident.severity) == (IncidentStatus.investigating, 2, CRITICAL)
        assert [one.kind for one in await store.unplanned_notices()] == ["attention", "worse"]
        assert [one.severity for one in await store.alerts(incident_id, limit=9)] == [CRITICAL]
        weaker = of("HighMemory", event_id="later")
        assert (await told(store, weaker, seconds=61))[0].disposition is Disposition.repeat
        assert (await store.incident(incident_id)).severity is CRITICAL, "one that does not say it is no proof"

    async def test_a_late_repeat_makes_nothing_worse(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        await told(store, cleared(of("HighMemory"), ends=20), seconds=20)
        late = of("HighMemory", CRITICAL, fingerprint="HighMemory-warning", event_id="late")
        assert (await told(store, late, seconds=30))[0].disposition is Disposition.repeat
        incident = await store.incident(incident_id)
        assert (incident.severity, incident.cleared_at, incident.episode) == (WARNING, at(20), 1)

    async def test_what_is_known_of_each_alert_is_told_in_order(self, store: SqlIncidentStore) -> None:
        [made, *_] = await told(store, of("A"), of("B", CRITICAL), of("C", CRITICAL), seconds=0)
        await told(store, cleared(of("B", CRITICAL), ends=5), seconds=5)
        alerts = await store.alerts(made.incident_id or "", limit=9)
        assert [(one.alertname, one.severity, one.ended_at) for one in alerts] == [
            ("C", CRITICAL, None), ("A", WARNING, None), ("B", CRITICAL, at(5))
        ]  # fmt: skip
        assert len(await store.alerts(made.incident_id or "", limit=2)) == 2

    async def test_more_of_the_same_is_listed_and_tells_nobody(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        await told(store, of("HighMemory", fingerprint="second"), seconds=60)
        incident = await store.incident(incident_id)
        assert (incident.status, incident.episode) == (IncidentStatus.escalated, 1)
        assert [op.kind for op in await carried_out(store, incident_id, seconds=70)] == ["list"]
        assert [one.kind for one in await store.unplanned_notices()] == ["attention"]

    async def test_what_joins_before_the_analysis_has_begun_is_part_of_it(self, store: SqlIncidentStore) -> None:
        [made, _] = await told(store, of("HighMemory"), of("DiskFull", CRITICAL), seconds=0)
        incident = await store.incident(made.incident_id or "")
        assert (incident.episode, incident.rejoin_at, incident.severity) == (1, None, CRITICAL)

    async def test_what_is_worked_on_is_analysed_again_when_it_stands_still(self, store: SqlIncidentStore) -> None:
        [made] = await told(store, of("HighMemory"), seconds=0)
        lease = await claimed(store)
        await told(store, of("DiskFull"), seconds=5)
        incident = await store.incident(made.incident_id or "")
        assert (incident.episode, incident.rejoin_at) == (1, at(5))
        assert await store.begin_rejoins(now=at(6)) == [], "somebody is at it"
        await ended(store, lease, now=at(7), **HANDED_OVER)
        assert await store.begin_rejoins(now=at(8)) == [incident.id]
        incident = await store.incident(incident.id)
        assert (incident.episode, incident.status, incident.rejoin_at) == (2, IncidentStatus.investigating, None)
        assert await store.begin_rejoins(now=at(9)) == []

    async def test_what_is_closed_as_resolved_is_not(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await told(store, of("DiskFull", CRITICAL), seconds=5)
        await ended(store, lease, now=at(7))
        assert await store.begin_rejoins(now=at(8)) == []

    async def test_no_alert_ends_with_an_incident_whose_proof_was_made_before_it_joined(
        self, store: SqlIncidentStore
    ) -> None:
        [made] = await told(store, of("HighMemory"), seconds=0)
        lease = await claimed(store)
        await told(store, of("Early"), seconds=4)
        await told(store, of("Late", CRITICAL), of("Over"), seconds=6)
        await told(store, cleared(of("Over"), ends=7), seconds=7)
        end = {"status": "resolved", "resolution": "fixed", "verification": "fixed"}
        close = TicketOp("end", lease.incident_id, "close", {})
        proof = Changes(incident=end, tickets=[close], covered_until=at(5))
        written = await store.write(lease, proof, now=at(8))
        assert (written.status, written.episode, written.resolution) == (IncidentStatus.investigating, 2, None)
        assert written.joins is not None
        assert written.joins.began_why.startswith("Late joined while it was being closed")
        assert "close" not in [op.kind for op in await store.due_tickets(now=at(99))]
        again = await claimed(store, now=at(9))
        assert (again.incident_id, again.episode) == (made.incident_id, 2)
        written = await store.write(again, Changes(incident=end, covered_until=at(9)), now=at(10))
        assert written.status is IncidentStatus.resolved

    async def test_nor_is_it_where_all_who_joined_are_over(self, store: SqlIncidentStore) -> None:
        [made] = await told(store, of("HighMemory"), seconds=0)
        lease = await claimed(store)
        await told(store, of("DiskFull"), seconds=5)
        await told(store, cleared(of("DiskFull"), ends=6), cleared(of("HighMemory"), ends=6), seconds=6)
        await ended(store, lease, now=at(7), **HANDED_OVER)
        assert await store.begin_rejoins(now=at(8)) == []
        assert (await store.incident(made.incident_id or "")).cleared_at == at(6)

    async def test_analyses_are_apart_and_three_at_most(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        begun = []
        for number in range(40):
            second = 60.0 * (number + 1)
            await told(store, of(f"A{number}", fingerprint=f"a{number}"), seconds=second)
            await store.begin_rejoins(now=at(second))
            for lease in await store.claim("w", now=at(second), lease_s=30, limit=5):
                begun.append(second)
                await ended(store, lease, now=at(second + 1), **HANDED_OVER)
        assert begun == [60, 60 + APART_S, 60 + 2 * APART_S]
        assert (await store.incident(incident_id)).episode == 4

    async def test_a_plan_that_waits_goes_on_waiting_while_it_is_analysed_again(self, store: SqlIncidentStore) -> None:
        [made] = await told(store, of("HighMemory"), seconds=0)
        incident_id = made.incident_id or ""
        lease = await claimed(store)
        await store.request_approval(lease, plan_hash="p1", now=at(1), expires_at=at(3600))
        plan = {"plan": {"runbook_id": "r"}, "plan_hash": "p1", "policy": {"reasons": ["tier supervised"]}}
        fields = {"status": "awaiting_approval", "plan_hash": "p1", "runbook_id": "r", "decision": plan}
        await store.write(lease, Changes(incident=fields), now=at(1))
        await store.park(lease, wake_at=at(3600), timer="approval")
        await told(store, of("DiskFull", CRITICAL), seconds=60)
        incident = await store.incident(incident_id)
        assert (incident.episode, incident.status, incident.plan_hash) == (2, IncidentStatus.investigating, "p1")
        assert (incident.decision or {})["standing"]["plan"] == {"runbook_id": "r"}
        made_again = await store.decide(incident_id, approve=True, by="eve", reason="yes", plan_hash="p1", now=at(70))
        assert made_again.decision == "approved"
        [again] = await store.claim("w", now=at(71), lease_s=30, limit=5)
        asked = await store.request_approval(again, plan_hash="p1", now=at(72), expires_at=at(9999))
        assert (asked.decision, asked.expires_at) == ("approved", at(3600))

    async def test_one_that_was_decided_a_moment_ago_is_left_to_its_worker(self, store: SqlIncidentStore) -> None:
        [made] = await told(store, of("HighMemory"), seconds=0)
        lease = await claimed(store)
        await store.request_approval(lease, plan_hash="p1", now=at(1), expires_at=at(3600))
        await store.write(lease, Changes(incident={"status": "awaiting_approval", "plan_hash": "p1"}), now=at(1))
        await store.park(lease, wake_at=at(3600), timer="approval")
        await store.decide(made.incident_id or "", approve=True, by="eve", reason="y", plan_hash="p1", now=at(2))
        await told(store, of("DiskFull", CRITICAL), seconds=3)
        assert (await store.incident(made.incident_id or "")).episode == 1

    async def test_twelve_flaps_in_ten_minutes_are_one_incident_and_the_alert_is_named(
        self, store: SqlIncidentStore
    ) -> None:
        seen = set()
        for number in range(12):
            second = 50.0 * number
            fired = of("Flaps", starts_at=at(second))
            seen |= {made.incident_id for made in await told(store, fired, seconds=second)}
            for lease in await store.claim("w", now=at(second + 1), lease_s=9, limit=5):
                recovers = lease.episode < 3
                end = {"status": "resolved", "resolution": "recovered", "verification": None}
                await ended(store, lease, now=at(second + 2), **(end if recovers else HANDED_OVER))
            await told(store, cleared(fired, ends=second + 25), seconds=second + 25)
        [incident_id] = seen
        incident = await store.incident(incident_id or "")
        assert (incident.event_count, incident.episode) == (24, 3)
        flapping = incident.public(at(600))["flapping"]
        assert (flapping["alertname"], flapping["times"]) == ("Flaps", 12)

    async def test_seventy_like_alerts_are_one_storm_with_its_own_name(self, store: SqlIncidentStore) -> None:
        events = [
            of("NodeDown", service=f"node-{n}", fingerprint=f"n{n}", group_key='{}:{alertname="NodeDown"}')
            for n in range(70)
        ]
        for event in events:
            event.labels["cluster"] = "eu-1"
        made = await told(store, *events, seconds=0)
        storm = await store.incident(made[8].incident_id or "")
        shared = {"alertname": "NodeDown", "cluster": "eu-1", "instance": "web-1:9100"}
        assert storm.public(at(1))["storm"] == {
            "labels": shared,
            "members": 70,
            "name": "70 \N{MULTIPLICATION SIGN} NodeDown, cluster=eu-1, instance=web-1:9100",
        }
        assert {one.incident_id for one in made[9:]} == {storm.id}
        first = [await store.incident(one.incident_id or "") for one in made[:8]]
        assert {(one.status, one.reason) for one in first} == {(IncidentStatus.escalated, Reason.storm)}
        assert all(one.public(at(1))["storm"] == {"id": storm.id} and one.absorbed_by == storm.id for one in first)
        assert [lease.incident_id for lease in await store.claim("w", now=at(1), lease_s=9, limit=99)] == [storm.id]
        lists = [op for op in await self._lists(store, storm)]
        assert sum(op.body["note"].count("**NodeDown**") for op in lists) == 69, "all but the one of the description"
        again = await told(store, of("NodeDown", service="node-70", fingerprint="n70"), seconds=59)
        assert again[0].incident_id == storm.id
        calm = await told(store, of("NodeDown", service="node-71", fingerprint="n71"), seconds=200)
        assert (calm[0].disposition, calm[0].storm) == (Disposition.open, None)

    async def test_critical_ones_of_a_storm_are_worked_on_while_a_slot_is_free(self, store: SqlIncidentStore) -> None:
        windows = Windows(burst_incidents=2, slots=3)
        events = [of("Down", CRITICAL, f"s{n}", fingerprint=f"f{n}") for n in range(6)]
        made = await told(store, *events, seconds=0, windows=windows)
        storm_id = made[2].incident_id
        kept = [await store.incident(one.incident_id or "") for one in made[:2]]
        assert [(one.status, one.storm_id) for one in kept] == [(IncidentStatus.investigating, storm_id)] * 2
        assert {one.incident_id for one in made[3:]} == {storm_id}, "the three slots are taken"
        for lease in await store.claim("w", now=at(1), lease_s=9, limit=9):
            await ended(store, lease, now=at(2), **(HANDED_OVER | {"reason": "storm"}))
        [later] = await told(store, of("Down", CRITICAL, "s9", fingerprint="f9"), seconds=3, windows=windows)
        assert (later.disposition, later.storm_id) == (Disposition.open, storm_id)

    async def test_a_storm_of_thousands_lists_the_first_two_hundred_and_counts(self, store: SqlIncidentStore) -> None:
        windows = Windows(burst_incidents=1)
        events = [of("Down", service=f"s{n}", fingerprint=f"f{n}") for n in range(450)]
        for first in range(0, 450, 150):
            made = await told(store, *events[first : first + 150], seconds=first / 150, windows=windows)
        storm = await store.incident(made[0].incident_id or "")
        assert storm.members == 450
        notes = "\n".join(op.body["note"] for op in await self._lists(store, storm))
        assert notes.count("**Down**") == 200
        assert "and 249 more" in notes

    @staticmethod
    async def _lists(store: SqlIncidentStore, storm: Incident) -> list[TicketOp]:
        create = TicketOp(f"{storm.id}:create", storm.id, "create", {})
        [lease] = [one for one in await store.claim("w", now=at(20), lease_s=1, limit=9) if one.incident_id == storm.id]
        await store.write(lease, Changes(tickets=[create]), now=at(20))
        await store.release(lease)
        return [op for op in await carried_out(store, storm.id, seconds=30) if op.kind == "list"]

    async def test_a_flood_of_one_service_holds_up_no_others_critical(self, store: SqlIncidentStore) -> None:
        def place(event: AlertEvent, topic: str, offset: int) -> tuple[AlertEvent, StoredRecord]:
            return event, StoredRecord(topic=topic, key=event.service, value=b"{}", partition=0, offset=offset)

        flood = [place(of("Down", CRITICAL, "db", fingerprint=f"f{n}"), "sre-critical", n) for n in range(300)]
        await store.take_in(flood, now=T0)
        early, late = of("Slow", service="cart"), of("Down", CRITICAL, "cart")
        await store.take_in([place(early, "sre-warning", 0), place(late, "sre-critical", 300)], now=T0)
        await store.take_in([place(of("Down", CRITICAL, "shop"), "sre-critical", 301)], now=T0)
        first = await store.uncorrelated(50)
        assert [event.service for event in first[:3]] == ["shop", "db", "cart"], "the critical ones before"
        assert first[2].event_id == early.event_id, "of one service in the order in which they came"
        assert len(first) == len({event.event_id for event in first}) == 50
        await told(store, *first, seconds=1)
        assert late.event_id in {event.event_id for event in await store.uncorrelated(2)}

    async def test_nor_does_a_flood_of_thousands_of_services(self, store: SqlIncidentStore) -> None:
        def place(event: AlertEvent, offset: int) -> tuple[AlertEvent, StoredRecord]:
            return event, StoredRecord(topic="sre-critical", key=event.service, value=b"", partition=0, offset=offset)

        flood = [of("Down", CRITICAL, f"node-{n}", fingerprint=f"f{n}") for n in range(1200)]
        await store.take_in([place(event, n) for n, event in enumerate(flood)], now=T0)
        stranger, again = of("Down", CRITICAL, "shop"), of("Slow", CRITICAL, "shop")
        await store.take_in([place(stranger, 1200), place(again, 1201)], now=T0)
        first = [event.event_id for event in await store.uncorrelated(100)]
        assert stranger.event_id in first
        assert again.event_id not in first, "of one service in the order in which they came"
        assert len(first) == len(set(first)) == 100

    async def test_beside_an_older_sreops_the_order_of_arrival_holds(self, store: SqlIncidentStore) -> None:
        await store.take_in([from_topic(of("A", service="x"), 0), from_topic(of("B", service="y"), 1)], now=T0)
        await store._db.write(
            lambda connection: connection.exec_driver_sql("UPDATE inbox SET service = NULL WHERE seq = 1") and None
        )
        await store.take_in([from_topic(of("C", CRITICAL, "z"), 2)], now=T0 + timedelta(seconds=1))
        assert [event.alertname for event in await store.uncorrelated(9)] == ["A", "B", "C"]

    async def test_an_older_sreops_incident_is_joined_as_any_other(self, store: SqlIncidentStore) -> None:
        incident_id = await opened(store, severity=WARNING)
        lease = await claimed(store)
        await store._db.write(
            lambda connection: (
                connection.exec_driver_sql(
                    "UPDATE incident_alerts SET alertname = NULL, rank = NULL, times = NULL, times_from = NULL"
                )
                and None
            )
        )
        await ended(store, lease, now=at(1), **HANDED_OVER)
        await told(store, of("HighMemory", CRITICAL), seconds=60)
        assert (await store.incident(incident_id)).severity is CRITICAL
