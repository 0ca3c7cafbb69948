"""The account given to people."""

from datetime import UTC, datetime

import pytest

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.incident import Effect, EffectOutcome, Incident, IncidentAlert, Reason
from sreops.domain.records.handover import closing, fenced, opening, title
from sreops.domain.records.next_step import NEXT_STEPS, next_step

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def event(**changes: object) -> AlertEvent:
    fields = {"event_id": "e1", "source": "grafana", "fingerprint": "f", "status": "firing",
              "labels": {"alertname": "A"}, "annotations": {}, "starts_at": NOW, "received_at": NOW,
              "tier": "autonomous", "severity": "critical", "service": "payments"} | changes  # fmt: skip
    return AlertEvent.model_validate(fields)


def incident(**changes: object) -> Incident:
    fields = {"id": "i", "status": "investigating", "service": "payments", "alertname": "A", "severity": "critical",
              "tier": "autonomous", "fingerprints": ("f",), "opened_at": NOW, "episode_at": NOW} | changes  # fmt: skip
    return Incident.model_validate(fields)


def test_every_reason_of_an_escalation_tells_what_to_do_next() -> None:
    assert set(NEXT_STEPS) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_an_escalation_names_its_reason_and_the_next_step(reason: Reason) -> None:
    text = closing(incident(), {"end": "escalated", "reason": reason.value, "why": "because"}, [], None, {})
    assert f"Escalated: {reason.value}" in text
    assert next_step(reason, incident()) in text
    assert "because" in text


def test_where_the_cause_is_not_clear_nobody_is_told_that_a_restart_would_not_mend_it() -> None:
    reason = Reason.action_not_remediation
    asked_to_look = incident(decision={"analysis": {"recommended_action": "investigate"}, "would_have": "flush-cache"})
    told = next_step(reason, asked_to_look)
    assert "would not mend" not in told
    assert "flush-cache" in told
    clear = incident(decision={"analysis": {"recommended_action": "escalate"}})
    assert next_step(reason, clear) == next_step(reason, incident())
    assert "would not mend" in next_step(reason, clear)


def test_of_each_alert_the_account_says_whether_it_fires() -> None:
    alerts = [
        IncidentAlert(alertname="A", severity="critical", starts_at=NOW, ended_at=None),
        IncidentAlert(alertname="B", severity=None, starts_at=NOW, ended_at=NOW),
    ]
    end = {"end": "escalated", "reason": "low_confidence", "why": ""}
    text = closing(incident(fingerprints=("f", "g", "h")), end, [], None, {}, alerts)
    assert "- `A` (critical), since 2026-11-23T03:00:00+00:00: still fires" in text
    assert "- `B`, since 2026-11-23T03:00:00+00:00: was resolved at 2026-11-23T03:00:00+00:00" in text
    assert "and 1 more" in text


def test_a_hosts_account_says_which_host_what_ails_it_and_since_when_and_wants_no_container() -> None:
    end = {"end": "escalated", "reason": "no_runbook_matched", "why": ""}
    host = incident(service="db-1", subject={"name": "db-1", "kind": "host", "scope": {"cluster": "eu"}})
    disk = Evidence(
        id="E3", kind=EvidenceKind.metric, source="prometheus", data={"signal": "disk"},
        finding="share in use of file system /var rose from 80 % to 96 %, since 2026-11-23 02:00:00 UTC",
    )  # fmt: skip
    alerts = [IncidentAlert(alertname="A", severity="critical", starts_at=NOW, ended_at=None)]
    text = closing(host, end, [disk], None, {"docker": "set SREOPS_DOCKER__HOST", "loki": "set it"}, alerts)
    assert (
        "### The host\n\n- host: `db-1`\n- since: 2026-11-23T03:00:00+00:00\n- cluster: `eu`\n- `share in use" in text
    )
    assert "loki: set it" in text
    assert "DOCKER" not in text
    target = incident(service="https://a.example", subject={"name": "https://a.example", "kind": "target"})
    assert "### The target\n\n- target: `https://a.example`" in closing(target, end, [], None, {})
    assert "### The" not in closing(incident(), end, [], None, {})


def test_what_is_missing_is_named_with_its_cure() -> None:
    text = closing(incident(), {"end": "escalated", "reason": "policy_denied", "why": ""}, [], None,
                   {"docker": "set SREOPS_DOCKER__HOST"})  # fmt: skip
    assert "docker: set SREOPS_DOCKER__HOST" in text


def test_effects_of_this_episode_are_told_with_their_outcome() -> None:
    effect = Effect(effect_id="x", incident_id="i", episode=1, step=0, action="restart_container", target="payments",
                    service="payments", snapshot={}, intent_at=NOW, outcome=EffectOutcome.succeeded)  # fmt: skip
    old = effect.model_copy(update={"episode": 0, "target": "other"})
    text = closing(incident(effects=(old, effect)), {"end": "resolved", "resolution": "fixed", "why": ""}, [], None, {})
    assert "restart_container on `payments`" in text
    assert "other" not in text


def test_log_text_can_not_leave_its_fence() -> None:
    hostile = "```\n/close\n````\n@everyone"
    evidence = Evidence(id="E1", kind=EvidenceKind.logs, source="loki", finding="a `b` c", text=hostile)
    text = closing(incident(), {"end": "resolved", "resolution": "fixed", "why": ""}, [evidence], None, {})
    assert fenced(hostile) in text
    assert fenced(hostile).startswith("`````\n")


def test_the_title_fits_gitlab() -> None:
    assert len(title(event(service="s" * 400))) == 255


def test_the_description_holds_labels_and_annotations_fenced() -> None:
    text = opening(event(annotations={"summary": "it\nburns"}, labels={"alertname": "A", "x": "/close"}), "i", 2)
    assert fenced("it\nburns") in text
    assert fenced("alertname=A\nx=/close") in text


def test_the_runbook_that_would_have_matched_is_named_as_the_next_thing_to_read() -> None:
    outcome = {"end": "escalated", "reason": "action_not_remediation", "why": "because"}
    text = closing(incident(), outcome, [], {"would_have": "free-`disk"}, {})
    assert "Runbook `free-'disk` would have matched: follow it, unless the reason above forbids." in text
    assert "would have matched" not in closing(incident(), outcome, [], {"would_have": None}, {})
