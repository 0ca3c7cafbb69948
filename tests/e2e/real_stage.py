"""A real Docker Engine and a real Prometheus as the stage of a situation; the rest of the world is the sandbox's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx
import pytest

from e2e.ward import START, Patient, admitted
from integration.loop_scene import Scene, loop_scene
from integration.situation_deeds import write_line
from integration.situation_sandbox import propose
from integration.situation_stage import Beginning, State
from servers.dockerd import Dockerd
from servers.engine_proxy import engine_proxy
from servers.prometheus import Prometheus
from servers.waiting import eventually
from sreops.sandbox.docker.reply import fault_body
from sreops.sandbox.faults import Faults
from sreops.sandbox.shop.shop import SERVICES
from sreops.sandbox.world import World

NEIGHBOUR = "ledger-db"
IDLE = ["sleep", "100000"]
PACE = {
    "SREOPS_DOCKER__TIMEOUT_S": "20",
    "SREOPS_VERIFY__SETTLE_S": "1",
    "SREOPS_VERIFY__POLL_S": "0.5",
    "SREOPS_VERIFY__TIMEOUT_S": "20",
}
_SPECS = {spec.name: spec for spec in SERVICES}


@dataclass(frozen=True)
class Surroundings:
    """What the stages of a module share: the engine, what measures, and a container that patients depend on."""

    dockerd: Dockerd
    prometheus: Prometheus
    neighbour: str

    def mend(self) -> None:
        """Undo what a situation did to them."""
        self.prometheus.make_whole()
        if not self.dockerd.inspect(self.neighbour)["State"]["Running"]:
            self.dockerd.api.post(f"/containers/{self.neighbour}/start").raise_for_status()


@contextmanager
def surroundings(dockerd: Dockerd) -> Iterator[Surroundings]:
    """Make what the stages share."""
    labels = _SPECS[NEIGHBOUR].labels()
    neighbour = dockerd.run_container(dockerd.import_busybox_image(), IDLE, name=NEIGHBOUR, labels=labels)
    try:
        with Prometheus(scrape_interval="300ms") as prometheus:
            yield Surroundings(dockerd, prometheus, neighbour)
    finally:
        dockerd.remove(neighbour)


class Happening(NamedTuple):
    """An event of the engine: when, what, and of which container."""

    at: datetime
    action: str
    name: str


class Told:
    """What the engine tells, from the beginning: it keeps only its last 256 events, and health checks fill those."""

    def __init__(self, around: Surroundings, names: Mapping[str, str]) -> None:
        self.events: list[Happening] = []
        self._around, self._names = around, names
        self._listens = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Told]:
        """Listen to it meanwhile."""
        task = asyncio.create_task(self._listen())
        try:
            await asyncio.wait_for(self._listens.wait(), 10)
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        transport = httpx.AsyncHTTPTransport(uds=str(self._around.dockerd.socket))
        filters = json.dumps({"type": ["container"]})
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=None) as client,
            client.stream("GET", "/events", params={"filters": filters}) as answer,
        ):
            self._listens.set()
            async for line in answer.aiter_lines():
                if line.strip():
                    event = json.loads(line)
                    name = str(event["Actor"]["Attributes"]["name"])
                    at = datetime.fromtimestamp(event["timeNano"] / 1e9, UTC)
                    self.events.append(Happening(at, str(event["Action"]), self._names.get(name, name)))

    async def everything(self) -> int:
        """Wait until all that has happened is told; returns how much that is."""
        asked = self._updates()
        path, body = f"/containers/{self._around.neighbour}/update", {"RestartPolicy": {"Name": "no"}}
        (await asyncio.to_thread(self._around.dockerd.api.post, path, json=body)).raise_for_status()
        await eventually(lambda: self._updates() > asked, 20, what="the engine to tell all")
        return len(self.events)

    def _updates(self) -> int:
        return sum(one[1:] == ("update", NEIGHBOUR) for one in self.events)


class RealStage:
    """A container of the real engine, which a real Prometheus measures, is the patient."""

    def __init__(self, it: Scene, ill: Patient, around: Surroundings, told: Told, faults: Faults | None) -> None:
        self.it, self.patient = it, ill.name
        self.fired: list[Any] = []
        self.ill = ill
        self.all_told: Sequence[Happening] = ()
        self._around, self._told, self._faults = around, told, faults
        self._began = 0
        self._added: list[str] = []

    @property
    def world(self) -> World:
        return self.it.world

    @property
    def engine_faults(self) -> Faults:
        assert self._faults is not None, "the situation begins without faulty=True"
        return self._faults

    async def measured(self, share: Callable[[float], bool], what: str) -> None:
        """Wait until Prometheus has seen such a share of its memory in use."""
        name = f'{{name="{self.patient}"}}'
        ratio = f"container_memory_working_set_bytes{name} / container_spec_memory_limit_bytes{name}"

        async def seen() -> bool:
            found = await asyncio.to_thread(self._around.prometheus.value, ratio)
            return found is not None and share(found)

        await eventually(seen, 30, what=what)

    async def begin(self, state: State) -> None:
        """Wait until all can see how the patient is; what the engine has told until then is no part of the story."""
        if state is State.well:
            await self.measured(lambda share: share < 0.8, "the patient to be measured")
        else:
            await self.measured(lambda share: share > 0.9, "its memory to be full")
        if state is State.ill:
            self._complain()
        health = "unhealthy" if state is State.ill else "healthy"

        async def shown() -> bool:
            found = await asyncio.to_thread(self.ill.dockerd.inspect, self.ill.container)
            return str(found["State"]["Health"]["Status"]) == health

        await eventually(shown, 30, what=f"the engine to call it {health}")
        self._began = await self._told.everything()

    def _complain(self) -> None:
        for _ in range(3):
            write_line(self, "java.lang.OutOfMemoryError: Java heap space")

    async def break_patient(self) -> None:
        await eventually(lambda: asyncio.to_thread(self.ill.answers), 30, what="the patient to serve")
        await asyncio.to_thread(self.ill.told, "break")
        await self.measured(lambda share: share > 0.9, "its memory to be full")
        self._complain()

    async def cure_patient(self) -> None:
        await asyncio.to_thread(self.ill.told, "heal")
        await self.measured(lambda share: share < 0.8, "the patient to be well")

    async def by_somebody(self, what: str) -> None:
        if what == "remove":
            await asyncio.to_thread(self.ill.dockerd.remove, self.ill.container)
            return
        path, params = f"/containers/{self.ill.container}/{what}", {"t": 1} if what == "restart" else {}
        (await asyncio.to_thread(self.ill.dockerd.api.post, path, params=params)).raise_for_status()

    async def comes_back(self) -> None:
        await asyncio.to_thread(self.ill.runs, "touch", "/ill")

    async def dies_again(self) -> None:
        await asyncio.to_thread(self.ill.runs, "touch", "/dies")

    async def will_not_start(self) -> None:
        await asyncio.to_thread(self.ill.runs, "rm", START)

    async def neighbour_down(self) -> None:
        await asyncio.to_thread(self._around.dockerd.stop_container, self._around.neighbour, 0)

    async def metrics_away(self) -> None:
        await asyncio.to_thread(self._around.prometheus.stop)

    async def add_idle(self, containers: Mapping[str, Mapping[str, str]]) -> None:
        dockerd = self._around.dockerd
        image = dockerd.import_busybox_image()
        for name, labels in containers.items():
            add = asyncio.to_thread(dockerd.run_container, image, IDLE, name=name, labels=labels)
            self._added.append(await add)
        self._began = await self._told.everything()

    async def events(self) -> Sequence[Happening]:
        """Return all that the engine has told until now."""
        await self._told.everything()
        return self._told.events[self._began :]

    async def clear(self) -> None:
        """Remove what was added."""
        for container in self._added:
            await asyncio.to_thread(self._around.dockerd.remove, container)


@asynccontextmanager
async def real_stage(
    around: Surroundings,
    begins: Beginning,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Mapping[str, str],
) -> AsyncIterator[RealStage]:
    """Set a stage as the situation begins; once it is left, and sreops has ended, its ``all_told`` is complete."""
    with _patient(around, begins) as ill:
        await eventually(lambda: asyncio.to_thread(ill.answers), 30, what="the patient to serve")
        if begins.state is not State.well:
            await asyncio.to_thread(ill.told, "break" if begins.state is State.ill else "fill")
        await asyncio.to_thread(around.prometheus.configure, {"patient": [ill.target]})
        faults = Faults(fault_body) if begins.faulty else None
        world = World(docker=False, claude=begins.model, past_s=10, scrape_interval_s=0.5, window="5s")
        if begins.model:
            propose(world)
        async with Told(around, {ill.name: begins.service}).listening() as told, _engine(around, faults) as host:
            own = {**PACE, "SREOPS_DOCKER__HOST": host, "SREOPS_PROMETHEUS__URL": around.prometheus.url, **settings}
            async with AsyncExitStack() as afterwards:
                afterwards.push_async_callback(asyncio.to_thread, around.mend)
                async with loop_scene(tmp_path, monkeypatch, world, **own) as it:
                    stage = RealStage(it, ill, around, told, faults)
                    afterwards.push_async_callback(stage.clear)
                    await stage.begin(begins.state)
                    yield stage
                stage.all_told = await stage.events()


def _patient(around: Surroundings, begins: Beginning) -> AbstractContextManager[Patient]:
    """Admit the patient, with the labels that the shop's own service has."""
    spec = _SPECS[begins.service]

    def labels(name: str) -> dict[str, str]:
        return {**replace(spec, name=name).labels(), **begins.labels}

    return admitted(
        around.dockerd, service=begins.service, labels=labels, stop_timeout_s=begins.stop_timeout_s,
        restart_policy="unless-stopped",
    )  # fmt: skip


@asynccontextmanager
async def _engine(around: Surroundings, faults: Faults | None) -> AsyncIterator[str]:
    """Return where sreops finds the engine: at its own socket, or where its answers can be broken."""
    if faults is None:
        yield around.dockerd.host
        return
    with TemporaryDirectory(prefix="sreops-proxy-") as folder:  # tmp_path is too long for a socket
        async with engine_proxy(around.dockerd.socket, Path(folder) / "docker.sock", faults) as host:
            yield host
