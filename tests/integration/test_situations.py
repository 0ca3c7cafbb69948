"""Every situation of the table in the sandbox: its end, and the engine's events, exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.loop_scene import loop_scene
from integration.situation_play import play, situation_runbooks
from integration.situation_stage import SandboxStage, told_short
from integration.situations import SITUATIONS, Situation


@pytest.mark.parametrize("row", SITUATIONS, ids=[row.name for row in SITUATIONS])
async def test_situation(row: Situation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"SREOPS_RUNBOOKS": situation_runbooks(tmp_path), **row.settings}
    async with loop_scene(tmp_path, monkeypatch, row.world(), **settings) as it:
        stage = SandboxStage(it)
        try:
            await play(stage, row)
        finally:
            await stage.close()
    # the process has ended: nothing follows any more
    assert told_short(await stage.events()) == list(row.events)


def test_the_table_holds_enough_and_no_situation_twice() -> None:
    names = [row.name for row in SITUATIONS]
    assert len(names) >= 60
    assert len(set(names)) == len(names)
    assert sum(row.real for row in SITUATIONS) >= 12
