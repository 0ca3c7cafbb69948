"""What an incident's end proves, and what it does not."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sreops.domain.alerts.alert import Severity, Tier
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.evidence.findings import history
from sreops.domain.incidents.incident import Effect, EffectOutcome, Incident, IncidentStatus, Reason, Resolution
from sreops.evaluation.case import read_case
from sreops.evaluation.export import case_of

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def incident(**changed: Any) -> Incident:
    effect = Effect(
        effect_id="e", incident_id="i", episode=1, step=0, action="restart_container", target="payments-1",
        service="payments", snapshot={}, intent_at=NOW, outcome=EffectOutcome.succeeded,
    )  # fmt: skip
    base: dict[str, Any] = {
        "id": "i", "status": IncidentStatus.resolved, "resolution": Resolution.fixed, "service": "payments",
        "alertname": "A", "severity": Severity.critical, "tier": Tier.autonomous, "fingerprints": ("f",),
        "opened_at": NOW, "episode_at": NOW, "category": "memory_leak", "root_cause": "Memory grows.",
        "effects": (effect,),
    }  # fmt: skip
    return Incident(**{**base, **changed})


def piece(kind: EvidenceKind, **data: Any) -> Evidence:
    return Evidence(id="E2", kind=kind, source="s", finding="found", text="one\ntwo", data=data)


EVIDENCE = [
    piece(EvidenceKind.logs),
    piece(EvidenceKind.metric, signal="health", points=[[1.0, 1.0], [2.0, 0.0]]),
    piece(EvidenceKind.metric, signal="started", points=[[1.0, 1.0]]),
    piece(
        EvidenceKind.neighbour, service="db", role="called",
        signals={"memory": {"signal": "memory", "points": [[1.0, 5.0]]}},
    ),
    piece(EvidenceKind.suspects, first="payments", scores={"payments": 7.5}),
]  # fmt: skip


def test_a_verified_fix_proves_component_cause_and_action() -> None:
    case_id, case, labels = read_case(case_of(incident(), (), EVIDENCE))
    assert case_id == "i"
    assert labels.components == ("payments",)
    assert (labels.category, labels.actions) == ("memory_leak", ("restart",))
    assert case.metrics == {"payments|healthy": ((1.0, 1.0), (2.0, 0.0)), "db|memory": ((1.0, 5.0),)}
    assert case.candidates == ("payments", "db")
    assert [entry.line for entry in case.logs] == ["one", "two"]
    assert case.since == NOW.timestamp() - 60
    assert "suspects" not in str(case.evidence)


def test_events_and_tool_results_are_read_again_and_the_ranking_of_then_is_kept_but_hidden() -> None:
    said = {EvidenceKind.events: "died by itself once", EvidenceKind.tool: "notes: pool of 10"}
    told = [
        Evidence(id=f"E{number}", kind=kind, source="s", finding="found", text=text)
        for number, (kind, text) in enumerate(said.items(), start=5)
    ]
    raw = case_of(incident(), (), [*EVIDENCE, *told])
    _, case, _ = read_case(raw)
    assert case.evidence["E5 s"] == "found\ndied by itself once"
    assert case.evidence["E6 s"] == "found\nnotes: pool of 10"
    assert raw["extra"]["suspects"] == [{"finding": "found", "text": "one\ntwo", "scores": {"payments": 7.5}}]
    assert "7.5" not in case.model_dump_json()


def test_a_peer_is_told_of_and_no_candidate() -> None:
    signals = {"memory": {"signal": "memory", "points": [[1.0, 5.0]]}}
    peer = piece(EvidenceKind.neighbour, service="inventory", role="peer", signals=signals)
    _, case, _ = read_case(case_of(incident(), (), [peer.model_copy(update={"id": "E9"}), *EVIDENCE]))
    assert case.candidates == ("payments", "db")
    assert "inventory|memory" not in case.metrics
    assert "E9 s" in case.evidence


@pytest.mark.parametrize(
    "end",
    [
        {"resolution": Resolution.recovered},
        {"status": IncidentStatus.escalated, "resolution": None, "reason": Reason.remediation_ineffective},
    ],
)
def test_what_was_not_proven_is_no_label(end: dict[str, Any]) -> None:
    raw = case_of(incident(**end), (), EVIDENCE)
    _, case, labels = read_case(raw)
    assert (labels.components, labels.category, labels.actions) == ((), "", None)
    assert "Memory grows" not in case.model_dump_json()


def test_a_false_alarm_asks_for_no_action() -> None:
    _, _, labels = read_case(case_of(incident(resolution=Resolution.false_alarm, effects=()), (), []))
    assert (labels.category, labels.actions) == ("false_alarm", ())


def test_an_effect_that_failed_is_no_right_action() -> None:
    failed = incident().effects[0].model_copy(update={"outcome": EffectOutcome.failed})
    assert read_case(case_of(incident(effects=(failed,)), (), []))[2].actions is None


def test_what_a_person_says_of_the_cause_outweighs_our_own() -> None:
    wrong = {"by": "ann", "right": False, "cause": "a deploy of cart", "component": "cart"}
    case = case_of(incident(feedback=wrong), (), EVIDENCE)
    assert (case["expected_root_cause"], case["expected_component"]) == ("a deploy of cart", ["cart"])
    right = {"by": "ann", "right": True, "cause": "", "component": ""}
    escalated = {"status": IncidentStatus.escalated, "resolution": None, "reason": Reason.no_runbook_matched}
    case = case_of(incident(feedback=right, **escalated), (), EVIDENCE)
    assert (case["expected_root_cause"], case["expected_component"]) == ("Memory grows.", ["payments"])
    closed = {"by": "ann", "was": "false_alarm", "cause": ""}
    case = case_of(incident(resolution=Resolution.closed, closed=closed), (), EVIDENCE)
    assert (case["expected_fault_type"], case["expected_action_class"]) == ("false_alarm", [])


def test_the_history_of_a_service_says_what_people_found() -> None:
    closed = {"by": "ann", "was": "fixed", "cause": "the pool was too small"}
    told = history([incident(resolution=Resolution.closed, closed=closed)], NOW)
    assert "cause, says ann: the pool was too small" in told.finding
