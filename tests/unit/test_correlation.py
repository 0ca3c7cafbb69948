"""What an event means for the incidents that we know, rule by rule, and over any history."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.subject import Subject
from sreops.domain.incidents.correlation import (
    Correlation,
    Disposition,
    KnownAlert,
    KnownIncident,
    Windows,
    correlate,
    ended_at_of,
    gathers,
    once_more,
)
from sreops.domain.incidents.incident import IncidentStatus, Resolution, incident_id_of
from sreops.domain.incidents.target import KnownTarget

T0 = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
WINDOWS = Windows()  # grace 10 min, refire 60 min, escalated a day
D, S = Disposition, IncidentStatus


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def event(
    starts: float = 0,
    told: float | None = None,
    *,
    fingerprint: str = "fp1",
    service: str = "payments",
    resolved: bool = False,
    ends: float | None = None,
) -> AlertEvent:
    return AlertEvent(
        event_id="e",
        source="grafana",
        fingerprint=fingerprint,
        status=AlertStatus.resolved if resolved else AlertStatus.firing,
        labels={},
        annotations={},
        starts_at=at(starts),
        ends_at=None if ends is None else at(ends),
        received_at=at(starts + 1 if told is None else told),
        tier=Tier.autonomous,
        severity=Severity.critical,
        service=service,
    )


def held(fingerprint: str = "fp1", starts: float = 0, ended: float | None = None) -> KnownAlert:
    return KnownAlert(fingerprint=fingerprint, starts_at=at(starts), ended_at=None if ended is None else at(ended))


def incident(
    *alerts: KnownAlert,
    status: S = S.investigating,
    ended: float | None = None,
    id: str = "I1",
    service: str = "payments",
) -> KnownIncident:
    return KnownIncident(
        id=id,
        episode=1,
        service=service,
        status=status,
        resolution=Resolution.fixed if status is S.resolved else None,
        opened_at=T0,
        ended_at=None if ended is None else at(ended),
        alerts=alerts,
    )


def decide(what: AlertEvent, *known: KnownIncident, now: float | None = None) -> Correlation:
    decision = correlate(what, known, what.received_at if now is None else at(now), WINDOWS)
    assert decision.why
    assert (decision.incident_id is None) is (decision.disposition is D.stale)
    return decision


def outcome(what: AlertEvent, *known: KnownIncident, now: float | None = None) -> tuple[Disposition, str | None]:
    decision = decide(what, *known, now=now)
    return decision.disposition, decision.incident_id


OPEN_STATES = [S.investigating, S.awaiting_approval, S.remediating, S.verifying]


class TestFiring:
    def test_with_nothing_known_it_opens_under_its_own_identity(self):
        first = event()
        assert outcome(first) == (D.open, incident_id_of(first))
        assert incident_id_of(event(told=50)) == incident_id_of(first) != incident_id_of(event(starts=1))

    def test_another_services_incident_does_not_matter(self):
        assert outcome(event(), incident(held("fp9"), service="orders"))[0] is D.open

    @pytest.mark.parametrize("status", OPEN_STATES)
    def test_an_open_incident_of_the_service_takes_another_alert(self, status):
        assert outcome(event(fingerprint="fp2"), incident(held(), status=status)) == (D.attach, "I1")

    @pytest.mark.parametrize("status", OPEN_STATES)
    def test_the_same_alert_again_is_a_repeat(self, status):
        assert outcome(event(told=300), incident(held(), status=status)) == (D.repeat, "I1")

    def test_a_new_start_of_the_same_alert_in_an_open_incident_attaches(self):
        assert outcome(event(starts=5), incident(held())) == (D.attach, "I1")
        assert outcome(event(starts=5), incident(held(ended=3))) == (D.attach, "I1")

    def test_older_news_of_the_same_alert_is_a_repeat(self):
        assert outcome(event(starts=0, told=40), incident(held(starts=30))) == (D.repeat, "I1")

    def test_a_late_notice_of_a_resolved_alert_does_not_make_it_fire_again(self):
        known = incident(held(ended=10), held("fp2"))
        assert outcome(event(told=5), known, now=40) == (D.repeat, "I1")
        assert outcome(event(told=20), known) == (D.repeat, "I1")
        assert outcome(event(starts=3, told=9), known, now=40) == (D.repeat, "I1")
        assert outcome(event(starts=3, told=10), known, now=40) == (D.repeat, "I1")

    def test_long_after_its_resolve_the_same_start_fires_again(self):
        # Alertmanager resolves by time-out, and the same firing may come back with its old startsAt
        assert outcome(event(told=21), incident(held(ended=10), held("fp2"))) == (D.attach, "I1")

    def test_a_start_after_the_end_is_news_even_where_the_senders_clock_is_ahead(self):
        assert outcome(event(starts=12, told=9), incident(held(ended=11))) == (D.attach, "I1")

    def test_a_repeat_within_the_grace_after_closing_is_a_repeat_and_later_a_refire(self):
        known = incident(held(), status=S.resolved, ended=20)
        assert outcome(event(told=30), known) == (D.repeat, "I1")
        assert outcome(event(told=30.1), known) == (D.refire, "I1")

    def test_a_backlog_does_not_turn_a_repeat_into_a_refire(self):
        assert outcome(event(told=25), incident(held(), status=S.resolved, ended=20), now=500) == (D.repeat, "I1")

    def test_a_time_of_reception_that_lies_in_our_future_counts_as_now(self):
        # another replica took it in, and its clock is ahead of ours by five minutes
        known = incident(held(), status=S.resolved, ended=20)
        assert outcome(event(told=34), known, now=29) == (D.repeat, "I1")
        assert outcome(event(told=34), known, now=31) == (D.refire, "I1")

    def test_the_incident_that_still_gathers_is_told_of_a_repeat_before_one_that_has_ended(self):
        closed, running = incident(held(), status=S.resolved, ended=20), incident(held(), id="I2")
        assert outcome(event(told=25), closed, running) == (D.repeat, "I2")
        assert outcome(event(told=25), running, closed) == (D.repeat, "I2")

    def test_of_two_firings_that_an_incident_holds_the_one_of_the_same_start_is_meant(self):
        known = incident(held(ended=10), held(starts=30))
        assert outcome(event(told=20), known) == (D.repeat, "I1")
        assert outcome(event(told=40), known) == (D.attach, "I1"), "it was resolved long ago, and fires on"
        closed = incident(held(), held(starts=10), status=S.resolved, ended=20)
        assert outcome(event(told=2000), closed) == (D.refire, "I1"), "by its identity it can't open a second one"

    def test_the_same_start_refires_however_late_since_it_could_not_open_a_second_incident(self):
        opener = event(told=2000)
        known = incident(held(), status=S.resolved, ended=20, id=incident_id_of(opener))
        assert outcome(opener, known) == (D.refire, known.id)

    def test_the_openers_start_never_opens_again_even_where_a_later_one_took_its_place(self):
        opener = event(told=2000)
        known = incident(held(starts=10, ended=15), status=S.resolved, ended=20, id=incident_id_of(opener))
        assert outcome(opener, known) == (D.refire, known.id)
        gone = incident(status=S.resolved, ended=20, id=incident_id_of(opener))
        assert outcome(opener, gone) == (D.refire, known.id)
        assert outcome(opener, incident(id=incident_id_of(opener))) == (D.repeat, known.id)

    def test_a_new_start_refires_within_the_window_and_opens_after_it(self):
        known = incident(held(ended=19), status=S.resolved, ended=20)
        assert outcome(event(starts=21), known) == (D.refire, "I1")
        assert outcome(event(starts=79, told=80), known) == (D.refire, "I1")
        assert outcome(event(starts=79, told=80.1), known)[0] is D.open

    def test_only_what_was_handed_over_is_come_back_to_within_the_grace(self):
        windows = Windows(clear_grace_s=600, refire_window_s=60)
        for status, disposition in (S.resolved, D.open), (S.escalated, D.attach):
            known = incident(held(ended=19), status=status, ended=20)
            again = event(starts=22, told=25)
            assert correlate(again, [known], again.received_at, windows).disposition is disposition

    def test_another_alert_of_a_service_that_was_fixed_opens(self):
        assert outcome(event(starts=21, fingerprint="fp2"), incident(held(), status=S.resolved, ended=20))[0] is D.open

    def test_the_open_incident_of_the_service_comes_before_a_refire(self):
        closed = incident(held(), status=S.resolved, ended=20)
        running = incident(held("fp2", starts=22), id="I2")
        assert outcome(event(starts=25), running, closed) == (D.attach, "I2")
        assert outcome(event(told=31), closed, running) == (D.attach, "I2")

    def test_an_open_incident_comes_before_an_escalated_one(self):
        escalated = incident(held("fp3"), status=S.escalated, ended=5)
        running = incident(held("fp2"), id="I2")
        assert outcome(event(), escalated, running) == (D.attach, "I2")


def of(scope: dict[str, str] | None, name: str = "db", **fields: object) -> AlertEvent:
    subject = Subject(name=name, scope=scope or {})
    return event(fingerprint="new", service=name).model_copy(update={"subject": subject, **fields})


def namesake(id: str, status: S = S.investigating, **scope: str) -> KnownIncident:
    ended = 0 if status.ended else None
    one = incident(held(f"fp-{id}"), id=id, service="db", status=status, ended=ended)
    return one.model_copy(update={"scope": scope})


class TestScope:
    def test_an_alert_joins_where_no_key_that_both_have_differs(self):
        shop = namesake("shop", project="shop")
        assert outcome(of({"project": "shop", "host": "a"}), shop) == (D.attach, "shop")
        assert outcome(of({"host": "a"}), shop) == (D.attach, "shop")
        assert outcome(of(None), shop) == (D.attach, "shop")

    def test_a_namesake_elsewhere_gets_an_incident_of_its_own(self):
        assert outcome(of({"project": "monitoring"}), namesake("shop", project="shop"))[0] is D.open

    def test_where_several_would_fit_it_opens_its_own_and_the_next_like_it_joins_that(self):
        shop, monitoring = namesake("shop", project="shop"), namesake("monitoring", project="monitoring")
        assert outcome(of({"host": "a"}), shop, monitoring)[0] is D.open
        assert outcome(of({"host": "a"}), shop, monitoring, namesake("own", host="a")) == (D.attach, "own")
        assert outcome(of({"project": "shop", "host": "a"}), shop, monitoring) == (D.attach, "shop")

    def test_of_those_that_fit_the_closest_takes_it_and_the_open_one_before_that(self):
        wide, near = namesake("wide"), namesake("near", project="shop")
        assert outcome(of({"project": "shop", "host": "a"}), wide, near) == (D.attach, "near")
        handed_over = namesake("over", S.escalated, project="shop")
        assert outcome(of({"project": "shop", "host": "a"}), handed_over, wide) == (D.attach, "wide")

    def test_a_resolve_finds_its_alert_whatever_its_scope_says_now(self):
        shop = namesake("shop", project="shop")
        over = of({"project": "other"}, status=AlertStatus.resolved, fingerprint="fp-shop")
        assert outcome(over, shop) == (D.resolve, "shop")


SCOPES = st.dictionaries(st.sampled_from(["project", "host", "cluster"]), st.sampled_from("ab"))


@given(st.lists(SCOPES, max_size=5), SCOPES)
def test_an_alert_never_joins_a_namesake_that_differs_and_joins_whom_it_must(known, scope):
    incidents = [namesake(str(number), **one) for number, one in enumerate(known)]
    disposition, incident_id = outcome(of(scope), *incidents)
    fitting = [one for one in incidents if all(scope.get(key, value) == value for key, value in one.scope.items())]
    if disposition is D.attach:
        assert incident_id in {one.id for one in fitting}
    else:
        assert not fitting or len({tuple(sorted(one.scope.items())) for one in fitting}) > 1
    if any(one.scope == scope for one in incidents):
        assert disposition is D.attach


class TestTarget:
    """Once the engine was asked, an incident is known by every name of its target."""

    shop = incident(held(), service="shop-db-1").model_copy(
        update={
            "target": KnownTarget(
                standing="docker/compose/shop/db", names=frozenset({"db"}), scope={"compose_project": "shop"}
            )
        }
    )

    def test_an_alert_by_another_name_of_the_target_joins(self):
        assert outcome(of(None), self.shop) == (D.attach, "I1")
        assert outcome(of({"compose_project": "shop"}), self.shop) == (D.attach, "I1")
        assert outcome(of(None, "shop-db-1"), self.shop) == (D.attach, "I1")

    def test_one_by_no_name_of_it_or_of_another_scope_opens_its_own(self):
        assert outcome(of(None, "web"), self.shop)[0] is D.open
        assert outcome(of({"compose_project": "monitoring"}), self.shop)[0] is D.open
        assert outcome(of({"compose_project": "monitoring"}, "shop-db-1"), self.shop)[0] is D.open
        assert outcome(of(None), incident(held(), service="shop-db-1"))[0] is D.open

    def test_what_its_alerts_say_of_its_scope_comes_before_what_the_engine_says(self):
        known = self.shop.model_copy(update={"scope": {"compose_project": "staging", "host": "a"}})
        assert known.whole_scope == {"compose_project": "staging", "host": "a"}
        assert self.shop.whole_scope == {"compose_project": "shop"}

    def test_of_those_that_fit_the_one_whose_target_says_the_same_is_the_closest(self):
        wide = namesake("wide").model_copy(update={"service": "shop-db-1"})
        like = of({"compose_project": "shop", "host": "a"}, "shop-db-1")
        assert outcome(like, wide, self.shop) == (D.attach, "I1")


class TestPutBack:
    """A person puts an event back from the dead letter: what it had begun begins anew."""

    noticed = Correlation(disposition=D.repeat, incident_id="I9", why="x")

    @pytest.mark.parametrize("status", [S.resolved, S.escalated])
    def test_the_ended_incident_that_it_had_begun_is_worked_on_again(self, status):
        ended = incident(held(), status=status, ended=5)
        again = once_more(self.noticed, "I1", [incident(id="I0"), ended])
        assert (again.disposition, again.incident_id) == (D.requeue, "I1")
        assert again.why == "put back from the dead letter: incident I1 is worked on again"

    @pytest.mark.parametrize("handled_by", [None, "I1", "gone"])
    def test_else_it_is_decided_as_any_other(self, handled_by):
        assert once_more(self.noticed, handled_by, [incident(held())]) == self.noticed

    def test_what_opens_or_begins_anew_starts_a_graph(self):
        assert {one for one in D if one.starts_graph} == {D.open, D.refire, D.requeue}


def test_people_are_told_what_became_of_an_alert():
    over = incident(held(), status=S.escalated, ended=10)
    told = {
        "open: noted there": decide(event(fingerprint="fp2"), incident(held())),
        "escalated and still gathers its alerts: noted there": decide(event(20, fingerprint="fp2"), over),
        "is resolved: others of it still fire": decide(event(resolved=True), incident(held(), held("fp2"))),
        "is resolved: none of its alerts fires any more": decide(event(resolved=True), incident(held())),
    }
    for why, decision in told.items():
        assert decision.why.endswith(why)
        assert "I1" in decision.why


class TestEscalated:
    def test_it_gathers_while_an_alert_fires(self):
        known = incident(held(), held("fp2", ended=9), status=S.escalated, ended=10)
        assert outcome(event(told=200), known) == (D.repeat, "I1")
        assert outcome(event(starts=200, fingerprint="fp3"), known) == (D.attach, "I1")
        assert outcome(event(starts=200), known) == (D.attach, "I1")

    def test_it_stops_to_gather_when_all_is_resolved(self):
        known = incident(held(ended=30), status=S.escalated, ended=10)
        assert outcome(event(starts=41), known)[0] is D.open
        assert outcome(event(starts=31, fingerprint="fp3"), known)[0] is D.open
        assert outcome(event(told=40), known) == (D.repeat, "I1")
        assert outcome(event(told=41), known) == (D.refire, "I1")

    def test_an_alert_that_flaps_stays_with_the_incident_that_was_handed_over_with_it(self):
        known = incident(held(ended=30), status=S.escalated, ended=10)
        assert outcome(event(starts=31, told=40), known) == (D.attach, "I1")
        assert outcome(event(starts=31, told=40.1), known)[0] is D.open

    def test_after_a_remedy_every_refire_within_the_window_comes_back_to_it(self):
        handed_over = incident(held(ended=30), status=S.escalated, ended=10).model_copy(update={"acted": True})
        assert outcome(event(starts=35, told=90), handed_over) == (D.refire, "I1")
        assert outcome(event(starts=35, told=90.1), handed_over)[0] is D.open
        running = incident(held("fp2"), id="I2")
        assert outcome(event(starts=35), handed_over, running) == (D.attach, "I2")

    def test_whether_others_fire_is_known_without_listing_them(self):
        known = incident(held(ended=9), status=S.escalated, ended=10).model_copy(update={"others_fire": True})
        assert outcome(event(starts=200, fingerprint="fp3"), known) == (D.attach, "I1")
        both = incident(held()).model_copy(update={"others_fire": True})
        assert not decide(event(resolved=True, ends=10), both).all_resolved
        assert decide(event(resolved=True, ends=10), incident(held())).all_resolved

    def test_it_stops_to_gather_after_its_window(self):
        known = incident(held(), status=S.escalated, ended=0)
        day = 24 * 60
        assert outcome(event(starts=day - 1, told=day, fingerprint="fp3"), known) == (D.attach, "I1")
        assert outcome(event(starts=day - 1, told=day + 1, fingerprint="fp3"), known)[0] is D.open
        assert outcome(event(told=day + 100), known) == (D.repeat, "I1")
        assert outcome(event(starts=day, told=day + 100), known)[0] is D.open

    def test_without_a_time_of_end_its_opening_counts(self):
        known = incident(held(), status=S.escalated)
        assert gathers(known, at(1), WINDOWS)
        assert not gathers(known, at(24 * 60 + 1), WINDOWS)


class TestWithoutStartsAt:
    """The parser takes the time of reception for a missing startsAt, so it differs from notice to notice."""

    def test_it_repeats_while_its_alert_fires(self):
        assert outcome(event(starts=50, told=50), incident(held())) == (D.repeat, "I1")

    def test_it_fires_anew_after_its_resolve(self):
        assert outcome(event(starts=50, told=50), incident(held(ended=40), held("fp2"))) == (D.attach, "I1")

    def test_it_repeats_within_the_grace_after_closing_and_refires_later(self):
        known = incident(held(), status=S.resolved, ended=20)
        assert outcome(event(starts=25, told=25), known) == (D.repeat, "I1")
        assert outcome(event(starts=35, told=35), known) == (D.refire, "I1")


class TestResolved:
    def test_for_nothing_known_it_is_stale(self):
        assert outcome(event(resolved=True)) == (D.stale, None)
        assert outcome(event(resolved=True), incident(held("fp2"))) == (D.stale, None)

    def test_all_resolved_counts_this_one(self):
        last = decide(event(resolved=True, ends=10), incident(held(), held("fp2", ended=5)))
        assert (last.disposition, last.incident_id, last.all_resolved) == (D.resolve, "I1", True)
        first = decide(event(resolved=True, ends=10), incident(held(), held("fp2")))
        assert (first.disposition, first.all_resolved) == (D.resolve, False)

    def test_a_second_resolve_is_stale(self):
        assert outcome(event(resolved=True, ends=10), incident(held(ended=10), held("fp2"))) == (D.stale, None)

    def test_a_resolve_of_an_earlier_firing_does_not_end_the_running_one(self):
        known = incident(held(starts=30))
        assert outcome(event(resolved=True, ends=20), known) == (D.stale, None)
        assert outcome(event(resolved=True), known) == (D.stale, None)

    def test_a_start_that_differs_a_little_or_is_missing_still_finds_its_alert(self):
        known = incident(held(starts=30))
        for late in (event(29.9, resolved=True, ends=40), event(30.1, resolved=True), event(40, 40, resolved=True)):
            assert outcome(late, known) == (D.resolve, "I1")

    def test_the_end_counts_even_where_it_lies_before_the_start_of_the_same_firing(self):
        assert outcome(event(starts=30, resolved=True, ends=20), incident(held(starts=30))) == (D.resolve, "I1")

    def test_an_end_at_the_very_start_of_the_firing_that_we_know_ends_it(self):
        known = incident(held(starts=30))
        assert outcome(event(starts=29.9, resolved=True, ends=30), known) == (D.resolve, "I1")
        assert outcome(event(starts=29.8, resolved=True, ends=29.9), known) == (D.stale, None)
        assert outcome(event(starts=30, resolved=True, ends=30), known) == (D.resolve, "I1")

    def test_all_entries_of_the_alert_end_together(self):
        decision = decide(event(starts=30, resolved=True, ends=40), incident(held(), held(starts=30)))
        assert decision.all_resolved

    def test_the_incident_of_exactly_this_firing_is_meant_then_the_open_one(self):
        closed, running = incident(held(), status=S.resolved, ended=20), incident(held(starts=30), id="I2")
        assert outcome(event(starts=30, resolved=True, ends=40), closed, running) == (D.resolve, "I2")
        assert outcome(event(starts=31, resolved=True, ends=40), closed, running) == (D.resolve, "I2")
        assert outcome(event(starts=0, resolved=True, ends=19), closed, running) == (D.resolve, "I1")

    def test_the_exact_firing_is_preferred_where_an_open_incident_would_hold_the_end_too(self):
        closed = incident(held(), status=S.resolved, ended=5)
        running = incident(held(starts=10), held("fp2"), id="I2")  # another alert of the same start is not this one
        for known in ((closed, running), (running, closed)):
            assert outcome(event(resolved=True, ends=19), *known) == (D.resolve, "I1")

    def test_where_none_is_exact_the_open_one_comes_before_the_handed_over_and_that_before_the_closed(self):
        closed = incident(held(starts=1), status=S.resolved, ended=5)
        over = incident(held(starts=2), status=S.escalated, ended=5, id="I2")
        running = incident(held(starts=3), id="I3")
        assert outcome(event(resolved=True, ends=19), closed, over, running) == (D.resolve, "I3")
        assert outcome(event(resolved=True, ends=19), closed, over) == (D.resolve, "I2")

    def test_an_ended_incident_learns_of_its_senders_late_clearing(self):
        for status in (S.resolved, S.escalated):
            late = decide(event(resolved=True, ends=22), incident(held(), status=status, ended=20))
            assert (late.disposition, late.all_resolved) == (D.resolve, True)

    def test_it_ended_when_its_sender_says_where_that_can_be_else_when_we_were_told(self):
        assert ended_at_of(event(told=7, resolved=True, ends=5)) == at(5)
        assert ended_at_of(event(told=7, resolved=True, ends=8)) == at(7)
        assert ended_at_of(event(starts=3, told=7, resolved=True, ends=2)) == at(7)
        assert ended_at_of(event(told=7, resolved=True)) == at(7)

    def test_one_that_ended_as_it_began_ended_then(self):
        assert ended_at_of(event(starts=3, told=7, resolved=True, ends=3)) == at(3)


# --- any history -------------------------------------------------------------------------------

FINGERPRINTS = {"a1": "alpha", "a2": "alpha", "b1": "beta"}


class History(RuleBasedStateMachine):
    """A store that applies decisions, a sender that fires and resolves, and a network that repeats and reorders."""

    @initialize()
    def begin(self) -> None:
        self.minute = 0.0
        self.incidents: dict[str, KnownIncident] = {}
        self.firing: dict[str, float] = {}  # what is true at the sender: fingerprint to start
        self.sent: list[AlertEvent] = []
        self.in_transit: list[AlertEvent] = []

    def known(self, what: AlertEvent) -> list[KnownIncident]:
        return [
            one
            for one in reversed(list(self.incidents.values()))
            if one.service == what.service or any(alert.fingerprint == what.fingerprint for alert in one.alerts)
        ]

    def deliver(self, what: AlertEvent) -> Disposition:
        decision = decide(what, *self.known(what), now=self.minute)
        gathering = [one.id for one in self.known(what) if gathers(one, at(self.minute), WINDOWS)]
        if decision.disposition is D.open:
            assert not gathering
            assert decision.incident_id not in self.incidents
            assert decision.incident_id == incident_id_of(what)
        if decision.disposition is D.refire:
            assert not gathering
            assert self.incidents[decision.incident_id].status.ended
        if decision.disposition is D.attach and decision.incident_id not in gathering:
            flaps = self.incidents[decision.incident_id]
            assert not gathering
            assert flaps.status is S.escalated
            assert any(alert.fingerprint == what.fingerprint for alert in flaps.alerts)
        fires = decision.disposition in (D.open, D.attach, D.refire, D.repeat)
        assert fires is (what.status is AlertStatus.firing)
        self.apply(what, decision)
        return decision.disposition

    def apply(self, what: AlertEvent, decision: Correlation) -> None:
        if decision.incident_id is None or decision.disposition is D.repeat:
            return
        entry = KnownAlert(fingerprint=what.fingerprint, starts_at=what.starts_at)
        if decision.disposition is D.open:
            opened = incident(entry, id=decision.incident_id, service=what.service)
            self.incidents[decision.incident_id] = opened.model_copy(update={"opened_at": at(self.minute)})
            return
        one = self.incidents[decision.incident_id]
        if decision.disposition is D.resolve:
            ended = ended_at_of(what)
            alerts = tuple(
                alert.model_copy(update={"ended_at": ended}) if alert.fingerprint == what.fingerprint else alert
                for alert in one.alerts
            )
            assert decision.all_resolved is not any(alert.firing for alert in alerts)
        else:
            alerts = (*(alert for alert in one.alerts if alert.fingerprint != what.fingerprint), entry)
        update: dict[str, object] = {"alerts": alerts}
        if decision.disposition is D.refire:
            update |= {"status": S.investigating, "ended_at": None, "episode": one.episode + 1}
        self.incidents[one.id] = one.model_copy(update=update)

    def send(self, what: AlertEvent, delayed: bool) -> None:
        self.sent.append(what)
        if delayed:
            self.in_transit.append(what)
        else:
            self.deliver(what)

    @rule(fingerprint=st.sampled_from(sorted(FINGERPRINTS)), delayed=st.booleans(), has_start=st.booleans())
    def fire_or_repeat(self, fingerprint: str, delayed: bool, has_start: bool) -> None:
        start = self.firing.setdefault(fingerprint, self.minute)
        shown = start if has_start else self.minute
        what = event(shown, self.minute, fingerprint=fingerprint, service=FINGERPRINTS[fingerprint])
        self.send(what, delayed)

    @precondition(lambda self: self.firing)
    @rule(data=st.data(), delayed=st.booleans(), has_end=st.booleans())
    def resolve(self, data: st.DataObject, delayed: bool, has_end: bool) -> None:
        fingerprint = data.draw(st.sampled_from(sorted(self.firing)))
        start = self.firing.pop(fingerprint)
        ends = self.minute if has_end else None
        service = FINGERPRINTS[fingerprint]
        what = event(start, self.minute, fingerprint=fingerprint, service=service, resolved=True, ends=ends)
        self.send(what, delayed)

    @precondition(lambda self: self.in_transit)
    @rule(data=st.data())
    def arrive_late(self, data: st.DataObject) -> None:
        self.deliver(self.in_transit.pop(data.draw(st.integers(0, len(self.in_transit) - 1))))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def deliver_twice(self, data: st.DataObject) -> None:
        what = data.draw(st.sampled_from(self.sent))
        self.deliver(what)
        before = dict(self.incidents)
        again = self.deliver(what)
        assert not again.starts_graph
        if what.status is AlertStatus.firing:
            assert again is D.repeat
            assert self.incidents == before

    @rule(minutes=st.sampled_from([0.5, 5, 11, 61, 24 * 60 + 1]))
    def wait(self, minutes: float) -> None:
        self.minute += minutes

    @precondition(lambda self: any(not one.status.ended for one in self.incidents.values()))
    @rule(data=st.data(), status=st.sampled_from([S.resolved, S.escalated]))
    def close(self, data: st.DataObject, status: S) -> None:
        running = [one.id for one in self.incidents.values() if not one.status.ended]
        one = self.incidents[data.draw(st.sampled_from(running))]
        self.incidents[one.id] = one.model_copy(update={"status": status, "ended_at": at(self.minute)})

    @rule()
    def everything_recovers(self) -> None:
        """Deliver what is under way, then resolve all that fires: nothing known fires any more."""
        while self.in_transit:
            self.deliver(self.in_transit.pop(0))
        self.minute += 1
        for fingerprint, service in FINGERPRINTS.items():
            self.firing.pop(fingerprint, None)
            what = event(self.minute, self.minute, fingerprint=fingerprint, service=service, resolved=True)
            for _ in range(len(self.incidents) + 1):
                last = self.deliver(what)
            assert last is D.stale
        assert not any(alert.firing for one in self.incidents.values() for alert in one.alerts)

    @invariant()
    def one_open_incident_a_service(self) -> None:
        running = [one.service for one in getattr(self, "incidents", {}).values() if not one.status.ended]
        assert len(running) == len(set(running))


TestAnyHistory = History.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_a_storm_that_was_handed_over_swallows_no_later_alert_of_its_services() -> None:
    storm = incident(held("other"), status=S.escalated, ended=10).model_copy(update={"storm": {"cluster": "eu"}})
    assert correlate(event(20), [storm], at(21), Windows()).disposition is Disposition.open
    assert correlate(event(20, fingerprint="other"), [storm], at(21), Windows()).disposition is Disposition.attach
    still = storm.model_copy(update={"status": S.investigating, "ended_at": None})
    assert correlate(event(20), [still], at(21), Windows()).disposition is Disposition.attach
