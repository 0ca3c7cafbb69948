"""Steps that may fail: the plan goes on to the next one, and people are told. The whole process around a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from loop_scene import loop_scene

from sreops.domain.incidents.incident import EffectOutcome, Resolution

RUNBOOKS = """
version: 1
runbooks:
  - id: what-may-fail-first
    when: {}
    autonomy: autonomous
    cooldown_s: 0
    steps:
      - {action: query_prometheus, params: {promql: "no_such_series"}, timeout_s: 1, MAY_FAIL}
      - {action: start_container, MAY_FAIL}
      - {action: restart_container, timeout_s: 20}
    verify:
      - promql: >-
          container_memory_working_set_bytes{name="{{ service }}"}
          / container_spec_memory_limit_bytes{name="{{ service }}"}
        condition: "< 0.8"
"""


@pytest.mark.parametrize("may_fail", ["required: false", "on_failure: continue"])
async def test_a_check_and_an_act_that_may_fail_do_not_end_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_fail: str
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(RUNBOOKS.replace("MAY_FAIL", may_fail))
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=str(own)) as it:
        it.world.engine.faults.fail(409, path="*/start", times=None)
        await it.fire(runbook_id="what-may-fail-first", escalate_threshold="0")
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed, incident.decision
        assert [(one.action, one.outcome) for one in incident.effects] == [
            ("start_container", EffectOutcome.failed),
            ("restart_container", EffectOutcome.succeeded),
        ]
        assert it.starts() == 2
        told = await it.thoughts(incident)
        assert any("query_prometheus" in text and "failed: no data" in text for text in told)
        assert any("start_container payments: failed" in text for text in told)
