"""What would be chosen and decided for an incident, where nothing of the moment speaks against it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sreops.domain.alerts.alert import AlertEvent, Tier
from sreops.domain.causes.analysis import Analysis, Category, RecommendedAction
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.remediation.policy import PolicyFacts, PolicyInput, PolicyLimits, TargetFacts, Verdict
from sreops.domain.remediation.what_if import WhatIf, decide_otherwise, verdict_on, what_if
from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.matching import RULES
from sreops.domain.runbooks.runbook import Autonomy

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
CHOSEN = "the conditions of 'restart-leak' hold"
FILE = """
version: 1
runbooks:
  - id: restart-leak
    when: {alertname: "High*", root_cause: memory}
    not_when: {logs: migration}
    autonomy: AUTONOMY
    shadow: SHADOW
    steps:
      - {action: restart_container, params: {container: "{{ labels.pod }}"}}
    verify:
      - {promql: 'up{job="{{ service }}"}', condition: "== 1"}
"""
MIGRATION = Evidence(id="E1", kind=EvidenceKind.logs, source="loki", finding="1 line", text="migration started")


def alert(tier: Tier = Tier.autonomous, wish: str = "remediate", **labels: str) -> AlertEvent:
    return AlertEvent.model_validate(
        {"event_id": "1", "source": "grafana", "fingerprint": "f", "status": "firing", "annotations": {},
         "labels": {"alertname": "HighMemory", "service": "pay", "pod": "pay-1"} | labels, "startsAt": NOW,
         "received_at": NOW, "tier": tier, "severity": "critical", "service": "pay", "agent_action": wish,
         "escalate_threshold": 0.0}
    )  # fmt: skip


def come_of(
    *events: AlertEvent, autonomy: str = "autonomous", shadow: bool = False, max_tier: Tier = Tier.autonomous,
    analyst: str = RULES, evidence: tuple[Evidence, ...] = (), **analysis: Any,
) -> WhatIf:  # fmt: skip
    text = FILE.replace("AUTONOMY", autonomy).replace("SHADOW", str(shadow).lower())
    base = {
        "root_cause": "memory leak", "category": Category.memory_leak, "confidence": 0.9,
        "recommended_action": RecommendedAction.restart, "reasoning": "it grows", "evidence": (),
    }  # fmt: skip
    concluded = Analysis.model_validate(base | analysis)
    return what_if(load_runbooks(text, path="f"), events or (alert(),), concluded, analyst, evidence, max_tier)


def test_an_autonomous_runbook_that_fits_would_act_alone() -> None:
    assert come_of() == WhatIf(runbook_id="restart-leak", verdict=Verdict.allow, why=CHOSEN)


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({"autonomy": "supervised"}, Verdict.needs_approval, "the runbook's autonomy is supervised"),
        ({"autonomy": "never"}, Verdict.deny, "the runbook's autonomy is never"),
        ({"shadow": True}, Verdict.deny, "the runbook is a shadow"),
        ({"max_tier": Tier.supervised}, Verdict.needs_approval, "tier supervised (SREOPS_POLICY__MAX_TIER)"),
    ],
)
def test_what_runbook_and_server_ask_for_is_decided_by_policy(
    changes: dict[str, Any], verdict: Verdict, why: str
) -> None:
    found = come_of(**changes)
    assert (found.runbook_id, found.verdict) == ("restart-leak", verdict)
    assert found.why.startswith(f"{CHOSEN}; {why}")


def test_of_several_alerts_the_most_cautious_wishes_hold() -> None:
    assert come_of(alert(), alert(Tier.supervised)).verdict is Verdict.needs_approval
    assert come_of(alert(), alert(wish="observe")).verdict is Verdict.deny


def test_the_plan_is_made_for_the_newest_alert_and_one_that_can_not_be_made_is_denied() -> None:
    assert come_of(alert(), alert(pod="")).verdict is Verdict.allow
    found = come_of(alert(pod=""), alert())
    assert (found.runbook_id, found.verdict) == ("restart-leak", Verdict.deny)
    assert found.why.startswith("it can't be made concrete: ")
    assert "pod" in found.why


def test_where_nothing_is_chosen_it_is_told_why() -> None:
    unfit = come_of(alert(alertname="Disk"))
    assert (unfit.runbook_id, unfit.verdict) == (None, None)
    assert unfit.why
    excluded = come_of(evidence=(MIGRATION,))
    assert excluded.runbook_id is None
    assert "migration" in excluded.why
    by_a_model = come_of(analyst="model")
    assert by_a_model.runbook_id is None, "it names no runbook, and patterns are the rules'"
    assert by_a_model.why != unfit.why
    assert come_of(category=Category.false_alarm) == WhatIf(why="a false alarm, which nothing is done about")


def test_only_another_runbook_or_verdict_is_a_difference() -> None:
    one = WhatIf(runbook_id="a", verdict=Verdict.allow, why="x")
    assert not one.differs(one.model_copy(update={"why": "in other words"}))
    assert one.differs(one.model_copy(update={"runbook_id": "b"}))
    assert one.differs(one.model_copy(update={"verdict": Verdict.deny}))


def test_what_of_the_moment_is_not_recorded_is_taken_to_be_in_order() -> None:
    assert verdict_on(Autonomy.autonomous, False, [alert()], Tier.autonomous) == (Verdict.allow, "")
    assert verdict_on(Autonomy.supervised, False, [alert(Tier.supervised)], Tier.autonomous) == (
        Verdict.needs_approval, "tier supervised; the runbook's autonomy is supervised"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shadow", "dry_run", "otherwise"),
    [(False, False, None), (True, False, Verdict.allow), (False, True, Verdict.allow), (True, True, Verdict.allow)],
)
def test_a_plan_that_is_only_told_is_decided_as_if_it_were_not(
    shadow: bool, dry_run: bool, otherwise: Verdict | None
) -> None:
    given = PolicyInput(
        now=NOW, tier=Tier.autonomous, agent_action="remediate", autonomy=Autonomy.autonomous, shadow=shadow,
        cooldown_s=0, targets=(TargetFacts(name="pay", found=True),), facts=PolicyFacts(),
        limits=PolicyLimits(targets=("pay",), dry_run=dry_run), event_received_at=NOW - timedelta(seconds=5),
        second_proof=("memory",),
    )  # fmt: skip
    found = decide_otherwise(given)
    assert (found and found.verdict) == otherwise
    paused = given.model_copy(update={"facts": PolicyFacts(paused=True)})
    also_closed = decide_otherwise(paused)
    assert (also_closed and also_closed.verdict) == (None if otherwise is None else Verdict.deny)
