"""One situation of the table in the sandbox: its end, and the engine's events, exactly.

Three test files share the table, since a file is run by one process: test_situations.py, test_situations_proof.py and
test_situations_meanwhile.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.loop_scene import loop_scene
from integration.situation_play import play, situation_runbooks
from integration.situation_sandbox import SandboxStage, shop_at
from integration.situation_stage import told_short
from integration.situations import Situation


async def in_the_sandbox(row: Situation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Play it, and hold it to its end and its events."""
    settings = {"SREOPS_RUNBOOKS": situation_runbooks(tmp_path), **row.settings}
    async with loop_scene(tmp_path, monkeypatch, shop_at(row.begins), **settings) as it:
        stage = SandboxStage(it, row.begins)
        try:
            await play(stage, row)
        finally:
            await stage.close()
    # the process has ended: nothing follows any more
    assert told_short(stage.events()) == list(row.events)
