"""Which service is suspected, and when none is."""

import random
from collections.abc import Iterator

from sreops.domain.suspects.ranking import Metric, Observations, Ranking, rank
from sreops.domain.suspects.trace_flow import Line, flow

SERVICES = ("cart", "catalog", "checkout", "front", "payment")
SINCE = 1200.0


def samples(rng: random.Random, level: float, after: float | None = None) -> list[tuple[float, float]]:
    return [
        (60.0 * minute, rng.gauss(after if after is not None and 60.0 * minute >= SINCE else level, level / 50))
        for minute in range(24)
    ]


def system(changed: dict[tuple[str, str], float], *, seed: int = 1) -> list[Metric]:
    rng = random.Random(seed)
    levels = {"cpu": 20.0, "memory": 200.0, "latency_p90": 0.1, "success_rate": 99.0, "requests": 50.0}
    return [
        Metric(service, name, samples(rng, level, changed.get((service, name))))
        for service in SERVICES
        for name, level in levels.items()
    ]


def order(ranking: Ranking) -> list[str]:
    return [suspect.service for suspect in ranking.suspects]


def test_a_saturated_service_is_suspected_first_with_its_sign_and_onset() -> None:
    ranking = rank(
        Observations(SERVICES, SINCE, metrics=system({("payment", "cpu"): 90.0, ("front", "latency_p90"): 0.2}))
    )
    best = ranking.suspects[0]
    assert best.service == "payment"
    assert not ranking.abstained
    assert "cpu" in best.signs[0]
    assert best.onset == SINCE
    assert len(ranking.suspects) == len(SERVICES)


def test_nothing_stands_out_in_healthy_noise() -> None:
    abstained = [rank(Observations(SERVICES, SINCE, metrics=system({}, seed=seed))).abstained for seed in range(20)]
    assert sum(abstained) >= 18


def test_no_data_at_all_abstains() -> None:
    assert rank(Observations(SERVICES, SINCE)).abstained
    assert rank(Observations((), SINCE)).abstained


def test_a_callee_in_trouble_explains_its_callers() -> None:
    slow = {("front", "latency_p90"): 0.9, ("checkout", "latency_p90"): 0.9, ("payment", "latency_p90"): 0.8}
    calls = frozenset({("front", "checkout"), ("checkout", "payment"), ("front", "cart")})
    ranking = rank(Observations(SERVICES, SINCE, metrics=system(slow), calls=calls, entry="front"))
    assert order(ranking)[0] == "payment"


def test_a_victim_that_waits_for_others_is_less_suspect_though_no_graph_is_known() -> None:
    slow = {("front", "latency_p90"): 0.4, ("payment", "latency_p90"): 0.25}
    waits = {service: samples(random.Random(7), 0.05, 0.4 if service == "front" else None) for service in SERVICES}
    outbound = [Metric(service, "client_latency_p90", points) for service, points in waits.items()]
    assert order(rank(Observations(SERVICES, SINCE, metrics=[*system(slow), *outbound])))[0] == "payment"
    assert order(rank(Observations(SERVICES, SINCE, metrics=system(slow))))[0] == "front", (
        "it is the slower one by itself"
    )


def test_a_cycle_of_calls_ends() -> None:
    calls = frozenset({("front", "cart"), ("cart", "front"), ("cart", "cart")})
    assert len(order(rank(Observations(SERVICES, SINCE, metrics=system({("cart", "cpu"): 80.0}), calls=calls)))) == 5


def test_errors_are_looked_for_behind_errors() -> None:
    changed = {("front", "success_rate"): 90.0, ("payment", "success_rate"): 80.0, ("catalog", "latency_p90"): 0.5}
    ranking = rank(Observations(SERVICES, SINCE, metrics=system(changed), entry="front"))
    assert ranking.suspects.index(next(s for s in ranking.suspects if s.service == "payment")) < order(ranking).index(
        "catalog"
    )


def test_constant_zero_availability_suspects_nobody() -> None:
    broken = [Metric("cart", "availability", [(60.0 * m, 0.0) for m in range(24)])]
    ranking = rank(Observations(SERVICES, SINCE, metrics=[*system({("payment", "cpu"): 90.0}), *broken]))
    assert order(ranking)[0] == "payment"


def test_equal_scores_are_ordered_by_name() -> None:
    assert order(rank(Observations(("b", "c", "a"), SINCE))) == ["a", "b", "c"]


def requests(*, fault: str = "", count: int = 40, seconds: float = 60.0) -> Iterator[Line]:
    """Write the lines of requests front → checkout → payment; ``fault`` begins at ``SINCE``."""
    for number in range(2 * count):
        at = SINCE + (number - count) * seconds / count
        broken = at >= SINCE

        def line(after: float, service: str, text: str, number: int = number, at: float = at) -> Line:
            return at + after, service, f"INFO {text} TraceID: {number:032x} SpanID: {hash(service) & 0xFFFFFFFF:016x}"

        slow = 1.0 if broken and fault == "payment slow" else 0.0
        jitter = 0.001 * (number % 4)
        yield line(0.00, "front", "f.Front#10 order received")
        yield line(0.01 + jitter, "checkout", "c.Checkout#20 checking out")
        if broken and fault == "payment unreached":
            yield line(0.02, "checkout", "c.Checkout#29 ERROR no payment")
        else:
            yield line(0.03 + slow, "payment", "p.Payment#30 charging")
            if not (broken and fault == "payment returns early"):
                yield line(0.04 + slow, "payment", "p.Payment#35 charged")
            yield line(0.05 + 2 * slow, "checkout", "c.Checkout#25 done")
        yield line(0.06 + 2 * slow, "front", "f.Front#15 answered")
    yield SINCE + 2 * seconds, "front", "INFO f.Front#99 still writing TraceID: ffffffffffff SpanID: ffffffffffff"


def test_a_step_that_vanished_is_laid_to_its_service() -> None:
    found = flow(list(requests(fault="payment returns early")), SINCE)
    assert max(found.steps, key=lambda service: found.steps[service]) == "payment"
    assert "p.Payment#35" in found.told["payment"]
    assert ("checkout", "payment") in found.calls


def test_a_callee_that_is_no_longer_reached_is_suspected() -> None:
    ranking = rank(Observations(SERVICES, SINCE, lines=list(requests(fault="payment unreached"))))
    assert order(ranking)[0] == "payment"
    assert not ranking.abstained


def test_waits_at_both_doors_of_a_service_are_laid_to_it() -> None:
    found = flow(list(requests(fault="payment slow")), SINCE)
    assert max(found.waits, key=lambda service: found.waits[service]) == "payment"
    assert (
        rank(Observations(SERVICES, SINCE, lines=list(requests(fault="payment slow")))).suspects[0].service == "payment"
    )


def test_traces_that_did_not_change_accuse_nobody() -> None:
    found = flow(list(requests()), SINCE)
    assert max([*found.steps.values(), 0.0]) < 0.1
    assert rank(Observations(SERVICES, SINCE, lines=list(requests()))).abstained


def test_requests_cut_off_by_the_recordings_end_are_no_vanished_steps() -> None:
    lines = [line for line in requests() if line[0] < SINCE + 30.02]
    assert max([*flow(lines, SINCE).steps.values(), 0.0]) < 0.1


def test_a_service_off_every_traced_path_is_less_suspect() -> None:
    metrics = system({("cart", "cpu"): 60.0, ("payment", "cpu"): 60.0})
    traced = rank(Observations(SERVICES, SINCE, metrics=metrics, lines=list(requests())))
    assert order(traced)[0] == "payment"
    untraced = {
        suspect.service: suspect.score for suspect in rank(Observations(SERVICES, SINCE, metrics=metrics)).suspects
    }
    now = {suspect.service: suspect.score for suspect in traced.suspects}
    assert now["cart"] < untraced["cart"]


def test_lines_without_trace_ids_give_no_flow() -> None:
    plain = [(60.0 * n, "front", f"request {n} served in 3 ms") for n in range(100)]
    assert flow(plain, SINCE).on_path == frozenset()
    assert flow([], SINCE).steps == {}


def test_hostile_lines_cost_neither_time_nor_sense() -> None:
    nasty = ["TraceID: " * 5000, "TraceID: " + "a" * 100_000, "\x00" * 1000, "trace_id=" + "-" * 64, "#1" * 50_000]
    lines = [(float(n), "front", nasty[n % len(nasty)]) for n in range(100)]
    assert rank(Observations(SERVICES, 50.0, lines=lines)).abstained


def test_a_hog_among_samples_of_every_second_is_found_through_noise_and_its_callers_latency() -> None:
    services = ("carts", "carts-db", "front-end", "orders", "orders-db", "payment", "shipping", "user")
    right = 0
    for seed in range(12):
        rng = random.Random(seed)
        culprit, kind = services[seed % len(services)], ("cpu", "mem")[seed % 2]
        metrics = []
        for service in services:
            for name, level in (("cpu", 0.2), ("mem", 2e8), ("latency", 0.02), ("load", 30.0)):
                times = 1.0
                if service == culprit and name == kind:
                    times = 3.0
                elif name == "latency" and service in (culprit, "front-end"):
                    times = 4.0
                points = [
                    (float(n), rng.lognormvariate(0, 0.15) * level * (times if n >= 300 else 1.0)) for n in range(600)
                ]
                metrics.append(Metric(service, name, points))
        right += order(rank(Observations(services, 300.0, metrics=metrics)))[0] == culprit
    assert right >= 11
