"""The whole sandbox: a shop and the servers around it, on loopback, with the settings that point sreops at them.

``async with World() as world``: ``world.settings()`` is the environment for sreops; ``world.shop`` makes
services ill; ``world.fire`` and ``world.resolve`` send Grafana's webhook, ``world.notify`` does so for every
rule of the sandbox's Prometheus that fires.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from sreops.sandbox import webhook
from sreops.sandbox.claude import Claude
from sreops.sandbox.clock import Clock, WallClock
from sreops.sandbox.docker.api import docker_api
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.gitlab import GitLab
from sreops.sandbox.grafana.server import DataSource, Grafana, GrafanaAlert
from sreops.sandbox.loki.server import Loki
from sreops.sandbox.prometheus.api import prometheus_api
from sreops.sandbox.prometheus.server import Prometheus
from sreops.sandbox.server import Server
from sreops.sandbox.shop import deploys
from sreops.sandbox.shop.deploys import Deploys
from sreops.sandbox.shop.shop import Shop
from sreops.sandbox.webhook import FiredAlert

TOKEN = "sandbox-token"
API_KEY = "sk-ant-sandbox"
PROJECT = "ops/incidents"
DEPLOYS: Mapping[str, object] = {
    "project": f"shop/{deploys.SERVICE}", "token": deploys.TOKEN, "actions": ["rollback_deployment"],
    "environments": [deploys.ENVIRONMENT],
}  # fmt: skip
"""What sreops may do in the project that deploys one of the shop's services."""
TIERS: Mapping[str, str] = {"storefront": "supervised", "ledger-db": "supervised"}
"""Tiers of the shop's services; the rest are autonomous."""


class World:
    """Every sandbox server, and the shop. Leave one out with ``gitlab=False`` and the like.

    ``past_s``: how much of the past the shop fills in before it opens (seconds). ``scrape_interval_s`` and
    ``window`` (a PromQL duration, at least four intervals) decide how soon a trouble shows, and a cure.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        past_s: float = 1800.0,
        scrape_interval_s: float = 5.0,
        window: str = "1m",
        gitlab: bool = True,
        claude: bool = True,
        grafana: bool = True,
        docker: bool = True,
        seed: int = 7,
    ) -> None:
        self.clock = clock or WallClock()
        self._past_s = past_s
        self.loki = Loki(self.clock)
        self.prometheus = Prometheus(self.clock, scrape_interval_s=scrape_interval_s)
        self.engine = DockerEngine(self.clock)
        self.gitlab = GitLab(TOKEN, PROJECT, clock=self.clock) if gitlab else None
        self.claude = Claude(API_KEY, clock=self.clock) if claude else None
        sources = {
            "loki": DataSource("loki", self.loki.app),
            "prometheus": DataSource("prometheus", prometheus_api(self.prometheus)),
        }
        self.grafana = Grafana(TOKEN, sources, clock=self.clock) if grafana else None
        self.shop = Shop(self.clock, self.loki, self.prometheus, self.engine, window=window, seed=seed)
        self.deploys = Deploys(self.gitlab, self.shop) if self.gitlab is not None else None
        self.servers: dict[str, Server] = {}
        """The servers by name (``loki``, ``prometheus``, ``docker``, ``gitlab``, ``claude``, ``grafana``); stop one
        to take it away, start it again to give it back at the same address."""
        self.fired: list[FiredAlert] = []
        self._docker = docker
        self._known_to_grafana: dict[str, GrafanaAlert] = {}
        self._directory: Path | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> Self:
        """Open the shop and serve everything."""
        self._directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="sreops-sandbox-"))
        optional: dict[str, GitLab | Claude | Grafana | None] = {
            "gitlab": self.gitlab,
            "claude": self.claude,
            "grafana": self.grafana,
        }
        self.servers = {"loki": Server(self.loki.app), "prometheus": Server(prometheus_api(self.prometheus))}
        self.servers |= {name: Server(part.app) for name, part in optional.items() if part is not None}
        if self._docker:
            self.servers["docker"] = Server(docker_api(self.engine), path=self._directory / "docker.sock")
        # The half hour that is filled in takes half a second of computing, which must not hold up the loop.
        await asyncio.to_thread(self.shop.open, self._past_s)
        try:
            for server in self.servers.values():
                await server.start()
        except BaseException:
            await self.stop()
            raise
        self._client = httpx.AsyncClient(timeout=30, follow_redirects=False, headers={"User-Agent": "Grafana"})
        self._tasks.append(asyncio.create_task(self.shop.run(), name="sandbox shop"))
        if self.grafana is not None:
            self._tasks.append(asyncio.create_task(self._clear_what_is_over(), name="sandbox grafana"))
        return self

    async def stop(self) -> None:
        """Stop everything and remove the socket's directory."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._client is not None:
            await self._client.aclose()
        await self.engine.close()
        await asyncio.gather(*(server.stop() for server in self.servers.values()))
        if self._directory is not None:
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def settings(self, *, through_grafana: bool = False) -> dict[str, str]:
        """Return the environment that points sreops at this world; logs and metrics directly, or by Grafana's proxy."""
        settings: dict[str, str] = {}
        if not through_grafana:
            settings["SREOPS_LOKI__URL"] = self.servers["loki"].url
            settings["SREOPS_PROMETHEUS__URL"] = self.servers["prometheus"].url
        if "docker" in self.servers:
            settings["SREOPS_DOCKER__HOST"] = self.servers["docker"].url
        if "grafana" in self.servers:
            settings |= {"SREOPS_GRAFANA__URL": self.servers["grafana"].url, "SREOPS_GRAFANA__TOKEN": TOKEN}
        if "gitlab" in self.servers:
            settings |= {
                "SREOPS_GITLAB__URL": self.servers["gitlab"].url,
                "SREOPS_GITLAB__TOKEN": TOKEN,
                "SREOPS_GITLAB__PROJECT": PROJECT,
                "SREOPS_GITLAB__ACTIONS": json.dumps([DEPLOYS]),
            }
        if "claude" in self.servers:
            settings |= {"SREOPS_LLM__BASE_URL": self.servers["claude"].url, "SREOPS_LLM__API_KEY": API_KEY}
        return settings

    def alert(self, alertname: str, service: str, severity: str = "critical", **labels: str) -> FiredAlert:
        """Make an alert about a service of the shop, with the labels that its Grafana gives it; begins now."""
        own = {
            "alertname": alertname,
            "service": service,
            "container": service,
            "severity": severity,
            "tier": TIERS.get(service, "autonomous"),
            "grafana_folder": "shop",
        }
        summary = f"{alertname} on {service}"
        return FiredAlert({**own, **labels}, self.clock.now(), {"summary": summary}, {"A": 1.0, "C": 1.0})

    async def fire(
        self, alerts: FiredAlert | Iterable[FiredAlert], url: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send alerts as one notification to ``url`` (such as ``http://127.0.0.1:8080/alerts``)."""
        group = [alerts] if isinstance(alerts, FiredAlert) else list(alerts)
        for alert in group:
            if self.grafana is not None and alert.fingerprint not in self._known_to_grafana:
                active = self.grafana.fire(alert.labels, alert.annotations, fingerprint=alert.fingerprint)
                active.starts_at = alert.starts_at
                active.ends_at = alert.starts_at + timedelta(hours=1)
                self._known_to_grafana[alert.fingerprint] = active
            if alert not in self.fired:
                self.fired.append(alert)
        return await self._send(group, url, headers)

    async def resolve(
        self, alerts: FiredAlert | Iterable[FiredAlert], url: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """End alerts now and send the notice."""
        group = [alerts] if isinstance(alerts, FiredAlert) else list(alerts)
        for alert in group:
            alert.ends_at = self.clock.now()
            known = self._known_to_grafana.pop(alert.fingerprint, None)
            if known is not None and self.grafana is not None:
                self.grafana.resolve(known)
        return await self._send(group, url, headers)

    async def _clear_what_is_over(self) -> None:
        """Let Grafana's alertmanager forget what its rule, once its condition held for the service, has no alert of."""
        burning: set[str] = set()
        while True:
            active = {_place(alert.labels) for alert in self.prometheus.alerts()}
            for fingerprint, known in list(self._known_to_grafana.items()):
                if _place(known.labels) in active:
                    burning.add(fingerprint)
                elif fingerprint in burning and self.grafana is not None:
                    burning.discard(fingerprint)
                    self.grafana.resolve(self._known_to_grafana.pop(fingerprint))
            await self.clock.sleep(1.0)

    async def _send(self, group: list[FiredAlert], url: str, headers: Mapping[str, str] | None) -> httpx.Response:
        if self._client is None:
            raise RuntimeError("the world has not been started: use `async with World()`")
        external_url = f"{self.servers['grafana'].url}/" if "grafana" in self.servers else "http://localhost:3000/"
        content = webhook.body(group, external_url=external_url)
        sent = {"Content-Type": "application/json", **(headers or {})}
        return await self._client.post(url, content=content, headers=sent)

    async def notify(
        self, url: str, headers: Mapping[str, str] | None = None, *, every_s: float = 2.0, severities: str = "critical"
    ) -> None:
        """Do Grafana's work until cancelled: send each rule's alerts when they fire, and when they have ended.

        What can't be delivered is tried again at the next round. ``severities``: which rules, comma-separated.
        """
        told: dict[tuple[str, str], FiredAlert] = {}
        while True:
            with contextlib.suppress(httpx.TransportError):
                await self._round(told, url, headers, frozenset(severities.split(",")))
            await self.clock.sleep(every_s)

    async def _round(
        self,
        told: dict[tuple[str, str], FiredAlert],
        url: str,
        headers: Mapping[str, str] | None,
        severities: frozenset[str],
    ) -> None:
        firing: dict[tuple[str, str], str] = {}
        for alert in self.prometheus.alerts():
            service = alert.labels.get("service") or alert.labels.get("name", "")
            severity = alert.labels.get("severity", "")
            if alert.state == "firing" and severity in severities:
                firing[alert.labels["alertname"], service] = severity
        for key, severity in firing.items():
            if key not in told:
                fired = self.alert(*key, severity)
                if (await self.fire(fired, url, headers)).is_success:
                    told[key] = fired
        for key in [key for key in told if key not in firing]:
            if (await self.resolve(told[key], url, headers)).is_success:
                del told[key]


def _place(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels["alertname"], labels.get("service") or labels.get("name", "")
