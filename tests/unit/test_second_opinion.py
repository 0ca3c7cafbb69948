"""How far the model's confidence is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.causes.analysis import Analysis, Category, RecommendedAction
from sreops.domain.causes.second_opinion import second_opinion
from sreops.domain.evidence.evidence import Evidence, EvidenceKind


def analysis(category="out_of_memory", action="restart", confidence=0.9, evidence=("E2",)):
    return Analysis(
        root_cause="x", category=category, confidence=confidence, recommended_action=action, reasoning="",
        evidence=evidence,
    )  # fmt: skip


def piece(number, kind, *, partial=False):
    return Evidence(id=f"E{number}", kind=kind, source="s", finding="f", partial=partial)


EVIDENCE = (
    piece(1, "alert"), piece(2, "container"), piece(3, "logs"), piece(4, "gap", partial=True),
    piece(5, "metric", partial=True), piece(6, "metric"), piece(7, "suspects"), piece(8, "change"),
    piece(9, "history"), piece(10, "tool"), piece(11, "neighbour"), piece(12, "events"),
)  # fmt: skip
UNKNOWN = analysis("unknown", "escalate", 0.2, ())


def test_where_the_rules_agree_nothing_is_taken_off():
    opinion = second_opinion(analysis(), analysis(confidence=0.8), EVIDENCE)
    assert (opinion.analysis.confidence, opinion.why) == (0.9, ())


def test_other_action_of_rules_that_are_sure_costs_most():
    opinion = second_opinion(analysis(), analysis("disk_full", "escalate", 0.85), EVIDENCE)
    assert opinion.analysis.confidence == 0.65
    assert "disk_full" in opinion.why[0]
    assert opinion.claimed == 0.9


def test_another_cause_with_the_same_cure_costs_little():
    opinion = second_opinion(analysis(), analysis("deadlock", "restart", 0.85), EVIDENCE)
    assert opinion.analysis.confidence == 0.8


def test_another_name_for_the_same_trouble_is_no_disagreement():
    assert not second_opinion(analysis(), analysis("memory_leak", "restart", 0.85), EVIDENCE).why
    assert second_opinion(analysis(), analysis("memory_leak", "escalate", 0.85), EVIDENCE).why


def test_rules_that_are_unsure_contradict_nobody():
    assert not second_opinion(analysis(), analysis("disk_full", "escalate", 0.4), EVIDENCE).why
    assert not second_opinion(analysis(), UNKNOWN, EVIDENCE).why


@pytest.mark.parametrize("kind", ["neighbour", "events"])
def test_what_is_told_of_a_peer_proves_no_cause_and_beside_other_evidence_it_does_no_harm(kind):
    blaming = analysis("dependency_down", "escalate", 0.9, ("E13",))
    of_role = {role: Evidence(id="E13", kind=kind, source="s", finding="f", data={"role": role}) for role in
               ("peer", "called")}  # fmt: skip
    assert second_opinion(blaming, UNKNOWN, (*EVIDENCE, of_role["peer"])).analysis.confidence == 0.5
    assert second_opinion(blaming, UNKNOWN, (*EVIDENCE, of_role["called"])).analysis.confidence == 0.9
    with_own = blaming.model_copy(update={"evidence": ("E3", "E13")})
    assert second_opinion(with_own, UNKNOWN, (*EVIDENCE, of_role["peer"])).analysis.confidence == 0.9


@pytest.mark.parametrize("cited", [("E1",), ("E4",), ("E1", "E4"), ("E7",), ("E8",), ("E9",), ("E7", "E8", "E1")])
def test_gaps_the_alert_s_own_text_suspicions_and_changes_alone_prove_nothing(cited):
    opinion = second_opinion(analysis(confidence=1.0, evidence=cited), analysis(), EVIDENCE)
    assert opinion.analysis.confidence == 0.5
    assert "proves no cause" in opinion.why[0]


@pytest.mark.parametrize("proof", ["E2", "E3", "E6", "E11", "E12"])
def test_beside_something_that_was_seen_a_suspicion_or_a_change_takes_nothing_off(proof):
    assert not second_opinion(analysis(evidence=("E7", "E8", proof)), analysis(), EVIDENCE).why


def test_what_a_foreign_tool_said_is_text_like_log_lines():
    opinion = second_opinion(analysis(confidence=1.0, evidence=("E10", "E3")), UNKNOWN, EVIDENCE)
    assert opinion.analysis.confidence == 0.65


def test_a_disagreement_comes_on_top_of_weak_evidence():
    weak = analysis(confidence=1.0, evidence=("E7",))
    opinion = second_opinion(weak, analysis("disk_full", "escalate", 0.85), EVIDENCE)
    assert (opinion.analysis.confidence, len(opinion.why)) == (0.25, 2)


def test_what_does_not_act_is_contradicted_for_its_cause_only():
    opinion = second_opinion(analysis("latency", "investigate", 0.9), analysis("disk_full", "escalate", 0.85), EVIDENCE)
    assert opinion.analysis.confidence == 0.8


def test_a_cause_without_any_evidence_is_not_believed():
    assert second_opinion(analysis("latency", "escalate", 0.9, ()), UNKNOWN, EVIDENCE).analysis.confidence == 0.5


def test_incomplete_evidence_costs_a_little():
    assert second_opinion(analysis(evidence=("E5",)), analysis(), EVIDENCE).analysis.confidence == 0.8
    assert not second_opinion(analysis(evidence=("E5", "E6")), analysis(), EVIDENCE).why


def test_to_act_on_log_text_alone_that_the_rules_do_not_recognise_is_below_the_usual_threshold():
    opinion = second_opinion(analysis(confidence=1.0, evidence=("E3",)), UNKNOWN, EVIDENCE)
    assert opinion.analysis.confidence == 0.65
    assert not second_opinion(analysis(evidence=("E3",)), analysis(), EVIDENCE).why
    assert not second_opinion(analysis(evidence=("E3", "E2")), UNKNOWN, EVIDENCE).why
    assert not second_opinion(analysis("latency", "escalate", 0.9, ("E3",)), UNKNOWN, EVIDENCE).why


ANALYSES = st.builds(
    analysis,
    st.sampled_from(list(Category)),
    st.sampled_from(list(RecommendedAction)),
    st.floats(0, 1),
    st.lists(st.sampled_from([item.id for item in EVIDENCE]), unique=True).map(tuple),
)


@given(ANALYSES, ANALYSES)
def test_confidence_only_ever_goes_down_and_every_step_has_its_reason(model, rules):
    opinion = second_opinion(model, rules, EVIDENCE)
    assert 0 <= opinion.analysis.confidence <= model.confidence
    assert bool(opinion.why) == (opinion.analysis.confidence < model.confidence)
    assert opinion.analysis.model_copy(update={"confidence": model.confidence}) == model


def test_all_kinds_are_judged():
    assert {item.kind for item in EVIDENCE} == set(EvidenceKind), "a new kind: is it proof, text, or neither?"
