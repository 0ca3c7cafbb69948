"""Acting alone needs two kinds of proof: a line that anyone can write restarts nothing by itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.causes.analysis import Category
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import (
    Evidence,
    EvidenceKind,
    Series,
    SeriesSet,
)
from sreops.domain.evidence.golden_signals import choose
from sreops.domain.remediation.proof import (
    ProofKind,
    Suspected,
    change_proofs,
    led_to_the_present_start,
    points_elsewhere,
    proofs,
)
from unit.proof_scene import NOW, C, at, event, memory, suspected


def proven(cause: Category, target: Suspected, *evidence: Evidence) -> list[ProofKind]:
    found = proofs(cause, target, evidence, now=NOW, max_age_s=900)
    return [proof.kind for proof in found]


def test_a_series_of_the_target_that_our_rules_find_abnormal_bears_the_cause_out() -> None:
    for cause in (C.out_of_memory, C.memory_leak):
        assert proven(cause, suspected(), memory(0.97)) == [ProofKind.series]


@pytest.mark.parametrize(
    ("evidence", "changes"),
    [
        (memory(0.4), {}),
        (memory(0.4, was=0.1), {}),  # four times its baseline, and far from its limit
        (memory(0.97, name="checkout"), {}),
        (memory(0.97, name="payments-2"), {}),
        (memory(0.97, ends=-1000), {}),
        (memory(0.97), {"started_at": at(-3)}),  # somebody has started it anew since
        (memory(0.97).model_copy(update={"partial": True}), {}),
    ],
    ids=["at 40 %", "grown to 40 %", "of another", "of a namesake", "too old", "of the life before", "partial"],
)
def test_what_is_normal_or_old_or_of_another_proves_nothing(evidence: Evidence, changes: dict[str, Any]) -> None:
    assert proven(C.out_of_memory, suspected(**changes), evidence) == []


@pytest.mark.parametrize(("share", "proves"), [(0.97, True), (0.9, False)])
def test_memory_that_has_long_been_high_proves_where_it_is_full(share: float, proves: bool) -> None:
    assert bool(proven(C.memory_leak, suspected(), memory(share, was=share))) is proves


def test_a_series_that_ends_in_the_targets_present_life_is_of_it() -> None:
    ends_5_s_ago = memory(0.97)
    assert proven(C.out_of_memory, suspected(started_at=at(-30)), ends_5_s_ago) == [ProofKind.series]


@pytest.mark.parametrize(("ends", "counts"), [(-900, True), (-901, False), (900, True), (901, False)])
def test_a_series_that_ends_too_far_from_now_is_not_of_now(ends: float, counts: bool) -> None:
    started_anew = suspected(started_at=at(-7200))
    assert bool(proven(C.out_of_memory, started_anew, memory(0.97, ends=ends))) is counts


def test_a_series_that_ends_at_the_moment_of_the_start_is_of_that_life() -> None:
    assert proven(C.out_of_memory, suspected(started_at=at(-5)), memory(0.97, ends=-5)) == [ProofKind.series]


@pytest.mark.parametrize("points", [None, [], "none", 7])
def test_a_series_without_points_proves_nothing(points: object) -> None:
    item = memory(0.97)
    assert proven(C.out_of_memory, suspected(), item.model_copy(update={"data": item.data | {"points": points}})) == []


def test_a_deployment_right_before_bears_out_that_it_was_bad_and_nothing_else() -> None:
    suspicion = {"told": "errors began 2 min after deployment 7", "close": True}
    change = Evidence(id="E4", kind=EvidenceKind.change, source="gitlab", finding="", data={"suspected": suspicion})
    [proof] = change_proofs(C.bad_deploy, [memory(0.97), change])
    assert proof.told == "errors began 2 min after deployment 7 (change)"
    assert all(change_proofs(cause, [change]) == () for cause in Category if cause is not C.bad_deploy)


def test_a_series_bears_out_only_the_cause_that_it_shows() -> None:
    for cause in Category:
        expected = [ProofKind.series] if cause in (C.out_of_memory, C.memory_leak) else []
        assert proven(cause, suspected(), memory(0.97)) == expected


@pytest.mark.parametrize("cause", [C.out_of_memory, C.deadlock, C.connection_pool_exhausted, C.unhealthy])
def test_a_failing_health_check_bears_out_that_it_is_stuck(cause: Category) -> None:
    assert proven(cause, suspected(health="unhealthy")) == [ProofKind.health]
    assert proven(cause, suspected(health="healthy")) == []


def test_an_end_by_itself_bears_out_an_exit_and_a_stop_by_request_does_not() -> None:
    down: dict[str, Any] = {"status": "exited", "running": False, "exit_code": 1}
    assert proven(C.process_exited, suspected(event("die", -60, 1), **down)) == [ProofKind.engine]
    asked = (event("kill", -61), event("die", -60, 137))
    assert proven(C.process_exited, suspected(*asked, **(down | {"exit_code": 137}))) == []
    assert proven(C.process_exited, suspected(**(down | {"exit_code": 0}))) == []


def test_deaths_that_led_to_the_present_start_count() -> None:
    died = (event("oom", -61), event("die", -60, 137), event("start", -59))
    assert proven(C.out_of_memory, suspected(*died, started_at=at(-59), restart_count=1)) == [ProofKind.engine]


@pytest.mark.parametrize(
    ("actions", "kept"),
    [
        ("oom die start", "oom die start"),
        ("oom die start kill die start restart", "start restart"),
        ("kill exec die start", "start"),
        ("kill start die start", "kill start die start"),  # a signal that ended nothing
        ("kill die start die start", "start die start"),
        ("kill die die start", "die start"),
        ("die create start die", "start die"),
        ("create die", "die"),  # it could not be started
        ("die destroy", ""),
        ("", ""),
    ],
)
def test_only_what_happened_since_somebody_last_ended_or_made_it_led_to_its_present_start(
    actions: str, kept: str
) -> None:
    events = [event(action, second) for second, action in enumerate(actions.split())]
    assert " ".join(one.action for one in led_to_the_present_start(events)) == kept


def test_what_it_died_of_before_somebody_started_it_anew_proves_nothing() -> None:
    died = (event("oom", -161), event("die", -160, 137), event("start", -159))
    mended = (event("kill", -51), event("die", -50, 143), event("start", -50), event("restart", -50))
    assert proven(C.out_of_memory, suspected(*died, *mended, started_at=at(-50))) == []
    remade = (event("destroy", -51), event("create", -50), event("start", -50))
    assert proven(C.out_of_memory, suspected(*died, *remade, started_at=at(-50))) == []


def test_counts_over_a_time_prove_a_death_only_where_the_restart_policy_was_at_work() -> None:
    names = ["container_oom_events_total"]
    signal = next(one for one in choose({"name": "payments"}, names) if one.id == "oom_kills")
    points = tuple((at(60 * n - 3600).timestamp(), 1.0 if n > 40 else 0.0) for n in range(61))
    counted = findings.metric(signal, SeriesSet(query="", series=(Series(labels={}, points=points),)), at(-300))
    assert proven(C.out_of_memory, suspected(restart_count=1), counted) == [ProofKind.series]
    assert proven(C.out_of_memory, suspected(restart_count=0), counted) == []


def test_a_target_without_a_container_is_proven_by_series_alone() -> None:
    service = Suspected(names=frozenset({"payments"}))
    assert proven(C.memory_leak, service, memory(0.97)) == [ProofKind.series]


def test_text_the_alert_and_other_services_are_no_kind_of_proof() -> None:
    shouted = [
        Evidence(id="E1", kind=kind, source="x", finding="OOM", text="OOMKilled", data={"oom_killed": True, "ooms": 3})
        for kind in EvidenceKind
        if kind is not EvidenceKind.metric
    ]
    for cause in Category:
        assert proven(cause, suspected(), *shouted) == []


@given(st.text(max_size=300), st.sampled_from(sorted(Category)))
def test_no_text_whatever_is_a_proof(text: str, cause: Category) -> None:
    said = [
        Evidence(id="E1", kind=EvidenceKind.logs, source="loki", finding=text, text=text),
        Evidence(id="E2", kind=EvidenceKind.alert, source="alert", finding=text, text=text),
    ]
    assert proven(cause, suspected(), *said, memory(0.4)) == []


# --- whether the trouble lies elsewhere


def neighbour(role: str = "called", **container: Any) -> Evidence:
    state = {"running": True, "status": "running", "health": "healthy"} | container
    data = {"service": "ledger-db", "role": role, "container": state, "signals": {}}
    return Evidence(id="E5", kind=EvidenceKind.neighbour, source="docker", finding="", data=data)


def died(crashes: int, role: str = "called") -> Evidence:
    data = {"service": "ledger-db", "role": role, "crashes": crashes}
    return Evidence(id="E6", kind=EvidenceKind.events, source="docker", finding="", data=data)


def ranking(first: str, *, abstained: bool = False) -> Evidence:
    data = {"first": first, "abstained": abstained}
    return Evidence(id="E9", kind=EvidenceKind.suspects, source="suspects", finding="", data=data)


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (neighbour(running=False, status="exited", exit_code=1), "ledger-db, which it calls, is not running"),
        (neighbour(health="unhealthy"), "ledger-db, which it calls, is not healthy"),
        (neighbour(status="restarting"), "ledger-db, which it calls, is being restarted"),
        (died(1), "ledger-db, which it calls, died by itself once lately"),
        (ranking("ledger-db"), "of all services ledger-db changed most"),
        (ranking("x" * 80), f"of all services {'x' * 80} changed most"),
        (ranking("x" * 81), f"of all services {'x' * 79}… changed most"),
        (neighbour(), ""),
        (died(0), ""),
        (ranking("ledger-db").model_copy(update={"kind": EvidenceKind.metric}), ""),
        (neighbour(role="caller", health="unhealthy"), ""),
        (neighbour(role="peer", health="unhealthy"), ""),
        (ranking("payments"), ""),
        (ranking("ledger-db", abstained=True), ""),
    ],
)
def test_a_symptom_is_told_from_its_cause(evidence: Evidence, said: str) -> None:
    told = points_elsewhere([evidence], {"payments"})
    assert bool(told) is bool(said)
    assert said in "; ".join(told)
