"""runbooks simulate over the store: what was done, and what another file would do, by the agent's own rules."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from integration.loop_scene import RUNBOOKS, loop_scene
from sreops.__main__ import main

Patch = pytest.MonkeyPatch


async def simulated(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = await asyncio.to_thread(main, ["runbooks", "simulate", "--json", *more])
    return status, json.loads(capsys.readouterr().out)


async def test_an_incident_of_the_store_is_shown_as_it_was_and_as_it_would_be(
    tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire()
        incident = await it.ended()
        await it.fire("catalog", agent_action="observe")
        await it.ended("catalog")

    status, same = await simulated(capsys, "--fail-on-change")
    assert (status, same["changed"]) == (0, 0)
    shown = {item["id"]: item for item in same["items"]}[incident.id]
    assert shown["before"]["runbook_id"] == shown["now"]["runbook_id"] == "restart-on-memory"
    assert shown["now"]["verdict"] == "allow"

    other = tmp_path / "other.yaml"
    text = RUNBOOKS.replace("autonomy: autonomous\n    cooldown_s: 60", "autonomy: supervised\n    cooldown_s: 60")
    await asyncio.to_thread(other.write_text, text)
    status, careful = await simulated(capsys, "--file", str(other), "--fail-on-change")
    assert (status, careful["changed"]) == (1, 1)
    assert {item["id"] for item in careful["items"] if item["changed"]} == {incident.id}

    await asyncio.to_thread(other.write_text, "version: 1\nrunbooks: []\n")
    status, none = await simulated(capsys, "--file", str(other))
    assert status == 0
    assert {item["now"]["runbook_id"] for item in none["items"]} == {None}
