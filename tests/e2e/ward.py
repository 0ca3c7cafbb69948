"""The real world around one patient: a container, what watches it, and the sreops that looks after it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from servers.dockerd import Dockerd
from servers.loki import Loki
from servers.ports import free_port

PATIENT = Path(__file__).with_name("patient.py").read_text()
START = "/usr/bin/python3"
"""What its container starts: a link, which nothing else in the container goes by."""


@dataclass
class Patient:
    """A container of the real engine that can be broken."""

    dockerd: Dockerd
    name: str
    port: int
    container: str
    shipped: int = 0
    restart_events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def target(self) -> str:
        """What Prometheus scrapes."""
        return f"127.0.0.1:{self.port}"

    def break_it(self) -> None:
        self.told("break")

    def told(self, what: str) -> None:
        """Tell it to break, fill or heal (see patient.py)."""
        httpx.post(f"http://{self.target}/{what}", timeout=5).raise_for_status()

    def told_if_up(self, what: str) -> None:
        """Tell it so where it serves; it may end before it answers."""
        with contextlib.suppress(httpx.TransportError):
            httpx.post(f"http://{self.target}/{what}", timeout=2)

    def runs(self, *command: str) -> None:
        """Run a command inside the container."""
        body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
        made = self.dockerd.api.post(f"/containers/{self.container}/exec", json=body).raise_for_status()
        path = f"/exec/{made.json()['Id']}"
        self.dockerd.api.post(f"{path}/start", json={"Detach": False}).raise_for_status()
        assert self.dockerd.api.get(f"{path}/json").json()["ExitCode"] == 0, command

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://{self.target}/metrics", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def started_at(self) -> str:
        return str(self.dockerd.inspect(self.container)["State"]["StartedAt"])

    @property
    def restarts(self) -> int:
        """How often the engine itself says that it restarted the container."""
        return len(self.restart_events)

    async def watch_engine(self) -> None:
        """Collect the engine's restart events from now on, for ever.

        Streamed from the beginning: the engine keeps only its last 256 events, and health checks fill those.
        """
        filters = json.dumps({"container": [self.container], "event": ["restart"]})
        transport = httpx.AsyncHTTPTransport(uds=str(self.dockerd.socket))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=None) as client,
            client.stream("GET", "/events", params={"filters": filters}) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.strip():
                    self.restart_events.append(json.loads(line))

    def rule(self, alertname: str = "MemoryNearlyFull", **labels: str) -> dict[str, Any]:
        """The alert rule of a real Prometheus that fires when it is ill."""
        ratio = 'container_memory_working_set_bytes{name="%s"} / container_spec_memory_limit_bytes{name="%s"}'
        return {
            "alert": alertname,
            "expr": ratio % (self.name, self.name) + " > 0.9",
            "for": "1s",
            "labels": {"severity": "critical", "tier": "autonomous", "container": self.name, **labels},
            "annotations": {"summary": f"{self.name} has nearly used up its memory"},
        }

    async def ship_logs(self, loki: Loki) -> None:
        """Push the container's own log lines to Loki, for ever, as an agent beside it would."""
        while True:
            lines = (await asyncio.to_thread(self.dockerd.logs, self.container)).splitlines()
            fresh = [(datetime.now(UTC), line) for line in lines[self.shipped :]]
            if fresh:
                await asyncio.to_thread(loki.push, {"container": self.name, "job": "docker"}, fresh)
                self.shipped = len(lines)
            await asyncio.sleep(0.5)


@contextmanager
def admitted(
    dockerd: Dockerd,
    *,
    service: str = "payments",
    curable: bool = True,
    labels: Callable[[str], Mapping[str, str]] | None = None,
    stop_timeout_s: int | None = None,
    restart_policy: str = "no",
) -> Iterator[Patient]:
    """A running patient whose name begins with its service's; removed in the end. ``labels``: by its name."""
    name = f"{service}-{uuid.uuid4().hex[:8]}"
    port = free_port()
    image = dockerd.import_python_image()
    # Small tools: an interpreter at every check would cost more than all else. On a busy machine the first checks come
    # before it listens; what nc says of that would be evidence.
    check = f"printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' | nc -w 1 127.0.0.1 {port} 2>/dev/null | grep -q ' 200 '"
    container = dockerd.run_container(
        image,
        [START, "-u", "-c", PATIENT, name, str(port), "yes" if curable else "no"],
        name=name,
        labels=labels(name) if labels else {"sreops.enable": "true"},
        restart_policy=restart_policy,
        config={} if stop_timeout_s is None else {"StopTimeout": stop_timeout_s},
        healthcheck={
            "Test": ["CMD-SHELL", check],
            "Interval": 700_000_000,
            "Timeout": 2_000_000_000,
            "Retries": 3,
            "StartPeriod": 0,
        },
    )
    try:
        yield Patient(dockerd, name, port, container)
    finally:
        dockerd.remove(container)
