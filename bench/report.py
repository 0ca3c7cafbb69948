"""What every bench has in common: one table with ratio and goal, and an exit status."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

BENCH = Path(__file__).resolve().parent
REPOSITORY = BENCH.parent
RESULTS_ENV = "SREOPS_BENCH_RESULTS"  # bench/run sets it: each bench appends its table there
sys.path.insert(0, str(REPOSITORY / "tests"))  # the servers of the tests are the servers of the benches


@dataclass(frozen=True)
class Row:
    """One measurement: ``ratio`` is judged against ``goal`` (at least, or at most where ``at_most``)."""

    what: str
    ratio: float
    goal: float
    detail: str
    at_most: bool = False

    @property
    def passed(self) -> bool:
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal

    def cells(self) -> list[str]:
        goal = f"{'≤' if self.at_most else '≥'} {self.goal:g}"
        return [self.what, f"{self.ratio:.2f}", goal, "pass" if self.passed else "FAIL", self.detail]


def arguments(doc: str | None) -> argparse.Namespace:
    """Read ``--quick``: the same measurement, smaller, for a look while working."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same, smaller and shorter: for a look, not a record")
    return parser.parse_args()


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [["what", "ratio", "goal", "", "measured"], ["---"] * 5, *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine() -> str:
    """Return date, commit, machine and load: a ratio without them can't be compared with another."""
    git = ["git", "-C", str(REPOSITORY)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "status", "--porcelain", "src"], capture_output=True, text=True, check=False)
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · commit {commit.stdout.strip() or 'unknown'}"
        f"{' with changes in src' if changed.stdout.strip() else ''} · {os.cpu_count()} cores, {model} · "
        f"Python {platform.python_version()} · load {os.getloadavg()[0]:.1f}"
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def finish(title: str, rows: Sequence[Row]) -> int:
    """Print the table (and append it to the results of bench/run); return the exit status."""
    text = f"### {title}\n\n{table(rows)}\n\n{machine()}\n"
    print(text, flush=True)
    if results := os.environ.get(RESULTS_ENV):
        with Path(results).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    return 0 if all(row.passed for row in rows) else 1
