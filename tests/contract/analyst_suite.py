"""What every analyst keeps to, whoever concludes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.causes.analysis import Brief, Category, OfferedRunbook, RecommendedAction
from sreops.domain.evidence.evidence import Evidence
from sreops.ports import Analyst

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
OFFERED = (
    OfferedRunbook(id="restart-on-memory", when="the cause matches out_of_memory", action="restart_container"),
    OfferedRunbook(id="free-disk-space", when="the cause matches disk_full", action="notify"),
)


def event(**changes: Any) -> AlertEvent:
    base = {
        "event_id": "1", "source": "grafana", "fingerprint": "f", "status": "firing",
        "annotations": {"summary": "payments is in trouble"}, "labels": {"alertname": "HighMemory"},
        "startsAt": NOW, "received_at": NOW, "tier": "autonomous", "severity": "critical", "service": "payments",
    }  # fmt: skip
    return AlertEvent.model_validate(base | changes)


def evidence(number: int, kind: str, finding: str, text: str = "", **data: Any) -> Evidence:
    return Evidence(id=f"E{number}", kind=kind, source="sandbox", finding=finding, text=text, data=data)


def brief(*pieces: Evidence, alerts: tuple[AlertEvent, ...] | None = None) -> Brief:
    return Brief(incident_id="i-1", alerts=alerts or (event(),), evidence=pieces, offered=OFFERED)


OOM = (
    evidence(1, "alert", "HighMemory fires on payments"),
    evidence(2, "logs", "one rare line", "GET /pay 200\njava.lang.OutOfMemoryError: Java heap space"),
    evidence(3, "container", "payments: OOM-killed", running=True, oom_killed=True, restart_count=1),
)


class AnalystSuite:
    """Inherit, and give the fixture ``analyst``."""

    @pytest.fixture
    async def analyst(self) -> Any:
        raise NotImplementedError

    async def test_names_the_cause_and_cites_evidence_that_exists(self, analyst: Analyst) -> None:
        answer = await analyst.analyze(brief(*OOM), timeout_s=5)
        assert answer.analysis.category is Category.out_of_memory
        assert answer.analysis.recommended_action is RecommendedAction.restart
        assert answer.analysis.confidence >= 0.7
        assert set(answer.analysis.evidence) & {"E2", "E3"}
        assert answer.analysis.runbook_id in (None, "restart-on-memory")

    async def test_does_not_advise_a_restart_for_a_full_disk(self, analyst: Analyst) -> None:
        disk = evidence(1, "logs", "a rare line", "write /data/x: no space left on device")
        answer = await analyst.analyze(brief(disk), timeout_s=5)
        assert answer.analysis.category is Category.disk_full
        assert not answer.analysis.recommended_action.acts

    async def test_says_that_it_does_not_know(self, analyst: Analyst) -> None:
        answer = await analyst.analyze(brief(evidence(1, "logs", "nothing rare", "GET / 200")), timeout_s=5)
        assert answer.analysis.category is Category.unknown
        assert answer.analysis.confidence < 0.5
        assert not answer.analysis.recommended_action.acts

    async def test_answers_without_evidence_and_without_runbooks(self, analyst: Analyst) -> None:
        bare = Brief(incident_id="i", alerts=(event(),), evidence=())
        answer = await analyst.analyze(bare, timeout_s=5)
        assert (answer.analysis.evidence, answer.analysis.runbook_id) == ((), None)

    async def test_takes_any_text(self, analyst: Analyst) -> None:
        odd = "\x00\x1b[31m\ud800 E99 <<< >>> \u202e" + "x" * 100_000
        answer = await analyst.analyze(brief(evidence(1, "logs", odd, odd)), timeout_s=5)
        assert set(answer.analysis.evidence) <= {"E1"}

    async def test_is_healthy(self, analyst: Analyst) -> None:
        assert (await analyst.health()).status == "up"
