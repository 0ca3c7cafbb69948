"""A world that answers at once, so that what is measured is the agent: every incident ends fixed by one restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from langgraph.checkpoint.base import BaseCheckpointSaver

from sreops.adapters.database.checkpoints import open_checkpointer
from sreops.adapters.rules import RuleAnalyst
from sreops.adapters.store import SqlIncidentStore
from sreops.agent.context import Tools
from sreops.agent.graph import build_graph
from sreops.agent.runner import Runner
from sreops.agent.tickets import TicketDesk
from sreops.commands.serve import tune_interpreter
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.evidence.evidence import (
    ContainerEvents,
    ContainerState,
    ImageState,
    LogLine,
    LogLines,
    Series,
    SeriesSet,
    Window,
)
from sreops.domain.evidence.log_selection import LogSelector
from sreops.domain.evidence.metric_selection import MetricSelector
from sreops.domain.incidents.correlation import Windows, correlate
from sreops.domain.incidents.incident import Issue
from sreops.domain.remediation.protection import Ourselves
from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.in_force import RunbooksInForce, version_of
from sreops.errors import EngineRefused
from sreops.ports import AnalystAnswer, Health
from sreops.settings import PolicySettings, Settings, VerifySettings, WorkerSettings
from sreops.telemetry import configure_logging
from sreops.worker.dispatch import Dispatcher

RUNBOOKS = """
version: 1
runbooks:
  - id: restart
    when: {alertname: HighErrorRate}
    autonomy: autonomous
    steps:
      - {action: restart_container, timeout_s: 20}
    verify:
      - {promql: 'error_rate{service="{{ service }}"}', condition: "< 0.05"}
"""
UP = Health("up")
_METRICS = ("http_requests_total", "container_memory_working_set_bytes")


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class InstantWorld:
    """Logs, metrics, containers, issues and alert states of services that a restart heals."""

    def __init__(self) -> None:
        self.restarts: dict[str, int] = {}
        self._started: dict[str, datetime] = {}
        self.issues = 0
        self._lines: LogLines | None = None

    async def health(self) -> Health:
        return UP

    # logs

    async def streams(self, selector: LogSelector, window: Window, **_: Any) -> Sequence[Mapping[str, str]]:
        return [dict(selector.labels)]

    async def select(self, selector: LogSelector, window: Window, **_: Any) -> LogLines:
        return await self.lines(selector.labels, window)

    async def lines(self, labels: Mapping[str, str], window: Window, **_: Any) -> LogLines:
        if self._lines is None:  # making them anew for each incident would take longer than many a node
            said = (
                "GET /cart 200 in 12 ms",
                "connection pool exhausted: no connection within 5 s",
                "GET /cart 500 in 5001 ms",
            )
            at = window.start
            self._lines = LogLines(query="{}", lines=tuple(LogLine(at=at, text=said[n % 3]) for n in range(60)))
        return self._lines

    async def label_names(self, *_: Any, **__: Any) -> frozenset[str]:  # of logs and of metrics
        return frozenset({"service"})

    # metrics

    async def instant(self, promql: str, **_: Any) -> SeriesSet:
        service = promql.partition('"')[2].partition('"')[0]
        value = 0.001 if self.restarts.get(service) else 0.4
        return SeriesSet(query=promql, series=(Series(labels={}, points=((0.0, value),)),))

    async def range(self, promql: str, window: Window, *, step_s: float, **_: Any) -> SeriesSet:
        start = window.start.timestamp()
        points = tuple((start + 60 * n, 0.01 if n < 10 else 0.4) for n in range(15))
        return SeriesSet(query=promql, series=(Series(labels={}, points=points),))

    async def names(self, matchers: Mapping[str, str], window: Window, **_: Any) -> Sequence[str]:
        return _METRICS

    async def series(self, selector: MetricSelector, window: Window, **_: Any) -> Sequence[Mapping[str, str]]:
        return [{"__name__": name, **selector.labels} for name in _METRICS]

    # containers

    def _state(self, name: str) -> ContainerState:
        restarts = self.restarts.get(name, 0)
        return ContainerState(
            id=f"id-{name}",
            name=name,
            image="shop:1",
            status="running",
            running=True,
            health="healthy" if restarts else "unhealthy",
            started_at=self._started.get(name, datetime(2026, 1, 1, tzinfo=UTC)),
            labels={"sreops.enable": "true"},
        )

    async def find(self, name: str, **_: Any) -> ContainerState | None:
        return self._state(name)

    async def matching(self, name: str, *_: Any, **__: Any) -> Sequence[ContainerState]:
        return [self._state(name)]

    async def standing(self, identity: str, **_: Any) -> Sequence[ContainerState]:
        return [self._state(identity.rpartition("/")[2])]

    async def neighbours(self, *_: Any, **__: Any) -> Sequence[ContainerState]:
        return ()

    async def inspect(self, container_id: str, **_: Any) -> ContainerState | None:
        return self._state(container_id.removeprefix("id-"))

    async def restart(self, container_id: str, **_: Any) -> None:
        name = container_id.removeprefix("id-")
        self.restarts[name] = self.restarts.get(name, 0) + 1
        self._started[name] = datetime.now(UTC)

    async def start(self, container_id: str, **_: Any) -> None:
        await self.restart(container_id)

    async def logs(self, container_id: str, **_: Any) -> LogLines:
        return LogLines(query="", lines=())

    async def events(self, names: Sequence[str], window: Window, **_: Any) -> ContainerEvents:
        return ContainerEvents(query="events", events=())

    async def ourselves(self, **_: Any) -> Ourselves:
        return Ourselves()

    async def image(self, reference: str, **_: Any) -> ImageState | None:
        return None

    async def service(self, name: str, **_: Any) -> None:
        return None

    async def scale(self, service_id: str, **_: Any) -> None:
        raise EngineRefused("this world has no Swarm")

    # issues


class InstantIssues:
    """An issue tracker that takes everything at once."""

    def __init__(self) -> None:
        self.count = 0

    async def find(self, marker: str, **_: Any) -> Issue | None:
        return None

    async def create(self, marker: str, **_: Any) -> Issue:
        self.count += 1
        return Issue(iid=self.count, url=f"http://gitlab.example.org/-/issues/{self.count}")

    async def note(self, *_: Any, **__: Any) -> None:
        return None

    async def update(self, *_: Any, **__: Any) -> None:
        return None

    async def health(self) -> Health:
        return UP


class PacedAnalyst:
    """Answers after the time that a model takes, or at once: what the rules said of the first, since all are alike."""

    def __init__(self, latency_s: float) -> None:
        self.name = "claude" if latency_s else "rules"  # dispatch begins graphs in turn where they will ask a model
        self._latency_s = latency_s
        self._answer: AnalystAnswer | None = None

    async def analyze(self, brief: Any, **options: Any) -> AnalystAnswer:
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        if self._answer is None:
            self._answer = await RuleAnalyst().analyze(brief, **options)
        return self._answer

    async def health(self) -> Health:
        return UP


@dataclass
class Agent:
    """A worker's parts around the instant world; ``store`` holds its incidents."""

    store: SqlIncidentStore
    saver: BaseCheckpointSaver[str]
    tools: Tools
    dispatch: Dispatcher
    wake: asyncio.Event
    world: InstantWorld

    async def open_incidents(self, count: int) -> None:
        """Put one alert of each of so many services through correlation."""
        for number in range(count):
            event = alert(f"svc-{number}")
            now = datetime.now(UTC)
            await self.store.correlate(event, lambda e, known, now=now: correlate(e, known, now, Windows()), now=now)


def alert(service: str) -> AlertEvent:
    """Return a firing alert of a service."""
    now = datetime.now(UTC)
    return AlertEvent(
        event_id=f"event-{service}",
        source="grafana",
        fingerprint=f"print-{service}",
        status=AlertStatus.firing,
        labels={"alertname": "HighErrorRate", "service": service, "severity": "critical", "runbook_id": "restart"},
        annotations={"summary": f"Error rate of {service} is above 5 %"},
        starts_at=now - timedelta(seconds=30),
        received_at=now,
        tier=Tier.autonomous,
        severity=Severity.critical,
        service=service,
        runbook_id="restart",
        escalate_threshold=0.0,
    )


@contextlib.contextmanager
def quiet_logs() -> Iterator[None]:
    """Log as the process does, into a file that nobody reads."""
    configure_logging("info", "json")
    with tempfile.TemporaryFile("w") as sink:
        for handler in logging.getLogger().handlers:
            assert isinstance(handler, logging.StreamHandler)
            handler.setStream(sink)
        yield


def process_runner() -> asyncio.Runner:
    """Return a runner set as that of `python -m sreops` (commands/serve.py)."""
    tune_interpreter()
    return asyncio.Runner(loop_factory=uvicorn.Config("", loop="auto").get_loop_factory())


@contextlib.asynccontextmanager
async def agent(directory: Path, *, concurrency: int, model_latency_s: float = 0.0) -> AsyncIterator[Agent]:
    """Open store, checkpoints and dispatch as the process has them; dispatch is not running yet."""
    settings = Settings(
        data_dir=directory,
        concurrency=concurrency,
        verify=VerifySettings(settle_s=0, poll_s=0.2),
        policy=PolicySettings(max_concurrent_effects=concurrency, attempts_per_hour=1000, host_acts_per_hour=100_000),
        worker=WorkerSettings(),
    )
    store = SqlIncidentStore(directory / "sreops.db")
    await store.open()
    try:
        async with open_checkpointer(directory / "checkpoints.db") as saver:
            clock, world = SystemClock(), InstantWorld()
            tools = Tools(
                store=store,
                clock=clock,
                settings=settings,
                runbooks=RunbooksInForce(
                    load_runbooks(RUNBOOKS, path="bench"), shown="bench", version=version_of(RUNBOOKS)
                ),
                analysts=[PacedAnalyst(model_latency_s)],
                tickets=TicketDesk(store, InstantIssues(), clock, oncall_user="oncall", timeout_s=5),
                prober=None,  # type: ignore[arg-type]  # the runbook has no http_check
                logs=world,
                metrics=world,
                alert_states=None,
                containers=world,  # type: ignore[arg-type]  # its answers are narrower
            )
            wake = asyncio.Event()
            dispatch = Dispatcher(Runner(build_graph(saver), tools), tools, owner="bench", wake=wake)
            yield Agent(store, saver, tools, dispatch, wake, world)
    finally:
        await store.close()


async def _ends(store: SqlIncidentStore) -> Mapping[tuple[str, str | None], int]:
    """Count incidents by status, and by how they were resolved."""
    ends: Counter[tuple[str, str | None]] = Counter()
    cursor = None
    while True:
        page, cursor = await store.incidents(limit=500, cursor=cursor)
        ends.update((one.status.value, one.resolution.value if one.resolution else None) for one in page)
        if cursor is None:
            return dict(ends)


async def work_off(one: Agent, count: int, *, timeout_s: float = 600) -> float:
    """Run dispatch until so many incidents have ended fixed; return the seconds. Raises where one ended otherwise."""
    running = asyncio.create_task(one.dispatch.run())
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                waiting = await one.store.backlog(now=datetime.now(UTC))
                if waiting.open_incidents == 0 and one.dispatch.running == 0:
                    break
                await asyncio.sleep(0.1)
        took_s = asyncio.get_running_loop().time() - began
    finally:
        running.cancel()
        await asyncio.wait({running})
    ended = await _ends(one.store)
    if ended != {("resolved", "fixed"): count}:
        raise RuntimeError(f"not every incident was fixed, so this measures something else: {ended}")
    return took_s
