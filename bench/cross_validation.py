"""How much of the ranking's score comes from settings that were chosen on the very cases it is told of.

Run: ``.venv/bin/python bench/cross_validation.py DIR SET [SET ...]`` over a folder of cases (``sreops eval``'s format).
For each set: five folds, settings chosen on four by AC@1 + AC@5 and scored on the fifth, twenty times over; the same
with the settings chosen on the other sets; and a bootstrap of the shipped settings.
"""

import gzip
import itertools
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sreops.domain.suspects import ranking as anomaly
from sreops.domain.suspects import series_anomaly
from sreops.domain.suspects.ranking import Observations
from sreops.domain.suspects.signal_kind import Kind
from sreops.evaluation.brief import scene
from sreops.evaluation.case import fitting, read_baseline, read_case

GRID = tuple(itertools.product((0.15, 0.3, 0.5), (200.0, 300.0, 600.0), (0.01, 0.02, 0.05), (0.0, 0.5)))
"""Weight of latency, minutes that memory is compared with, floor of its scale, how far waits excuse latency."""
SHIPPED = (0.3, 300.0, 0.02, 0.5)
FOLDS, TIMES, BOOTSTRAPS = 5, 20, 2000
Rank = int
Asked = tuple[Observations, tuple[str, ...]]


def read(path: Path) -> Any:
    """Read one packed JSON file."""
    return json.loads(gzip.decompress(path.read_bytes()))


def asked(directory: Path, name: str) -> list[Asked]:
    """Return what the ranking works on, and who is right, for each case of a set."""
    baselines = [read_baseline(read(path)) for path in sorted(directory.glob("*_baseline/*.json.gz"))]
    found = []
    for path in sorted((directory / name).glob("*.json.gz")):
        _, case, labels = read_case(read(path))
        if case.since is not None:
            found.append((scene(case, fitting(case, baselines), case.since), labels.components))
    return found


def ranks(cases: Sequence[Asked], setting: tuple[float, ...]) -> list[Rank]:
    """Return the place of the best right answer for each case, under one setting."""
    latency, minutes, floor, excused = setting
    with (
        patch.object(anomaly, "WEIGHTS", {**anomaly.WEIGHTS, Kind.latency: latency}),
        patch.object(series_anomaly, "_LEVEL_S", minutes),
        patch.object(series_anomaly, "_LEVEL_FLOOR", floor),
        patch.object(anomaly, "WAITED_FOR", excused),
    ):
        places = []
        for scene_, right in cases:
            order = [suspect.service for suspect in anomaly.rank(scene_).suspects]
            places.append(min((order.index(one) + 1 for one in right if one in order), default=len(order) + 1))
    return places


def within(most: int, places: Sequence[Rank]) -> float:
    """Return AC@most."""
    return sum(place <= most for place in places) / len(places)


def best(table: dict[tuple[float, ...], list[Rank]], cases: Sequence[int]) -> tuple[float, ...]:
    """Return the setting with the highest AC@1 + AC@5 on these cases; of equals the one listed first."""
    return max(table, key=lambda s: within(1, [table[s][n] for n in cases]) + within(5, [table[s][n] for n in cases]))


def folded(table: dict[tuple[float, ...], list[Rank]]) -> list[list[Rank]]:
    """Return, for each of twenty shuffles, the places under settings that were chosen without the case."""
    count = len(table[SHIPPED])
    runs = []
    for seed in range(TIMES):
        order = random.Random(seed).sample(range(count), count)
        places = [0] * count
        for fold in range(FOLDS):
            held = set(order[fold::FOLDS])
            chosen = best(table, [n for n in order if n not in held])
            for n in held:
                places[n] = table[chosen][n]
        runs.append(places)
    return runs


def told(values: Sequence[float]) -> str:
    """Return mean and range."""
    return f"{sum(values) / len(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Print the table."""
    directory, names = Path(sys.argv[1]), sys.argv[2:]
    flows: dict[tuple[int, float], Any] = {}

    def remembered(lines: Any, since: float, *, until: float = math.inf, history: Any = ()) -> Any:
        key = (id(lines), since)
        if key not in flows:  # no setting varied here acts on the traces
            flows[key] = flow(lines, since, until=until, history=history)
        return flows[key]

    flow = anomaly.flow
    with patch.object(anomaly, "flow", remembered):
        tables = {}
        for name in names:
            cases = asked(directory, name)
            tables[name] = {setting: ranks(cases, setting) for setting in GRID}
    for name, table in tables.items():
        shipped, runs, rng = table[SHIPPED], folded(table), random.Random(0)
        pooled = {s: [p for other in tables if other != name for p in tables[other][s]] for s in GRID}
        others = best(pooled, range(len(pooled[SHIPPED]))) if len(tables) > 1 else SHIPPED
        for most in (1, 3, 5):
            drawn = sorted(within(most, rng.choices(shipped, k=len(shipped))) for _ in range(BOOTSTRAPS))
            print(
                f"{name} AC@{most}: shipped {within(most, shipped):.2f}"
                f" (bootstrap 90 % {drawn[BOOTSTRAPS // 20]:.2f} to {drawn[-BOOTSTRAPS // 20]:.2f}),"
                f" 5-fold {told([within(most, places) for places in runs])},"
                f" chosen on other sets {within(most, table[others]):.2f},"
                f" over all {len(GRID)} settings {told([within(most, places) for places in table.values()])}",
                flush=True,
            )


if __name__ == "__main__":
    main()
