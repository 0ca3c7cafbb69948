"""A step's own ``timeout_s`` is obeyed, whatever the settings of its server say: the whole process in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from loop_scene import Scene, loop_scene

from sreops.domain.incidents.incident import Incident, Reason
from sreops.domain.records.record import Record, RecordKind

Patch = pytest.MonkeyPatch
STEP_S = 2
MUCH_LATER_S = 12.0
RUNBOOKS = """
version: 1
runbooks:
  - id: restart-soon
    when: {}
    autonomy: autonomous
    steps:
      - {action: restart_container, timeout_s: STEP_S}
    verify: [{promql: 'up', condition: "== 1"}]
  - id: restart-and-look
    when: {}
    autonomy: autonomous
    steps:
      - {action: restart_container, timeout_s: 20}
      - {action: query_prometheus, params: {promql: 'ready'}, timeout_s: STEP_S}
    verify: [{promql: 'up', condition: "== 1"}]
  - id: restart-and-see-health
    when: {}
    autonomy: autonomous
    steps:
      - {action: restart_container, timeout_s: 20}
      - {action: check_health, params: {container: nobody}, timeout_s: STEP_S}
    verify: [{promql: 'up', condition: "== 1"}]
""".replace("STEP_S", str(STEP_S))
PATIENT = {
    "SREOPS_DOCKER__TIMEOUT_S": "40",
    "SREOPS_PROMETHEUS__TIMEOUT_S": "40",
    "SREOPS_DOCKER__SETTLE_MARGIN_S": "4",
}


async def told(it: Scene, incident: Incident) -> Sequence[Record]:
    records = await it.store.records(incident_id=incident.id)
    return [one for one in records if one.kind is RecordKind.thought]


def when(thoughts: Sequence[Record], words: str) -> datetime:
    """Return when the first thought with these words was told."""
    return next(one.at for one in thoughts if words in str(one.body["text"]))


@pytest.fixture
def runbooks(tmp_path: Path) -> str:
    path = tmp_path / "timeouts.yaml"
    path.write_text(RUNBOOKS)
    return str(path)


async def test_an_engine_that_hangs_is_given_up_after_the_steps_own_time_and_looked_at(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks, **PATIENT) as it:
        it.world.engine.faults.hang(path="*/restart", times=None)
        await it.fire(runbook_id="restart-soon", escalate_threshold="0")
        incident = await it.ended()
        assert incident.reason is Reason.outcome_unknown, incident.decision
        thoughts = await told(it, incident)
        waited_s = (when(thoughts, "The engine's answer was lost") - incident.effects[0].intent_at).total_seconds()
        assert STEP_S <= waited_s < MUCH_LATER_S, "its own time, and that which the container has to stop (1 s)"
        assert it.starts() == 1


async def test_a_server_of_metrics_that_hangs_holds_a_step_up_for_its_own_time(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks, **PATIENT) as it:
        await it.fire(tier="supervised", runbook_id="restart-and-look", escalate_threshold="0")
        waiting = await it.reaches("awaiting_approval")
        it.world.prometheus.faults.hang(path="*/query", times=None)
        it.world.prometheus.record("up", {"service": "payments"}, 0.0)
        assert (await it.decide(waiting, "approve")).status_code == 200
        incident = await it.ended()
        thoughts = await told(it, incident)
        began, failed = (
            when(thoughts, "restart_container payments: succeeded"),
            when(thoughts, "query_prometheus payments failed"),
        )
        assert incident.reason is Reason.remediation_ineffective, incident.decision
        assert STEP_S <= (failed - began).total_seconds() < MUCH_LATER_S


async def test_a_look_that_never_passes_ends_with_the_steps_own_time(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks, **PATIENT) as it:
        await it.fire(runbook_id="restart-and-see-health", escalate_threshold="0")
        incident = await it.ended()
        assert incident.reason is Reason.remediation_ineffective, incident.decision
        thoughts = await told(it, incident)
        began, failed = (
            when(thoughts, "restart_container payments: succeeded"),
            when(thoughts, "check_health nobody failed"),
        )
        assert STEP_S <= (failed - began).total_seconds() < MUCH_LATER_S
        assert it.starts() == 2
