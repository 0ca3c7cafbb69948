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
