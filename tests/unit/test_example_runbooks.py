"""The runbooks in docs/ that act elsewhere: they lint, their examples hold, and none acts alone."""

from pathlib import Path

from sreops.domain.causes.analysis import Brief, OfferedRunbook, RecommendedAction
from sreops.domain.causes.conclude import conclude
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.lint import remarks
from sreops.domain.runbooks.runbook import Autonomy

FILE = Path(__file__).parents[2] / "docs" / "runbooks-elsewhere.yaml"
RUNBOOKS = load_runbooks(FILE.read_text(encoding="utf-8"), path=FILE.name)


def test_they_are_without_remarks_and_their_examples_hold() -> None:
    assert [remark.what for remark in remarks(RUNBOOKS)] == []
    assert all(runbook.examples for runbook in RUNBOOKS)


def test_none_acts_without_a_person() -> None:
    assert {runbook.autonomy for runbook in RUNBOOKS} == {Autonomy.supervised}


def brief(*actions: str) -> Brief:
    line = "ERROR x509: certificate has expired or is not yet valid"
    logs = Evidence(id="E1", kind=EvidenceKind.logs, source="loki", finding="logs", text=line)
    offered = tuple(OfferedRunbook(id=f"r{n}", when="", action=action) for n, action in enumerate(actions))
    return Brief(incident_id="i", alerts=(), evidence=(logs,), offered=offered)


def test_the_rules_recommend_a_repair_only_where_a_runbook_on_offer_does_one() -> None:
    assert conclude(brief("play_job, then check_health")).recommended_action is RecommendedAction.repair
    assert conclude(brief("restart_container")).recommended_action is RecommendedAction.escalate
    assert conclude(brief()).recommended_action is RecommendedAction.escalate
