"""Latency hiding: 200 incidents on 200 services with a model that takes 2 s, at concurrency 32, against the ideal.

The ideal is the model's time alone: 200 incidents in rounds of 32, 2 s each. What is over it is what the agent
itself takes where it doesn't hide behind the others' waiting.

    .venv/bin/python bench/latency_hiding.py [--quick]
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from instant import agent, process_runner, quiet_logs, work_off
from report import Row, arguments, finish

CONCURRENCY = 32
MODEL_S = 2.0


async def measure(count: int) -> Row:
    """Measure once: it is long, and mostly waiting."""
    with tempfile.TemporaryDirectory(prefix="sreops-bench-") as directory:
        async with agent(Path(directory), concurrency=CONCURRENCY, model_latency_s=MODEL_S) as one:
            await one.open_incidents(count)
            took_s = await work_off(one, count)
    ideal_s = math.ceil(count / CONCURRENCY) * MODEL_S
    detail = f"{took_s:.1f} s against {ideal_s:.0f} s ({count} incidents, {MODEL_S:g} s of model each)"
    return Row(f"time at concurrency {CONCURRENCY} over the ideal", took_s / ideal_s, 1.1, detail, at_most=True)


def main() -> int:
    """Measure."""
    quick = arguments(__doc__).quick
    with quiet_logs(), process_runner() as runner:
        row = runner.run(measure(64 if quick else 200))
    return finish("Latency hiding", [row])


if __name__ == "__main__":
    raise SystemExit(main())
