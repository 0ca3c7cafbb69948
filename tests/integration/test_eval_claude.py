"""``sreops eval --analyst claude``: the model over HTTP, against the sandbox's Messages API."""

import asyncio
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sreops.__main__ import main
from sreops.commands import eval as evaluation
from sreops.sandbox.claude import Claude, Fail, Override
from sreops.sandbox.server import Server

KEY = "sk-ant-sandbox-key"


def folder(directory: Path, *ids: str) -> Path:
    (directory / "cluster").mkdir(parents=True)
    for case_id in ids:
        case: dict[str, Any] = {
            "id": case_id,
            "alert": {"labels": {"alertname": "ServiceDown"}, "annotations": {"summary": "web is down"}},
            "service": "web",
            "logs": [{"ts": 1_700_000_000.0, "service": "web", "line": "ERROR OutOfMemoryError: Java heap space"}],
            "metrics": {},
            "candidates": ["RemoveTaint", "GracefulRestart"],
            "expected_action_class": ["GracefulRestart"],
            "extra": {},
        }
        (directory / "cluster" / f"{case_id}.json.gz").write_bytes(gzip.compress(json.dumps(case).encode()))
    return directory


@pytest.fixture
def with_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Claude:
    monkeypatch.chdir(tmp_path)  # no .env of the repository is read
    monkeypatch.setenv("SREOPS_LLM__API_KEY", KEY)
    monkeypatch.setenv("SREOPS_LLM__MAX_RETRIES", "0")
    return Claude(KEY)


async def answers(directory: Path, claude: Claude, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    out = directory / "out.jsonl"
    async with Server(claude.app) as server:
        monkeypatch.setenv("SREOPS_LLM__BASE_URL", server.url)
        assert await asyncio.to_thread(evaluation.run, directory, out=out, analyst="claude") == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


async def test_the_models_choice_of_an_action_is_the_answer(
    tmp_path: Path, with_model: Claude, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_model.script(Override({"runbook_id": "GracefulRestart", "root_cause": "its heap is full"}))
    (answer,) = await answers(folder(tmp_path / "in", "x-oom"), with_model, monkeypatch)
    assert (answer["analyst"], answer["action"], answer["root_cause"]) == (
        "claude", "GracefulRestart", "its heap is full",
    )  # fmt: skip
    assert answer["ranked"][0] == "GracefulRestart"


async def test_the_evidence_is_what_the_model_was_sent_and_no_id_is_in_it(
    tmp_path: Path, with_model: Claude, monkeypatch: pytest.MonkeyPatch
) -> None:
    (answer,) = await answers(folder(tmp_path / "in", "secret-case-name"), with_model, monkeypatch)
    body = with_model.requests[0].body
    assert body is not None
    sent = json.dumps(body)
    told = body["messages"][0]["content"][0]["text"]
    mark = re.search(r">>> ([0-9a-f]{16})`", told)
    assert mark
    assert told.replace(mark[1], "0" * 16) == answer["evidence"], "the very text that the model got"
    assert "OutOfMemoryError" in sent
    assert "OutOfMemoryError" in answer["evidence"]
    assert "secret-case-name" not in sent
    assert "expected" not in sent


async def test_poisoned_labels_change_nothing_of_what_the_model_is_sent(
    tmp_path: Path, with_model: Claude, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, poisoned = folder(tmp_path / "clean", "a"), folder(tmp_path / "poisoned", "a")
    path = poisoned / "cluster" / "a.json.gz"
    case = json.loads(gzip.decompress(path.read_bytes()))
    case |= {"id": "web-oom", "source": {"path": "P0IS0N"}, "expected_root_cause": "P0IS0N", "label_origin": "P0IS0N"}
    case |= {"expected_component": ["P0IS0N"], "expected_fault_type": "P0IS0N", "extra": {"note": "P0IS0N"}}
    path.write_bytes(gzip.compress(json.dumps(case).encode()))
    (first,) = await answers(clean, with_model, monkeypatch)
    (second,) = await answers(poisoned, with_model, monkeypatch)
    assert first["evidence"] == second["evidence"]
    assert "P0IS0N" not in json.dumps([request.body for request in with_model.requests])
    assert [first[key] for key in ("action", "root_cause", "confidence")] == [
        second[key] for key in ("action", "root_cause", "confidence")
    ]


async def test_where_the_model_fails_the_rules_answer_and_it_is_said(
    tmp_path: Path, with_model: Claude, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_model.script(Fail(500), Override({"runbook_id": "GracefulRestart"}))
    first, second = await answers(folder(tmp_path / "in", "a", "b"), with_model, monkeypatch)
    assert (first["analyst"], second["analyst"]) == ("rules", "claude")


def test_without_a_key_it_is_said_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SREOPS_LLM__API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    directory = folder(tmp_path / "in", "a")
    assert main(["eval", str(directory), "--out", str(tmp_path / "o"), "--analyst", "claude"]) == 2
    assert "ANTHROPIC_API_KEY" in capsys.readouterr().err
