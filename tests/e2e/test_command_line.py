"""The command line: exit status 0 good, 1 found wrong, 2 used wrong; sentences, never tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from servers.ports import free_port
from servers.receivers import http_receiver


def sreops(*arguments: str, directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "LC_"))}
    done = subprocess.run(
        [sys.executable, "-m", "sreops", *arguments],
        env={**kept, "SREOPS_DATA_DIR": str(directory / "data"), "COLUMNS": "200", **settings},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"SREOPS_PORT": "many"}, "SREOPS_PORT"),
        ({"SREOPS_LOKI_URL": "http://loki:3100"}, "SREOPS_LOKI__URL"),
        ({"SREOPS_CONCURRENCY": "0"}, "SREOPS_CONCURRENCY"),
        ({"SREOPS_DEFAULT_TIER": "bold"}, "SREOPS_DEFAULT_TIER"),
        ({"SREOPS_ROLES": "bridge,king"}, "SREOPS_ROLES"),
        ({"SREOPS_VERIFY__POLL_S": "-1"}, "SREOPS_VERIFY__POLL_S"),
        ({"SREOPS_HOST": "0.0.0.0"}, "SREOPS_WEBHOOK__TOKEN"),
        ({"SREOPS_HOST": "0.0.0.0", "SREOPS_WEBHOOK__TOKEN": "t"}, "SREOPS_API_TOKEN"),
        ({"SREOPS_HOST": "300.1.1.1"}, "SREOPS_HOST"),
        ({"SREOPS_KAFKA__SECURITY_PROTOCOL": "NONE"}, "SREOPS_KAFKA__SECURITY_PROTOCOL"),
        ({"SREOPS_DATA_DIR": "/proc/nowhere"}, "SREOPS_DATA_DIR"),
    ],
)
def test_a_wrong_setting_is_named_with_its_cure_and_exit_status_2(
    tmp_path: Path, settings: dict[str, str], names: str
) -> None:
    done = sreops("serve", directory=tmp_path, **{"SREOPS_ALLOW_ANONYMOUS": "false", **settings})
    assert done.returncode == 2, done.stderr
    assert names in done.stderr


def test_a_wrong_secret_is_not_printed(tmp_path: Path) -> None:
    done = sreops("serve", directory=tmp_path, SREOPS_WEBHOOK__MAX_BODY_BYTES="x", SREOPS_API_TOKEN="hunter2-hunter2")
    assert done.returncode == 2
    assert "hunter2" not in done.stderr + done.stdout


def test_wrong_runbooks_are_named_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "runbooks.yaml"
    file.write_text("version: 1\nrunbooks:\n  - id: a\n    when: {}\n    steps:\n      - action: reboot\n")
    done = sreops("runbooks", "lint", str(file), directory=tmp_path)
    assert done.returncode == 1
    assert f"{file}:6:" in done.stdout
    assert "reboot" in done.stdout
    served = sreops("serve", directory=tmp_path, SREOPS_RUNBOOKS=str(file))
    assert served.returncode == 2
    assert ":6:" in served.stderr


def test_the_shipped_runbooks_have_nothing_wrong(tmp_path: Path) -> None:
    done = sreops("runbooks", "lint", directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing wrong" in done.stdout


def payload(tmp_path: Path, body: object) -> Path:
    file = tmp_path / "payload.json"
    file.write_text(json.dumps(body))
    return file


def test_replay_prints_the_thoughts_and_the_account_and_changes_nothing(tmp_path: Path) -> None:
    body = {
        "version": "4",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "Down", "service": "web", "severity": "warning"},
                "annotations": {},
                "startsAt": datetime.now(UTC).isoformat(),
                "fingerprint": "1",
            }
        ],
    }
    done = sreops("replay", str(payload(tmp_path, body)), directory=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "consume_event" in done.stdout
    assert "Escalated" in done.stdout
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("body", [[], {"alerts": 3}, {"title": "legacy", "evalMatches": []}])
def test_replay_says_what_the_bridge_would_answer(tmp_path: Path, body: object) -> None:
    done = sreops("replay", str(payload(tmp_path, body)), directory=tmp_path)
    assert done.returncode == 1
    assert "422" in done.stdout
    assert not done.stderr


def test_replay_says_why_there_is_nothing_to_replay(tmp_path: Path) -> None:
    labels = {"alertname": "Down", "service": "web", "tier": "human_only"}
    body = {"version": "4", "alerts": [{"status": "firing", "labels": labels}]}
    done = sreops("replay", str(payload(tmp_path, body)), directory=tmp_path)
    assert done.returncode == 0
    assert "skipped: tier human_only" in done.stdout
    assert "nothing to replay" in done.stdout


def test_replay_of_no_json_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe")
    done = sreops("replay", str(tmp_path / "x.json"), directory=tmp_path)
    assert done.returncode == 1
    assert "JSON" in done.stdout


def test_check_names_what_does_not_answer_with_a_cure(tmp_path: Path) -> None:
    done = sreops("check", directory=tmp_path, SREOPS_LOKI__URL="http://127.0.0.1:9", SREOPS_DOCKER__HOST="unix:///no")
    assert done.returncode == 1
    assert "SREOPS_LOKI__URL" in done.stdout
    assert "not answering" in done.stdout
    assert "not_configured" in done.stdout


def test_check_into_a_pipe_tells_each_part_on_a_line_of_its_own(tmp_path: Path) -> None:
    done = sreops("check", directory=tmp_path, COLUMNS="80")
    assert done.returncode == 0
    [line] = [one for one in done.stdout.splitlines() if one.startswith("gitlab")]
    assert "set SREOPS_GITLAB__URL, __TOKEN and __PROJECT" in line
    [line] = [one for one in done.stdout.splitlines() if one.startswith("store")]
    assert str(tmp_path / "data" / "sreops.db") in line


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("payments", "--label", "shop"), "--label shop: write NAME=VALUE"),
        (("--alert", "x.json", "--label", "a=b"), "--label goes with a SERVICE"),
        (("",), "give a SERVICE"),
    ],
)
def test_probe_says_which_of_its_arguments_is_wrong(tmp_path: Path, arguments: tuple[str, ...], names: str) -> None:
    done = sreops("probe", *arguments, directory=tmp_path)
    assert (done.returncode, names in done.stdout) == (2, True)


@pytest.mark.parametrize("url", ["postgres:/host/db", "mysql://user:hunter2@host/db"])
def test_a_database_address_that_is_none_is_never_a_file(tmp_path: Path, url: str) -> None:
    done = sreops("automation", "pause", directory=tmp_path, SREOPS_DATABASE_URL=url)
    assert done.returncode == 2
    assert "SREOPS_DATABASE_URL is not understood" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert list(tmp_path.iterdir()) == []


def test_check_is_content_where_nothing_is_configured(tmp_path: Path) -> None:
    done = sreops("check", directory=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "SREOPS_GITLAB__URL" in done.stdout


def test_audit_verify_finds_nothing_wrong_only_where_there_is_something_to_look_at(tmp_path: Path) -> None:
    nowhere = sreops("audit", "verify", directory=tmp_path)
    assert nowhere.returncode == 1
    assert "there is no such database" in nowhere.stdout
    assert not (tmp_path / "data").exists(), "a mistyped folder is not made"
    assert sreops("check", directory=tmp_path).returncode == 0  # makes it
    empty = sreops("audit", "verify", directory=tmp_path)
    assert empty.returncode == 0, empty.stderr
    assert "nothing wrong" in empty.stdout
    unknown = sreops("audit", "verify", "no-such-incident", directory=tmp_path)
    assert unknown.returncode == 1
    assert "no-such-incident" in unknown.stderr + unknown.stdout
    assert "nothing wrong" not in unknown.stdout


@pytest.mark.parametrize("command", [("check",), ("runbooks", "lint"), ("serve",)])
def test_runbooks_that_are_named_and_not_there_are_never_replaced_by_others(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "runbooks.yaml").write_text("version: 1\nrunbooks: []\n")
    done = sreops(*command, directory=tmp_path, SREOPS_RUNBOOKS="runbook.yaml")
    assert done.returncode == 2, done.stdout
    assert "did you mean runbooks.yaml?" in done.stderr
    assert "nothing wrong" not in done.stdout


def test_lint_of_a_file_that_is_not_there_finds_it_wrong(tmp_path: Path) -> None:
    done = sreops("runbooks", "lint", "nowhere.yaml", directory=tmp_path)
    assert done.returncode == 1
    assert "nowhere.yaml: there is no such file" in done.stdout


def test_a_slip_in_a_name_stops_every_command_and_what_is_passed_over_is_told(tmp_path: Path) -> None:
    done = sreops("check", directory=tmp_path, SREOPS_LOKI_URL="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "SREOPS_LOKI_URL: there is no such setting; did you mean SREOPS_LOKI__URL?" in done.stderr
    told = sreops("check", directory=tmp_path, SREOPS_PORT="tcp://10.0.0.1:8080")
    assert told.returncode == 0, told.stderr
    assert "SREOPS_PORT was set by Kubernetes" in told.stdout


ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"


def test_replay_prints_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    labels = {"alertname": f"Down{ESCAPES}", "service": f"web{ESCAPES}", "severity": "warning", "x": "[bold]"}
    alert = {"status": "firing", "labels": labels, "annotations": {"summary": f"s{ESCAPES}"}, "fingerprint": "1"}
    body = {"version": "4", "status": "firing", "alerts": [alert, {"status": ESCAPES, "labels": ESCAPES}]}
    done = sreops("replay", str(payload(tmp_path, body)), directory=tmp_path)
    assert "Down" in done.stdout
    assert not [char for char in done.stdout + done.stderr if not char.isprintable() and char != "\n"]


def test_check_tells_no_password_of_an_address(tmp_path: Path) -> None:
    at = "user:swordfish@127.0.0.1:9"
    places = {
        "SREOPS_LOKI__URL": f"http://{at}",
        "SREOPS_PROMETHEUS__URL": f"http://{at}",
        "SREOPS_GRAFANA__URL": f"http://{at}",
        "SREOPS_GITLAB__URL": f"http://{at}",
        "SREOPS_GITLAB__TOKEN": "t",
        "SREOPS_GITLAB__PROJECT": "a/b",
        "SREOPS_DOCKER__HOST": f"tcp://{at}",
        "SREOPS_LLM__BASE_URL": f"http://{at}",
        "SREOPS_LLM__API_KEY": "k",
    }
    done = sreops("check", directory=tmp_path, **places)
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stdout
    assert "swordfish" not in done.stdout + done.stderr


def test_an_unknown_command_is_used_wrong(tmp_path: Path) -> None:
    assert sreops("dance", directory=tmp_path).returncode == 2


def test_notify_test_says_of_every_channel_whether_it_took_the_message(tmp_path: Path) -> None:
    with http_receiver() as receiver:
        good, gone = receiver.url(), f"json://127.0.0.1:{free_port()}/t0ken4711abc"
        assert sreops("notify", "test", directory=tmp_path).returncode == 2
        assert sreops("notify", "test", directory=tmp_path, SREOPS_NOTIFY__URLS="hunter2").returncode == 2
        assert sreops("notify", "test", directory=tmp_path, SREOPS_NOTIFY__URLS=good).returncode == 0
        done = sreops("notify", "test", directory=tmp_path, SREOPS_NOTIFY__URLS=f"{good} {gone}")
        assert done.returncode == 1
        assert "webhook 2 (127.0.0.1): did not take it" in done.stdout
        assert "t0ken4711abc" not in done.stdout + done.stderr
        assert len(receiver.bodies) == 2
