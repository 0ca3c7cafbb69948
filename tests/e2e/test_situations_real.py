"""Every situation of the table, on a real Docker Engine, measured by a real Prometheus.

In CI those in which nothing is done, which take a few seconds each, and the most telling of the others; all with
SITUATIONS=all (scripts/long).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.real_stage import Surroundings, real_stage, surroundings
from integration.situation_play import play, situation_runbooks
from integration.situation_stage import told_short
from integration.situations import SITUATIONS, Situation
from servers.dockerd import Dockerd

TELLING = (
    "tier autonomous: restarted once, proven, closed",
    "a dependency is down: the messenger is left alone",
    "a resolve because its series died with it",
    "somebody restarts it while the plan waits",
    "it does not come up again",
    "it dies again after the restart",
)
IN_CI = [row for row in SITUATIONS if not row.events or row.name in TELLING]
PLAYED = SITUATIONS if os.environ.get("SITUATIONS") == "all" else IN_CI

pytestmark = [pytest.mark.needs("docker", "prometheus"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def around(dockerd: Dockerd) -> Iterator[Surroundings]:
    with surroundings(dockerd) as made:
        yield made


@pytest.mark.parametrize("row", PLAYED, ids=[row.name for row in PLAYED])
async def test_situation_on_a_real_engine(
    row: Situation, around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"SREOPS_RUNBOOKS": situation_runbooks(tmp_path), **row.settings}
    async with real_stage(around, row.begins, tmp_path, monkeypatch, settings) as stage:
        await play(stage, row)
    assert told_short(one[1:] for one in stage.all_told) == list(row.events)
