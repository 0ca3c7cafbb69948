"""Killed around a restart of the real Docker Engine, which does not care whether its client lives."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from crash.databases import Sqlite
from crash.lineage import Lineage
from crash.real_engine import REAL, SLOW_TO_STOP, EngineProxy, Ward, killed_around
from crash.world import Moment, World
from servers.dockerd import Dockerd

pytestmark = [pytest.mark.needs("docker"), pytest.mark.timeout(300)]

MOMENTS: tuple[Moment, ...] = ("before", "during", "after")


async def test_killed_around_a_restart_it_settles_by_looking_and_never_restarts_twice(
    dockerd: Dockerd, tmp_path: Path
) -> None:
    async with Ward(dockerd, uuid.uuid4().hex[:6], len(MOMENTS), command=SLOW_TO_STOP).open() as ward:
        world = World(tmp_path, broken=lambda: dict(ward.broken))
        proxy = EngineProxy(dockerd, tmp_path / "engine.sock")
        settings = {**REAL, "SREOPS_DOCKER__HOST": proxy.host, "SREOPS_DOCKER__STOP_TIMEOUT_S": "3"}
        async with (
            world.serving(),
            proxy.serving(),
            Lineage(world, "real", Sqlite(), settings).opened() as lineage,
        ):
            ward.broken.update(dict.fromkeys(ward.services, 1.0))
            await asyncio.sleep(25)  # what started a moment ago has no series yet that could bear out its cause
            for service, moment in zip(ward.services, MOMENTS, strict=True):
                incident = await killed_around(lineage, proxy, service, moment)
                ends = (incident["resolution"] or incident["reason"], [one["outcome"] for one in incident["effects"]])
                restarts = ward.restarts[service]
                if moment == "before":
                    assert (ends, restarts) == (("outcome_unknown", ["unknown"]), 0)
                else:
                    assert (ends, restarts) == (("fixed", ["succeeded"]), 1), moment
                assert len(world.issues(service)) == 1
            assert await lineage.audit() == ""
