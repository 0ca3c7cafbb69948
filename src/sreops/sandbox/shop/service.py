"""One service of the shop: its counters, memory and health, as a process in a container would have them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from sreops.sandbox.docker.container import Container
from sreops.sandbox.prometheus.server import Exposed, TargetDown
from sreops.sandbox.shop.ailments import Ailment, Symptoms

MIB = 1 << 20
PROJECT = "shop"
BUCKETS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What a service is like when it is well."""

    name: str
    depends_on: tuple[str, ...] = ()
    enabled: bool = True
    """Whether its container carries ``sreops.enable=true``."""
    requests_per_s: float = 8.0
    latency_s: float = 0.06
    memory_share: float = 0.4
    memory_limit: int = 512 * MIB
    lines_per_s: float = 1.0
    stop_s: float = 0.4
    background_errors: float = 0.001

    def labels(self) -> dict[str, str]:
        """The labels of its container, as Compose writes them."""
        labels = {
            "com.docker.compose.project": PROJECT,
            "com.docker.compose.service": self.name,
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.config-hash": f"{hash_of(self.name):064x}",
            "com.docker.compose.version": "5.0.1",
            "com.docker.compose.depends_on": ",".join(f"{name}:service_started:false" for name in self.depends_on),
        }
        if self.enabled:
            labels["sreops.enable"] = "true"
        return labels


def hash_of(text: str) -> int:
    """Return a number that is the same in every run, unlike ``hash``."""
    return int.from_bytes(text.encode(), "big") * 0x9E3779B97F4A7C15 % (1 << 256)


@dataclass(slots=True)
class ShopService:
    """A running service; the shop lets its time pass by ``advance``."""

    spec: ServiceSpec
    ailments: list[Ailment] = field(default_factory=list)
    container: Container | None = None
    now: float = 0.0
    """Unix seconds up to which it has been advanced."""
    requests: dict[str, float] = field(default_factory=dict)
    buckets: list[float] = field(default_factory=lambda: [0.0] * (len(BUCKETS_S) + 1))
    latency_sum: float = 0.0
    cpu_s: float = 0.0
    memory: int = 0
    symptoms: Symptoms = field(default_factory=Symptoms)
    starts: int = 0
    up: bool = False

    def started(self) -> None:
        """Begin with a fresh heap and counters at zero."""
        self.up = True
        self.starts += 1
        self.requests, self.latency_sum = {}, 0.0
        self.buckets = [0.0] * (len(BUCKETS_S) + 1)
        self.cpu_s = 0.0
        for ailment in self.ailments:
            # The first start is the shop opening, not a cure.
            if self.starts > 1:
                ailment.restarted(self.now)
        self._feel(self.now)

    def stopped(self) -> None:
        """Answer nothing any more."""
        self.up = False

    def stop_seconds(self) -> float | None:
        """How long it takes to finish what it is at."""
        return self.spec.stop_s

    def usage(self) -> tuple[float, int, int]:
        """CPU seconds, memory, working set."""
        return self.cpu_s, self.memory + 24 * MIB, self.memory

    def _feel(self, at: float) -> None:
        active = [ailment.symptoms(at) for ailment in self.ailments if ailment.active(at)]
        self.symptoms = max(active, key=lambda symptoms: symptoms.error_ratio) if active else Symptoms()
        share = next(
            (symptoms.memory_share for symptoms in active if symptoms.memory_share is not None), self.spec.memory_share
        )
        self.memory = int(self.spec.memory_limit * share)

    def advance(self, at: float, rng: random.Random) -> None:
        """Let time pass: serve requests, use memory and CPU."""
        seconds, self.now = at - self.now, at
        if not self.up or seconds <= 0:
            return
        self._feel(at)
        jitter = 1 + 0.015 * math.sin(at / 37.0 + len(self.spec.name))
        self.memory = int(min(self.spec.memory_limit * 0.998, self.memory * jitter))
        count = max(0.0, rng.gauss(self.spec.requests_per_s * seconds, math.sqrt(self.spec.requests_per_s * seconds)))
        whole = float(round(count))
        ratio = min(1.0, self.symptoms.error_ratio + self.spec.background_errors)
        failed = float(sum(1 for _ in range(int(whole)) if rng.random() < ratio))
        missing = float(sum(1 for _ in range(int(whole - failed)) if rng.random() < 0.01))
        status = self.symptoms.status if self.symptoms.error_ratio else "500"
        for code, number in (("200", whole - failed - missing), ("404", missing), (status, failed)):
            if number:
                self.requests[code] = self.requests.get(code, 0.0) + number
        for _ in range(int(whole)):
            took = rng.lognormvariate(math.log(self.spec.latency_s * self.symptoms.slowness), 0.6)
            self.latency_sum += took
            self.buckets[next((i for i, bound in enumerate(BUCKETS_S) if took <= bound), len(BUCKETS_S))] += 1
        self.cpu_s += seconds * (0.08 + 0.5 * self.symptoms.error_ratio)

    def metrics(self) -> list[Exposed]:
        """Return what its own ``/metrics`` exposes; raises TargetDown while it does not run."""
        if not self.up:
            raise TargetDown(self.spec.name)
        own = {"service": self.spec.name}
        exposed: list[Exposed] = [
            ("http_requests_total", {**own, "status": code}, count) for code, count in self.requests.items()
        ]
        total = 0.0
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self.buckets, strict=True):
            total += count
            exposed.append(("http_request_duration_seconds_bucket", {**own, "le": bound}, total))
        exposed += [
            ("http_request_duration_seconds_sum", own, self.latency_sum),
            ("http_request_duration_seconds_count", own, total),
            ("process_resident_memory_bytes", own, float(self.memory)),
            ("process_cpu_seconds_total", own, self.cpu_s),
            ("process_start_time_seconds", own, self._started_at()),
        ]
        return exposed

    def _started_at(self) -> float:
        return self.container.started_ns / 1e9 if self.container is not None else 0.0

    def container_metrics(self) -> list[Exposed]:
        """Return what cAdvisor exposes of its container, which is nothing while it does not run."""
        container = self.container
        if container is None or not container.running:
            return []
        labels: Mapping[str, str] = {
            "id": f"/system.slice/docker-{container.id}.scope",
            "name": container.name,
            "image": container.image,
            "container_label_com_docker_compose_project": PROJECT,
            "container_label_com_docker_compose_service": self.spec.name,
        }
        health = {"none": 0.0, "starting": 0.0, "healthy": 1.0, "unhealthy": 0.0}[container.health_name]
        volume = 20 << 30
        return [
            ("container_memory_working_set_bytes", labels, float(self.memory)),
            ("container_memory_usage_bytes", labels, float(self.memory + 24 * MIB)),
            ("container_spec_memory_limit_bytes", labels, float(self.spec.memory_limit)),
            ("container_start_time_seconds", labels, self._started_at()),
            ("container_last_seen", labels, self.now),
            ("container_cpu_usage_seconds_total", {**labels, "cpu": "total"}, self.cpu_s),
            ("container_health_state", labels, health),
            ("container_fs_limit_bytes", labels, float(volume)),
            ("container_fs_usage_bytes", labels, volume * (1 - self.symptoms.disk_free_share)),
        ]
