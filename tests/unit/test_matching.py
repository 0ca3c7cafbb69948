"""Matching: label, then the analysis' choice, then patterns; and every refusal has its reason."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth import assert_linear
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.causes.analysis import Analysis
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.incidents.incident import Reason
from sreops.domain.runbooks.matching import Selection, advised, matches, offered, select_runbook
from sreops.domain.runbooks.runbook import Runbook, Step, StepAction, When
from sreops.domain.text.patterns import PatternInvalid, glob_matches, pattern_matches

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def event(runbook_id: str | None = None, threshold: float = 0.7, **labels: str) -> AlertEvent:
    return AlertEvent.model_validate(
        {"event_id": "1", "source": "grafana", "fingerprint": "f", "status": "firing", "annotations": {},
         "labels": {"alertname": "HighMemory", **labels}, "startsAt": NOW, "received_at": NOW, "service": "payments",
         "tier": "autonomous", "severity": "critical", "runbook_id": runbook_id, "escalate_threshold": threshold}
    )  # fmt: skip


def analysis(**changes: object) -> Analysis:
    base: dict[str, object] = {
        "root_cause": "The process ran out of memory.", "category": "out_of_memory", "confidence": 0.9,
        "recommended_action": "restart", "reasoning": "E1", "evidence": ("E1",),
    }  # fmt: skip
    return Analysis.model_validate(base | changes)


def runbook(name: str, action: StepAction = StepAction.restart_container, **fields: object) -> Runbook:
    base: dict[str, object] = {"id": name, "when": {"root_cause": ["out_of_memory"]}, "steps": [Step(action=action)]}
    return Runbook.model_validate(base | fields)


def logs(text: str) -> Evidence:
    return Evidence(id="E1", kind="logs", source="loki", finding="lines", text=text)


def select(
    *runbooks: Runbook,
    about: AlertEvent | None = None,
    conclusion: Analysis | None = None,
    analyst: str = "rules",
    evidence: tuple[Evidence, ...] = (),
) -> Selection:
    return select_runbook(runbooks, (about or event(),), conclusion or analysis(), analyst, evidence)


def chosen(selection: Selection) -> str | None:
    return selection.runbook.id if selection.runbook else None


def test_the_label_picks_the_runbook_whatever_its_conditions_are() -> None:
    other = runbook("by-label", when={"alertname": ["Nothing"]})
    selection = select(runbook("a"), other, about=event("by-label"))
    assert (chosen(selection), selection.how) == ("by-label", "label")


def test_the_labels_runbook_is_not_run_where_its_not_when_holds() -> None:
    held = runbook("a", not_when={"logs": ["migration"]})
    selection = select(held, about=event("a"), evidence=(logs("Migration started"),))
    assert (chosen(selection), selection.reason, selection.would_have) == (None, Reason.no_runbook_matched, "a")


def test_a_label_that_names_no_runbook_is_told_as_such_even_below_the_threshold() -> None:
    selection = select(runbook("a"), about=event("gone"), conclusion=analysis(confidence=0.1))
    assert (selection.reason, selection.how) == (Reason.unknown_runbook, "label")
    assert "'gone'" in selection.why


def test_two_alerts_that_name_different_runbooks_are_no_choice() -> None:
    selection = select_runbook((runbook("a"), runbook("b")), (event("a"), event("b")), analysis(), "rules")
    assert (chosen(selection), selection.reason) == (None, Reason.no_runbook_matched)


def test_the_models_choice_among_those_offered_is_taken() -> None:
    selection = select(runbook("a"), runbook("b"), conclusion=analysis(runbook_id="b"), analyst="claude")
    assert (chosen(selection), selection.how) == ("b", "analysis")


def test_the_models_null_is_an_abstention_though_a_pattern_would_match() -> None:
    selection = select(runbook("a"), conclusion=analysis(runbook_id=None), analyst="claude")
    assert (chosen(selection), selection.reason) == (None, Reason.no_runbook_matched)


@pytest.mark.parametrize("named", ["b", "not-offered", ""])
def test_an_id_that_was_not_offered_escalates_instead_of_being_guessed(named: str) -> None:
    hidden = runbook("not-offered", when={"alertname": ["Disk*"]})
    selection = select(runbook("a"), hidden, conclusion=analysis(runbook_id=named), analyst="claude")
    assert (chosen(selection), selection.reason) == (None, Reason.unknown_runbook)


def test_the_models_choice_is_refused_where_its_not_when_holds_or_it_does_something_else() -> None:
    held = runbook("a", not_when={"root_cause": ["memory"]})
    scaling = runbook("b", StepAction.scale_container)
    for one in (held, scaling):
        selection = select(one, conclusion=analysis(runbook_id=one.id), analyst="claude")
        assert (chosen(selection), selection.reason) == (None, Reason.no_runbook_matched)
        assert selection.would_have == one.id


def test_after_the_rules_the_first_runbook_whose_conditions_hold_is_taken() -> None:
    selection = select(runbook("no", when={"root_cause": ["disk"]}), runbook("a"), runbook("b"))
    assert (chosen(selection), selection.how) == ("a", "patterns")


def test_patterns_pass_over_a_runbook_that_does_something_else_than_recommended() -> None:
    scaling = runbook("scale", StepAction.scale_container)
    assert chosen(select(scaling, runbook("a"))) == "a"
    only = select(scaling)
    assert (chosen(only), only.reason, only.would_have) == (None, Reason.no_runbook_matched, "scale")


def test_a_runbook_without_conditions_is_only_for_the_label() -> None:
    empty = runbook("a", when={})
    assert select(empty).reason is Reason.no_runbook_matched
    assert offered((empty,), (event(),)) == ()
    assert chosen(select(empty, about=event("a"))) == "a"


@pytest.mark.parametrize("analyst", ["rules", "claude"])
@pytest.mark.parametrize("action", ["investigate", "escalate", "none"])
def test_advice_that_changes_nothing_never_acts_and_tells_what_would_have_matched(analyst: str, action: str) -> None:
    advice = analysis(recommended_action=action, runbook_id="a")
    for about in (event(), event("a")):
        selection = select(runbook("a"), about=about, conclusion=advice, analyst=analyst)
        assert (chosen(selection), selection.reason, selection.would_have) == (None, Reason.action_not_remediation, "a")


@pytest.mark.parametrize("about", [event(), event("a")])
def test_confidence_below_the_alerts_threshold_never_acts(about: AlertEvent) -> None:
    selection = select(runbook("a"), about=about, conclusion=analysis(confidence=0.69))
    assert (chosen(selection), selection.reason, selection.would_have) == (None, Reason.low_confidence, "a")


def test_confidence_at_the_threshold_acts_and_the_strictest_alert_counts() -> None:
    assert chosen(select(runbook("a"), conclusion=analysis(confidence=0.7))) == "a"
    strict = (event(), event(threshold=0.95))
    assert select_runbook((runbook("a"),), strict, analysis(), "rules").reason is Reason.low_confidence


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({}, False),
        ({"alertname": ["High*"]}, True),
        ({"alertname": ["Low*", "*Memory"]}, True),
        ({"alertname": ["Low*"]}, False),
        ({"labels": {"env": ["prod", "stag*"]}}, True),
        ({"labels": {"env": ["prod"]}}, False),
        ({"labels": {"absent": ["*"]}}, False),
        ({"root_cause": ["OUT OF memory"]}, True),
        ({"root_cause": ["^out_of_memory$"]}, True),
        ({"root_cause": ["(?-i)OUT OF"]}, False),
        ({"logs": ["killed process \\d+"]}, True),
        ({"logs": ["segfault"]}, False),
        ({"alertname": ["High*"], "labels": {"env": ["staging"]}, "root_cause": ["memory"], "logs": ["kill"]}, True),
        ({"alertname": ["High*"], "logs": ["segfault"]}, False),
    ],
)
def test_all_keys_must_hold_and_any_value_of_each(when: dict[str, object], holds: bool) -> None:
    evidence = (logs("ok\nKilled process 7 (java)"),)
    assert matches(When.model_validate(when), (event(env="staging"),), analysis(), evidence) is holds


def test_name_and_labels_must_be_one_alerts() -> None:
    when = When.model_validate({"alertname": ["HighMemory"], "labels": {"env": ["prod"]}})
    other = event(env="prod").model_copy(update={"labels": {"alertname": "Other", "env": "prod"}})
    assert not matches(when, (event(env="staging"), other), analysis(), ())


def test_log_patterns_read_logs_and_nothing_else() -> None:
    when = When(logs=("boom",))
    alert = Evidence(id="E2", kind="alert", source="grafana", finding="boom", text="boom")
    assert not matches(when, (event(),), analysis(root_cause="boom"), (alert,))


def test_what_is_offered_says_when_in_words_and_leaves_out_what_the_alert_rules_out() -> None:
    fits = runbook("a", when={"alertname": ["High*"], "logs": ["kill"]}, not_when={"root_cause": ["disk"]})
    ruled_out = runbook("b", not_when={"labels": {"env": ["prod"]}})
    (one,) = offered((fits, ruled_out, runbook("c", when={"alertname": ["Low*"]})), (event(env="prod"),))
    assert (one.id, one.when, one.not_when) == ("a", "alert is High* and the logs match kill", "the cause matches disk")
    assert one.action == "restart_container"


def test_hostile_text_costs_linear_time() -> None:
    def work(size: int) -> None:
        text = "a" * size
        for pattern in ("(a+)+$b", "(a|aa)*b", "(.*){1,20}z", "(a*)*b"):
            assert not pattern_matches(pattern, text)
        assert not glob_matches("*a" * 100 + "b", text)

    assert_linear(work, 15_000)


@given(text=st.text(), pattern=st.sampled_from(["x", ".*", "^$", "\\d+"]))
def test_any_text_can_be_searched(text: str, pattern: str) -> None:
    assert pattern_matches(pattern, text) in (True, False)


@given(st.text(alphabet="ab*?[]!-^\\.", max_size=12), st.text(alphabet="ab.-", max_size=8))
def test_any_glob_matches_or_is_refused_as_invalid(glob: str, text: str) -> None:
    with contextlib.suppress(PatternInvalid):
        assert glob_matches(glob, text) in (True, False)


@pytest.mark.parametrize(
    ("glob", "text", "holds"),
    [("pay*", "payments", True), ("pay*", "Payments", False), ("pay", "payments", False), ("p?y", "pay", True),
     ("[!p]ay", "pay", False), ("[op]ay", "pay", True), ("a.c", "abc", False), ("*", "a\nb", True), ("[", "[", True)]
)  # fmt: skip
def test_globs_match_whole_names(glob: str, text: str, holds: bool) -> None:
    assert glob_matches(glob, text) is holds


def test_a_condition_on_a_label_holds_whether_its_name_is_written_with_dots_or_underscores() -> None:
    dotted = runbook("dotted", when=When(labels={"service.name": ("rails*",)}))
    assert [one.id for one in offered([dotted], [event(**{"service.name": "rails-web"})])] == ["dotted"]
    assert [one.id for one in offered([dotted], [event(service_name="rails-web")])] == ["dotted"]
    assert offered([dotted], [event(service_name="sidekiq")]) == ()


VERIFY = {"promql": "up", "condition": "> 0"}


def test_the_rules_recommend_what_an_author_wrote_for_this_cause_and_nobody_elses() -> None:
    def curing(action: str, **fields: Any) -> Runbook:
        when = When(root_cause=("^disk_full$",))
        return Runbook.model_validate(
            {
                "id": action,
                "when": when,
                "steps": [{"action": action}],
                "verify": [{"promql": "up", "condition": "> 0"}],
                **fields,
            }
        )

    full = analysis(category="disk_full", recommended_action="escalate")
    stop, back = curing("stop_container"), curing("rollback_service")
    assert advised([stop], [event()], full).recommended_action.value == "repair"
    assert advised([back, stop], [event()], full).recommended_action.value == "rollback"
    for other in (
        curing("stop_container", autonomy="never"),
        curing("stop_container", when=When(alertname=("*",))),
        curing("stop_container", when=When(root_cause=("^deadlock$",))),
        curing("stop_container", not_when=When(root_cause=("^disk_full$",))),
        curing("notify"),
    ):
        assert advised([other], [event()], full) == full
    sure = analysis(category="disk_full", recommended_action="none")
    assert advised([stop], [event()], sure) == sure
