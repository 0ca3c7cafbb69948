"""How far one series left its baseline."""

import math

import pytest

from sreops.domain.suspects.series_anomaly import MOST, Worse, change, counts_up, rates
from sreops.domain.suspects.signal_kind import Kind, kind_of

SINCE = 1200.0


def series(*values: float, start: float = 0.0, step: float = 60.0) -> list[tuple[float, float]]:
    return [(start + step * number, value) for number, value in enumerate(values)]


def steady(count: int = 20, value: float = 10.0) -> list[float]:
    return [value + 0.1 * (number % 3) for number in range(count)]


def test_a_step_up_scores_far_above_what_was_there() -> None:
    found = change(series(*steady(), 20, 21, 20), SINCE)
    assert found.score > 10
    assert found.before == pytest.approx(10.1)
    assert found.after == 21
    assert found.onset == SINCE


def test_a_steady_series_scores_next_to_nothing() -> None:
    assert change(series(*steady(24)), SINCE).score < 1


def test_a_constant_series_scores_nothing_and_divides_by_nothing() -> None:
    assert change(series(*[5.0] * 24), SINCE).score == 0
    assert change(series(*[0.0] * 24), SINCE).score == 0


def test_a_series_of_zeros_that_wakes_is_a_change_but_a_bounded_one() -> None:
    found = change(series(*[0.0] * 20, 3, 3, 3), SINCE)
    assert 0 < found.score <= MOST


def test_no_score_exceeds_the_most() -> None:
    assert change(series(*steady(), 1e12, 1e12), SINCE).score == MOST


def test_missing_values_and_empty_series_are_no_change() -> None:
    assert change([], SINCE).score == 0
    assert change(series(*[math.nan] * 24), SINCE).score == 0
    assert change(series(*steady(20)), SINCE).score == 0, "nothing was seen since"
    assert change(series(*steady(), math.nan, math.inf, 20.0), SINCE).score > 5, "gaps hide nothing"


def test_only_the_worse_way_counts() -> None:
    up = series(*steady(), 20, 20)
    assert change(up, SINCE, worse=Worse.down).score == 0
    assert change(up, SINCE, worse=Worse.up).score == change(up, SINCE, worse=Worse.either).score > 0


def test_another_fault_in_the_baseline_hides_this_one_unless_masked() -> None:
    other = [*steady(6), *[60.0] * 8, *steady(6), 30, 30]
    hidden = change(series(*other), SINCE).score
    assert change(series(*other), SINCE, masked=[(6 * 60.0, 14 * 60.0)]).score > 10 * hidden


def test_masking_everything_falls_back_to_what_there_is() -> None:
    points = series(*steady(), 20, 20)
    assert change(points, SINCE, masked=[(0.0, SINCE)]).score == change(points, SINCE).score


def test_one_late_outlier_of_many_samples_is_no_lasting_change() -> None:
    before, after = steady(60), steady(60)
    after[30] = 500.0
    points = series(*before, *after)
    assert change(points, 60 * 60.0).score < 1


def test_an_old_level_is_not_todays_fault() -> None:
    history = series(*steady(50, 1.0), start=-1e6)
    drifted = series(5.0, 5.0, 5.0, 5.0, start=SINCE - 120)
    assert change(drifted, SINCE, history=history).score == 0, "it was as high just before"
    risen = series(1.0, 1.0, 5.0, 5.0, start=SINCE - 120)
    assert change(risen, SINCE, history=history).score > 10


def test_a_tiny_absolute_change_does_not_stand_out_among_large_peers() -> None:
    points = series(*[0.001 + 0.00001 * (n % 3) for n in range(20)], 0.01, 0.01)
    assert change(points, SINCE, peer_level=50.0).score < 1 < change(points, SINCE).score


def test_a_counter_becomes_rates_and_a_reset_is_no_negative_rate() -> None:
    counter = series(0, 60, 120, 6, 66)
    assert counts_up(series(*[float(n) for n in range(30)]))
    assert not counts_up(series(*steady()))
    assert [value for _, value in rates(counter)] == pytest.approx([1.0, 1.0, 0.1, 1.0])


def test_a_level_that_wanders_is_compared_with_its_last_minutes() -> None:
    """Memory that fell in a restart before, and now takes a small step from flat: no other time tells what is usual."""
    memory = series(*[90.0, 84.0, 87.0, 27.0, 29.0, 73.0] * 2, *[73.8, 20.0, 20.0, 20.0, 20.0], 20.0, 21.0, 21.1, 21.0)
    since = 17 * 60.0
    assert change(memory, since, worse=Worse.up).score < 1
    assert change(memory, since, worse=Worse.up, wanders=True).score > 2


@pytest.mark.parametrize(
    ("name", "kind", "worse"),
    [
        ("CpuUsageRate(%)", Kind.cpu, Worse.up),
        ("NodeCpuUsageRate(%)", Kind.host, Worse.either),
        ("PodServerLatencyP90(s)", Kind.latency, Worse.up),
        ("PodClientLatencyP90(s)", Kind.outbound, Worse.up),
        ("availability|Average", Kind.errors, Worse.down),
        ("http_requests_errors_total", Kind.errors, Worse.up),
        ("NetworkReceiveBytes", Kind.received, Worse.down),
        ("container_memory_working_set_bytes", Kind.memory, Worse.up),
        ("requests|Sum", Kind.traffic, Worse.either),
        ("PodWorkload(Ops)", Kind.traffic, Worse.either),
        ("lod", Kind.traffic, Worse.either),
        ("node_load15", Kind.host, Worse.either),
        ("lat_90", Kind.latency, Worse.up),
        ("flat_rate", Kind.other, Worse.either),
        ("err", Kind.errors, Worse.up),
        ("load1", Kind.cpu, Worse.up),
        ("system_load_average", Kind.cpu, Worse.up),
        ("temperature", Kind.other, Worse.either),
    ],
)
def test_the_name_tells_the_kind_of_signal(name: str, kind: Kind, worse: Worse) -> None:
    assert kind_of(name) == (kind, worse)
