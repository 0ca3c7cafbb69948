"""Evidence and rule analysis of a 50,000-line, 200-series incident: its processor time, and whether the server answers.

First the seconds of one core that one analysis takes. Then the whole application in a process of its own (its real
web server, loop and interpreter settings), in which several such analyses are asked for at once as the agent asks
for them, while this process asks ``/health`` over one connection. What a busy machine does to an answer shows in the
answers before the analyses begin, and in what a third process waits for that only sleeps.

    .venv/bin/python bench/suspects_speed.py [--quick]
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence

import uvicorn
from report import Row, arguments, finish

from servers.ports import free_port
from sreops.agent.analysis_thread import in_analysis_thread
from sreops.app import running
from sreops.commands import serve
from sreops.domain.causes.conclude import conclude
from sreops.evaluation.brief import study
from sreops.evaluation.case import Baseline, Case, CaseLine
from sreops.settings import load_settings

LINES, SERIES, GOAL_S = 50_000, 200, 1.5
ANALYSES, GOAL_MS = 8, 50.0
EVERY_S = 0.02
SERVE, CONTROL = "--serve", "--control"
STALL_S = 0.005
Span = tuple[float, float]
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


def analyse(case: Case) -> None:
    """Do what the agent's nodes do with such an incident, once its sources have answered."""
    conclude(study(case, Baseline()).brief)


async def served() -> None:
    """Serve the application; on a line of standard input run the analyses, and say when they are done."""
    case = incident(LINES, SERIES)
    settings = load_settings()
    listener = serve._listen(settings)
    async with running(settings) as app:
        serving = asyncio.create_task(serve._serve_until_told(app, listener))
        await asyncio.to_thread(sys.stdin.readline)
        began = time.process_time()
        await asyncio.gather(*(in_analysis_thread(analyse, case) for _ in range(ANALYSES)))
        print(f"done {time.process_time() - began}", flush=True)
        await serving


def control() -> None:
    """Sleep a millisecond over and over until standard input ends; print when it was not woken in time.

    It does next to nothing, so what it waits for is the machine: others who are measured, or a host that takes the
    processors away.
    """
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    stalls, last = [], time.perf_counter()
    while not over.is_set():
        time.sleep(0.001)
        now = time.perf_counter()
        if now - last > STALL_S:
            stalls.append((last, now))
        last = now
    print(json.dumps(stalls), flush=True)


def net_of(stalls: Sequence[Span], answers: Sequence[Span]) -> list[float]:
    """Return how long each answer took in milliseconds, less the time in which the machine stood still."""
    return [
        1000 * (end - start - sum(max(0.0, min(end, b) - max(start, a)) for a, b in stalls)) for start, end in answers
    ]


def asked(port: int, ended: threading.Event) -> list[Span]:
    """Ask for health every 20 ms until told to end; return when each question was put and answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    taken = []
    while not ended.wait(EVERY_S):
        began = time.perf_counter()
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
        taken.append((began, time.perf_counter()))
        if answer.status not in (200, 503):
            raise RuntimeError(f"/health answered {answer.status}")
    connection.close()
    return taken


def answering(port: int) -> None:
    """Return once the server answers."""
    for _ in range(600):
        try:
            asked_once = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            asked_once.request("GET", "/health")
            asked_once.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the application did not start within a minute")


def health_meanwhile(idle_s: float) -> tuple[list[Span], list[Span], list[Span], float]:
    """Return the answers before and during the analyses, the machine's stalls, and an analysis's processor time."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "SREOPS_PORT": str(port), "SREOPS_DATA_DIR": directory, "HOME": directory}
        command = [sys.executable, __file__, SERVE]
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        watching = subprocess.Popen(
            [sys.executable, __file__, CONTROL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            answering(port)
            over = threading.Event()
            threading.Timer(idle_s, over.set).start()
            before = asked(port, over)
            ended, during = threading.Event(), []
            asking = threading.Thread(target=lambda: during.extend(asked(port, ended)))
            asking.start()
            process.stdin.write("go\n")
            process.stdin.flush()
            said = next((line for line in process.stdout if line.startswith("done ")), "")
            ended.set()
            asking.join()
        finally:
            stalls = [(start, end) for start, end in json.loads(watching.communicate("")[0] or "[]")]
            process.terminate()
            process.wait(30)
    if not said:
        raise RuntimeError("the application ended before its analyses did")
    return before, during, stalls, float(said.split()[1]) / ANALYSES


def share(taken: Sequence[float], part: float) -> float:
    """Return a quantile of the milliseconds."""
    return sorted(taken)[min(len(taken) - 1, int(part * len(taken)))]


def main() -> int:
    """Measure both and print the table."""
    quick = arguments(__doc__).quick
    case = incident(LINES, SERIES)
    seconds = []
    for _ in range(2 if quick else 5):
        start = time.process_time()
        analyse(case)
        seconds.append(time.process_time() - start)
    idle, busy, stalls, each = health_meanwhile(2.0 if quick else 5.0)
    before, during, net = net_of([], idle), net_of([], busy), net_of(stalls, busy)
    rows = [
        Row(
            "seconds of one core, 50,000 lines and 200 series", min(seconds), GOAL_S,
            f"the best of {', '.join(f'{one:.2f}' for one in seconds)} s of processor time", at_most=True,
        ),
        Row(
            f"ms /health takes at worst while {ANALYSES} such analyses are asked for at once", max(net), GOAL_MS,
            f"median {share(net, 0.5):.1f} ms, 99 of 100 within {share(net, 0.99):.1f} ms ({len(net)} answers), less"
            f" the machine's own stalls (with them: worst {max(during):.1f} ms; before the analyses: median"
            f" {share(before, 0.5):.1f} ms, worst {max(before):.1f} ms); {each:.2f} s of processor time an analysis,"
            " health's among it",
            at_most=True,
        ),
    ]  # fmt: skip
    return finish("Analysis of a large incident", rows)


if __name__ == "__main__":
    if SERVE in sys.argv:
        serve.tune_interpreter()
        with asyncio.Runner(loop_factory=uvicorn.Config("", loop="auto").get_loop_factory()) as runner:
            runner.run(served())
    elif CONTROL in sys.argv:
        control()
    else:
        sys.exit(main())
