"""Work that is stopped: by a resolve at the next safe point, by SIGTERM within the grace, by a second one at once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from crash.world import World, payload
from servers.sreops import Sreops
from servers.waiting import eventually
from sreops.sandbox.claude import Claude
from sreops.sandbox.docker.process import Idle
from sreops.sandbox.server import Server as SandboxServer

pytestmark = pytest.mark.timeout(150)
KEY = "sk-ant-stopping"
NEVER_S = 3600.0


class Scene:
    """sreops, a world with one broken service, and a model that is as slow as it is told to be."""

    service = "payments"

    def __init__(self, world: World, claude: Claude, sreops: Sreops) -> None:
        self.world, self.claude, self.sreops = world, claude, sreops

    async def send(self, status: str = "firing", **labels: str) -> httpx.Response:
        body = payload(self.service, 1, status=status, **labels)
        return await asyncio.to_thread(self.sreops.post, "/alerts", body)

    async def incident(self) -> dict[str, Any] | None:
        return await asyncio.to_thread(self.sreops.incident_of, self.service)

    async def reached(self, status: str) -> None:
        async def there() -> bool:
            found = await self.incident()
            return found is not None and found["status"] == status

        await eventually(there, 40, what=status)

    async def asked(self) -> None:
        await eventually(lambda: self.claude.faults.count("POST", "/v1/messages"), 40, what="the model to be asked")

    async def ended(self, timeout_s: float = 60) -> dict[str, Any]:
        found = await eventually(
            lambda: asyncio.to_thread(self.sreops.ended_incident_of, self.service), timeout_s, what="the end"
        )
        assert found is not None
        return found

    @property
    def restarts(self) -> int:
        return self.world.restarts(self.service)


@asynccontextmanager
async def scene(directory: Path, *, model: bool = False, stop_s: float = 0.4, **settings: str) -> AsyncIterator[Scene]:
    world, claude = World(directory), Claude(KEY)
    async with world.serving(), SandboxServer(claude.app) as served:
        world.add(Scene.service)
        container = world.engine.find(Scene.service)
        assert container is not None
        assert isinstance(container.process, Idle)
        container.process.stop_s = stop_s
        told = {**world.settings(), "SREOPS_WORKER__LEASE_S": str(NEVER_S), "SREOPS_VERIFY__SETTLE_S": "1"}
        if model:
            told |= {"SREOPS_LLM__BASE_URL": served.url, "SREOPS_LLM__API_KEY": KEY}
        sreops = Sreops({**told, **settings})
        try:
            await asyncio.to_thread(sreops.start)
            yield Scene(world, claude, sreops)
        finally:
            claude.faults.clear()
            await asyncio.to_thread(sreops.close)


async def test_a_resolve_during_a_slow_analysis_ends_it_as_recovered_without_an_effect(tmp_path: Path) -> None:
    async with scene(tmp_path, model=True) as it:
        it.claude.faults.delay(4, path="/v1/messages")
        await it.send()
        await it.asked()
        assert (await it.send("resolved")).status_code == 202
        incident = await it.ended()
        assert (incident["status"], incident["resolution"]) == ("resolved", "recovered")
        assert (incident["effects"], it.restarts) == ([], 0)
        await eventually(lambda: [one.state for one in it.world.issues(it.service)] == ["closed"], what="its issue")


async def test_a_resolve_ends_the_wait_for_an_approval_which_then_comes_too_late(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.send(tier="supervised")
        await it.reached("awaiting_approval")
        waiting = await it.incident()
        assert waiting is not None
        await it.send("resolved", tier="supervised")
        incident = await it.ended()
        assert (incident["status"], incident["resolution"]) == ("resolved", "recovered")
        decision = {"by": "ann", "reason": "too late", "plan_hash": waiting["plan_hash"]}
        late = await asyncio.to_thread(it.sreops.post, f"/api/incidents/{incident['id']}/approve", decision)
        assert late.status_code == 409
        assert it.restarts == 0


async def test_a_resolve_after_an_effect_never_cuts_the_settling_short(tmp_path: Path) -> None:
    settle_s = 6.0
    async with scene(tmp_path, SREOPS_VERIFY__SETTLE_S=str(settle_s)) as it:
        await it.send()
        await it.reached("verifying")
        await it.send("resolved")
        incident = await it.ended()
        assert (incident["status"], incident["resolution"]) == ("resolved", "fixed"), "it was proven, not assumed"
        [effect] = incident["effects"]
        assert (effect["outcome"], it.restarts) == ("succeeded", 1)
        acted, ended = (datetime.fromisoformat(moment) for moment in (effect["outcome_at"], incident["ended_at"]))
        assert (ended - acted).total_seconds() >= settle_s


async def terminate(sreops: Sreops) -> tuple[int | None, float]:
    """Send SIGTERM and return the exit status and how long it took."""
    began = time.monotonic()
    os.kill(sreops.pid, signal.SIGTERM)
    await eventually(sreops.ended, 60, what="its end")
    return sreops.end_of_process(), time.monotonic() - began


async def test_sigterm_lets_an_effect_come_to_its_outcome(tmp_path: Path) -> None:
    async with scene(tmp_path, stop_s=3, SREOPS_SHUTDOWN_GRACE_S="20", SREOPS_DOCKER__STOP_TIMEOUT_S="5") as it:
        await it.send()
        await eventually(lambda: "POST restart" in it.world.engine_gate.seen, 40, what="the engine to be at it")
        status, took_s = await terminate(it.sreops)
        assert (status, took_s < 15, it.restarts) == (0, True, 1)
        await asyncio.to_thread(it.sreops.start)
        incident = await it.ended()
        [effect] = incident["effects"]
        assert (incident["resolution"], effect["outcome"], it.restarts) == ("fixed", "succeeded", 1)
        assert "settled by looking" not in str(effect), "the outcome was written before the end"


async def test_what_is_not_at_a_boundary_within_the_grace_goes_on_at_the_next_start_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path, model=True, SREOPS_SHUTDOWN_GRACE_S="1") as it:
        it.claude.faults.delay(40, path="/v1/messages")
        await it.send()
        await it.asked()
        status, took_s = await terminate(it.sreops)
        assert status == 0
        assert took_s < 12
        it.claude.faults.clear()
        await asyncio.to_thread(it.sreops.start)
        incident = await it.ended(60)  # far less than the lease: it was given back
        assert (incident["resolution"], it.restarts) == ("fixed", 1)


async def test_an_effect_cut_short_by_the_end_of_the_grace_is_settled_by_looking_and_done_once(tmp_path: Path) -> None:
    async with scene(tmp_path, stop_s=4, SREOPS_SHUTDOWN_GRACE_S="1", SREOPS_DOCKER__STOP_TIMEOUT_S="6") as it:
        await it.send()
        await eventually(lambda: "POST restart" in it.world.engine_gate.seen, 40, what="the engine to be at it")
        status, took_s = await terminate(it.sreops)
        assert status == 0
        assert took_s < 12
        await asyncio.to_thread(it.sreops.start)
        incident = await it.ended(90)
        [effect] = incident["effects"]
        assert (incident["resolution"], effect["outcome"], it.restarts) == ("fixed", "succeeded", 1)
        assert "settled by looking" in str(effect)


async def test_a_second_sigterm_ends_it_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    async with scene(tmp_path, model=True, SREOPS_SHUTDOWN_GRACE_S="60", SREOPS_WORKER__LEASE_S="5") as it:
        it.claude.faults.delay(100, path="/v1/messages")
        await it.send()
        await it.asked()
        os.kill(it.sreops.pid, signal.SIGTERM)
        await eventually(lambda: "shutdown_started" in it.sreops.log_since_start(), 20, what="the drain to begin")
        assert it.sreops.running
        status, took_s = await terminate(it.sreops)
        assert (status, took_s < 3) == (128 + signal.SIGTERM, True)
        it.claude.faults.clear()
        await asyncio.to_thread(it.sreops.start)
        assert ((await it.ended())["resolution"], it.restarts) == ("fixed", 1)


async def test_while_it_drains_it_is_not_ready_and_what_it_accepts_is_kept(tmp_path: Path) -> None:
    async with scene(tmp_path, model=True, SREOPS_SHUTDOWN_GRACE_S="6") as it:
        it.claude.faults.delay(40, path="/v1/messages")
        await it.send()
        await it.asked()
        os.kill(it.sreops.pid, signal.SIGTERM)
        await eventually(lambda: "shutdown_started" in it.sreops.log_since_start(), 20, what="the drain to begin")
        ready = await asyncio.to_thread(httpx.get, f"{it.sreops.url}/readyz")
        assert ready.status_code == 503
        late = await asyncio.to_thread(it.sreops.post, "/alerts", payload("late", 1))
        assert late.status_code in (202, 503)
        await eventually(it.sreops.ended, 60, what="its end")
        assert it.sreops.end_of_process() == 0
        it.claude.faults.clear()
        await asyncio.to_thread(it.sreops.start)
        if late.status_code == 202:
            await eventually(lambda: asyncio.to_thread(it.sreops.incident_of, "late"), 30, what="what came late")


async def test_an_incident_that_hangs_is_escalated_by_the_watchdog_which_says_where_it_hung(tmp_path: Path) -> None:
    async with scene(tmp_path, model=True, SREOPS_WORKER__MAX_INCIDENT_S="8") as it:
        it.claude.faults.delay(100, path="/v1/messages")
        await it.send()
        await it.asked()
        incident = await it.ended()
        assert (incident["status"], incident["reason"]) == ("escalated", "timed_out")
        assert "it hung in analyze_root_cause" in str(incident["decision"])
        assert (incident["effects"], it.restarts) == ([], 0)
