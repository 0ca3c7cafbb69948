"""What was measured, in words: the value, what it was before, and the query's own names where nothing is known."""

from pathlib import Path

import pytest

from sreops.domain.remediation.measurement import in_words
from sreops.domain.runbooks.file import load_runbooks

FILE = Path(__file__).parents[2] / "runbooks.yaml"
MEMORY = 'container_memory_working_set_bytes{name="p"} / container_spec_memory_limit_bytes{name="p"}'
ERRORS = 'sum(rate(http_requests_total{status=~"5.."}[1m])) / sum(rate(http_requests_total[1m]))'


@pytest.mark.parametrize(
    ("promql", "condition", "now", "before", "told"),
    [
        (MEMORY, "< 0.8", [0.392], [0.981], "memory 39 % of its limit, was 98 %"),
        (ERRORS, "< 0.05", [0.0], [0.291], "errors 0 %, were 29 %"),
        (ERRORS, "< 0.05", [0.0012], [], "errors 0.12 %"),
        ('container_memory_working_set_bytes{name="p"}', "< 5e8", [210e6], [486e6], "memory 200 MiB, was 463 MiB"),
        (
            "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
            "< 0.5", [0.12], [2.4], "latency (slowest 5 %) 120 ms, was 2.4 s",
        ),
        ('count(container_memory_working_set_bytes{name="p"})', ">= 1", [1], [0], "containers that run 1, was 0"),
        ('probe_success{instance="x"}', "== 1", [1], [0], "it answers (1 is yes) 1, was 0"),
        ("sum(pool_used{a='b'}) / sum(pool_size{a='b'})", "< 1", [0.3], [1], "pool used / pool size 0.3, was 1"),
        ('queue_depth{note="errors[1m] / http_5xx{"}', "< 9", [3], [80], "queue depth 3, was 80"),
        ("job:errors:ratio", "< 0.1", [0.01], [0.4], "job:errors:ratio 0.01, was 0.4"),
    ],
)  # fmt: skip
def test_what_was_measured_is_told_with_what_it_was_before(
    promql: str, condition: str, now: list[float], before: list[float], told: str
) -> None:
    assert in_words(promql, condition, now, before) == told


def of(promql: str, *values: float, condition: str = "< 9") -> str:
    return in_words(promql, condition, values)


@pytest.mark.parametrize(
    ("promql", "told"),
    [
        ('container_memory_usage_bytes{a="b"}', "memory 0.5 B"),
        ('container_memory_rss{a="b"}', "memory 0.5 B"),
        ('jvm_memory_used_bytes{a="b"}', "memory 0.5 B"),
        ('process_resident_memory_bytes{a="b"}', "memory 0.5 B"),
        ('jvm_memory_used_bytes{a="b"} / jvm_memory_max_bytes{a="b"}', "memory 50 % of its limit"),
        ('  count(container_last_seen{a="b"})', "containers that run 0.5"),
        ('count(node_cpu{a="b"})', "node cpu 0.5"),
        ('container_last_seen{a="b"}', "container last seen 0.5"),
        ("histogram_quantile(0.99, sum(rate(x_bucket[5m])))", "latency (slowest 1 %) 500 ms"),
        ("histogram_quantile ( .9, sum(rate(x_bucket[5m])))", "latency (slowest 10 %) 500 ms"),
        ('request_latency{a="b"}', "latency 500 ms"),
        ('rpc_duration_seconds_sum{a="b"}', "latency 500 ms"),
        ('rate(grpc_server_handled_total{code=~"5.."}[1m])', "errors 0.5 a second"),
        ('rate(http_requests_total{status="500"}[1m])', "errors 0.5 a second"),
        ('rate(request_count{status_code=~"(5..|429)"}[1m])', "errors 0.5 a second"),
        ('rate(http_requests_total{status="200"}[1m])', "http requests total 0.5"),
        ('rate(node_turns{status="500"}[1m])', "node turns 0.5"),
        ("rate(worker_errors_total[1m])", "errors 0.5 a second"),
        ("rate(grpc_failed_total[1m])", "errors 0.5 a second"),
        ("rate(http_failures_total[1m])", "errors 0.5 a second"),
        ("rate(http_error_total[1m])", "errors 0.5 a second"),
        ("rate(request_failures[1m]) / rate(request_count[1m])", "errors 50 %"),
        ("rate(job_failures_total[1m])", "job failures total 0.5"),
        ('node_filesystem_avail_bytes{a="b"} / node_filesystem_size_bytes{a="b"}', "free disk space 50 %"),
        ('node_filesystem_free_bytes{a="b"} / node_filesystem_size_bytes{a="b"}', "free disk space 50 %"),
        ('node_filesystem_avail_bytes{a="b"}', "node filesystem avail bytes 0.5"),
        ('container_fs_usage_bytes{a="b"}', "disk space in use 0.5 B"),
        ('container_fs_usage_bytes{a="b"} / container_fs_limit_bytes{a="b"}', "disk space in use 50 %"),
        ('rabbitmq_queue_messages{a="b"}', "messages that wait 0.5"),
        ('kafka_consumer_lag{a="b"}', "messages that wait 0.5"),
        ('up{a="b"}', "it answers (1 is yes) 0.5"),
        ('up{a="b"} + down{a="b"}', "up 0.5"),
        ('a_x{n="1"} / b_y{n="1"} / c_z{n="1"}', "a x / b y 0.5"),
        ('a_x{n="1"} / a_x{n="2"}', "a x 0.5"),
        ('job:lag_s{n="1"}', "job lag s 0.5"),
        ("some  thing", "some thing 0.5"),
    ],
)
def test_what_a_query_measures_is_told_by_the_metrics_in_it(promql: str, told: str) -> None:
    assert of(promql, 0.5) == told


@pytest.mark.parametrize(
    ("promql", "value", "told"),
    [
        (MEMORY, 0, "0 %"), (MEMORY, 0.0012, "0.12 %"), (MEMORY, 0.094, "9.4 %"), (MEMORY, 0.506, "51 %"),
        (MEMORY, 12.34, "1234 %"), (MEMORY, -1.23, "-123 %"),
        ("x{}", 31.42, "31.42"), ("x{}", 9999.4, "9999"), ("x{}", 9999.5, "10000"), ("x{}", 123456, "123456"),
        ("x{}", -123456, "-123456"), ("x{}", 999999999999, "999999999999"), ("x{}", 1e12, "1e+12"),
        ("latency{}", 0, "0 s"), ("latency{}", 0.0042, "4.2 ms"), ("latency{}", -0.5, "-500 ms"),
        ("latency{}", 0.9999, "1000 ms"), ("latency{}", 1, "1 s"), ("latency{}", 1.256, "1.26 s"),
        ("latency{}", 3725.3, "3725 s"),
        ("fs_usage_bytes{}", 0, "0 B"), ("fs_usage_bytes{}", 1023, "1023 B"), ("fs_usage_bytes{}", 1024, "1 KiB"),
        ("fs_usage_bytes{}", 31.46 * 2**20, "31.5 MiB"), ("fs_usage_bytes{}", -(2**30), "-1 GiB"),
        ("fs_usage_bytes{}", 5.4321 * 2**40, "5.43 TiB"), ("fs_usage_bytes{}", 2**54, "16384 TiB"),
    ],
)  # fmt: skip
def test_a_value_is_told_as_people_write_it(promql: str, value: float, told: str) -> None:
    assert of(promql, value).removesuffix(" of its limit").endswith(f" {told}")


@pytest.mark.parametrize(
    ("condition", "worst", "of_others"),
    [
        ("< 1", "7", "9"), ("<= 1", "7", "9"), ("> 1", "-9", "-7"), (">= 1", "-9", "-7"), ("== 0", "-9", "9"),
        ("!= 0", "-9", "9"),
    ],
)  # fmt: skip
def test_the_worst_of_several_series_is_the_one_farthest_on_the_wrong_side(
    condition: str, worst: str, of_others: str
) -> None:
    assert of("x{}", 2, -9, 7, condition=condition) == f"x {worst}"
    assert of("x{}", 2, -7, 9, condition=condition) == f"x {of_others}"
    assert in_words("x{}", condition, [3], [2, -9, 7]) == f"x 3, was {worst}"


def test_a_name_of_eighty_characters_is_told_in_full_and_a_longer_one_is_cut() -> None:
    assert of("x" * 80 + "{}") == "x" * 80
    assert of("x" * 81 + "{}") == "x" * 79 + "…"


def test_of_several_series_the_worst_is_told_and_what_fails_says_what_it_should_be() -> None:
    assert in_words(MEMORY, "< 0.8", [0.2, 0.95, 0.5], [0.99], holds=False) == (
        "memory 95 % of its limit, was 99 %, should be < 80 %"
    )
    assert in_words("replicas_ready{a='b'}", ">= 2", [3, 1], holds=False) == "replicas ready 1, should be >= 2"


def test_where_nothing_was_measured_only_its_name_is_told() -> None:
    assert in_words(MEMORY, "< 0.8", [], [], holds=None) == "memory"
    assert len(in_words("x" * 5000 + "{}", "< 1", [], [])) < 100


def test_every_shipped_proof_is_told_in_words_that_people_know() -> None:
    for runbook in load_runbooks(FILE.read_text(), path=str(FILE)):
        for one in runbook.verify:
            told = in_words(one.promql, one.condition, [0.01], [0.9])
            known = ("memory ", "errors ", "containers that run ", "disk space in use ", "messages that wait ")
            assert told.startswith(known), told
