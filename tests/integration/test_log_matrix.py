"""Alerts as 13 tools label them, against streams as 8 set-ups of log shippers label them, in a real Loki.

The subject's own lines are found in every pair where the labels make that possible at all, and a stranger's in none.
The label sets are written from the tools' documentation (docs/labels.md); the table there is this test's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers.loki import Loki
from sreops.adapters.observability.loki import LokiLogs
from sreops.agent.evidence.logs import select_own
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.subject import subject_of
from sreops.domain.evidence.evidence import ContainerState, Window
from sreops.domain.evidence.identity import identity_of
from sreops.settings import LokiSettings

TASK = "k3jx0a9mq1w2e3r4t5y6u7i8o"
CADVISOR = {"job": "cadvisor", "instance": "cadvisor:8080", "image": "x:1", "id": "/docker/" + "a" * 64}
COMPOSE = {
    "container_label_com_docker_compose_project": "shop",
    "container_label_com_docker_compose_service": "payments",
}
KSM = {"job": "kube-state-metrics", "service": "kube-state-metrics", "instance": "10.0.0.9:8080"}

ALERTS: dict[str, dict[str, str]] = {
    "cAdvisor, Compose": {"name": "shop-payments-1", **CADVISOR, **COMPOSE},
    "cAdvisor, Swarm": {
        "name": f"prod_api.2.{TASK}",
        "container_label_com_docker_swarm_service_name": "prod_api",
        **CADVISOR,
    },
    "kubelet": {
        "namespace": "shop",
        "pod": "web-7c9d5b8f4-x2kqz",
        "container": "web",
        "job": "kubelet",
        "service": "kubelet",
        "node": "worker-1",
    },
    "kube-state-metrics": {"namespace": "shop", "deployment": "web", **KSM},
    "node exporter": {"job": "node", "instance": "h1:9100", "mountpoint": "/var"},
    "blackbox": {"job": "blackbox", "instance": "http://payments:8080/health"},
    "Docker driver, sum by (container_name)": {"container_name": "shop-payments-1"},
    "Alloy docker": {"container_name": "shop-payments-1", "instance": "h1", "job": "integrations/docker"},
    "Promtail, regex": {"container": "shop-payments-1", "job": "docker"},
    "Promtail, /x": {"container": "/shop-payments-1", "job": "docker"},
    "OpenTelemetry": {"job": "shop/payments", "instance": "4f1c"},
    "Grafana, by (instance, name)": {"instance": "cadvisor:8080", "name": "shop-payments-1"},
    "Grafana, no labels": {},
}


class Process:
    """Who writes a line, as every shipper may know it."""

    def __init__(
        self, line: str, *, project: str = "", service: str = "", swarm: str = "", pod: str = "", ns: str = ""
    ) -> None:
        self.line, self.project, self.service, self.swarm, self.pod, self.ns = line, project, service, swarm, pod, ns
        self.container = f"{swarm}.1.{TASK}" if swarm else f"{project}-{service}-1" if project else service

    @property
    def fluent_record(self) -> dict[str, Any]:
        if self.pod:
            kubernetes = {"namespace_name": self.ns, "pod_name": self.pod, "container_name": self.service}
            return {"log": self.line, "kubernetes": kubernetes}
        return {"log": self.line, "container_name": f"/{self.container}", "container_id": "b" * 64, "source": "stdout"}

    @property
    def vector_record(self) -> dict[str, Any]:
        if self.pod:
            kubernetes = {"pod_namespace": self.ns, "pod_name": self.pod, "container_name": self.service}
            return {"message": self.line, "kubernetes": kubernetes}
        labels = {"com.docker.swarm.service.name": self.swarm} if self.swarm else {
            "com.docker.compose.project": self.project,
            "com.docker.compose.service": self.service,
        }  # fmt: skip
        return {"message": self.line, "container_name": self.container, "label": labels, "stream": "stdout"}


OWN = {
    "compose": Process("own: payment failed", project="shop", service="payments"),
    "swarm": Process("own: api failed", swarm="prod_api"),
    "kubernetes": Process("own: web failed", service="web", pod="web-7c9d5b8f4-x2kqz", ns="shop"),
}
STRANGERS = [
    Process("stranger: blog payments", project="blog", service="payments"),
    Process("stranger: cart", project="shop", service="cart"),
    Process("stranger: payments-worker", project="shop", service="payments-worker"),
    Process("stranger: other swarm", swarm="prod_api-admin"),
    Process("stranger: other web", service="web", pod="web-5b8f47c9d-aaaaa", ns="blog"),
    Process("stranger: web-admin", service="web-admin", pod="web-admin-7c9d5b8f4-bbbbb", ns="shop"),
]


def in_pod(of: Process) -> dict[str, str]:
    return {"namespace": of.ns, "pod": of.pod, "container": of.service}


def promtail(of: Process) -> tuple[dict[str, str], str]:
    return (in_pod(of) if of.pod else {"container": of.container, "job": "docker"}), of.line


def promtail_slash(of: Process) -> tuple[dict[str, str], str] | None:
    return None if of.pod else ({"container": f"/{of.container}", "job": "docker"}, of.line)


def alloy(of: Process) -> tuple[dict[str, str], str]:
    return (in_pod(of) if of.pod else {"container_name": of.container, "instance": "h1"}), of.line


def docker_driver(of: Process) -> tuple[dict[str, str], str] | None:
    if of.pod:
        return None
    whose = {"swarm_service": of.swarm} if of.swarm else {"compose_project": of.project, "compose_service": of.service}
    return {"container_name": of.container, "host": "h1", "source": "stderr", "filename": "/x.log", **whose}, of.line


def fluent_bit(of: Process) -> tuple[dict[str, str], str]:
    return {"job": "fluent-bit"}, json.dumps(of.fluent_record)


def vector(of: Process) -> tuple[dict[str, str], str]:
    return {"agent": "vector"}, json.dumps(of.vector_record)


def otlp(of: Process) -> tuple[dict[str, str], str]:
    if of.pod:
        names = {"k8s_namespace_name": of.ns, "k8s_pod_name": of.pod, "k8s_container_name": of.service}
        return {"service_name": of.service, **names}, of.line
    if of.swarm:
        return {"service_name": of.swarm, "container_name": of.container}, of.line
    return {"service_name": of.service, "service_namespace": of.project}, of.line


def journald(of: Process) -> tuple[dict[str, str], str] | None:
    if of.pod:
        return None
    where = {"job": "loki.source.journal.docker", "unit": "docker.service", "hostname": "h1"}
    return {**where, "container_name": of.container}, of.line


SHIPPERS: dict[str, Callable[[Process], tuple[dict[str, str], str] | None]] = {
    "Promtail": promtail,
    "Promtail /x": promtail_slash,
    "Alloy": alloy,
    "Docker driver": docker_driver,
    "Fluent Bit": fluent_bit,
    "Vector": vector,
    "OTLP": otlp,
    "journald": journald,
}
HOST_LINE = ({"job": "loki.source.journal.host", "unit": "cron.service", "hostname": "h1"}, "own: host h1 is full")
NOT_POSSIBLE = {
    *((alert, "Promtail /x") for alert in ("kubelet", "kube-state-metrics")),
    *((alert, "Docker driver") for alert in ("kubelet", "kube-state-metrics")),
    *((alert, "journald") for alert in ("kubelet", "kube-state-metrics")),
    *(("node exporter", shipper) for shipper in SHIPPERS if shipper != "journald"),
    *(("Grafana, no labels", shipper) for shipper in SHIPPERS),
}
"""Pairs in which no label says whose the lines are."""


def state_of(alert: str) -> ContainerState | None:
    """Return the container as the engine knows it; of Kubernetes, a host and a nameless rule it knows none."""
    if alert == "cAdvisor, Swarm":
        name = {"com.docker.swarm.service.name": "prod_api"}
        return container(f"prod_api.2.{TASK}", name, swarm_service="prod_api")
    if alert in ("kubelet", "kube-state-metrics", "node exporter", "Grafana, no labels"):
        return None
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "payments"}
    return container("shop-payments-1", labels)


def container(name: str, labels: dict[str, str], **more: Any) -> ContainerState:
    return ContainerState(id="c" * 64, name=name, image="x:1", status="running", running=True, labels=labels, **more)


def event_of(alert: str) -> AlertEvent:
    labels = {"alertname": "Broken", "severity": "critical", **ALERTS[alert]}
    now = datetime.now(UTC)
    subject = subject_of(labels, "Broken")
    return AlertEvent(
        event_id="1", source="grafana", fingerprint="f", status=AlertStatus.firing, labels=labels, annotations={},
        starts_at=now, received_at=now, tier=Tier.supervised, severity=Severity.critical, service=subject.name,
        subject=subject,
    )  # fmt: skip


def own_of(alert: str) -> str:
    kinds = {"cAdvisor, Swarm": "swarm", "kubelet": "kubernetes", "kube-state-metrics": "kubernetes"}
    return HOST_LINE[1] if alert == "node exporter" else OWN[kinds.get(alert, "compose")].line


def push(url: str, tenant: str, streams: Sequence[tuple[dict[str, str], str]]) -> None:
    now_ns = int((datetime.now(UTC) - timedelta(seconds=30)).timestamp() * 1e9)
    body = {
        "streams": [
            {"stream": labels, "values": [[str(now_ns + place), line]]} for place, (labels, line) in enumerate(streams)
        ]
    }
    answer = httpx.post(f"{url}/loki/api/v1/push", json=body, headers={"X-Scope-OrgID": tenant}, timeout=20)
    assert answer.status_code == 204, answer.text


@pytest.fixture(scope="module")
def tenants() -> Iterator[Loki]:
    """A Loki with one tenant a shipper: each has the streams of one kind."""
    with Loki(tenants=True) as loki:
        for place, shipper in enumerate(SHIPPERS.values()):
            streams = [told for of in (*OWN.values(), *STRANGERS) if (told := shipper(of)) is not None]
            push(loki.url, f"t{place}", [*streams, HOST_LINE] if shipper is journald else streams)
        yield loki


async def found(url: str, shipper: str, alert: str) -> tuple[list[str], Sequence[Any]]:
    logs = LokiLogs(LokiSettings(url=url, tenant=f"t{list(SHIPPERS).index(shipper)}"))
    now = datetime.now(UTC)
    window = Window(start=now - timedelta(minutes=15), end=now + timedelta(minutes=1))
    event = event_of(alert)
    try:
        identity = identity_of(event, state_of(alert))
        selected = await select_own(logs, identity, event.labels, window, 100, 20)
    finally:
        await logs.aclose()
    return [line.text for line in selected.lines.lines], selected.asked


@pytest.mark.needs("loki")
@pytest.mark.parametrize("alert", ALERTS)
async def test_the_own_lines_are_found_wherever_the_labels_allow_it_and_no_strangers(alert: str, tenants: Loki) -> None:
    wrong = {}
    for shipper in SHIPPERS:
        lines, asked = await found(tenants.url, shipper, alert)
        expected = [] if (alert, shipper) in NOT_POSSIBLE else [own_of(alert)]
        if lines != expected:
            wrong[shipper] = (lines, [f"{one.query}: {one.why}" for one in asked])
    assert wrong == {}


def test_the_table_in_the_documentation_is_this_matrix() -> None:
    table = ["| alert | " + " | ".join(SHIPPERS) + " |", "|---" * (len(SHIPPERS) + 1) + "|"]
    for alert in ALERTS:
        cells = ["-" if (alert, shipper) in NOT_POSSIBLE else "found" for shipper in SHIPPERS]
        table.append(f"| {alert} | " + " | ".join(cells) + " |")
    text = (Path(__file__).parents[2] / "docs" / "labels.md").read_text()
    assert "\n".join(table) in text
