"""report shadow over a real store: what would have been done, what people did, and whether it helped."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from integration.loop_scene import RUNBOOKS, Scene, loop_scene
from servers.waiting import eventually
from sreops.__main__ import main
from sreops.domain.incidents.incident import Reason
from sreops.worker.hindsight import Hindsight

Patch = pytest.MonkeyPatch
Captured = pytest.CaptureFixture[str]


def shadow(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "shadow.yaml"
    path.write_text(RUNBOOKS.replace("  - id: restart-on-memory", "  - id: restart-on-memory\n    shadow: true"))
    return {"SREOPS_RUNBOOKS": str(path)}


async def reported(capsys: Captured, *more: str) -> tuple[int, str]:
    capsys.readouterr()
    status = await asyncio.to_thread(main, ["report", "shadow", *more])
    return status, capsys.readouterr().out


async def items(capsys: Captured, *more: str) -> list[dict[str, Any]]:
    status, out = await reported(capsys, "--json", *more)
    assert status == 0
    found: list[dict[str, Any]] = json.loads(out)["items"]
    return found


async def restarted_by_somebody(it: Scene) -> None:
    container = it.world.engine.find("payments")
    assert container is not None
    await it.world.engine.restart(container, 1)


async def cleared(it: Scene) -> bool:
    found = await it.incident()
    return found is not None and found.cleared_at is not None


async def test_a_shadow_that_people_then_did_is_confirmed(tmp_path: Path, monkeypatch: Patch, capsys: Captured) -> None:
    async with loop_scene(tmp_path, monkeypatch, **shadow(tmp_path)) as it:
        alert = await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert it.starts() == 1, "a shadow does nothing"

        follower = Hindsight(it.app.parts.tools, shared=False)
        await restarted_by_somebody(it)
        await follower.look()
        await it.resolve(alert)
        await eventually(lambda: cleared(it), 20, what="the alert to be over")
        await it.client.post(
            f"/api/incidents/{incident.id}/close",
            json={"by": "ann", "reason": "restarted it by hand", "was": "fixed", "cause": "a leak"},
        )
        await follower.look()
        assert any("payments was started at" in text for text in await it.thoughts(incident))

    [item] = await items(capsys)
    assert (item["id"], item["runbook_id"], item["mode"]) == (incident.id, "restart-on-memory", "shadow")
    assert item["steps"] == [{"action": "restart_container", "target": "payments"}]
    assert item["would"] == "allow", item["would_why"]
    assert [(deed["target"], deed["what"]) for deed in item["people_did"]] == [("payments", "started")]
    assert (item["comparison"], item["helped"]) == ("confirmed", True)
    assert {"what": "close", "text": "restarted it by hand", "was": "fixed", "cause": "a leak"}.items() <= {
        **item["notes"][-1]
    }.items()
    status, table = await reported(capsys)
    assert status == 0
    assert "restart-on-memory: 1 told, 1 confirmed" in table
    assert {"restarted", "hand", "confirmed"} <= set(re.findall(r"\w+", table))
    assert await items(capsys, "--runbook", "another") == []


async def test_what_went_over_while_nobody_touched_it_was_needless(
    tmp_path: Path, monkeypatch: Patch, capsys: Captured
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_DRY_RUN="true") as it:
        alert = await it.fire(tier="supervised")
        incident = await it.ended()
        await it.resolve(alert)
        await eventually(lambda: cleared(it), 20, what="the alert to be over")
        await Hindsight(it.app.parts.tools, shared=False).look()
        assert any("nobody has touched its target" in text for text in await it.thoughts(incident))
        assert it.starts() == 1
    [item] = await items(capsys)
    assert (item["mode"], item["would"]) == ("dry_run", "needs_approval")
    assert item["comparison"] == "needless", item


async def test_an_empty_store_says_so(tmp_path: Path, monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setenv("SREOPS_DATA_DIR", str(tmp_path / "nothing"))
    status = await asyncio.to_thread(main, ["report", "shadow"])
    told = capsys.readouterr()
    assert (status, "no incident" in told.out, "there is no such database" in told.err) == (0, True, True)
    assert not (tmp_path / "nothing" / "sreops.db").exists()
    status, out = await reported(capsys, "--json")
    assert (status, json.loads(out)["total"]) == (0, 0)
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire()
        await it.ended()
        status, out = await reported(capsys)
        assert (status, "1 incident, and no plan only told" in out) == (0, True)


@pytest.mark.parametrize("wrong", [["--days", "0"], ["--days", "-1"], ["--days", "nan"], ["--limit", "0"]])
def test_bad_arguments_are_clear_errors(tmp_path: Path, monkeypatch: Patch, capsys: Captured, wrong: list[str]) -> None:
    monkeypatch.setenv("SREOPS_DATA_DIR", str(tmp_path))
    assert main(["report", "shadow", *wrong]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"{wrong[0]} {wrong[1]}: give ")
