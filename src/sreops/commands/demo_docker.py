"""demo --docker: the first act in this machine's own Docker Engine, with a container that is made and removed here.

Nothing is published and no port is opened: the container's memory is read from the engine's statistics and its
lines from the engine's log, and both are given to the sandbox's Prometheus and Loki as cAdvisor and Alloy would.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.containers import DockerContainer
from aiodocker.exceptions import DockerError
from rich.console import Console

from sreops.errors import SettingsInvalid
from sreops.sandbox.prometheus.server import Exposed
from sreops.sandbox.world import World
from sreops.settings import load_settings

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_IMAGE = "python:3.13-alpine"
_LIMIT_BYTES = 96 * 1024 * 1024
_ILL_WITHIN_S = 40.0
_PATIENT = """
import signal, sys, time
held, ill = [], []
signal.signal(signal.SIGUSR1, lambda *_: ill.append(1))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
most, count = int(sys.argv[1]), 0
while True:
    count += 1
    if ill and sum(map(len, held)) < most:
        held.append(bytearray(b"x" * 4_000_000))
    if ill and count % 20 == 0:
        print("java.lang.OutOfMemoryError: Java heap space", flush=True)
    print(f"POST /pay/{count} {500 if ill and count % 2 else 200} in {count % 40} ms", flush=True)
    time.sleep(0.1)
"""


@dataclass
class DockerHospital:
    """The real engine and its one patient."""

    host: str
    patient: str
    container: DockerContainer
    memory: float = 0.0
    limit: float = float(_LIMIT_BYTES)
    restarted: int = 0
    _seen: set[str] = field(default_factory=set)

    async def restarts(self) -> int:
        """Return how often the engine said that it restarted the patient."""
        return self.restarted

    async def feel(self) -> None:
        """Read its memory, for ever."""
        while True:
            with contextlib.suppress(DockerError, KeyError, IndexError, TimeoutError):
                found: dict[str, Any] = (await self.container.stats(stream=False))[0]["memory_stats"]
                inactive = found.get("stats", {}).get("inactive_file", 0)
                self.memory, self.limit = float(found["usage"] - inactive), float(found["limit"])
            await asyncio.sleep(0.2)

    async def ship_logs(self, world: World) -> None:
        """Give its own log lines to the sandbox's Loki, for ever."""
        labels = {"container": self.patient, "service": self.patient}
        while True:
            with contextlib.suppress(DockerError, TimeoutError):
                lines = await self.container.log(stdout=True, stderr=True, tail=400, timestamps=True)
                for line in lines:
                    if line not in self._seen:
                        self._seen.add(line)
                        world.loki.push(labels, line.partition(" ")[2].rstrip("\n"))
            await asyncio.sleep(0.5)

    async def count_restarts(self, docker: Docker) -> None:
        """Listen to the engine's own events, for ever."""
        subscriber: Any = docker.events.subscribe()  # type: ignore[no-untyped-call]  # aiodocker types it not
        while (event := await subscriber.get()) is not None:
            actor = event.get("Actor") or {}
            if event.get("Action") == "restart" and actor.get("ID") == self.container.id:
                self.restarted += 1

    def metrics(self) -> list[Exposed]:
        """Return what cAdvisor would expose of it."""
        labels = {"name": self.patient}
        return [
            ("container_memory_working_set_bytes", labels, self.memory),
            ("container_spec_memory_limit_bytes", labels, self.limit),
        ]


@contextlib.asynccontextmanager
async def hospital_for(world: World, console: Console) -> AsyncIterator[DockerHospital]:
    """Run a patient that leaks, until it is ill; remove it afterwards, whatever happened."""
    host = load_settings().docker.host or _DEFAULT_HOST
    async with Docker(url=host, timeout=aiohttp.ClientTimeout(total=300, connect=5)) as docker:
        image = await _image(docker, host, console)
        name = f"sreops-demo-{uuid.uuid4().hex[:8]}"
        config: dict[str, Any] = {
            "Image": image,
            "Cmd": ["python3", "-c", _PATIENT, str(int(_LIMIT_BYTES * 0.8))],
            "Labels": {"sreops.enable": "true", "sreops.demo": "true"},
            "HostConfig": {"Memory": _LIMIT_BYTES, "MemorySwap": _LIMIT_BYTES, "NetworkMode": "none"},
        }
        container = await docker.containers.run(config, name=name)
        hospital = DockerHospital(host, name, container)
        tasks = [
            asyncio.create_task(hospital.feel()),
            asyncio.create_task(hospital.ship_logs(world)),
            asyncio.create_task(hospital.count_restarts(docker)),
        ]
        try:
            console.print(f"A container of this machine's engine: [bold]{name}[/] ({image}); it begins to leak.")
            world.prometheus.add_target("docker", "engine:2375", hospital.metrics)
            world.prometheus.add_rule(
                "MemoryNearLimit",
                f'container_memory_working_set_bytes{{name="{name}"}}'
                f' / container_spec_memory_limit_bytes{{name="{name}"}} > 0.8',
                labels={"severity": "critical"},
            )
            await asyncio.sleep(3)  # some healthy samples, for the baseline
            await container.kill(signal="SIGUSR1")
            await _until_ill(hospital)
            yield hospital
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(DockerError):
                await container.delete(force=True, v=True)


async def _until_ill(hospital: DockerHospital) -> None:
    deadline = time.monotonic() + _ILL_WITHIN_S
    while hospital.memory < 0.8 * hospital.limit and time.monotonic() < deadline:  # noqa: ASYNC110  # the engine is asked
        await asyncio.sleep(0.2)


async def _image(docker: Docker, host: str, console: Console) -> str:
    """Return a local image that has Python, else pull one."""
    cure = "start it, or name it with SREOPS_DOCKER__HOST"
    try:
        for image in await docker.images.list():
            for tag in image.get("RepoTags") or ():
                if tag.split("/")[-1].startswith("python:"):
                    return str(tag)
        console.print(f"pulling {_IMAGE} …")
        await docker.images.pull(_IMAGE)
    except DockerError as exc:
        if exc.status == 900:
            raise SettingsInvalid([f"--docker: no Docker Engine answers at {host}: {exc.message}; {cure}"]) from exc
        raise SettingsInvalid([f"--docker: {_IMAGE} can't be pulled: {exc.message}; pull a python image"]) from exc
    return _IMAGE
