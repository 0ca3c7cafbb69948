"""The chosen queries are real PromQL, quoted, and answer with what the metrics say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sreops.adapters.observability.prometheus import PrometheusMetrics
from sreops.domain.evidence.golden_signals import MAX_SIGNALS, choose, merge
from sreops.domain.text.quoting import is_quotable
from sreops.sandbox.clock import ManualClock
from sreops.sandbox.prometheus.api import prometheus_api
from sreops.sandbox.prometheus.server import Prometheus
from sreops.sandbox.promql.parser import parse
from sreops.sandbox.server import Server
from sreops.settings import PrometheusSettings

APP = [
    "http_requests_total", "http_request_duration_seconds_bucket", "http_request_duration_seconds_count",
    "process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds", "process_open_fds",
    "process_max_fds", "payment_failures_total", "db_pool_connections_active", "db_pool_connections_max", "up",
    "jobs_queue_length",
]  # fmt: skip
CADVISOR = [
    "container_memory_working_set_bytes", "container_spec_memory_limit_bytes", "container_cpu_usage_seconds_total",
    "container_spec_cpu_quota", "container_spec_cpu_period", "container_oom_events_total",
    "container_start_time_seconds",
    "container_fs_usage_bytes", "container_fs_limit_bytes", "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_periods_total",
]  # fmt: skip
NODE = [
    "node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes", "node_cpu_seconds_total",
    "node_filesystem_avail_bytes", "node_filesystem_size_bytes", "up",
]  # fmt: skip


def ids(labels, names):
    return {signal.id for signal in choose(labels, names)}


def test_app_metrics_give_rate_errors_latency_memory_and_saturation():
    found = ids({"service": "payments"}, APP)
    assert found >= {"request_rate", "error_ratio", "latency_p95", "memory", "cpu", "up", "open_files", "pool", "queue"}
    assert "errors:payment_failures_total" in found


def test_cadvisor_metrics_give_memory_with_its_limit_cpu_oom_disk_and_the_last_start():
    signals = {signal.id: signal for signal in choose({"name": "payments"}, CADVISOR)}
    assert set(signals) >= {"memory", "cpu", "oom_kills", "started", "disk", "cpu_throttled"}
    assert signals["memory"].promql == 'max(container_memory_working_set_bytes{name="payments"})'
    assert signals["memory"].limit == 'max(container_spec_memory_limit_bytes{name="payments"} > 0)'


def test_node_metrics_give_memory_cpu_and_disk():
    assert ids({"instance": "n1:9100"}, NODE) >= {"node_memory", "node_cpu", "disk", "up"}


def asks(labels, names, signal_id):
    return next(signal for signal in choose(labels, names) if signal.id == signal_id)


def test_other_families_are_known_by_their_names():
    labels = {"service": "s"}
    grpc = asks(labels, ["grpc_server_handled_total"], "error_ratio").promql
    assert 'grpc_code=~"Unknown|Internal' in grpc
    assert asks(labels, ["api_response_time_ms_bucket"], "latency_p95").promql.endswith(" / 1000")
    jvm = asks(labels, ["jvm_memory_used_bytes", "jvm_memory_max_bytes"], "memory")
    assert jvm.promql == 'sum(jvm_memory_used_bytes{service="s"})'
    assert jvm.limit == 'sum(jvm_memory_max_bytes{service="s"} > 0)'
    assert asks(labels, ["shop_memory_used_bytes", "shop_memory_limit_bytes"], "memory").limit
    assert asks(labels, ["container_memory_working_set_bytes"], "memory").limit == ""
    assert asks(labels, ["container_cpu_usage_seconds_total"], "cpu").limit == ""
    assert asks(labels, ["container_fs_usage_bytes"], "disk").limit == ""
    assert asks(labels, ["kube_pod_container_status_restarts_total"], "restarts").unit == "count"
    assert asks(labels, ["container_health_state"], "health").worse == "down"


@pytest.mark.parametrize(
    ("name", "unit", "tail"),
    [
        ("data_volume_used_percent", "ratio", " / 100"),
        ("disk_usage_ratio", "ratio", ")"),
        ("disk_used_bytes", "bytes", ")"),
    ],
)
def test_disks_of_their_own_kind_are_read_in_their_unit(name, unit, tail):
    signal = asks({"service": "s"}, [name], "disk")
    assert signal.unit == unit
    assert signal.promql.endswith(tail)


def test_no_known_metric_gives_no_question():
    assert choose({"service": "x"}, ["weather_temperature_celsius", "x" * 100_000]) == ()


@given(st.text().filter(is_quotable))
@settings(max_examples=40, deadline=None)
def test_every_query_parses_whatever_the_service_is_called(service):
    for labels, names in (({"service": service}, APP), ({"name": service}, CADVISOR), ({"instance": service}, NODE)):
        for signal in choose(labels, names):
            for promql in filter(None, (signal.promql, signal.limit)):
                parse(promql)


def test_merging_keeps_the_first_of_each_kind_and_at_most_twelve():
    merged = merge([choose({"name": "p"}, CADVISOR), choose({"service": "p"}, APP), choose({"instance": "p"}, NODE)])
    assert len(merged) == MAX_SIGNALS
    by_id = {signal.id: signal for signal in merged}
    assert "container_memory" in by_id["memory"].promql
    assert [signal.rank for signal in merged] == sorted(signal.rank for signal in merged)


def served(status_label: str | None, statuses: dict[str, float]) -> Prometheus:
    """A service whose counters of each status grow at a rate per second, for ten minutes."""
    world = Prometheus(ManualClock())
    now = world.clock.time()
    for step in range(41):
        for status, rate in statuses.items():
            labels = {"service": "payments", "path": f"/{status}"} | ({status_label: status} if status_label else {})
            world.record("http_requests_total", labels, rate * step * 15, now - 600 + step * 15)
    return world


async def asked(world: Prometheus, promql: str) -> list[float]:
    async with Server(prometheus_api(world)) as server:
        metrics = PrometheusMetrics(PrometheusSettings(url=server.url))
        found = await metrics.instant(promql, at=world.clock.now(), timeout_s=5)
        await metrics.aclose()
    return [series.points[0][1] for series in found.series]


def query(signal_id: str) -> str:
    return next(s.promql for s in choose({"service": "payments"}, ["http_requests_total"]) if s.id == signal_id)


@pytest.mark.parametrize("label", ["status", "code", "status_code", "http_response_status_code"])
async def test_the_error_ratio_finds_the_label_that_holds_the_status(label):
    world = served(label, {"200": 9.0, "500": 0.75, "503": 0.25})
    assert await asked(world, query("error_ratio")) == [pytest.approx(0.1, rel=0.01)]


async def test_no_failure_is_zero_no_traffic_is_no_answer_and_no_status_is_no_answer():
    assert await asked(served("status", {"200": 9.0}), query("error_ratio")) == [0.0]
    assert await asked(served("status", {"200": 0.0}), query("error_ratio")) == []
    assert await asked(served(None, {"x": 9.0}), query("error_ratio")) == []
    assert await asked(served(None, {"x": 9.0}), query("request_rate")) == [pytest.approx(9.0, rel=0.01)]
