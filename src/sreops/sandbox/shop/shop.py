"""A small shop whose services run in the sandbox's engine, write to its Loki and are scraped by its Prometheus.

``open`` fills in the past, ``step`` lets time pass up to now, ``run`` does so until cancelled. ``afflict`` makes a
service ill at any time, also in the past that is yet to be filled in.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Literal, TypeVar

from sreops.sandbox.clock import NS, Clock
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.loki.server import Loki
from sreops.sandbox.prometheus.server import Exposed, Prometheus
from sreops.sandbox.shop.ailments import Ailment, BadVersion, Blip, DiskFull, Line, MemoryLeak, PoolExhausted
from sreops.sandbox.shop.chatter import complaint, ordinary
from sreops.sandbox.shop.service import PROJECT, ServiceSpec, ShopService

SERVICES = (
    ServiceSpec("storefront", ("checkout", "recommendations"), requests_per_s=12, lines_per_s=1.4),
    ServiceSpec("checkout", ("payments", "inventory")),
    ServiceSpec("payments", ("ledger-db",), lines_per_s=1.2),
    ServiceSpec("inventory", ("ledger-db",)),
    ServiceSpec("ledger-db", requests_per_s=15, latency_s=0.02, memory_share=0.55, lines_per_s=0.7),
    ServiceSpec("recommendations", enabled=False, requests_per_s=5, lines_per_s=0.4),
)
_Ailment = TypeVar("_Ailment", bound=Ailment)
PROBE_EVERY_S = 10.0
STEP_S = 5.0
"""How far time passes at once while the past is filled in."""


class Shop:
    """The shop. All that is random in it comes from ``seed``, so two runs tell the same story."""

    def __init__(
        self,
        clock: Clock,
        loki: Loki,
        prometheus: Prometheus,
        engine: DockerEngine,
        *,
        services: Iterable[ServiceSpec] = SERVICES,
        window: str = "1m",
        seed: int = 7,
    ) -> None:
        self._clock = clock
        self._loki = loki
        self._prometheus = prometheus
        self._engine = engine
        self._rng = random.Random(seed)
        self.services = {spec.name: ShopService(spec) for spec in services}
        self._at = clock.time()
        self._scraped_at = 0.0
        self._add_rules(window)

    def leak(self, service: str = "payments", *, full_in_s: float = 0.0, fills_in_s: float = 1200.0) -> MemoryLeak:
        """Let its memory fill up; it is full ``full_in_s`` from now. A restart cures it."""
        began_at = self._clock.time() + full_in_s - fills_in_s
        return self.afflict(MemoryLeak(service, began_at, fills_in_s))

    def wedge(self, service: str = "inventory", *, in_s: float = 0.0) -> PoolExhausted:
        """Deadlock it, ``in_s`` from now (before now where negative). A restart cures it."""
        return self.afflict(PoolExhausted(service, self._clock.time() + in_s))

    def fill_disk(self, service: str = "ledger-db", *, in_s: float = 0.0) -> DiskFull:
        """Fill its volume, ``in_s`` from now. A restart does not cure it."""
        return self.afflict(DiskFull(service, self._clock.time() + in_s))

    def spoil(self, service: str = "recommendations") -> BadVersion:
        """Give it a version that fails. Another version cures it (``cure``)."""
        return self.afflict(BadVersion(service, self._clock.time()))

    def blip(self, service: str = "storefront", *, in_s: float = 0.0, lasts_s: float = 60.0) -> Blip:
        """Give it errors that pass by themselves."""
        return self.afflict(Blip(service, self._clock.time() + in_s, lasts_s))

    def afflict(self, ailment: _Ailment) -> _Ailment:
        """Make a service ill."""
        self.services[ailment.service].ailments.append(ailment)
        return ailment

    def cure(self, service: str) -> None:
        """Take every ailment from a service, as a person would who frees its disk."""
        for ailment in self.services[service].ailments:
            if ailment.active(self._at):
                ailment.cured_at = self._at

    def open(self, past_s: float = 1800.0) -> None:
        """Start every container, with ``past_s`` seconds of logs and samples behind it."""
        now = self._clock.time()
        self._at = now - past_s
        for index, service in enumerate(self.services.values()):
            # Days ago, and each at its own time, as after an ordinary deployment.
            started_ns = int((now - past_s - 86_400 * 3 - 7 * index) * NS)
            service.now = self._at
            spec = service.spec
            service.container = self._engine.add(
                spec.name,
                service,
                labels=spec.labels(),
                image=f"registry.example/shop/{spec.name}:1.4.2",
                healthcheck=True,
                memory_limit=spec.memory_limit,
                env=(f"SERVICE={spec.name}", "LEDGER_PASSWORD=correct-horse-battery"),
                network=f"{PROJECT}_default",
                created_ns=started_ns,
                started_ns=started_ns,
            )
            self._engine.probe(service.container, ok=True, output="ok", at_ns=int(self._at * NS))
            self._prometheus.add_target(spec.name, f"{spec.name}:8080", service.metrics)
        self._prometheus.add_target("cadvisor", "cadvisor:8080", self._cadvisor)
        while self._at + STEP_S < now:
            self._pass_time(self._at + STEP_S)
        self.step()

    def step(self) -> None:
        """Let time pass up to now."""
        now = self._clock.time()
        while self._at < now:
            self._pass_time(min(now, self._at + STEP_S))

    async def run(self, every_s: float = 1.0) -> None:
        """Let time pass until cancelled."""
        while True:
            self.step()
            await self._clock.sleep(every_s)

    def _cadvisor(self) -> list[Exposed]:
        return [sample for service in self.services.values() for sample in service.container_metrics()]

    def _pass_time(self, at: float) -> None:
        seconds, before = at - self._at, self._at
        for service in self.services.values():
            service.advance(at, self._rng)
            if service.up:
                self._write_lines(service, before, seconds)
                self._probe(service, before, at)
        self._at = at
        if at - self._scraped_at >= self._prometheus.scrape_interval_s:
            self._scraped_at = at
            self._prometheus.scrape(at)

    def _probe(self, service: ShopService, before: float, at: float) -> None:
        if service.container is not None and before // PROBE_EVERY_S != at // PROBE_EVERY_S:
            failing = service.symptoms.health
            self._engine.probe(service.container, ok=not failing, output=failing or "ok", at_ns=int(at * NS))

    def _write_lines(self, service: ShopService, before: float, seconds: float) -> None:
        rng, at = self._rng, before + seconds
        active = [ailment for ailment in service.ailments if ailment.active(at)]
        lines: list[Line] = [line for ailment in active for line in ailment.lines(at, seconds, rng)]
        start = max([before, *(ailment.began_at for ailment in active)])  # no line is older than its cause
        expected = service.spec.lines_per_s * seconds
        count = int(expected) + (1 if rng.random() < expected % 1 else 0)
        lines += [ordinary(service.spec.name, rng) for _ in range(count)]
        for name in service.spec.depends_on:
            neighbour = self.services.get(name)
            if neighbour is not None and rng.random() < neighbour.symptoms.error_ratio * seconds / 10:
                lines.append(complaint(name, neighbour.symptoms.status, rng))
        stamps = sorted(int((start + rng.random() * (at - start)) * NS) for _ in lines)
        if len(lines) > 1 and not lines[1][1].startswith("\t"):
            rng.shuffle(lines)
        for ts_ns, (level, text) in zip(stamps, lines, strict=True):
            self._write(service, ts_ns, level, text)

    def _write(self, service: ShopService, ts_ns: int, level: str, text: str) -> None:
        name = service.spec.name
        stream: Literal["stdout", "stderr"] = "stderr" if level == "error" else "stdout"
        labels = {
            "container": name,
            "service": name,
            "compose_service": name,
            "compose_project": PROJECT,
            "level": level,
        }
        self._loki.push(labels, text, ts_ns)
        if service.container is not None:
            self._engine.log(service.container, text, stream=stream, ts_ns=ts_ns)

    def _add_rules(self, window: str) -> None:
        failing = f'sum by (service) (rate(http_requests_total{{status=~"5.."}}[{window}]))'
        every = f"sum by (service) (rate(http_requests_total[{window}]))"
        critical = {"severity": "critical"}
        self._prometheus.add_rule(
            "HighErrorRate",
            f"{failing} / {every} > 0.05",
            for_s=10,
            labels=critical,
            annotations={"summary": "More than 5 % of requests fail", "runbook": "high-error-rate"},
        )
        self._prometheus.add_rule(
            "MemoryNearLimit",
            "max by (name) (container_memory_working_set_bytes / (container_spec_memory_limit_bytes > 0)) > 0.9",
            for_s=30,
            labels={"severity": "warning"},
            annotations={"summary": "Memory is nearly at its limit"},
        )
        self._prometheus.add_rule(
            "DiskFull",
            "max by (name) (container_fs_usage_bytes / container_fs_limit_bytes) > 0.97",
            labels=critical,
            annotations={"summary": "The volume is full"},
        )
