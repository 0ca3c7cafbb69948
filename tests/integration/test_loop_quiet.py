"""Silences, maintenance windows and freezes: nothing is done, and it is said why; the whole process in the sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loop_scene import loop_scene

from servers.ports import free_port
from sreops.domain.incidents.incident import Reason

Patch = pytest.MonkeyPatch
EVER = json.dumps([{"name": "year end", "start": "2020-01-01T00:00:00Z"}])
OVER = json.dumps([{"name": "last year", "start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}])


async def test_what_is_silenced_in_grafana_is_analysed_and_left_alone(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        assert it.world.grafana is not None
        it.world.grafana.silence(600, service="payments")
        await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert "is silenced in Grafana by sre" in str(incident.decision)
        assert incident.root_cause
        assert it.starts() == 1


async def test_a_silence_that_is_set_while_a_plan_waits_holds_against_the_approval(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        assert it.world.grafana is not None
        await it.fire(tier="supervised")
        waiting = await it.reaches("awaiting_approval")
        it.world.grafana.silence(600, service="payments")
        assert (await it.decide(waiting, "approve")).status_code == 200
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert "nothing is done now: HighErrorRate is silenced" in str(incident.decision)
        assert it.starts() == 1


async def test_an_alertmanager_that_can_not_be_asked_needs_a_person(tmp_path: Path, monkeypatch: Patch) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    async with loop_scene(tmp_path, monkeypatch, SREOPS_ALERTMANAGER__URL=nobody) as it:
        await it.fire()
        waiting = await it.reaches("awaiting_approval")
        assert "whether Alertmanager silences the alert can't be asked" in str(waiting.decision)
        assert it.starts() == 1


@pytest.mark.parametrize(
    ("setting", "windows", "said"),
    [
        ("SREOPS_POLICY__FREEZES", EVER, "change freeze: year end"),
        ("SREOPS_POLICY__MAINTENANCE", EVER, "maintenance: year end"),
    ],
)
async def test_a_window_that_holds_forbids_and_says_so(
    tmp_path: Path, monkeypatch: Patch, setting: str, windows: str, said: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, **{setting: windows}) as it:
        await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert said in str(incident.decision)
        assert it.starts() == 1


async def test_windows_that_are_over_and_labels_that_say_no_forbid_nothing(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_POLICY__FREEZES=OVER) as it:
        await it.fire(sreops_maintenance="2020-01-01T00:00:00Z")
        await it.ended()
        assert it.starts() == 2


async def test_an_alerts_label_says_that_its_service_is_under_maintenance(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire(sreops_maintenance="true")
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert "under maintenance by its label sreops.maintenance" in str(incident.decision)
        assert it.starts() == 1
