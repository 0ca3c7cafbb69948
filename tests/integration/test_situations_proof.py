"""Every situation of proof and of when: its end, and the engine's events, exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.situation_run import in_the_sandbox
from integration.situations import PROOF, WHEN, Situation

ROWS = (*PROOF, *WHEN)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_situation_of_proof_and_time(row: Situation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_the_sandbox(row, tmp_path, monkeypatch)
