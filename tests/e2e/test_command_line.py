"""The command line: exit status 0 good, 1 found wrong, 2 used wrong; sentences, never tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest


def sreops(*arguments: str, directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "COVERAGE", "HOME", "LC_"))}
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


def test_check_is_content_where_nothing_is_configured(tmp_path: Path) -> None:
    done = sreops("check", directory=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "SREOPS_GITLAB__URL" in done.stdout


def test_audit_verify_of_an_empty_store_finds_nothing_wrong(tmp_path: Path) -> None:
    done = sreops("audit", "verify", directory=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nothing wrong" in done.stdout


def test_an_unknown_command_is_used_wrong(tmp_path: Path) -> None:
    assert sreops("dance", directory=tmp_path).returncode == 2
