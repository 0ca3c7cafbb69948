"""runbooks simulate: the plan that would be made, without asking or touching anything."""

import json
from pathlib import Path
from typing import Any

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
    assert "restart-leak: the conditions of 'restart-leak' hold" in told
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
    assert "but its not_when holds (the logs match migration)" in capsys.readouterr().out
    assert simulated(tmp_path, runbooks, runbook_id="none-such") == 1
    assert "no such id" in capsys.readouterr().out


def test_a_payload_that_is_not_there_is_used_wrong(tmp_path: Path, runbooks: Path) -> None:
    assert main(["runbooks", "simulate", str(tmp_path / "none"), "--file", str(runbooks)]) == 2


CASE = {
    "id": "leak-1",
    "service": "payments",
    "alert": {"labels": {"alertname": "HighMemory", "service": "payments", "severity": "critical"}},
    "window": {"alert_time": 1764471600},
    "logs": [
        {"ts": 1764471590 + n, "service": "payments", "line": "java.lang.OutOfMemoryError: Java heap space"}
        for n in range(5)
    ],
}
BOOK = """
version: 1
runbooks:
  - id: {id}
    when: {{root_cause: memory}}
    autonomy: {autonomy}
    steps: [{{action: restart_container}}]
"""


def book(tmp_path: Path, autonomy: str = "autonomous", name: str = "restart-leak") -> str:
    path = tmp_path / f"{name}-{autonomy}.yaml"
    path.write_text(BOOK.format(id=name, autonomy=autonomy))
    return str(path)


@pytest.fixture
def cases(tmp_path: Path) -> str:
    folder = tmp_path / "cases"
    folder.mkdir()
    (folder / "leak-1.json").write_text(json.dumps(CASE))
    (folder / "broken.json").write_text("{")
    return str(folder)


def over(cases: str, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    status = main(["runbooks", "simulate", cases, "--json", *more])
    return status, json.loads(capsys.readouterr().out)


def test_recorded_cases_show_what_another_file_would_choose_and_decide(
    tmp_path: Path, cases: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old = book(tmp_path)
    status, same = over(cases, capsys, "--file", old, "--against", old, "--fail-on-change")
    assert (status, same["total"], same["changed"]) == (0, 1, 0)
    [item] = same["items"]
    assert (item["id"], item["alertname"], item["subject"]) == ("leak-1", "HighMemory", "payments")
    assert (item["now"]["runbook_id"], item["now"]["verdict"]) == ("restart-leak", "allow")
    assert "broken.json" in same["skipped"][0]

    status, careful = over(cases, capsys, "--file", book(tmp_path, "supervised"), "--against", old, "--fail-on-change")
    assert (status, careful["changed"]) == (1, 1)
    assert careful["items"][0]["now"]["verdict"] == "needs_approval"

    status, renamed = over(cases, capsys, "--file", book(tmp_path, name="other"), "--against", old)
    assert (status, renamed["changed"]) == (0, 1), "nobody asked to fail"
    assert renamed["items"][0]["now"]["runbook_id"] == "other"


def test_cases_are_compared_with_the_runbooks_in_force(
    tmp_path: Path, cases: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SREOPS_RUNBOOKS", book(tmp_path))
    assert over(cases, capsys, "--fail-on-change")[0] == 0
    assert over(cases, capsys, "--fail-on-change", "--file", book(tmp_path, "never"))[0] == 1


def test_the_table_names_what_changed(tmp_path: Path, cases: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runbooks", "simulate", cases, "--file", book(tmp_path, "never"), "--against", book(tmp_path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "1 of 1 changed" in told
    assert "changed" in told.split("leak-1")[0]


def test_it_says_why_an_alert_of_the_payload_is_not_among_them(
    tmp_path: Path, runbooks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulated(tmp_path, runbooks, pod="pay-1", tier="human_only") == 0
    assert "1 of 1 alerts: skipped: tier human_only" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "value"), [("--json", ""), ("--fail-on-change", ""), ("--against", "x.yaml")])
def test_what_only_recorded_incidents_have_is_refused_for_a_payload(
    tmp_path: Path, runbooks: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert simulated(tmp_path, runbooks, option, *([value] if value else [])) == 2
    told = capsys.readouterr()
    assert f"{option}: of recorded incidents only" in told.err
    assert not told.out


@pytest.mark.parametrize("options", [("--cause", "disk"), ("--log", "x"), ("--limit", "0"), ("--limit", "-3")])
def test_what_has_no_meaning_for_recorded_incidents_is_refused(
    tmp_path: Path, runbooks: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str]
) -> None:
    assert main(["runbooks", "simulate", str(tmp_path), "--file", str(runbooks), *options]) == 2
    assert options[0] in capsys.readouterr().err
