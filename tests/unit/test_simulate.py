"""runbooks simulate: the plan that would be made, without asking or touching anything."""

import json
from pathlib import Path

import pytest

from sreops.__main__ import main

RUNBOOKS = """
version: 1
runbooks:
  - id: restart-leak
    when: {alertname: "High*", root_cause: memory}
    not_when: {logs: migration}
    steps:
      - {action: restart_container, params: {container: "{{ labels.pod }}"}}
    verify:
      - {promql: 'up{job="{{ service }}"}', condition: "== 1"}
  - id: other
    when: {alertname: Disk}
    autonomy: never
    steps: [{action: notify, params: {message: full}}]
"""


@pytest.fixture
def runbooks(tmp_path: Path) -> Path:
    path = tmp_path / "books.yaml"
    path.write_text(RUNBOOKS)
    return path


def simulated(tmp_path: Path, runbooks: Path, *more: str, **labels: str) -> int:
    payload = tmp_path / "payload.json"
    alert = {"status": "firing", "labels": {"alertname": "HighMemory", "service": 'pay"s', **labels}}
    payload.write_text(json.dumps({"version": "1", "alerts": [alert]}))
    return main(["runbooks", "simulate", str(payload), "--file", str(runbooks), *more])


def test_it_shows_the_plan_with_its_templates_filled_in(
    tmp_path: Path, runbooks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulated(tmp_path, runbooks, "--cause", "memory leak", pod="pay-1") == 0
    told = capsys.readouterr().out
    assert "restart-leak: the first in the file" in told
    assert "1. restart_container pay-1" in told
    assert r'up{job="pay\"s"} == 1' in told
    assert "other" not in told


def test_it_prints_nothing_that_a_terminal_obeys(
    tmp_path: Path, runbooks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    escapes = "\x1b]0;owned\x07\x1b[2J\u202e\r"
    assert simulated(tmp_path, runbooks, pod="pay-1", alertname=f"HighMemory{escapes}", service=f"s{escapes}") == 0
    told = capsys.readouterr().out
    assert r"\x1b[2J" in told
    assert not [char for char in told if not char.isprintable() and char != "\n"]


def test_a_plan_that_can_not_be_made_is_found_wrong(
    tmp_path: Path, runbooks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulated(tmp_path, runbooks) == 1
    assert "can't be made concrete" in capsys.readouterr().out


def test_what_does_not_match_is_said(tmp_path: Path, runbooks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated(tmp_path, runbooks, "--cause", "memory", "--log", "migration started", pod="p1") == 0
    assert "no runbook's conditions hold" in capsys.readouterr().out
    assert simulated(tmp_path, runbooks, runbook_id="none-such") == 1
    assert "no such id" in capsys.readouterr().out


def test_a_payload_that_is_not_there_is_used_wrong(tmp_path: Path, runbooks: Path) -> None:
    assert main(["runbooks", "simulate", str(tmp_path / "none"), "--file", str(runbooks)]) == 2
