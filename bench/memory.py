"""Memory: RSS of `python -m sreops` after 100,000 alerts against RSS after 1,000.

Bridge and worker in one process, embedded log and SQLite. Both are read when everything that came has been taken
in and correlated, so that nothing that waits is counted, and nothing that is kept is missed.

    .venv/bin/python bench/memory.py [--quick]
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
from report import Row, arguments, finish

from servers.sreops import Sreops
from servers.waiting import poll

SERVICES = 20
ALERTS_PER_REQUEST = 10
MAX_WAITING = 2000  # alerts that are sent ahead of correlation: the senders of a real outage are no faster for long


def body(first: int) -> bytes:
    """Return ten alerts; services and fingerprints recur, as the repeats of firing alerts do."""
    started = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime())
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "HighErrorRate", "service": f"svc-{number % SERVICES}", "severity": "warning"},
            "annotations": {"summary": f"Error rate is above 5 % (notice {number})", "description": "x" * 200},
            "startsAt": started,
            "fingerprint": f"{number % 640:016x}",
            "values": {"A": 0.07},
        }
        for number in range(first, first + ALERTS_PER_REQUEST)
    ]
    return json.dumps({"version": "1", "status": "firing", "alerts": alerts}).encode()


def rss_kib(pid: int) -> int:
    """Return the resident set, from the kernel."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise RuntimeError(f"process {pid} has no VmRSS: has it ended?")


def correlated(client: httpx.Client) -> int:
    """Return how many events have been correlated, by the process's own metrics."""
    text = client.get("/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("sreops_correlated_total{")]
    return round(sum(float(line.rpartition(" ")[2]) for line in lines))


def send(client: httpx.Client, first: int, last: int) -> None:
    """Send alerts first to last and return when all of them are correlated."""
    for number in range(first, last, ALERTS_PER_REQUEST):
        answer = client.post("/alerts", content=body(number), headers={"Content-Type": "application/json"})
        if answer.status_code != 202:
            raise RuntimeError(f"an alert was refused: {answer.status_code} {answer.text}")
        if number % 500 == 0:
            poll(lambda sent=number: correlated(client) >= sent - MAX_WAITING, 120, every_s=0.1, what="correlation")
    poll(lambda: correlated(client) >= last, 120, every_s=0.2, what=f"{last} alerts to be correlated")
    time.sleep(2)  # the graphs that these woke come to their wait or end


def main() -> int:
    """Measure."""
    few, many = (1_000, 10_000) if arguments(__doc__).quick else (1_000, 100_000)
    began = time.monotonic()
    with Sreops({"SREOPS_LOG_LEVEL": "warning"}) as ours, httpx.Client(base_url=ours.url, timeout=30) as client:
        send(client, 0, few)
        after_few = rss_kib(ours.pid)
        send(client, few, many)
        after_many = rss_kib(ours.pid)
    took_s = time.monotonic() - began
    detail = (
        f"{after_many / 1024:.0f} MiB after {many:,} alerts against {after_few / 1024:.0f} MiB after {few:,}"
        f" ({took_s:.0f} s, all correlated)"
    )
    return finish("Memory", [Row("resident memory", after_many / after_few, 1.3, detail, at_most=True)])


if __name__ == "__main__":
    raise SystemExit(main())
