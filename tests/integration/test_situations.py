"""Every situation of who may act: its end, and the engine's events, exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.situation_run import in_the_sandbox
from integration.situations import SITUATIONS, WHO_MAY, Situation


@pytest.mark.parametrize("row", WHO_MAY, ids=[row.name for row in WHO_MAY])
async def test_situation_of_who_may(row: Situation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_the_sandbox(row, tmp_path, monkeypatch)


def test_the_table_holds_enough_and_no_situation_twice() -> None:
    names = [row.name for row in SITUATIONS]
    assert len(names) >= 60
    assert len(set(names)) == len(names)
