"""The benches' instant world keeps up with the ports: an agent of theirs works off what they measure."""

import importlib
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


async def test_every_incident_of_the_benches_ends_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    instant = importlib.import_module("instant")
    async with instant.agent(tmp_path, concurrency=2) as one:
        await one.open_incidents(3)
        await instant.work_off(one, 3, timeout_s=60)  # raises where one ended otherwise
    assert sorted(one.world.restarts.values()) == [1, 1, 1]
