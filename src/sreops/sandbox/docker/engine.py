"""A Docker Engine for the sandbox: containers that start, stop, crash and turn unhealthy.

``docker_api`` is its HTTP API, to be served on a unix socket. An operation that was begun is finished
even when the client goes away, as the real daemon does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sreops.sandbox.clock import Clock
from sreops.sandbox.docker.container import (
    Container,
    Health,
    LogLine,
    Probe,
    Version,
    image_id_of,
    rfc3339,
)
from sreops.sandbox.docker.event import Event
from sreops.sandbox.docker.process import Process, StartFailed
from sreops.sandbox.docker.reply import fault_body
from sreops.sandbox.docker.swarm import Service, Swarm
from sreops.sandbox.faults import Faults

UNHEALTHY_AFTER = 3
"""Failed checks in a row, the engine's default of ``retries``."""


_Answer = TypeVar("_Answer")


class Ambiguous(Exception):
    """A prefix that several ids have."""


class NotRunning(Exception):
    """A signal for a container without a process."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a tag means: the image's digest, and when it was built."""

    id: str
    created_ns: int

    def inspect(self, tag: str) -> dict[str, Any]:
        """Return it as ``/images/{name}/json``."""
        return {
            "Id": self.id,
            "RepoTags": [tag],
            "RepoDigests": [],
            "Created": rfc3339(self.created_ns),
            "Architecture": "amd64",
            "Os": "linux",
            "Size": 8 << 20,
            "Config": {"Cmd": ["/app/run"]},
        }


class DockerEngine:
    """The engine: ``add`` containers, then serve its ``docker_api``; ``faults`` breaks that.

    ``min_version`` and ``max_version`` are the API versions that it takes. With ``swarm`` it is a manager.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        min_version: Version = (1, 44),
        max_version: Version = (1, 52),
        swarm: bool = False,
    ) -> None:
        self.clock = clock
        self.min_version = min_version
        self.max_version = max_version
        self.swarm: Swarm | None = Swarm() if swarm else None
        self.containers: dict[str, Container] = {}
        self.images: dict[str, Image] = {}
        """By tag: what each means now; a container keeps the image that it was made from."""
        self.events: deque[Event] = deque(maxlen=1000)
        self.happened = asyncio.Event()
        """Set, and replaced by a new one, at every event."""
        self.faults = Faults(fault_body)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._next_pid = 4000

    def add(self, name: str, process: Process, *, start: bool = True, **fields: Any) -> Container:
        """Create a container, and start it; ``fields`` are those of ``Container``, and may tell of the past."""
        fields.setdefault("created_ns", self.clock.time_ns())
        container = Container(name, process, **fields)
        self.images.setdefault(container.image, Image(container.image_id, container.created_ns))
        container.image_id = self.images[container.image].id
        self.containers[container.id] = container
        self.emit(container, "create", ts_ns=container.created_ns)
        if start:
            self._begin(container, container.started_ns or None)
        return container

    def tag(self, reference: str, content: str) -> None:
        """Let a tag mean another image from now on, as a build or a pull does."""
        self.images[reference] = Image(image_id_of(content), self.clock.time_ns())

    async def remove(self, container: Container) -> None:
        """Stop it if it runs, and remove it (``docker rm -f``)."""
        async with container.lock:
            if container.running:
                self.emit(container, "kill", {"signal": "9"})
                self._end(container, 137)
            del self.containers[container.id]
            self.emit(container, "destroy")

    def add_service(self, name: str, replicas: int | None = 1, labels: Mapping[str, str] | None = None) -> Service:
        """Create a swarm service; the engine must have been made with ``swarm``."""
        if self.swarm is None:
            raise ValueError("this engine is no swarm manager: make it with swarm=True")
        return self.swarm.add(name, replicas, labels or {}, self.clock.time_ns())

    def find(self, reference: str) -> Container | None:
        """Find a container by full id, name, or the prefix of an id; raises Ambiguous."""
        if reference in self.containers:
            return self.containers[reference]
        name = reference.removeprefix("/")
        for container in self.containers.values():
            if container.name == name:
                return container
        found = [container for key, container in self.containers.items() if reference and key.startswith(reference)]
        if len(found) > 1:
            raise Ambiguous(reference)
        return found[0] if found else None

    def newest_first(self) -> Iterator[Container]:
        """All containers, the latest created first."""
        return iter(sorted(self.containers.values(), key=lambda container: container.created_ns, reverse=True))

    async def finish(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Carry out ``work`` to its end, even if whoever asked for it goes away."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Give up operations that still run."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def start(self, container: Container) -> bool:
        """Start it; False where it runs already. Raises StartFailed."""
        async with container.lock:
            if container.running:
                return False
            container.restart_count = 0
            self._begin(container)
            return True

    async def stop(self, container: Container, grace_s: float) -> bool:
        """Stop it; False where it does not run."""
        async with container.lock:
            if not container.running:
                return False
            await self._halt(container, grace_s)
            self.emit(container, "stop")
            return True

    async def restart(self, container: Container, grace_s: float) -> None:
        """Stop it if it runs, and start it. Raises StartFailed."""
        async with container.lock:
            if container.running:
                await self._halt(container, grace_s)
                self.emit(container, "stop")
            container.restart_count = 0
            self._begin(container)
            self.emit(container, "restart")

    async def kill(self, container: Container, signal: int) -> None:
        """Send a signal; raises NotRunning."""
        if not container.running:
            raise NotRunning
        self.emit(container, "kill", {"signal": str(signal)})
        if signal == 9 or (signal in (2, 3, 15) and container.process.stop_seconds() is not None):
            self._end(container, 128 + signal)

    def crash(self, container: Container, exit_code: int, *, oom: bool = False) -> None:
        """Let its process die by itself; the restart policy decides whether it comes back."""
        if not container.running:
            return
        if oom:
            self.emit(container, "oom")
        self._end(container, exit_code, oom=oom)
        policy = container.restart_policy
        if policy in ("always", "unless-stopped") or (policy == "on-failure" and exit_code):
            count = container.restart_count + 1
            self._begin(container)
            container.restart_count = count

    def probe(self, container: Container, *, ok: bool, output: str = "", at_ns: int | None = None) -> None:
        """Record one health check of a container that has them."""
        health = container.health
        if health is None or not container.running:
            return
        now_ns = self.clock.time_ns() if at_ns is None else at_ns
        health.log.append(Probe(now_ns - 20_000_000, now_ns, 0 if ok else 1, output))
        before = health.status
        health.failing_streak = 0 if ok else health.failing_streak + 1
        if ok:
            health.status = "healthy"
        elif health.failing_streak >= UNHEALTHY_AFTER:
            health.status = "unhealthy"
        if health.status != before:
            self.emit(container, f"health_status: {health.status}")

    def log(
        self,
        container: Container,
        text: str,
        *,
        stream: Literal["stdout", "stderr"] = "stdout",
        ts_ns: int | None = None,
    ) -> None:
        """Write one line of a container's output."""
        container.logs.append(LogLine(self.clock.time_ns() if ts_ns is None else ts_ns, stream, text))
        container.notify()

    def emit(
        self,
        container: Container,
        action: str,
        attributes: Mapping[str, str] | None = None,
        *,
        ts_ns: int | None = None,
    ) -> None:
        """Let subscribers of ``/events`` know."""
        about = {"image": container.image, "name": container.name, **container.labels, **(attributes or {})}
        at_ns = self.clock.time_ns() if ts_ns is None else ts_ns
        self.events.append(Event(at_ns, action, container.id, about))
        happened, self.happened = self.happened, asyncio.Event()
        happened.set()
        container.notify()

    def _begin(self, container: Container, at_ns: int | None = None) -> None:
        try:
            container.process.started()
        except StartFailed as exc:
            container.status, container.error, container.exit_code = "exited", str(exc), 128
            container.finished_ns = self.clock.time_ns()
            raise
        self._next_pid += 7
        container.status, container.error, container.exit_code = "running", "", 0
        container.oom_killed = False
        container.pid = self._next_pid
        container.started_ns = self.clock.time_ns() if at_ns is None else at_ns
        container.health = Health() if container.healthcheck else None
        self.emit(container, "start", ts_ns=container.started_ns)

    async def _halt(self, container: Container, grace_s: float) -> None:
        self.emit(container, "kill", {"signal": "15"})
        takes_s = container.process.stop_seconds()
        obeys = takes_s is not None and takes_s <= grace_s
        wait_s = takes_s if obeys and takes_s is not None else grace_s
        if wait_s > 0:
            await self.clock.sleep(wait_s)
        if not obeys:
            self.emit(container, "kill", {"signal": "9"})
        if container.running:
            self._end(container, 143 if obeys else 137)

    def _end(self, container: Container, exit_code: int, *, oom: bool = False) -> None:
        container.process.stopped()
        container.status, container.exit_code, container.pid = "exited", exit_code, 0
        container.oom_killed = container.oom_killed or oom
        container.finished_ns = self.clock.time_ns()
        if container.health is not None:
            container.health.status = "unhealthy"
        self.emit(container, "die", {"exitCode": str(exit_code)})
