"""An ended incident becomes a case that ``eval`` reads; its labels say only what the end proves."""

import asyncio
import json
from pathlib import Path

import pytest

from integration.loop_scene import LEAKING, loop_scene
from sreops.__main__ import main
from sreops.domain.incidents.incident import Resolution

Patch = pytest.MonkeyPatch


async def test_a_fixed_incident_is_judged_by_eval_on_its_own_evidence(tmp_path: Path, monkeypatch: Patch) -> None:
    patient = {"SREOPS_EVIDENCE__DEADLINE_S": "25", "SREOPS_PROMETHEUS__TIMEOUT_S": "20"}
    async with loop_scene(tmp_path, monkeypatch, **patient) as it:
        await it.fire(**LEAKING)

        incident = await it.ended()

        assert incident.resolution is Resolution.fixed
    cases, out = tmp_path / "cases", tmp_path / "answers.jsonl"
    assert await asyncio.to_thread(main, ["incidents", "export", incident.id, "--out", str(cases)]) == 0
    assert await asyncio.to_thread(main, ["eval", str(cases), "--out", str(out)]) == 0
    [answer] = [json.loads(line) for line in out.read_text().splitlines()]
    assert (answer["set"], answer["id"]) == ("incidents", incident.id)
    assert answer["ranked"][0] == "payments"
    assert set(answer["ranked"]) == {"payments", "ledger-db", "checkout"}
    assert answer["action"] == "restart"
    assert answer["category"] in ("out_of_memory", "memory_leak")
    assert "OutOfMemoryError" in answer["log_excerpt"]
    assert await asyncio.to_thread(main, ["incidents", "export", "no-such-incident"]) == 1
