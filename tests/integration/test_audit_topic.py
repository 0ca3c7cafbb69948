"""audit verify --from-topic: what was cut off at the end of a chain shows against the copies on the topic."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from integration.loop_scene import loop_scene
from servers.waiting import eventually
from sreops.__main__ import main

Patch = pytest.MonkeyPatch


async def test_a_chain_cut_off_at_its_end_and_a_lost_incident_are_found_by_the_topics_copies(
    tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire(agent_action="observe")
        incident = await it.ended()

        async def copied() -> bool:
            return not await it.store.unpublished(1)

        await eventually(copied, 20, what="all copies to be made")

    async def verified(*more: str) -> tuple[int, str]:
        capsys.readouterr()
        status = await asyncio.to_thread(main, ["audit", "verify", "--from-topic", *more])
        return status, capsys.readouterr().out

    status, told = await verified()
    assert status == 0, told
    assert "compared with the last copies of 2 chains" in told  # the incident's, and automation's
    with sqlite3.connect(tmp_path / "data" / "sreops.db") as database:
        newest = "SELECT max(seq) FROM records WHERE incident_id = ? AND kind = 'action'"
        database.execute(f"DELETE FROM records WHERE seq = ({newest})", (incident.id,))
    assert await asyncio.to_thread(main, ["audit", "verify"]) == 0, "the chain itself is whole"
    status, told = await verified(incident.id)
    assert status == 1
    assert "missing: the record with the last known hash" in told
