"""Policy: default deny, all reasons, and nothing that speaks against acting is ever outweighed."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.remediation.policy import (
    PolicyDecision,
    PolicyFacts,
    PolicyInput,
    PolicyLimits,
    TargetFacts,
    Verdict,
    decide,
    most_cautious,
    target_allowed,
)
from sreops.domain.runbooks.runbook import Autonomy

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ENABLED = TargetFacts(name="payments", found=True, labels={"sreops.enable": "true"})
RANK = {Verdict.deny: 0, Verdict.needs_approval: 1, Verdict.allow: 2}


def labelled(tier: str) -> TargetFacts:
    return TargetFacts(name="db", found=True, labels={"sreops.enable": "true", "sreops.tier": tier})


def started(ago_s: float) -> TargetFacts:
    return ENABLED.model_copy(update={"started_at": NOW - timedelta(seconds=ago_s)})


def in_shop(name: str) -> TargetFacts:
    return ENABLED.model_copy(update={"name": name, "standing": f"docker/compose/shop/{name}"})


def given_input(**changes: Any) -> PolicyInput:
    facts = {name: changes.pop(name) for name in list(changes) if name in PolicyFacts.model_fields}
    limits = {
        name: changes.pop(name) for name in list(changes) if name in PolicyLimits.model_fields and name != "targets"
    }
    if "globs" in changes:
        limits["targets"] = changes.pop("globs")
    base: dict[str, Any] = {
        "now": NOW, "tier": Tier.autonomous, "agent_action": "investigate", "autonomy": Autonomy.autonomous,
        "cooldown_s": 600, "targets": (ENABLED,), "event_received_at": NOW - timedelta(seconds=5),
        "second_proof": ("memory is at 98% of its limit (series)",),
        "facts": PolicyFacts(**facts), "limits": PolicyLimits(**limits),
    }  # fmt: skip
    return PolicyInput(**(base | changes))


def decided(**changes: Any) -> PolicyDecision:
    return decide(given_input(**changes))


def test_an_autonomous_tier_with_an_autonomous_runbook_on_an_allowed_target_may_act() -> None:
    decision = decided()
    assert (decision.verdict, decision.wait) == (Verdict.allow, False)
    assert decision.reasons


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tier": Tier.human_only}, "tier human_only is left to people"),
        ({"tier": Tier.unknown}, "tier unknown is left to people"),
        ({"max_tier": Tier.human_only}, "tier human_only (SREOPS_POLICY__MAX_TIER) is left to people"),
        ({"targets": (labelled("human-only"),)}, "tier human_only (sreops.tier of target 'db') is left to people"),
        ({"autonomy": Autonomy.never}, "the runbook's autonomy is never"),
        ({"shadow": True}, "the runbook is a shadow"),
        ({"agent_action": "observe"}, "agent_action is observe"),
        ({"agent_action": " Observe "}, "agent_action is observe"),
        ({"targets": ()}, "names no target"),
        ({"targets": (TargetFacts(name="x", found=False),)}, "'x' was not found"),
        ({"targets": (TargetFacts(name="x", found=True),)}, "'x' is not allowed"),
        ({"targets": (ENABLED, TargetFacts(name="x", found=True))}, "'x' is not allowed"),
        (
            {"targets": (TargetFacts(name="db", found=False, choice=("a-db-1", "b-db-1")),)},
            "any of a-db-1, b-db-1: a pers",
        ),
        ({"dry_run": True}, "dry run"),
        ({"paused": True, "paused_why": "change freeze"}, "automation is paused: change freeze"),
        ({"failures_in_a_row": 3}, "closed to automation until a person resets it"),
        ({"last_effect_at": NOW - timedelta(seconds=599)}, "599 s ago, and the cooldown is 600 s"),
        ({"last_effect_at": NOW + timedelta(seconds=30)}, "0 s ago, and the cooldown is 600 s"),
        ({"effects_last_hour": 3}, "3 remediations in the last hour, and 3 are allowed"),
        (
            {"targets": (in_shop("db"),), "acts_lately": {"docker": 100}},
            "100 acts in the last hour on the engine, and 100 are allowed, with 1 of this plan "
            "(SREOPS_POLICY__HOST_ACTS_PER_HOUR)",
        ),
        (
            {"targets": (in_shop("db"), in_shop("web")), "acts_lately": {"docker/compose/shop": 49}},
            "49 acts in the last hour on Compose project 'shop', and 50 are allowed, with 2 of this plan",
        ),
        ({"targets": (in_shop("db"),), "host_acts_per_hour": 0}, "0 acts in the last hour on the engine, and 0"),
        ({"acts_lately": {"docker": -1}}, "acts_lately of docker is -1"),
        ({"project_acts_per_hour": -1}, "project_acts_per_hour is -1"),
        ({"attempts_per_hour": 0}, "0 remediations in the last hour, and 0 are allowed"),
        ({"event_received_at": NOW + timedelta(minutes=5)}, "in the future"),
        ({"cooldown_s": float("nan")}, "cooldown_s is nan"),
        ({"cooldown_s": -1}, "cooldown_s is -1"),
        ({"max_event_age_s": float("inf")}, "max_event_age_s is inf"),
        ({"running_now": -1}, "running_now is -1"),
        ({"excluded": "the logs match migration"}, "the runbook's not_when holds now: the logs match migration"),
        ({"begun": True, "targets": (started(50),)}, "somebody else started 'payments' 50 s ago, after this was decid"),
    ],
)
@pytest.mark.parametrize("approved", [False, True])
def test_what_denies_denies_even_what_a_person_approved(changes: dict[str, Any], said: str, approved: bool) -> None:
    decision = decided(approved=approved, **changes)
    assert decision.verdict is Verdict.deny
    assert not decision.wait or (approved and "paused" in said), "only a pause is waited for, where a person approved"
    assert said in "; ".join(decision.reasons)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tier": Tier.supervised}, "tier supervised"),
        ({"autonomy": Autonomy.supervised}, "autonomy is supervised"),
        ({"agent_action": "restart-it"}, "agent_action is 'restart-it'"),
        ({"agent_action": ""}, "agent_action is ''"),
        ({"event_received_at": NOW - timedelta(seconds=901)}, "901 s old"),
        ({"second_proof": ()}, "nothing but text speaks for the cause"),
        ({"alert_started_at": NOW - timedelta(days=3)}, "the alert has fired for 259200 s"),
        ({"elsewhere": ("ledger-db, which it calls, is not healthy",)}, "the trouble may lie elsewhere: ledger-db"),
        ({"max_tier": Tier.supervised}, "tier supervised (SREOPS_POLICY__MAX_TIER)"),
        ({"targets": (labelled("1"),)}, "tier supervised (sreops.tier of target 'db')"),
        ({"targets": (labelled("a typo"),)}, "tier supervised (sreops.tier of target 'db')"),
        ({"targets": (ENABLED.model_copy(update={"stop_grace_s": 601.0}),)}, "'payments' may take 601 s to stop"),
        ({"targets": (ENABLED.model_copy(update={"stop_grace_s": math.inf}),)}, "the restart may never end"),
        ({"unasked": ("its not_when can't be asked now",)}, "its not_when can't be asked now"),
        ({"asked_at": NOW, "targets": (started(50),)}, "started 'payments' 50 s ago, after the alert had begun"),
    ],
)
def test_what_needs_a_person_is_allowed_once_a_person_approved(changes: dict[str, Any], said: str) -> None:
    before, after = decided(**changes), decided(approved=True, **changes)
    assert before.verdict is Verdict.needs_approval
    assert said in "; ".join(before.reasons)
    assert after.verdict is Verdict.allow
    assert said in "; ".join(after.reasons)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"agent_action": "remediate"}, Verdict.allow),
        ({"alert_started_at": NOW - timedelta(seconds=900)}, Verdict.allow),
        ({"targets": (labelled("tier-0"),)}, Verdict.allow),
        ({"tier": Tier.supervised, "targets": (labelled("autonomous"),)}, Verdict.needs_approval),
        ({"agent_action": "REMEDIATE"}, Verdict.allow),
        ({"last_effect_at": NOW - timedelta(seconds=600)}, Verdict.allow),
        ({"effects_last_hour": 2}, Verdict.allow),
        ({"targets": (in_shop("db"),), "acts_lately": {"docker": 99, "docker/compose/shop": 49}}, Verdict.allow),
        ({"targets": (in_shop("db"),), "acts_lately": {"docker/compose/monitoring": 99}}, Verdict.allow),
        ({"failures_in_a_row": 2}, Verdict.allow),
        ({"event_received_at": NOW - timedelta(seconds=900)}, Verdict.allow),
        ({"event_received_at": NOW + timedelta(seconds=30)}, Verdict.allow),
        ({"cooldown_s": 0, "last_effect_at": NOW}, Verdict.allow),
    ],
)
def test_the_borders_lie_where_they_are_declared(changes: dict[str, Any], verdict: Verdict) -> None:
    assert decided(**changes).verdict is verdict


@pytest.mark.parametrize(
    ("asked_ago_s", "verdict"),
    [(49.0, Verdict.allow), (50.0, Verdict.allow), (51.0, Verdict.deny), (None, Verdict.deny)],
)
def test_an_approval_covers_what_was_known_when_it_was_asked_for(asked_ago_s: float | None, verdict: Verdict) -> None:
    asked_at = None if asked_ago_s is None else NOW - timedelta(seconds=asked_ago_s)
    decision = decided(approved=True, asked_at=asked_at, targets=(started(50),))
    assert decision.verdict is verdict
    assert "somebody else started 'payments' 50 s ago" in "; ".join(decision.reasons)


def test_an_approval_that_is_given_while_automation_is_paused_waits_and_is_not_spent() -> None:
    assert decided(paused=True, approved=True) == PolicyDecision(
        verdict=Verdict.deny, reasons=("automation is paused",), wait=True
    )
    assert decided(paused=True).wait is False, "nobody has approved it"
    assert decided(paused=True, approved=True, dry_run=True).wait is False, "more than the pause is against it"


@pytest.mark.parametrize(
    ("changes", "wait"),
    [({"running_now": 3}, False), ({"running_now": 4}, True), ({"service_busy": True}, True)],
)
def test_a_taken_slot_makes_it_wait_not_fail(changes: dict[str, Any], wait: bool) -> None:
    decision = decided(**changes)
    assert (decision.verdict, decision.wait) == (Verdict.allow, wait)


def test_all_reasons_are_told() -> None:
    decision = decided(tier=Tier.human_only, paused=True, dry_run=True, targets=(), effects_last_hour=9)
    assert len(decision.reasons) == 5


@pytest.mark.parametrize(
    ("labels", "globs", "allowed"),
    [
        ({}, (), False),
        ({"sreops.enable": "true"}, (), True),
        ({"sreops.enable": "TRUE "}, (), True),
        ({"sreops.enable": "false"}, (), False),
        ({"sreops.enable": "1"}, (), False),
        ({"sreops.enabled": "true"}, (), False),
        ({}, ("pay*",), True),
        ({}, ("Pay*", "pay"), False),
        ({}, ("",), False),
        ({}, ("[z-a]", "pay*"), False),
    ],
)
def test_the_allowlist_denies_by_default(labels: dict[str, str], globs: tuple[str, ...], allowed: bool) -> None:
    target = TargetFacts(name="payments", found=True, labels=labels)
    assert target_allowed(target, globs) is allowed
    assert (decided(targets=(target,), globs=globs).verdict is Verdict.allow) is allowed


WORSE: list[dict[str, Any]] = [
    {"tier": Tier.supervised}, {"tier": Tier.human_only}, {"tier": Tier.unknown},
    {"autonomy": Autonomy.supervised}, {"autonomy": Autonomy.never}, {"agent_action": "observe"},
    {"agent_action": "other"}, {"targets": ()}, {"targets": (ENABLED, TargetFacts(name="x", found=False))},
    {"dry_run": True}, {"paused": True}, {"failures_in_a_row": 9}, {"last_effect_at": NOW}, {"effects_last_hour": 9},
    {"event_received_at": NOW - timedelta(days=1)}, {"event_received_at": NOW + timedelta(days=1)},
    {"targets": (in_shop("db"),), "acts_lately": {"docker": 100}},
    {"running_now": -3}, {"service_busy": True}, {"running_now": 99},
]  # fmt: skip


@given(
    st.lists(st.sampled_from(WORSE), max_size=6),
    st.sampled_from(WORSE),
    st.booleans(),
    st.sampled_from([Tier.autonomous, Tier.supervised]),
)
def test_one_more_reason_against_acting_never_raises_the_verdict(
    already: list[dict[str, Any]], more: dict[str, Any], approved: bool, tier: Tier
) -> None:
    changes: dict[str, Any] = {"tier": tier, "approved": approved}
    for reason in already:
        changes |= {key: value for key, value in reason.items() if key not in changes or key == "tier"}
    before = decided(**changes)
    if set(more) & set(changes) - {"tier"}:
        return  # it would replace a reason, not add one
    if "tier" in more and changes["tier"] is not Tier.autonomous:
        return
    after = decided(**(changes | more))
    assert RANK[after.verdict] <= RANK[before.verdict]
    assert after.reasons


@given(
    tier=st.sampled_from(Tier), autonomy=st.sampled_from(Autonomy), action=st.text(max_size=12),
    cooldown=st.floats(), age=st.floats(-1e6, 1e6), running=st.integers(-5, 9), failures=st.integers(-5, 9),
    effects=st.integers(-5, 9), paused=st.booleans(), dry=st.booleans(), found=st.booleans(), approved=st.booleans(),
)  # fmt: skip
def test_whatever_it_is_asked_it_allows_only_what_nothing_forbids(
    tier: Tier, autonomy: Autonomy, action: str, cooldown: float, age: float, running: int, failures: int,
    effects: int, paused: bool, dry: bool, found: bool, approved: bool,
) -> None:  # fmt: skip
    decision = decided(
        tier=tier, autonomy=autonomy, agent_action=action, cooldown_s=cooldown, running_now=running,
        event_received_at=NOW - timedelta(seconds=age), failures_in_a_row=failures, effects_last_hour=effects,
        paused=paused, dry_run=dry, approved=approved, targets=(ENABLED.model_copy(update={"found": found}),),
    )  # fmt: skip
    assert decision.reasons
    if decision.verdict is not Verdict.deny:
        assert tier in (Tier.autonomous, Tier.supervised)
        assert autonomy is not Autonomy.never
        assert found
        assert not paused
        assert not dry
        assert 0 <= cooldown < float("inf")
    if decision.verdict is Verdict.allow and not approved:
        assert (tier, autonomy) == (Tier.autonomous, Autonomy.autonomous)
        assert action.strip().lower() in ("investigate", "remediate")
        assert age <= 900


@pytest.mark.parametrize(
    ("fixes", "verdict"), [(0, Verdict.needs_approval), (4, Verdict.needs_approval), (5, Verdict.allow)]
)
def test_autonomy_is_earned_by_verified_fixes_in_a_row(fixes: int, verdict: Verdict) -> None:
    decision = decided(autonomy=Autonomy.earned, fixes_in_a_row=fixes)
    assert decision.verdict is verdict
    if verdict is Verdict.needs_approval:
        assert f"{fixes} of 5 verified fixes in a row" in decision.reasons[0]
        assert decided(autonomy=Autonomy.earned, fixes_in_a_row=fixes, approved=True).verdict is Verdict.allow


def test_what_is_earned_lifts_neither_tier_nor_the_second_proof() -> None:
    earned: dict[str, Any] = {"autonomy": Autonomy.earned, "fixes_in_a_row": 9}
    assert decided(**earned, tier=Tier.supervised).verdict is Verdict.needs_approval
    assert decided(**earned, second_proof=()).verdict is Verdict.needs_approval
    assert decided(**earned, max_tier=Tier.supervised).verdict is Verdict.needs_approval


def test_what_is_always_asked_needs_a_person_whatever_tier_and_runbook_say() -> None:
    told = ("target 'batch' is stopped, and stays so until somebody starts it",)
    decision = decided(always_asked=told)
    assert (decision.verdict, decision.reasons) == (Verdict.needs_approval, told)
    assert decided(always_asked=told, approved=True).verdict is Verdict.allow


def alerted(wish: str, tier: Tier = Tier.autonomous) -> AlertEvent:
    return AlertEvent(
        event_id="e", source="grafana", fingerprint=f"fp-{wish}", status=AlertStatus.firing, labels={}, annotations={},
        starts_at=NOW, received_at=NOW, tier=tier, severity=Severity.critical, service="payments", agent_action=wish,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wishes", "asked"),
    [
        (("observe", "no-such-word"), "observe"),
        (("no-such-word", "observe"), "observe"),
        (("remediate", " Observe "), "observe"),
        (("investigate", "no-such-word", "remediate"), "no-such-word"),
        (("remediate", ""), ""),
        (("remediate", "investigate"), "remediate"),
        (("investigate", "REMEDIATE"), "investigate"),
    ],
)
def test_observe_outranks_every_word_and_an_unknown_word_outranks_those_that_let_act(
    wishes: tuple[str, ...], asked: str
) -> None:
    assert most_cautious([alerted(wish) for wish in wishes]).agent_action == asked


@pytest.mark.parametrize(
    ("tiers", "lowest"),
    [
        ((Tier.autonomous, Tier.autonomous), Tier.autonomous),
        ((Tier.autonomous, Tier.supervised), Tier.supervised),
        ((Tier.supervised, Tier.human_only, Tier.autonomous), Tier.human_only),
        ((Tier.unknown, Tier.supervised), Tier.unknown),
    ],
)
def test_of_several_alerts_the_tier_that_leaves_most_to_people_holds(tiers: tuple[Tier, ...], lowest: Tier) -> None:
    for order in (tiers, tiers[::-1]):
        assert most_cautious([alerted("investigate", tier) for tier in order]).tier is lowest


@pytest.mark.parametrize(
    "number",
    ["attempts_per_hour", "max_concurrent_effects", "breaker_failures", "max_event_age_s", "earned_fixes",
     "host_acts_per_hour", "project_acts_per_hour",
     "effects_last_hour", "running_now", "failures_in_a_row", "fixes_in_a_row", "cooldown_s"],
)  # fmt: skip
def test_a_number_below_zero_allows_nothing_and_is_named(number: str) -> None:
    decision = decided(approved=True, **{number: -1})
    assert decision.verdict is Verdict.deny
    assert any(reason.startswith(f"{number} is -1") for reason in decision.reasons)


@pytest.mark.parametrize(("ahead_s", "verdict"), [(60, Verdict.allow), (60.5, Verdict.deny)])
def test_a_clock_may_be_a_minute_ahead(ahead_s: float, verdict: Verdict) -> None:
    assert decided(event_received_at=NOW + timedelta(seconds=ahead_s)).verdict is verdict


def named(**changes: Any) -> TargetFacts:
    return ENABLED.model_copy(update=changes)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (named(protected="it is sreops itself"), "target 'payments' is never acted upon: it is sreops itself"),
        (named(refused="no such environment"), "target 'payments': no such environment"),
        (named(refused="no such job", found=False), "target 'payments': no such job"),
        (named(found=False, protected="x"), "target 'payments' was not found on the engine"),
        (named(labels={}), "or name it in SREOPS_POLICY__TARGETS"),
    ],
)
def test_a_target_is_ruled_out_by_the_first_thing_that_speaks_against_it(target: TargetFacts, said: str) -> None:
    decision = decided(approved=True, targets=(ENABLED, target))
    assert decision.verdict is Verdict.deny
    assert len(decision.reasons) == 1
    assert decision.reasons[0].endswith(said)


def test_a_target_that_the_settings_list_or_that_a_glob_knows_by_another_name_is_allowed() -> None:
    other = TargetFacts(name="shop production", found=True, listed=True)
    assert decided(targets=(other,)).verdict is Verdict.allow
    alias = TargetFacts(name="payments", found=True, aliases=frozenset({"shop-payments-1"}))
    assert decided(targets=(alias,), globs=("nobody", "shop-*")).verdict is Verdict.allow
    assert decided(targets=(alias,), globs=("nobody",)).verdict is Verdict.deny


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"effects_before": 1}, "something was done for this incident before, and after that nothing acts alone"),
        ({"targets": (named(last_well=True),)}, "target 'payments' is the last of its replicas that is not ill"),
        ({"targets": (named(started_at=NOW + timedelta(seconds=5)),)}, "somebody else started 'payments' 0 s ago"),
        ({"agent_action": "x" * 200}, f"the alert's agent_action is '{'x' * 80}'"),
    ],
)
def test_what_else_needs_a_person(changes: dict[str, Any], said: str) -> None:
    decision = decided(**changes)
    assert decision.verdict is Verdict.needs_approval
    assert len(decision.reasons) == 1
    assert decision.reasons[0].startswith(said)
    approved = decided(approved=True, asked_at=NOW + timedelta(seconds=5), **changes)
    assert approved.verdict is Verdict.allow
    assert approved.reasons[0].startswith(f"a person approved this plan ({said}")


def test_what_is_quiet_forbids_it_and_is_told() -> None:
    decision = decided(approved=True, quiet=("silenced by ann until 05:00",))
    assert (decision.verdict, decision.wait) == (Verdict.deny, False)
    assert decision.reasons == ("nothing is done now: silenced by ann until 05:00",)


def test_what_acts_alone_says_what_bears_it_out() -> None:
    decision = decided(second_proof=("memory is at 98%", "exit code 137"))
    assert decision.reasons == ("tier and runbook are autonomous; besides log text: memory is at 98%; exit code 137",)


def test_what_it_waits_for_is_told_beside_why_it_is_allowed() -> None:
    busy = named(busy="a command of incident i-7 runs in it")
    decision = decided(targets=(busy,), running_now=4, service_busy=True)
    assert (decision.verdict, decision.wait) == (Verdict.allow, True)
    assert decision.reasons[1:] == (
        "another remediation of this service is running",
        "4 remediations are running, and 4 may at once",
        "target 'payments' is busy: a command of incident i-7 runs in it",
    )
    assert decided(targets=(busy,)).wait is True


def test_an_old_event_is_told_once_however_long_its_alert_has_fired() -> None:
    old = NOW - timedelta(hours=1)
    [said] = decided(event_received_at=old, alert_started_at=old).reasons
    assert said == "the event is 3600 s old, and 900 s are trusted"
