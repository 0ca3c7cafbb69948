"""Every situation of what happens meanwhile, and of acts that fail: its end, and the engine's events, exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.situation_run import in_the_sandbox
from integration.situations import FAILS, MEANWHILE, Situation

ROWS = (*MEANWHILE, *FAILS)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_situation_of_what_happens_meanwhile(
    row: Situation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_the_sandbox(row, tmp_path, monkeypatch)
