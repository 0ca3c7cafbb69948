"""An incident as a story: the trouble first, each deed once, the runbook's own steps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.incident import Effect, EffectOutcome, Incident, IncidentStatus, Reason, Resolution
from sreops.domain.records.next_step import next_step
from sreops.domain.records.story import tell
from sreops.domain.runbooks.file import load_runbooks

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
GUIDE = load_runbooks(
    """
version: 1
runbooks:
  - id: guide
    title: Free space
    when: {root_cause: disk_full}
    autonomy: never
    steps: [{action: notify, params: {message: "{{ service }}: free space on {{ labels.device }}"}}]
    docs: df -h
""",
    path="x",
)[0]


def event(**fields: Any) -> AlertEvent:
    return AlertEvent.model_validate(
        {"event_id": "1", "source": "grafana", "fingerprint": "f", "status": "firing", "labels": {"alertname": "Disk"},
         "annotations": {"summary": "the disk of db is full"}, "startsAt": NOW, "received_at": NOW,
         "tier": "autonomous", "severity": "critical", "service": "db"} | fields
    )  # fmt: skip


def incident(**fields: Any) -> Incident:
    return Incident.model_validate(
        {"id": "i", "status": IncidentStatus.escalated, "reason": Reason.policy_denied, "service": "db",
         "alertname": "Disk", "severity": "critical", "tier": "autonomous", "fingerprints": ("f",),
         "opened_at": NOW, "episode_at": NOW} | fields
    )  # fmt: skip


def test_the_headline_is_the_trouble_and_not_why_sreops_stopped() -> None:
    assert (
        tell(incident(root_cause="The disk of db is full."), [event()], [], (), None).wrong == "The disk of db is full."
    )
    assert tell(incident(), [event()], [], (), None).wrong == "Disk: the disk of db is full"
    assert tell(incident(), [event(annotations={})], [], (), None).wrong == "Disk fires on db"


def test_an_analysis_without_a_cause_is_no_headline_the_alerts_own_words_are() -> None:
    nothing = incident(root_cause="No cause that the rules know shows in the evidence of db.", category="unknown")
    story = tell(nothing, [event()], [], (), None)
    assert (story.wrong, story.said) == ("Disk: the disk of db is full", "")


def test_beside_a_cause_stands_what_the_alert_says_with_its_numbers() -> None:
    said = {"summary": "p95 is above 0.5 s.", "description": "it is 9.8 (threshold 0.5)"}
    story = tell(incident(root_cause="The pool of db is used up."), [event(annotations=said)], [], (), None)
    assert (story.wrong, story.said) == ("The pool of db is used up.", "p95 is above 0.5 s. it is 9.8 (threshold 0.5)")


def test_a_summary_that_repeats_the_rules_name_says_nothing() -> None:
    assert tell(incident(), [event(annotations={"summary": "disk"})], [], (), None).wrong == "Disk fires on db"
    rule = incident(service="Disk", subject={"name": "Disk", "kind": "rule", "scope": {"pod": "web-1"}})
    assert tell(rule, [event(annotations={})], [], (), None).wrong == "Disk fires for pod web-1"


def test_numbers_are_measured_findings_that_the_cause_rests_on() -> None:
    evidence = [
        Evidence(id="E1", kind=EvidenceKind.logs, source="loki", finding="a log line"),
        Evidence(id="E2", kind=EvidenceKind.metric, source="prometheus", finding="98 % of 512 MB"),
        Evidence(id="E3", kind=EvidenceKind.metric, source="prometheus", finding="cpu is calm"),
    ]
    assert tell(incident(), [event()], evidence, ("E1", "E2"), None).numbers == ("98 % of 512 MB",)


def test_an_alert_that_says_its_name_and_its_service_alone_is_not_told_beside_a_cause() -> None:
    found = incident(root_cause="The disk is full.")
    said = {"summary": f"{found.alertname} fires on {found.service}"}
    assert tell(found, [event(annotations=said)], [], (), None).said == ""


def test_since_is_the_first_firing_alert() -> None:
    earlier = event(startsAt=NOW - timedelta(minutes=5))
    assert tell(incident(), [event(), earlier], [], (), None).since == NOW - timedelta(minutes=5)


def test_each_deed_of_the_episode_is_told_once_with_its_outcome() -> None:
    effect = Effect(
        effect_id="i:1:0", incident_id="i", episode=1, step=0, action="restart_container", target="db", service="db",
        snapshot={}, intent_at=NOW, outcome=EffectOutcome.failed, detail="no such image",
    )  # fmt: skip
    earlier = effect.model_copy(update={"effect_id": "i:0:0", "episode": 0})
    story = tell(incident(effects=(earlier, effect)), [event()], [], (), None)
    assert [(deed.what, deed.tone, deed.detail) for deed in story.deeds] == [
        ("restart container db", "failed", "no such image")
    ]
    assert "Nothing was changed" not in story.done


@pytest.mark.parametrize("reason", list(Reason))
def test_every_escalation_says_what_to_do(reason: Reason) -> None:
    assert tell(incident(reason=reason), [event()], [], (), None).asked == next_step(reason, incident())


def unsure(**fields: Any) -> Incident:
    return incident(
        **{"reason": Reason.low_confidence, "confidence": 0.6, "root_cause": "The pool is used up."} | fields
    )


def test_how_sure_it_is_is_told_in_percent_and_the_runbook_stands_under_what_to_do() -> None:
    why = {"why": "confidence 0.60 is below the alert's threshold 0.70; runbook guide fits", "would_have": "guide"}
    story = tell(unsure(decision=why), [event()], [], (), GUIDE)
    assert story.done == "Nothing was changed. The cause is only 60 % sure, and sreops acts from 70 % on."
    assert story.asked == "Check whether the cause is right; if so, follow runbook guide."
    denied = tell(incident(decision=why | {"why": "not allowed; runbook guide fits"}), [event()], [], (), GUIDE)
    assert denied.done == "Nothing was changed. Not allowed."


def test_nobody_is_sent_to_check_a_cause_that_is_not_there_or_to_a_runbook_that_nobody_names() -> None:
    gap = Evidence(id="E1", kind=EvidenceKind.gap, source="loki", finding="x")
    nothing = tell(unsure(category="unknown"), [event()], [gap], (), None)
    assert nothing.done == "Nothing was changed. No cause was found. It could see no logs of it."
    assert nothing.asked == "Look for the cause by hand."
    assert tell(unsure(), [event()], [], (), None).asked.endswith("mend it by hand: no runbook fits.")


def test_a_symptom_is_not_given_out_for_a_cause_and_a_change_before_it_is_looked_at_first() -> None:
    change = Evidence(id="E1", kind=EvidenceKind.change, source="grafana", finding="x", data={"own": ["flag on"]})
    log = Evidence(id="E2", kind=EvidenceKind.logs, source="loki", finding="x", data={"top": ["ERROR token expired"]})
    slow = unsure(category="latency", root_cause="Responses are slow.", decision={"would_have": "guide"})
    story = tell(slow, [event()], [change, log], (), GUIDE)
    assert story.done == "Nothing was changed. What is wrong was seen, but not why."
    assert story.asked == (
        "That is a symptom, and what is behind it is not known. Begin with what was changed, then follow runbook guide."
    )
    assert (story.changes, story.log_line) == (("flag on",), "ERROR token expired")


def test_what_is_at_work_or_over_asks_nothing() -> None:
    at_work = tell(incident(status=IncidentStatus.verifying, reason=None), [event()], [], (), None)
    assert at_work.asked == "Nothing yet: sreops is at work."
    over = incident(status=IncidentStatus.resolved, reason=None, resolution=Resolution.fixed, ended_at=NOW)
    assert tell(over, [event()], [], (), None).asked == "Nothing: it is over."


def test_the_guide_is_the_runbooks_own_words_filled_in() -> None:
    filled = tell(incident(), [event(labels={"alertname": "Disk", "device": "sda1"})], [], (), GUIDE).guide
    assert filled is not None
    assert (filled.title, filled.steps, filled.docs) == ("Free space", ("db: free space on sda1",), "df -h")
    lacking = tell(incident(), [event()], [], (), GUIDE).guide
    assert lacking is not None
    assert lacking.steps == ("{{ service }}: free space on {{ labels.device }}",)
