"""How far the model's confidence is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.analysis import Analysis, Category, RecommendedAction
from sreops.domain.evidence import Evidence, EvidenceKind
from sreops.domain.second_opinion import second_opinion


def analysis(category="out_of_memory", action="restart", confidence=0.9, evidence=("E2",)):
    return Analysis(
        root_cause="x", category=category, confidence=confidence, recommended_action=action, reasoning="",
        evidence=evidence,
    )  # fmt: skip


def piece(number, kind, *, partial=False):
    return Evidence(id=f"E{number}", kind=kind, source="s", finding="f", partial=partial)


EVIDENCE = (
    piece(1, "alert"), piece(2, "container"), piece(3, "logs"), piece(4, "gap", partial=True),
    piece(5, "metric", partial=True), piece(6, "metric"),
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


@pytest.mark.parametrize("cited", [("E1",), ("E4",), ("E1", "E4")])
def test_gaps_and_the_alert_s_own_text_prove_nothing(cited):
    opinion = second_opinion(analysis(confidence=1.0, evidence=cited), analysis(), EVIDENCE)
    assert opinion.analysis.confidence == 0.5
    assert "proves no cause" in opinion.why[0]


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
    st.lists(st.sampled_from(["E1", "E2", "E3", "E4", "E5", "E6"]), unique=True).map(tuple),
)


@given(ANALYSES, ANALYSES)
def test_confidence_only_ever_goes_down_and_every_step_has_its_reason(model, rules):
    opinion = second_opinion(model, rules, EVIDENCE)
    assert 0 <= opinion.analysis.confidence <= model.confidence
    assert bool(opinion.why) == (opinion.analysis.confidence < model.confidence)
    assert opinion.analysis.model_copy(update={"confidence": model.confidence}) == model


def test_all_kinds_are_judged():
    assert {kind.value for kind in EvidenceKind} >= {"alert", "logs", "metric", "container", "history", "gap"}
