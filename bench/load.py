"""Load on one server (wrk), what came of it in the log, and rounds that alternate between two servers."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from report import BENCH

from servers.installed import path_of

ALERTS_PER_REQUEST = 10
CONNECTIONS = 16


@dataclass(frozen=True)
class Round:
    """One run of wrk: ``records`` is what the log had more of when it was over."""

    requests: int
    seconds: float
    p99_ms: float
    records: int
    cpu_s: float  # of the server, user and system

    @property
    def durable_per_s(self) -> float:
        return self.records / self.seconds


class LoadFailed(RuntimeError):
    """The server refused or lost something: its rate would mean nothing."""


@dataclass(frozen=True)
class Side:
    """A server under load, its process, and how its log is counted."""

    url: str
    pid: int
    count: Callable[[], int]


def drive(side: Side, seconds: float) -> Round:
    """Load the server for so long and count what its log has more of. Raises LoadFailed."""
    url, count = side.url, side.count
    before, cpu_before = count(), cpu_s(side.pid)
    command = [str(path_of("wrk")), "-t1", f"-c{CONNECTIONS}", f"-d{round(seconds)}s", "--timeout", "20s"]
    done = subprocess.run(
        [*command, "-s", str(BENCH / "alerts.lua"), f"{url}/alerts"],
        capture_output=True,
        text=True,
        env={**os.environ},
        timeout=seconds + 60,
        check=True,
    )
    told = json.loads(done.stdout.rpartition("RESULT ")[2])
    if told["refused"] or told["broken"]:
        raise LoadFailed(f"{url}: {told['refused']} requests refused, {told['broken']} broken: {done.stdout}")
    records = _settled(count) - before
    answered = told["requests"] * ALERTS_PER_REQUEST
    if records < answered:
        raise LoadFailed(f"{url}: {answered} alerts were acknowledged, {records} are in the log")
    # what was in flight when wrk hung up is in the log too, at most one request a connection
    return Round(
        told["requests"], told["seconds"], told["p99_ms"], min(records, answered), cpu_s(side.pid) - cpu_before
    )


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _settled(count: Callable[[], int]) -> int:
    """Count until two counts agree: requests that were in flight end after wrk has."""
    last = count()
    while True:
        time.sleep(0.3)
        now = count()
        if now == last:
            return now
        last = now


@dataclass(frozen=True)
class Comparison:
    """Ours against the bare one: medians over the rounds."""

    ours: list[Round]
    bare: list[Round]

    @property
    def rate_ratio(self) -> float:
        return median(one.durable_per_s / other.durable_per_s for one, other in zip(self.ours, self.bare, strict=True))

    @property
    def p99_ratio(self) -> float:
        return median(one.p99_ms for one in self.ours) / median(one.p99_ms for one in self.bare)

    def detail(self) -> str:
        ours, bare = (median(one.durable_per_s for one in side) for side in (self.ours, self.bare))
        cpu = [
            1e6 * sum(one.cpu_s for one in side) / sum(one.records for one in side) for side in (self.ours, self.bare)
        ]
        return (
            f"{ours:,.0f} against {bare:,.0f} durable alerts/s ({len(self.ours)} rounds in turns); "
            f"{cpu[0]:.0f} against {cpu[1]:.0f} µs of processor time an alert"
        )

    def p99_detail(self) -> str:
        ours, bare = (median(one.p99_ms for one in side) for side in (self.ours, self.bare))
        return f"p99 {ours:.0f} ms against {bare:.0f} ms"


def compare(ours: Side, bare: Side, *, rounds: int, seconds: float) -> Comparison:
    """Load both in turns, after a warm-up each, so that what else the machine does falls on both."""
    for side in (bare, ours):
        drive(side, min(2.0, seconds))
    pairs: list[tuple[Round, Round]] = []
    for number in range(rounds):
        order = (ours, bare) if number % 2 else (bare, ours)
        done = {id(side): drive(side, seconds) for side in order}
        pairs.append((done[id(ours)], done[id(bare)]))
    return Comparison([one for one, _ in pairs], [other for _, other in pairs])
