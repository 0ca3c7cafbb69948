"""Killed around a restart of the real Docker Engine, which does not care whether its client lives."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import httpx
import pytest

from crash.databases import Sqlite
from crash.lineage import Lineage
from crash.real_engine import REAL, SLOW_TO_STOP, EngineProxy, Ward
from crash.world import Moment, World, payload
from servers.dockerd import Dockerd
from servers.waiting import eventually

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
                ends, restarts = await killed(lineage, proxy, ward, service, moment)
                if moment == "before":
                    assert (ends, restarts) == (("outcome_unknown", ["unknown"]), 0)
                else:
                    assert (ends, restarts) == (("fixed", ["succeeded"]), 1), moment
                assert len(world.issues(service)) == 1
            assert await lineage.audit() == ""


async def killed(
    lineage: Lineage, proxy: EngineProxy, ward: Ward, service: str, moment: Moment
) -> tuple[tuple[str, list[str]], int]:
    """Kill sreops at the moment; return how the incident ended, its ledger, and the engine's restarts."""
    dead = asyncio.Event()

    async def kill() -> None:
        await asyncio.to_thread(lineage.sreops.kill)
        dead.set()

    proxy.moment, proxy.kill = moment, kill
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(f"{lineage.sreops.url}/alerts", json=payload(service))
    assert answer.status_code == 202
    await eventually(dead.is_set, 30, what=f"the kill {moment} the restart of {service}")
    await lineage.start()
    incident = await eventually(
        lambda: asyncio.to_thread(lineage.sreops.ended_incident_of, service),
        60,
        every_s=0.2,
        what="the incident to end",
    )
    assert incident is not None
    outcomes = [effect["outcome"] for effect in incident["effects"]]
    return (incident["resolution"] or incident["reason"], outcomes), ward.restarts[service]
