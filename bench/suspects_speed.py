"""How long evidence and rule analysis take for a 50,000-line, 200-series incident, on one core.

Run: ``.venv/bin/python bench/suspects_speed.py [LINES] [SERIES]``; the goal is 1.5 s.
"""

import random
import sys
import time

from sreops.domain.case_brief import study
from sreops.domain.cases import Baseline, Case, CaseLine
from sreops.domain.causes import conclude

SERVICES = [f"svc-{number}" for number in range(20)]
SHAPES = [f"handler{number} did step {number} for order" for number in range(300)]


def incident(lines: int, series: int) -> Case:
    """Build traced log lines of some 150 characters over half an hour, and series of one sample a minute."""
    rng = random.Random(7)
    logs = []
    for number in range(lines):
        service = SERVICES[(number // 3) % len(SERVICES)]
        trace = f"{number // 30:032x}"
        place = f"c.s.{service.title().replace('-', '')}Impl#{(number * 7) % 40}"
        ids = f"trace_id={trace} span_id={number // 3:016x}"
        text = f"INFO {place} {ids} {SHAPES[number * 31 % 300]} {rng.getrandbits(64):x} in {rng.random():.3f} s"
        logs.append(CaseLine(ts=1_700_000_000 + 1800 * number / lines, service=service, line=text))
    kinds = ("cpu", "memory", "latency_p90", "errors", "requests")
    metrics = {
        f"{SERVICES[number % 20]}.{kinds[number // 20 % 5]}_{number}": tuple(
            (1_700_000_000 + 60 * minute, rng.gauss(10, 1)) for minute in range(30)
        )
        for number in range(series)
    }
    return Case(
        logs=tuple(logs), metrics=metrics, candidates=tuple(SERVICES), service=SERVICES[0],
        window={"fault_start": 1_700_001_200.0},
    )  # fmt: skip


def main() -> None:
    """Time three runs and print the best."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    series = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    case = incident(lines, series)
    taken = []
    for _ in range(3):
        start = time.process_time()
        conclude(study(case, Baseline()).brief)
        taken.append(time.process_time() - start)
    print(f"{lines} lines, {series} series: {min(taken):.2f} s of processor time (of {[round(t, 2) for t in taken]})")


if __name__ == "__main__":
    main()
