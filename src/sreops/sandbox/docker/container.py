"""A container of the sandbox's engine: its state, and its shapes in the Engine API (MB:api/swagger.yaml)."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sreops.sandbox.clock import NS
from sreops.sandbox.docker.process import Process, Ran, no_commands

NEVER = "0001-01-01T00:00:00Z"
HealthStatus = Literal["starting", "healthy", "unhealthy"]
Version = tuple[int, int]


def rfc3339(ts_ns: int) -> str:
    """Return nanoseconds as the engine writes times; 0 is its way to say never."""
    if not ts_ns:
        return NEVER
    whole = datetime.fromtimestamp(ts_ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{ts_ns % NS:09d}".rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def image_id_of(content: str) -> str:
    """Return the digest of an image that holds ``content``."""
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a container wrote."""

    ts_ns: int
    stream: Literal["stdout", "stderr"]
    text: str


@dataclass(frozen=True, slots=True)
class Probe:
    """One health check that ran."""

    start_ns: int
    end_ns: int
    exit_code: int
    output: str


@dataclass(slots=True)
class Health:
    """What the health checks have shown since the last start."""

    status: HealthStatus = "starting"
    failing_streak: int = 0
    log: deque[Probe] = field(default_factory=lambda: deque(maxlen=5))

    def shown(self) -> dict[str, Any]:
        """Return it as inspect has it, oldest check first."""
        return {
            "Status": self.status,
            "FailingStreak": self.failing_streak,
            "Log": [
                {
                    "Start": rfc3339(probe.start_ns),
                    "End": rfc3339(probe.end_ns),
                    "ExitCode": probe.exit_code,
                    "Output": probe.output,
                }
                for probe in self.log
            ],
        }


@dataclass(slots=True)
class Container:
    """A container; the engine alone changes its state."""

    name: str
    process: Process
    image: str = "registry.example/shop:1.4.2"
    image_id: str = ""
    """What the tag meant when it was made; by default a digest of the tag."""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: tuple[str, ...] = ()
    healthcheck: bool = False
    memory_limit: int = 0
    restart_policy: str = "unless-stopped"
    tty: bool = False
    network: str = "shop_default"
    ports: Mapping[int, int] = field(default_factory=dict)
    """The host's ports that lead to it, each with its own."""
    stop_timeout_s: int | None = None
    """What it asks for by itself; None: it says nothing, and the engine waits for 10 s."""
    commands: Callable[[Sequence[str]], Ran | None] = no_commands
    """Begins a command of these words; None: there is no such program in it."""
    created_ns: int = 0
    id: str = ""
    status: Literal["created", "running", "restarting", "exited"] = "created"
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0
    pid: int = 0
    health: Health | None = None
    logs: deque[LogLine] = field(default_factory=lambda: deque(maxlen=20_000))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced by a new one, at every change of state and every line."""

    def __post_init__(self) -> None:
        if not self.id:
            self.id = hashlib.sha256(f"{self.name}@{self.created_ns}".encode()).hexdigest()
        if not self.image_id:
            self.image_id = image_id_of(self.image)

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.status == "running"

    @property
    def health_name(self) -> str:
        """Its health as the list's filter names it."""
        return self.health.status if self.health is not None else "none"

    def _ip(self) -> str:
        return f"172.18.0.{int(self.id[:4], 16) % 250 + 2}" if self.running else ""

    def _networks(self) -> dict[str, Any]:
        return {
            self.network: {
                "IPAMConfig": None,
                "Links": None,
                "Aliases": [self.labels.get("com.docker.compose.service", self.name)],
                "DNSNames": [self.name, self.labels.get("com.docker.compose.service", self.name), self.id[:12]],
                "IPAddress": self._ip(),
                "Gateway": "172.18.0.1" if self.running else "",
            }
        }

    def _bindings(self) -> dict[str, Any]:
        return {f"{own}/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)}] for port, own in self.ports.items()}

    def summary(self, now_ns: int, version: Version) -> dict[str, Any]:
        """Return it as an entry of ``/containers/json``."""
        entry: dict[str, Any] = {
            "Id": self.id,
            "Names": [f"/{self.name}"],
            "Image": self.image,
            "ImageID": self.image_id,
            "Command": "/app/run",
            "Created": self.created_ns // NS,
            "Ports": [],
            "Labels": dict(self.labels),
            "State": self.status,
            "Status": self._status_text(now_ns),
            "HostConfig": {"NetworkMode": self.network},
            "NetworkSettings": {"Networks": self._networks()},
            "Mounts": [],
        }
        if version >= (1, 52):
            streak = self.health.failing_streak if self.health is not None else 0
            entry["Health"] = {"Status": self.health_name, "FailingStreak": streak}
        return entry

    def _status_text(self, now_ns: int) -> str:
        if self.running:
            health = f" (health: {self.health_name})" if self.health_name == "starting" else f" ({self.health_name})"
            return f"Up {_ago(now_ns - self.started_ns)}{health if self.health is not None else ''}"
        if self.status == "exited":
            return f"Exited ({self.exit_code}) {_ago(now_ns - self.finished_ns)} ago"
        return self.status.capitalize()

    def inspect(self, version: Version) -> dict[str, Any]:
        """Return it as ``/containers/{id}/json``."""
        state: dict[str, Any] = {
            "Status": self.status,
            "Running": self.running,
            "Paused": False,
            "Restarting": self.status == "restarting",
            "OOMKilled": self.oom_killed,
            "Dead": False,
            "Pid": self.pid,
            "ExitCode": self.exit_code,
            "Error": self.error,
            "StartedAt": rfc3339(self.started_ns),
            "FinishedAt": rfc3339(self.finished_ns),
        }
        if self.health is not None:
            state["Health"] = self.health.shown()
        network: dict[str, Any] = {
            "Networks": self._networks(),
            "Ports": self._bindings() if self.running else {},
            "SandboxID": "",
        }
        if version < (1, 52):
            network |= {"IPAddress": self._ip(), "Gateway": "172.18.0.1" if self.running else "", "MacAddress": ""}
        return {
            "Id": self.id,
            "Created": rfc3339(self.created_ns),
            "Path": "/app/run",
            "Args": [],
            "State": state,
            "Image": self.image_id,
            "Name": f"/{self.name}",
            "RestartCount": self.restart_count,
            "Driver": "overlay2",
            "Platform": "linux",
            "Mounts": [],
            "HostConfig": {
                "Memory": self.memory_limit,
                "NanoCpus": 0,
                "NetworkMode": self.network,
                "PortBindings": self._bindings(),
                "RestartPolicy": {"Name": self.restart_policy, "MaximumRetryCount": 0},
                "LogConfig": {"Type": "json-file", "Config": {}},
            },
            "Config": {
                "Hostname": self.id[:12],
                "Image": self.image,
                "Env": list(self.env),
                "Cmd": ["/app/run"],
                "Labels": dict(self.labels),
                "Tty": self.tty,
                **({} if self.stop_timeout_s is None else {"StopTimeout": self.stop_timeout_s}),
                **({"Healthcheck": {"Test": ["CMD", "/app/healthy"]}} if self.healthcheck else {}),
            },
            "NetworkSettings": network,
        }

    def stats(self, now_ns: int, before: tuple[int, float] | None) -> dict[str, Any]:
        """Return it as ``/containers/{id}/stats``; ``before`` is an earlier (time, CPU seconds), if any."""
        shown: dict[str, Any] = {"id": self.id, "name": f"/{self.name}", "read": rfc3339(now_ns)}
        if not self.running:
            empty: dict[str, Any] = {"cpu_usage": {"total_usage": 0}, "throttling_data": {}}
            return {**shown, "cpu_stats": empty, "precpu_stats": empty, "memory_stats": {}, "pids_stats": {}}
        cpu_s, memory, working_set = self.process.usage()
        host_memory = 16 << 30
        shown["preread"] = rfc3339(before[0]) if before else NEVER
        shown["cpu_stats"] = _cpu(now_ns, cpu_s)
        shown["precpu_stats"] = _cpu(*before) if before else {"cpu_usage": {"total_usage": 0}, "throttling_data": {}}
        shown["memory_stats"] = {
            "usage": memory,
            "limit": self.memory_limit or host_memory,
            "stats": {"inactive_file": memory - working_set, "anon": working_set},
        }
        shown["pids_stats"] = {"current": 12, "limit": 18446744073709551615}
        return shown


def _cpu(now_ns: int, cpu_s: float) -> dict[str, Any]:
    return {
        "cpu_usage": {"total_usage": int(cpu_s * NS), "usage_in_kernelmode": 0, "usage_in_usermode": int(cpu_s * NS)},
        "system_cpu_usage": now_ns * 2,
        "online_cpus": 2,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def _ago(span_ns: int) -> str:
    seconds = max(0, span_ns // NS)
    if seconds < 60:
        return f"{seconds} seconds"
    if seconds < 7200:
        return f"{seconds // 60} minutes"
    return f"{seconds // 3600} hours"
