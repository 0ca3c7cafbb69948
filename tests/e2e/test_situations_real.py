"""The situations of the table that are marked ``real``: on a real Docker Engine, measured by a real Prometheus.

The first of them in CI, all with SREOPS_SITUATIONS=all (scripts/long). The rest of the world is the sandbox's.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.ward import Patient, admitted
from integration.loop_scene import Scene, loop_scene
from integration.situation_play import play, situation_runbooks
from integration.situation_stage import told_short
from integration.situations import SITUATIONS, Situation
from servers.dockerd import Dockerd
from servers.prometheus import Prometheus
from servers.waiting import eventually
from sreops.sandbox.world import World

REAL = [row for row in SITUATIONS if row.real]
PLAYED = REAL if os.environ.get("SREOPS_SITUATIONS") == "all" else REAL[:1]
PACE = {
    "SREOPS_DOCKER__TIMEOUT_S": "20",
    "SREOPS_VERIFY__SETTLE_S": "1",
    "SREOPS_VERIFY__POLL_S": "0.5",
    "SREOPS_VERIFY__TIMEOUT_S": "20",
}

pytestmark = [pytest.mark.needs("docker", "prometheus"), pytest.mark.timeout(240)]


class RealStage:
    """A container of the real engine, which leaks."""

    def __init__(self, it: Scene, ill: Patient, prometheus: Prometheus, told: Sequence[tuple[str, str]]) -> None:
        self.it, self.patient = it, ill.name
        self.fired: list[Any] = []
        self._ill, self._prometheus, self._told = ill, prometheus, told

    @property
    def world(self) -> World:
        return self.it.world

    async def break_patient(self) -> None:
        await asyncio.to_thread(self._ill.break_it)
        name = f'{{name="{self.patient}"}}'
        ratio = f"container_memory_working_set_bytes{name} / container_spec_memory_limit_bytes{name}"

        async def full() -> bool:
            return (await asyncio.to_thread(self._prometheus.value, ratio) or 0.0) > 0.9

        await eventually(full, 30, what="its memory to be full")
        for _ in range(3):
            self.line("java.lang.OutOfMemoryError: Java heap space")

    async def by_somebody(self, what: str) -> None:
        path = f"/containers/{self._ill.container}"
        if what == "remove":
            await asyncio.to_thread(self._ill.dockerd.remove, self._ill.container)
            return
        params = {"t": 1} if what == "restart" else {}
        answer = await asyncio.to_thread(self._ill.dockerd.api.post, f"{path}/{what}", params=params)
        answer.raise_for_status()

    async def comes_back(self) -> None:
        api, body = self._ill.dockerd.api, {"Cmd": ["touch", "/ill"]}
        made = await asyncio.to_thread(api.post, f"/containers/{self._ill.container}/exec", json=body)
        started = await asyncio.to_thread(api.post, f"/exec/{made.json()['Id']}/start", json={"Detach": False})
        started.raise_for_status()

    def line(self, text: str) -> None:
        self.world.loki.push({"container": self.patient, "service": self.patient}, text)

    async def events(self) -> Sequence[tuple[str, str]]:
        return list(self._told)


@asynccontextmanager
async def engine_told(ill: Patient) -> AsyncIterator[list[tuple[str, str]]]:
    """Collect what the engine tells of the container from now on: health checks soon fill what it remembers."""
    told: list[tuple[str, str]] = []
    listens = asyncio.Event()

    async def listen() -> None:
        filters = json.dumps({"container": [ill.container]})
        transport = httpx.AsyncHTTPTransport(uds=str(ill.dockerd.socket))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=None) as client,
            client.stream("GET", "/events", params={"filters": filters}) as answer,
        ):
            listens.set()
            async for line in answer.aiter_lines():
                if line.strip():
                    told.append((str(json.loads(line)["Action"]), "payments"))

    listening = asyncio.create_task(listen())
    try:
        await asyncio.wait_for(listens.wait(), 10)
        yield told
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.parametrize("row", PLAYED, ids=[row.name for row in PLAYED])
async def test_situation_on_a_real_engine(
    row: Situation,
    dockerd: Dockerd,
    prometheus_factory: Callable[..., Prometheus],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with admitted(dockerd) as ill:
        await eventually(lambda: asyncio.to_thread(ill.answers), 30, what="the patient to serve")
        prometheus = await asyncio.to_thread(prometheus_factory, {"patient": [ill.target]})
        settings = {
            **PACE,
            "SREOPS_RUNBOOKS": situation_runbooks(tmp_path),
            "SREOPS_DOCKER__HOST": dockerd.host,
            "SREOPS_PROMETHEUS__URL": prometheus.url,
            **row.settings,
        }
        world = World(docker=False, claude=False, past_s=10, scrape_interval_s=0.5, window="5s")
        async with engine_told(ill) as told:
            async with loop_scene(tmp_path, monkeypatch, world, **settings) as it:
                stage = RealStage(it, ill, prometheus, told)
                await stage.break_patient()
                await play(stage, row)
            # the process has ended: what the engine has not told by now is the last of it
            wanted = list(row.events)
            await eventually(lambda: told_short(told) == wanted, 10, what=f"the engine to tell of {wanted}")
