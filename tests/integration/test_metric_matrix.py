"""Alerts as tools label them, against the series of cAdvisor, kubelet, node and blackbox in a real Prometheus.

Two Compose projects have a service ``db``, two clusters' pods are called alike, two hosts and two targets are scraped:
the subject's own series are found, and a stranger's in no pair.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from servers.prometheus import Prometheus
from servers.waiting import poll
from sreops.adapters.observability.prometheus import PrometheusMetrics
from sreops.agent.evidence.metrics import select_series, signals_of
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.subject import subject_of
from sreops.domain.evidence.evidence import ContainerState, Window
from sreops.domain.evidence.identity import identity_of
from sreops.settings import PrometheusSettings

SHOP, BLOG = "a" * 64, "b" * 64


def _of_container(name: str, project: str, cgroup: str, value: int) -> str:
    labels = (
        f'name="{name}",image="x:1",id="/docker/{cgroup}",container_label_com_docker_compose_project="{project}",'
        f'container_label_com_docker_compose_service="db"'
    )
    return f"container_memory_working_set_bytes{{{labels}}} {value}\ncontainer_last_seen{{{labels}}} {value}\n"


def _of_pod(namespace: str, value: int) -> str:
    labels = f'namespace="{namespace}",pod="web-7c9d5b8f4-x2kqz",container="web",name="k8s_web",image="x"'
    return f"container_memory_working_set_bytes{{{labels}}} {value}\n"


PAGES = {
    "cadvisor": _of_container("shop-db-1", "shop", SHOP, 1) + _of_container("blog-db-1", "blog", BLOG, 2),
    "cadvisor-h2": _of_container("shop-db-1", "shop", "c" * 64, 3),
    "kubelet": _of_pod("shop", 4) + _of_pod("blog", 5),
    "shop/db": "app_requests_total 6\n",
    "blog/db": "app_requests_total 7\n",
    "node": 'node_filesystem_avail_bytes{mountpoint="/var"} 8\nnode_uname_info{nodename="web-7"} 1\n',
    "node-h2": 'node_filesystem_avail_bytes{mountpoint="/var"} 9\n',
    "blackbox": "probe_success 0\nprobe_duration_seconds 10\n",
    "blackbox-2": "probe_success 1\nprobe_duration_seconds 11\n",
}
INSTANCES = {
    "cadvisor": "h1:8080", "cadvisor-h2": "h2:8080", "node": "h1:9100", "node-h2": "h2:9100",
    "blackbox": "https://shop.example/health", "blackbox-2": "https://blog.example/health",
}  # fmt: skip


@contextmanager
def page(text: str) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        targets = {job: [stack.enter_context(page(text))] for job, text in PAGES.items()}
        labels = {job: {"instance": instance} for job, instance in INSTANCES.items()}
        server = stack.enter_context(Prometheus(targets, labels=labels))
        poll(lambda: (server.value("sum(up)") or 0) >= len(PAGES), 30, what="every page to be scraped")
        yield server


def state(engine: str = "") -> ContainerState:
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "db"}
    return ContainerState(
        id=SHOP, name="shop-db-1", image="x:1", status="running", running=True, labels=labels, engine=engine
    )


CADVISOR = {"job": "cadvisor", "instance": "h1:8080", "name": "shop-db-1", "image": "x:1", "id": f"/docker/{SHOP}"}
COMPOSE = {
    "container_label_com_docker_compose_project": "shop",
    "container_label_com_docker_compose_service": "db",
}
ALERTS: dict[str, tuple[dict[str, str], ContainerState | None, set[float]]] = {
    "cAdvisor, engine known": ({**CADVISOR, **COMPOSE}, state(), {1, 6}),
    "cAdvisor, no engine": ({**CADVISOR, **COMPOSE}, None, {1, 6}),
    "cAdvisor by Compose's labels": ({**COMPOSE, "job": "cadvisor"}, state(), {1, 6}),
    "a service called db, engine known": ({"service": "db"}, state(), {1, 6}),
    "Docker driver": ({"container_name": "shop-db-1", "compose_project": "shop", "host": "h1"}, None, {1}),
    "OpenTelemetry": ({"job": "blog/db"}, None, {7}),
    "kubelet": (
        {"namespace": "shop", "pod": "web-7c9d5b8f4-x2kqz", "container": "web", "job": "kubelet"}, None, {4},
    ),
    "kube-state-metrics": ({"namespace": "blog", "pod": "web-7c9d5b8f4-x2kqz", "container": "web"}, None, {5}),
    "node exporter": ({"job": "node", "instance": "h1:9100", "mountpoint": "/var"}, None, {8}),
    "a host without its port": ({"host": "h2"}, None, {9}),
    "a host by its nodename": ({"host": "web-7"}, None, {8}),
    "blackbox": ({"job": "blackbox", "instance": "https://shop.example/health"}, None, {0, 10}),
}  # fmt: skip


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("name", ALERTS)
async def test_own_series_are_found_and_no_strangers(name: str, prometheus: Prometheus) -> None:
    labels, container, expected = ALERTS[name]
    subject = subject_of(labels, "Broken")
    now = datetime.now(UTC)
    event = AlertEvent(
        event_id="1", source="grafana", fingerprint="f", status=AlertStatus.firing, labels=labels, annotations={},
        starts_at=now, received_at=now, tier=Tier.supervised, severity=Severity.critical, service=subject.name,
        subject=subject,
    )  # fmt: skip
    metrics = PrometheusMetrics(PrometheusSettings(url=prometheus.url))
    window = Window(start=now - timedelta(minutes=5), end=now)
    try:
        found = await select_series(metrics, identity_of(event, container), labels, window, 20)
        told = [(one.query, one.taken, one.why) for one in found.asked]
        assert signals_of(found.own) or expected == {7}, told
        values = set()
        for own in found.own:
            for metric in set(own.names) - {"up", "container_last_seen", "node_uname_info"}:
                if not metric.startswith("scrape_"):
                    selector = own.selector.promql.replace("{", f"{metric}{{", 1)
                    answer = await metrics.instant(selector, at=now, timeout_s=20)
                    values |= {series.points[-1][1] for series in answer.series}
    finally:
        await metrics.aclose()
    assert values == expected, told
