"""What is done to containers and services besides restarts: the whole process around the sandbox's world."""

from __future__ import annotations

from pathlib import Path

import pytest
from loop_scene import Scene, loop_scene

from sreops.domain.incidents.incident import Incident, Reason, Resolution, VerificationResult

Patch = pytest.MonkeyPatch
RUNBOOKS = """
version: 1
runbooks:
  - id: stop-it
    when: {}
    autonomy: autonomous
    cooldown_s: 0
    steps:
      - {action: stop_container}
    verify:
      - {promql: 'absent(container_memory_working_set_bytes{name="{{ service }}"})', condition: "== 1"}
  - id: stop-in-vain
    when: {}
    autonomy: autonomous
    cooldown_s: 0
    steps:
      - {action: stop_container}
    verify:
      - {promql: 'count(container_memory_working_set_bytes)', condition: "> 1000"}
"""


async def planned(it: Scene, runbook: str, service: str = "payments") -> Incident:
    """Let an alert name the runbook, and return its incident once it waits for a person."""
    await it.fire(service, runbook_id=runbook, escalate_threshold="0")
    return await it.reaches("awaiting_approval", service)


async def approved(it: Scene, incident: Incident) -> Incident:
    assert (await it.decide(incident, "approve")).status_code == 200
    return await it.ended(incident.service)


@pytest.fixture
def runbooks(tmp_path: Path) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(RUNBOOKS)
    return str(path)


async def test_a_stop_asks_a_person_whatever_tier_and_runbook_say_and_what_is_stopped_is_no_death(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks) as it:
        incident = await planned(it, "stop-it")
        assert incident.decision is not None
        assert "stays so until somebody starts it" in str(incident.decision)
        assert it.container().running
        ended = await approved(it, incident)
        assert ended.resolution is Resolution.fixed, ended.decision
        assert [effect.action for effect in ended.effects] == ["stop_container"]
        assert not it.container().running
        assert it.starts() == 1


async def test_what_was_stopped_in_vain_is_started_again(tmp_path: Path, monkeypatch: Patch, runbooks: str) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks, SREOPS_VERIFY__TIMEOUT_S="2") as it:
        ended = await approved(it, await planned(it, "stop-in-vain"))
        assert ended.reason is Reason.remediation_ineffective
        assert ended.verification is VerificationResult.not_fixed
        assert [(one.action, one.detail) for one in ended.effects] == [
            ("stop_container", ""),
            ("start_container", "undone"),
        ]
        assert it.container().running
        assert it.starts() == 2


async def test_a_stop_whose_answer_is_lost_is_settled_by_looking(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks) as it:
        incident = await planned(it, "stop-it")
        it.world.engine.faults.reset(path="*/stop", after_acting=True)
        ended = await approved(it, incident)
        assert ended.resolution is Resolution.fixed, ended.decision
        assert "settled by looking" in ended.effects[0].detail
