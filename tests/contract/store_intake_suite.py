"""The store's promises about intake and correlation."""

import asyncio
import math
import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
from store_scene import T0, Opener, alert, always, at, at_work, claimed, cleared, ended, from_topic, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity
from sreops.domain.alerts.routing import NotWorkedOn
from sreops.domain.alerts.subject import SubjectKind, subject_of
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident, Windows, correlate
from sreops.domain.incidents.incident import IncidentStatus, incident_id_of
from sreops.errors import LeaseLost, PayloadRejected
from sreops.ports import Changes, TicketOp


class IntakeSuite:
    """Inbox and correlation."""

    async def test_an_event_is_taken_in_once_however_often_it_comes(self, store: SqlIncidentStore) -> None:
        one, two = alert(), alert("cart")
        assert await store.take_in([from_topic(one), from_topic(two), from_topic(one, 7)], now=T0) == 2
        assert await store.take_in([from_topic(two), from_topic(alert("shop"))], now=at(1)) == 1
        assert [event.service for event in await store.uncorrelated(10)] == ["payments", "cart", "shop"]
        assert await store.take_in([], now=T0) == 0

    async def test_what_is_recorded_only_is_shown_newest_first_and_never_correlated(
        self, store: SqlIncidentStore
    ) -> None:
        told = [alert(f"s{number}") for number in range(5)]
        why = {told[0].event_id: NotWorkedOn.severity, told[2].event_id: NotWorkedOn.tier} | {
            told[4].event_id: NotWorkedOn.severity
        }
        batch = [from_topic(event, number) for number, event in enumerate(told)]
        assert await store.take_in(batch, now=T0, recorded=why) == 5
        assert await store.take_in(batch, now=T0, recorded=why) == 0
        assert [event.service for event in await store.uncorrelated(10)] == ["s1", "s3"]
        page, following = await store.recorded(limit=2)
        assert [(one.event.service, one.reason) for one in page] == [
            ("s4", NotWorkedOn.severity),
            ("s2", NotWorkedOn.tier),
        ]
        rest, end = await store.recorded(limit=2, cursor=following)
        assert ([one.event for one in rest], end) == ([told[0]], None)
        with pytest.raises(PayloadRejected):
            await store.recorded(limit=2, cursor="x")
        # and to a sreops that knows nothing of it, it is an event that was handled
        assert (await store.correlate(told[0], always("open"), now=T0)).disposition is Disposition.stale

    async def test_the_subject_is_kept_and_its_scope_grows_with_what_joins(self, store: SqlIncidentStore) -> None:
        labels = {"alertname": "A", "container_name": "payments", "compose_project": "shop"}
        first = alert("payments", subject=subject_of(labels, "A"))
        opened_ = await store.correlate(first, always("open"), now=T0)
        assert opened_.incident_id is not None
        kept = (await store.incident(opened_.incident_id)).subject
        assert (kept.kind, kept.scope) == (SubjectKind.container, {"compose_project": "shop"})
        also = subject_of({"service": "payments", "cluster": "eu", "compose_project": "other"}, "A")
        stranger = subject_of({"service": "cart", "env": "prod"}, "A")
        for other in (also, stranger):
            joins = alert(other.name, fingerprint=other.name, subject=other)
            await store.correlate(joins, always("attach", opened_.incident_id), now=at(1))
        grown = (await store.incident(opened_.incident_id)).subject
        assert grown.scope == {"compose_project": "shop", "cluster": "eu"}

    async def test_events_come_back_as_they_were(self, store: SqlIncidentStore) -> None:
        hostile = "a\x00b\ud800'; DROP TABLE inbox; --"
        event = alert(values={"A": math.nan, "B": math.inf}, annotations={"summary": hostile}, ends_at=at(5))
        strange = alert("strange", escalate_threshold=math.nan)
        await store.take_in([from_topic(event), from_topic(strange)], now=T0)
        [back, other] = await store.uncorrelated(10)
        assert math.isnan(other.escalate_threshold), "what can't be read again holds up all that lie behind it"
        assert back.annotations["summary"] == hostile
        assert back.starts_at == T0
        assert back.starts_at.utcoffset() is not None
        assert back.values is not None
        assert math.isnan(back.values["A"])
        assert math.isinf(back.values["B"])

    async def test_what_no_database_can_hold_in_an_identity_still_finds_itself(self, store: SqlIncidentStore) -> None:
        event = alert("pay\x00\udfffments", fingerprint="f\x00p", event_id="e\x00\ud800")
        await store.take_in([from_topic(event)], now=T0)
        assert await store.take_in([from_topic(event)], now=T0) == 0
        await store.correlate(event, always("open"), now=T0)
        seen: list[KnownIncident] = []

        def look(event: AlertEvent, known: Sequence[KnownIncident]) -> Correlation:
            seen.extend(known)
            return always("repeat", known[0].id)(event, known)

        await store.correlate(event.model_copy(update={"event_id": "e2"}), look, now=at(1))
        assert [incident.id for incident in seen] == [incident_id_of(event)]

    async def test_a_large_batch_is_taken_in_by_one_call(self, store: SqlIncidentStore) -> None:
        batch = [from_topic(alert(f"s{number % 7}"), number) for number in range(1200)]
        assert await store.take_in(batch, now=T0) == 1200
        assert await store.take_in(batch, now=T0) == 0
        assert len(await store.uncorrelated(5)) == 5

    async def test_concurrent_intake_of_the_same_events_counts_each_once(self, store: SqlIncidentStore) -> None:
        batch = [from_topic(alert(f"s{number}")) for number in range(10)]
        taken = await asyncio.gather(*(store.take_in(batch, now=T0) for _ in range(20)))
        assert sum(taken) == 10

    async def test_open_makes_an_incident_with_its_alert_and_work_that_wakes_now(self, store: SqlIncidentStore) -> None:
        event = alert()
        await store.take_in([from_topic(event)], now=T0)
        made = await store.correlate(event, always("open"), now=T0)
        assert await store.uncorrelated(10) == []
        incident = await store.incident(made.incident_id or "")
        assert incident.id == incident_id_of(event)
        assert (incident.status, incident.episode, incident.event_count) == (IncidentStatus.investigating, 1, 1)
        assert (incident.fingerprints, incident.alertname) == (("fp-payments",), "HighMemory")
        assert (incident.opened_at, incident.episode_at, incident.ended_at) == (T0, T0, None)
        lease = await claimed(store)
        assert (lease.incident_id, lease.woken_by, lease.attempts, lease.episode) == (incident.id, "start", 0, 1)
        [thought] = await store.records(incident_id=incident.id)
        assert thought.body["node"] == "correlate"
        assert await store.events(incident.id) == [(event, "open")]

    async def test_a_second_correlation_of_an_event_returns_the_first_decision(self, store: SqlIncidentStore) -> None:
        event = alert()
        first = await store.correlate(event, always("open"), now=T0)

        def must_not_be_asked(event: AlertEvent, known: Sequence[KnownIncident]) -> Correlation:
            raise AssertionError("decided twice")

        assert await store.correlate(event, must_not_be_asked, now=at(9)) == first
        assert (await store.incident(first.incident_id or "")).event_count == 1
        assert len(await store.records()) == 1

    async def test_concurrent_correlation_of_one_event_opens_one_incident(self, store: SqlIncidentStore) -> None:
        event = alert()
        made = await asyncio.gather(*(store.correlate(event, always("open"), now=T0) for _ in range(20)))
        assert len({decision.incident_id for decision in made}) == 1
        page, _ = await store.incidents()
        assert len(page) == 1
        assert page[0].event_count == 1

    async def test_a_decision_that_fails_leaves_nothing(self, store: SqlIncidentStore) -> None:
        event = alert()
        await store.take_in([from_topic(event)], now=T0)

        def fails(event: AlertEvent, known: Sequence[KnownIncident]) -> Correlation:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await store.correlate(event, fails, now=T0)
        assert await store.uncorrelated(10) == [event]
        assert await store.records() == []

    async def test_the_decision_sees_incidents_of_fingerprint_and_service_newest_first(
        self, store: SqlIncidentStore
    ) -> None:
        lease = await at_work(store)
        await ended(store, lease, now=at(10))
        second = await opened(store, now=at(100), fingerprint="fp-2")
        moved = await opened(store, "moved", now=at(200), fingerprint="fp-3")
        await opened(store, "unrelated", now=at(300))
        seen: list[KnownIncident] = []

        def look(event: AlertEvent, known: Sequence[KnownIncident]) -> Correlation:
            seen.extend(known)
            return always("stale")(event, known)

        await store.correlate(alert(fingerprint="fp-3", starts_at=at(400)), look, now=at(400))
        assert [incident.id for incident in seen] == [moved, second, lease.incident_id]
        assert seen[2].ended_at == at(10)
        assert seen[0].alerts[0].firing
        assert seen[2].alerts == (), "of each only the alert that the event speaks of"
        seen.clear()
        await store.correlate(alert(fingerprint="new", starts_at=at(500)), look, now=at(26 * 3600))
        assert [incident.id for incident in seen] == [second], "ended longer ago than any window, it is not offered"
        seen.clear()
        await store.correlate(alert(starts_at=at(600)), look, now=at(26 * 3600))
        assert [incident.id for incident in seen] == [second, lease.incident_id], "but to its own alert it is"

    async def test_attach_adds_the_alert_notes_it_and_takes_back_that_all_were_resolved(
        self, store: SqlIncidentStore
    ) -> None:
        first = alert()
        incident_id = (await store.correlate(first, always("open"), now=T0)).incident_id
        assert incident_id is not None
        lease = await claimed(store)
        await store.correlate(cleared(first), always("resolve", incident_id, all_resolved=True), now=at(60))
        assert (await store.incident(incident_id)).all_resolved_at == at(60)
        second = alert(fingerprint="fp-other", starts_at=at(70))
        for _ in range(2):
            await store.correlate(second, always("attach", incident_id), now=at(70))
        incident = await store.incident(incident_id)
        assert incident.fingerprints == ("fp-payments", "fp-other")
        assert (incident.all_resolved_at, incident.resolve_proven, incident.event_count) == (None, True, 3)
        await store.write(lease, Changes(incident={"issue": {"iid": 1, "url": "http://x"}}), now=at(71))
        [note] = await store.due_tickets(now=at(76))
        assert "HighMemory" in note.body["note"]
        await store.ticket_done(note.op_id, issue=None, now=at(76))
        assert await store.due_tickets(now=at(79)) == []

    async def test_a_late_older_firing_does_not_reopen_a_resolved_alert(self, store: SqlIncidentStore) -> None:
        first = alert(starts_at=at(100))
        incident_id = (await store.correlate(first, always("open"), now=at(100))).incident_id
        await store.correlate(cleared(first, ends=160), always("resolve", incident_id, all_resolved=True), now=at(160))
        await store.correlate(alert(starts_at=at(50)), always("attach", incident_id), now=at(170))
        assert (await store.incident(incident_id or "")).all_resolved_at == at(160)

    async def test_repeat_only_counts(self, store: SqlIncidentStore) -> None:
        incident_id = await opened(store)
        await store.correlate(alert(), always("repeat", incident_id), now=at(5))
        incident = await store.incident(incident_id)
        assert incident.event_count == 2
        assert await store.due_tickets(now=at(5)) == []
        assert [disposition for _, disposition in await store.events(incident_id)] == ["open", "repeat"]
        assert [disposition for _, disposition in await store.events(incident_id, newest=1)] == ["repeat"]
        assert await store.events(incident_id, newest=9) == await store.events(incident_id)

    async def test_stale_is_done_with_and_touches_no_incident(self, store: SqlIncidentStore) -> None:
        event = cleared(alert())
        await store.take_in([from_topic(event)], now=T0)
        made = await store.correlate(event, always("stale"), now=T0)
        assert made.incident_id is None
        assert await store.uncorrelated(10) == []
        assert await store.records() == []

    async def test_resolve_of_some_alerts_neither_wakes_nor_claims_recovery(self, store: SqlIncidentStore) -> None:
        first = alert()
        incident_id = (await store.correlate(first, always("open"), now=T0)).incident_id or ""
        await store.correlate(alert(fingerprint="other"), always("attach", incident_id), now=at(1))
        lease = await claimed(store, now=at(2))
        await store.park(lease, wake_at=at(600), timer="poll")
        await store.correlate(cleared(first), always("resolve", incident_id), now=at(60))
        assert (await store.incident(incident_id)).all_resolved_at is None
        assert await store.claim("w1", now=at(61), lease_s=30, limit=5) == []

    async def test_resolve_of_the_last_alert_wakes_the_sleeping_incident(self, store: SqlIncidentStore) -> None:
        first = alert()
        incident_id = (await store.correlate(first, always("open"), now=T0)).incident_id or ""
        await store.park(await claimed(store), wake_at=at(600), timer="poll")
        await store.correlate(cleared(first), always("resolve", incident_id, all_resolved=True), now=at(60))
        incident = await store.incident(incident_id)
        assert (incident.all_resolved_at, incident.resolve_proven) == (at(60), True)
        assert (await claimed(store, now=at(60))).woken_by == "resolved"

    async def test_one_resolve_without_proof_leaves_the_whole_recovery_unproven(self, store: SqlIncidentStore) -> None:
        first, second = alert(), alert(fingerprint="other")
        incident_id = (await store.correlate(first, always("open"), now=T0)).incident_id or ""
        await store.correlate(second, always("attach", incident_id), now=at(1))
        edited = cleared(first, annotations={"grafana_state_reason": "Updated"})
        await store.correlate(edited, always("resolve", incident_id), now=at(60))
        await store.correlate(cleared(second), always("resolve", incident_id, all_resolved=True), now=at(61))
        assert (await store.incident(incident_id)).resolve_proven is False

    @pytest.mark.parametrize("healthy", [True, False])
    async def test_a_resolve_for_want_of_data_is_proof_only_where_that_counts_as_healthy(
        self, store: SqlIncidentStore, healthy: bool
    ) -> None:
        windows = Windows(no_data_recovers=healthy)
        first = alert()
        incident_id = (await store.correlate(first, always("open"), now=T0, windows=windows)).incident_id or ""
        gone = cleared(first, annotations={"grafana_state_reason": "NoData, KeepLast"})
        over = always("resolve", incident_id, all_resolved=True)
        await store.correlate(gone, over, now=at(60), windows=windows)
        assert (await store.incident(incident_id)).resolve_proven is healthy

    async def test_resolve_of_an_escalated_incident_is_noted_once_and_wakes_nobody(
        self, store: SqlIncidentStore
    ) -> None:
        lease = await at_work(store)
        fields = {"status": "escalated", "resolution": None, "reason": "low_confidence", "verification": None}
        await ended(store, lease, now=at(10), **fields)
        event = cleared(alert())
        for _ in range(2):
            await store.correlate(event, always("resolve", lease.incident_id, all_resolved=True), now=at(60))
        incident = await store.incident(lease.incident_id)
        assert (incident.status, incident.all_resolved_at) == (IncidentStatus.escalated, None)
        [note] = await store.due_tickets(now=at(65))
        assert "resolved" in note.body["note"]
        assert await store.claim("w1", now=at(61), lease_s=30, limit=5) == []
        assert (await store.backlog(now=at(61))).tickets == 1

    async def test_refire_begins_a_new_episode_and_fences_the_old_one_off(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        fields = {"status": "resolved", "resolution": "fixed", "verification": "fixed", "plan_hash": "p1"}
        await store.write(lease, Changes(incident=fields), now=at(10))  # ended, and its worker not yet done
        again = alert(starts_at=at(700))
        await store.correlate(again, always("refire", lease.incident_id), now=at(700))
        incident = await store.incident(lease.incident_id)
        assert (incident.episode, incident.status) == (2, IncidentStatus.investigating)
        assert (incident.opened_at, incident.episode_at, incident.ended_at) == (T0, at(700), None)
        assert (incident.resolution, incident.verification, incident.plan_hash) == (None, None, None)
        for late in (store.finish(lease), store.write(lease, Changes(), now=at(701)), store.release(lease)):
            with pytest.raises(LeaseLost):
                await late
        new = await claimed(store, now=at(700))
        assert (new.episode, new.woken_by, new.attempts) == (2, "start", 0)
        assert new.token > lease.token

    async def test_open_of_an_incident_that_exists_reopens_or_repeats_it(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        event = alert()
        repeated = await store.correlate(event, always("open", lease.incident_id), now=at(5))
        assert repeated.disposition == "repeat"
        await ended(store, lease, now=at(10))
        still_firing = alert()
        made = await store.correlate(still_firing, always("open", lease.incident_id), now=at(3 * 86400))
        assert made.disposition == "refire"
        assert (await store.incident(lease.incident_id)).episode == 2

    async def test_the_real_rules_and_the_store_agree_over_any_order_of_events(self, store: SqlIncidentStore) -> None:
        chance, opens, told = random.Random(7), set(), 0
        for number in range(250):
            now, minute = at(number * 120), 60 * chance.randrange(max(0, number * 2 - 30), number * 2 + 1)
            service, name = chance.choice("ab"), chance.choice("xyz")
            event = alert(service, fingerprint=service + name, starts_at=at(minute), received_at=now)
            if chance.random() < 0.4:
                ends = chance.choice([None, at(minute + 30), now])
                event = event.model_copy(update={"status": AlertStatus.resolved, "ends_at": ends})
            made = await store.correlate(
                event, lambda event, known, now=now: correlate(event, known, now, Windows()), now=now
            )
            told += made.incident_id is not None
            opens |= {made.incident_id} if made.disposition.starts_graph else set()
            if made.disposition is Disposition.resolve and made.all_resolved:
                incident = await store.incident(made.incident_id or "")
                assert incident.ended_at or incident.all_resolved_at == now
            for lease in await store.claim("w", now=now, lease_s=30, limit=9):
                end = chance.choice(["resolved", "escalated", None])
                if end is None:
                    await store.park(lease, wake_at=now + timedelta(seconds=300), timer="poll")
                else:
                    await ended(store, lease, now=now, status=end)
        page, _ = await store.incidents(limit=500)
        assert {incident.id for incident in page} == opens
        assert sum(incident.event_count for incident in page) == told
        assert sum([len(await store.events(incident.id)) for incident in page]) == told
        still = [incident.service for incident in page if incident.ended_at is None]
        assert len(still) == len(set(still)), "one open incident per service"
        assert {disposition for i in page for _, disposition in await store.events(i.id)} >= {
            "open", "attach", "repeat", "refire", "resolve"
        }  # fmt: skip

    async def test_openings_beyond_the_limit_are_gathered_and_every_one_is_listed(
        self, store: SqlIncidentStore
    ) -> None:
        windows = Windows(storm_incidents=2, storm_window_s=60)

        async def told(service: str, seconds: float, **changes: object) -> Correlation:
            labels = {"cluster": "eu", "service": service}
            event = alert(service, labels=labels, received_at=at(seconds), severity=Severity.warning, **changes)
            return await store.correlate(
                event,
                lambda event, known: correlate(event, known, at(seconds), windows),
                now=at(seconds),
                windows=windows,
            )

        assert [(await told(service, 0)).storm for service in ("a", "b")] == [None, None]
        first = await told("c", 1)
        assert (first.disposition, first.storm) == (Disposition.open, {"cluster": "eu", "service": "c"})
        members = [await told(f"m{number}", 2) for number in range(120)]
        assert {(made.disposition, made.incident_id) for made in members} == {(Disposition.attach, first.incident_id)}
        storm = await store.incident(first.incident_id or "")
        assert (len(storm.fingerprints), storm.public(at(9))["reason"]) == (121, None)
        shown = {"labels": {"cluster": "eu"}, "members": 123, "name": "123 alerts, cluster=eu"}
        assert storm.public(at(9))["storm"] == shown
        assert (await told("m7", 3)).disposition is Disposition.repeat
        ended_one = await told("m7", 4, status=AlertStatus.resolved, ends_at=at(4))
        assert (ended_one.disposition, ended_one.incident_id) == (Disposition.resolve, first.incident_id)
        notes = await self._sent(store, storm.id)
        assert len(notes) == 2, "a hundred lines a note"
        assert all(sum(f"of m{number} (" in note for note in notes) == 1 for number in range(120))
        await told("m120", 9)
        assert len(await self._sent(store, storm.id)) == 1, "what is due already gathers no more"
        calm = await told("n", 61)
        assert (calm.disposition, calm.storm) == (Disposition.open, None)

    @staticmethod
    async def _sent(store: SqlIncidentStore, incident_id: str) -> list[str]:
        """Carry out the storm's tickets, as far as they are due by then; return the lists."""
        [lease] = [
            one for one in await store.claim("w", now=at(9), lease_s=1, limit=9) if one.incident_id == incident_id
        ]
        create = TicketOp(f"{incident_id}:create", incident_id, "create", {})
        await store.write(lease, Changes(tickets=[create]), now=at(9))
        await store.release(lease)
        notes: list[str] = []
        seconds = 9.0
        while ops := await store.due_tickets(now=at(seconds + 6), incident_id=incident_id):
            for op in ops:
                notes += [op.body["note"]] if op.kind == "list" else []
                await store.ticket_done(op.op_id, issue=None, now=at(seconds))
        return notes

    async def test_all_survives_a_crash(self, store: SqlIncidentStore, another: Opener) -> None:
        event = alert()
        await store.take_in([from_topic(event), from_topic(alert("cart"))], now=T0)
        made = await store.correlate(event, always("open"), now=T0)
        lease = await claimed(store)
        reborn = await another()  # the first was never closed: nothing may wait for a good-bye
        assert [waiting.service for waiting in await reborn.uncorrelated(10)] == ["cart"]
        assert await reborn.correlate(event, always("stale"), now=at(1)) == made
        assert await reborn.claim("w2", now=at(29), lease_s=30, limit=5) == []
        assert [taken.incident_id for taken in await reborn.claim("w2", now=at(31), lease_s=30, limit=5)] == [
            lease.incident_id
        ]
