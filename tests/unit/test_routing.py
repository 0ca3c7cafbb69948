"""Severities, tiers and topics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.alerts.alert import Severity, Tier
from sreops.domain.alerts.routing import (
    ALL_TOPICS,
    CRITICAL,
    INFO,
    WARNING,
    NotWorkedOn,
    not_worked_on,
    route,
    tier_of,
)
from sreops.domain.alerts.severity import read_severity, severity_of

TABLE = {
    (Tier.autonomous, Severity.critical): CRITICAL,
    (Tier.supervised, Severity.critical): CRITICAL,
    (Tier.human_only, Severity.critical): INFO,
    (Tier.unknown, Severity.critical): INFO,
    (Tier.autonomous, Severity.warning): WARNING,
    (Tier.supervised, Severity.warning): WARNING,
    (Tier.human_only, Severity.warning): WARNING,
    (Tier.unknown, Severity.warning): INFO,
    (Tier.autonomous, Severity.info): INFO,
    (Tier.supervised, Severity.info): INFO,
    (Tier.human_only, Severity.info): INFO,
    (Tier.unknown, Severity.info): INFO,
}


def test_every_tier_and_severity_has_its_topic():
    assert {(tier, severity): route(tier, severity) for tier in Tier for severity in Severity} == TABLE


def test_the_six_topics_are_those_of_the_design():
    assert set(ALL_TOPICS) == {
        "sre-critical", "sre-warning", "sre-info", "agent-thoughts", "agent-actions", "sre-dead-letter",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("severity", "spellings"),
    [
        (Severity.critical, "critical CRIT P1 p0 sev1 SEV-1 severity1 page error major high Fatal emergency 1 1.0"),
        (Severity.warning, "warning warn WARN minor medium P3 p2 sev-2 severity_2 ticket Ticket 2 2.0"),
        (Severity.info, "info Informational notice low none P5 sev4"),
        (None, "purple critical-ish warningcritical 17 4 5 5.0 0.1 CVSS:1.2 severity5 -"),
    ],
)
def test_severities_are_read_from_the_spellings_of_the_field(severity, spellings):
    assert {spelling: severity_of(spelling) for spelling in spellings.split()} == dict.fromkeys(
        spellings.split(), severity
    )


@pytest.mark.parametrize(
    ("tier", "spellings"),
    [
        (Tier.autonomous, ["0", "tier-0", "tier0", "Tier 0", "T0", "autonomous", "tier_autonomous"]),
        (Tier.supervised, ["1", "tier-1", "t-1", "Supervised"]),
        (Tier.human_only, ["2", "tier_2", "human_only", "human-only", "Human Only"]),
        (None, ["", "3", "gold", "unknown", "tier", "t", "00", "tier-10", "frontend"]),
    ],
)
def test_tiers_are_read_from_their_aliases(tier, spellings):
    assert {spelling: tier_of(spelling) for spelling in spellings} == dict.fromkeys(spellings, tier)


@given(st.text())
def test_any_text_is_a_severity_and_a_tier_or_none(text):
    assert severity_of(text) in {None, *Severity}
    assert tier_of(text) in {None, Tier.autonomous, Tier.supervised, Tier.human_only}


def bad(labels, annotations=None, default=Severity.warning):
    return read_severity(labels, annotations or {}, default)


@pytest.mark.parametrize(
    ("labels", "annotations", "severity"),
    [
        ({"severity": "critical", "level": "info"}, {}, Severity.critical),
        ({"priority": "P1"}, {}, Severity.critical),
        ({"Severity": "Page"}, {}, Severity.critical),
        ({"severity": "purple", "urgency": "high"}, {}, Severity.critical),
        ({"criticality": "minor"}, {"severity": "critical"}, Severity.warning),
        ({"level": "error"}, {}, Severity.warning),
        ({"level": "info"}, {}, Severity.info),
        ({"level": "fatal"}, {"severity": "critical"}, Severity.warning),
        ({}, {"severity": "critical"}, Severity.critical),
        ({}, {"PRIORITY": "p5"}, Severity.info),
        ({"severity": "<no value>"}, {"level": "crit"}, Severity.warning),
    ],
)
def test_the_severity_is_the_first_that_is_understood_labels_before_annotations(labels, annotations, severity):
    assert bad(labels, annotations)[0] is severity


@pytest.mark.parametrize("labels", [{}, {"severity": "4"}, {"severity": "purple", "priority": "?"}, {"severity": " "}])
def test_what_is_missing_or_not_understood_is_the_default_with_a_warning_and_never_information_by_accident(labels):
    severity, note, told = bad(labels)
    assert severity is Severity.warning
    assert "SREOPS_DEFAULT_SEVERITY" in note
    assert told == "no severity that is understood, read as warning (SREOPS_DEFAULT_SEVERITY)"
    assert bad(labels, default=Severity.critical)[0] is Severity.critical


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("P1 - Critical", Severity.critical),
        ("page the oncall 1.0", Severity.critical),
        ("Critical (page)", Severity.critical),
        ("page,ticket", Severity.critical),
        ("Severity 2", Severity.warning),
        ("P3 (low)", Severity.warning),
        ("very high", Severity.critical),
        ("5 - info", Severity.info),
        ("amber", Severity.warning),
        ("non-critical", None),
        ("do not page", None),
        ("a critical look at what the last of us said", None),
        ("business hours", None),
        ("P1 - page on call", Severity.critical),  # four words are a severity, five a sentence
        ("P1 - page who is on", None),
        ("SEV-4", Severity.info),
        ("P - 5", Severity.info),
    ],
)
def test_of_a_severity_in_several_words_the_worst_holds_and_a_negated_one_is_none(text, severity):
    assert severity_of(text) is severity


def test_a_severity_that_is_read_elsewhere_than_in_its_label_is_told():
    assert bad({"severity": "critical"}).note == ""
    assert bad({"severity": "P1"}).note == ""
    assert bad({"priority": "P1"}).note == "read from the label priority"
    assert bad({}, {"severity": "P1"}).note == "read from the annotation severity"
    note = "read from the label level, which says warning at most"
    assert bad({"level": "error"}) == (Severity.warning, note, f"severity {note}")


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({}, "missing"),
        ({"severity": "purple", "level": "x" * 50}, f"severity=purple, level={'x' * 40} is not understood"),
    ],
)
def test_what_was_not_understood_is_named_of_labels_alone_and_cut(labels, why):
    note = bad(labels, {"priority": "whenever you like, as long as it is today"}).note
    assert note == f"{why}, read as warning (SREOPS_DEFAULT_SEVERITY)"


def test_what_is_worked_on_follows_the_topic_and_the_rest_has_its_reason():
    both = (Severity.critical, Severity.warning)
    assert not_worked_on(Tier.supervised, Severity.critical, both) is None
    assert not_worked_on(Tier.supervised, Severity.info, both) is NotWorkedOn.severity
    assert not_worked_on(Tier.unknown, Severity.critical, both) is NotWorkedOn.tier
    assert not_worked_on(Tier.unknown, Severity.critical, (*both, Severity.info)) is None
    assert not_worked_on(Tier.autonomous, Severity.warning, (Severity.critical,)) is NotWorkedOn.severity
