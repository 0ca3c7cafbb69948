"""Metrics alone, one sample a second, many services: a simulated Sock Shop, against BARO's plain robust score.

What is held here is that the ranking reads such a recording whole and is no worse than the published method on the
same data; how good it is on the real recordings is not known from it.
"""

import gzip
import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sock_shop
from sreops.__main__ import main
from sreops.domain.suspects.ranking import rank
from sreops.evaluation.answer import asks_for
from sreops.evaluation.brief import components, scene
from sreops.evaluation.case import Baseline, read_case

RUNS = 3


def owner(name: str) -> str:
    return name.partition("_")[0]


def baro_order(raw: dict[str, Any]) -> list[str]:
    """Rank services by their series' largest deviation in interquartile ranges of the normal time (Pham et al.)."""
    since = raw["window"]["fault_start"]
    best: defaultdict[str, float] = defaultdict(float)
    for name, points in raw["metrics"].items():
        both = np.asarray(points)
        normal, later = both[both[:, 0] < since, 1], both[both[:, 0] >= since, 1]
        q25, q50, q75 = np.percentile(normal, [25, 50, 75])
        best[owner(name)] = max(best[owner(name)], float(np.abs((later - q50) / ((q75 - q25) or 1.0)).max()))
    return sorted(best, key=lambda service: -best[service])


@pytest.mark.parametrize(("fault", "goal"), [("cpu", 0.95), ("mem", 0.97)])
def test_hogs_and_leaks_are_found_as_well_as_by_baro(fault: str, goal: float) -> None:
    ours, published = [], []
    for culprit, seed in itertools.product(sock_shop.FAULTY, range(RUNS)):
        raw = sock_shop.recording(culprit, fault, seed)
        _, case, _ = read_case(raw)
        ranking = rank(scene(case, Baseline(), case.since or 0.0))
        ours.append([suspect.service for suspect in ranking.suspects].index(culprit) + 1)
        published.append(baro_order(raw).index(culprit) + 1)
    assert sock_shop.avg_at_5(ours) >= goal
    assert sock_shop.avg_at_5(ours) >= sock_shop.avg_at_5(published)


def test_eval_reads_such_a_folder_and_prints_its_measure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in" / "sock_shop_cpu"
    folder.mkdir(parents=True)
    raw = sock_shop.recording("user", "cpu", 0)
    (folder / "1.json.gz").write_bytes(gzip.compress(json.dumps(raw).encode(), 1))
    assert main(["eval", str(tmp_path / "in"), "--out", str(tmp_path / "out.jsonl")]) == 0
    (answer,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert answer["ranked"][0] == "user"
    assert sorted(answer["ranked"]) == sorted(sock_shop.SERVICES)
    assert "Avg@5" in capsys.readouterr().out


def test_every_series_finds_its_service_though_names_begin_alike() -> None:
    _, case, _ = read_case(sock_shop.recording("carts", "cpu", 0))
    assert components(case)
    owners = {(metric.service, metric.name) for metric in scene(case, Baseline(), case.since or 0.0).metrics}
    assert {("carts", "cpu"), ("carts-db", "cpu"), ("front-end", "lat_90"), ("catalogue-db", "mem")} <= owners
    assert len(owners) == len(case.metrics)


def test_the_time_of_injection_may_have_that_name() -> None:
    raw = sock_shop.recording("user", "mem", 1)
    raw["window"] = {"inject_time": raw["window"]["fault_start"]}
    assert read_case(raw)[1].since == sock_shop.START + 300


def test_candidates_may_be_the_series_themselves() -> None:
    raw = sock_shop.recording("orders", "cpu", 2)
    raw["candidates"] = sorted(raw["metrics"])
    _, case, _ = read_case(raw)
    assert asks_for(case) == "components"
    found = scene(case, Baseline(), case.since or 0.0)
    assert {metric.service for metric in found.metrics} == set(raw["metrics"])


def test_services_are_read_from_the_series_where_no_candidates_are_given() -> None:
    raw = {**sock_shop.recording("payment", "cpu", 3), "candidates": []}
    _, case, _ = read_case(raw)
    assert asks_for(case) == "components"
    assert set(scene(case, Baseline(), case.since or 0.0).services) == set(sock_shop.SERVICES)
