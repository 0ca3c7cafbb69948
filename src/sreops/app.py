"""The composition root: the one place that builds adapters and wires the parts of the process together."""

import asyncio
import contextlib
import importlib.resources
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from starlette.applications import Starlette

from sreops import __version__
from sreops.adapters.data_dir import DataDirLock
from sreops.adapters.data_size import used_bytes
from sreops.adapters.database import ProcessDatabase, open_database
from sreops.adapters.docker import DockerContainers
from sreops.adapters.embedded_log import EmbeddedEventLog
from sreops.adapters.gitlab import GitLabIssues
from sreops.adapters.grafana import FirstKnown, Grafana, GrafanaAlertStates, PrometheusAlertStates
from sreops.adapters.loki import LokiLogs
from sreops.adapters.postgres import is_postgres
from sreops.adapters.prober import HttpProber
from sreops.adapters.prometheus import PrometheusMetrics
from sreops.adapters.rules import RuleAnalyst
from sreops.adapters.spooled_log import SpooledEventLog
from sreops.adapters.steady_clock import SteadyClock
from sreops.adapters.store import SqlIncidentStore
from sreops.adapters.through_grafana import LogsThroughGrafana, MetricsThroughGrafana
from sreops.agent.context import Tools
from sreops.agent.graph import build_graph
from sreops.agent.runner import Runner
from sreops.agent.tickets import TicketDesk
from sreops.domain.analysis import Brief
from sreops.domain.correlation import Windows
from sreops.domain.routing import ALL_TOPICS
from sreops.domain.runbook import Runbook
from sreops.domain.runbook_file import load_runbooks
from sreops.errors import RunbooksInvalid, SettingsInvalid, StoreUnavailable
from sreops.ports import AlertStates, Analyst, EventLog, ExtraTools, Health, Logs, Metrics
from sreops.settings import Settings
from sreops.telemetry import log
from sreops.web.application import build_web
from sreops.web.context import WebContext
from sreops.worker.copies import Copies
from sreops.worker.dispatch import Dispatch
from sreops.worker.intake import Intake
from sreops.worker.retention import Retention
from sreops.worker.spool import Forwarding
from sreops.worker.timers import catch_up_tickets, watch

Check = Callable[[], Awaitable[Health]]


@dataclass
class Parts:
    """The adapters that the settings ask for; ``missing`` names what is not configured, with its cure."""

    event_log: EventLog
    store: SqlIncidentStore
    tools: Tools
    checks: Mapping[str, Check]
    missing: Mapping[str, Health]
    closers: Sequence[Callable[[], Awaitable[object]]] = ()


@dataclass
class Running:
    """A running process: its web application, and how it is told to stop. ``broken`` is set by a failed part."""

    settings: Settings
    web: Starlette
    parts: Parts
    stopping: asyncio.Event
    broken: asyncio.Event
    spooled: SpooledEventLog | None = None
    dispatch: Dispatch | None = None
    intake: asyncio.Task[None] | None = None
    reading: Callable[[], Health] | None = None
    background: list[asyncio.Task[None]] = field(default_factory=list)

    async def drain(self) -> None:
        """Stop taking work, let running incidents come to their next node boundary, within the grace."""
        self.stopping.set()
        if self.intake is not None:
            self.intake.cancel()
        if self.dispatch is None:
            return
        self.dispatch.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.shutdown_grace_s):
                await self.dispatch.idle()


def read_runbooks(path: Path, *, packaged_fallback: bool = True) -> tuple[tuple[Runbook, ...], str]:
    """Read the runbooks; where the file is absent, the packaged ones. Raises RunbooksInvalid with every fault."""
    shown, text = str(path), ""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        if not packaged_fallback:
            raise RunbooksInvalid([f"{path}: there is no such file"]) from exc
        shown, text = "packaged runbooks.yaml", packaged_runbooks()
    except (OSError, UnicodeDecodeError) as exc:
        raise RunbooksInvalid([f"{path}: can't be read: {exc}"]) from exc
    return load_runbooks(text, path=shown), shown


def packaged_runbooks() -> str:
    """Return the text of the runbooks that ship with sreops."""
    packaged = importlib.resources.files("sreops").joinpath("runbooks.yaml")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "runbooks.yaml").read_text(encoding="utf-8")  # an editable install


@contextlib.asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[SqlIncidentStore]:
    """Open the incident store alone, for commands that only read."""
    store = build_store(settings)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def build_store(settings: Settings) -> SqlIncidentStore:
    """Return the incident store that the settings name, not yet open."""
    key = settings.audit_key.get_secret_value().encode() if settings.audit_key else None
    windows = settings.correlation
    longest_s = max(windows.clear_grace_s, windows.refire_window_s, windows.escalated_window_s) + 3600
    return SqlIncidentStore(settings.database_url or settings.data_dir / "sreops.db", key, longest_window_s=longest_s)


@contextlib.asynccontextmanager
async def open_analyst(name: str, settings: Settings) -> AsyncIterator[Analyst]:
    """Open one analyst alone, for ``eval``. Raises SettingsInvalid where ``claude`` has no key."""
    if name != "claude":
        yield RuleAnalyst()
        return
    if settings.llm_api_key is None:
        raise SettingsInvalid(["--analyst claude needs SREOPS_LLM__API_KEY or ANTHROPIC_API_KEY"])
    from sreops.adapters.claude import ClaudeAnalyst

    claude = ClaudeAnalyst(settings.llm, settings.llm_api_key)
    try:
        yield claude
    finally:
        await claude.aclose()


def model_text(brief: Brief) -> str:
    """Return the very text that the model would get of this brief, with a fixed mark so that runs compare."""
    from sreops.adapters.claude.prompt import user_message

    return user_message(brief, mark="0" * 16)


def build_event_log(settings: Settings) -> EventLog:
    """Return Kafka where it is configured, else the embedded log in the data directory."""
    if settings.kafka.bootstrap_servers:
        from sreops.adapters.kafka import KafkaEventLog

        return KafkaEventLog(settings.kafka, ALL_TOPICS)
    return EmbeddedEventLog(settings.data_dir / "events.db")


def build_spool(settings: Settings, event_log: EventLog) -> SpooledEventLog | None:
    """Return Kafka with the spool before it; the embedded log needs none, but a spool that was left is forwarded."""
    path = settings.data_dir / "spool.db"
    if not settings.kafka.bootstrap_servers and not path.exists():
        return None
    return SpooledEventLog(event_log, EmbeddedEventLog(path), ALL_TOPICS, max_bytes=settings.max_spool_bytes)


def build_parts(
    settings: Settings, store: SqlIncidentStore, event_log: EventLog, clock: SteadyClock | None = None
) -> Parts:
    """Build every adapter that the settings ask for."""
    clock = clock or SteadyClock()
    runbooks, shown = read_runbooks(settings.runbooks)
    log.info("runbooks.loaded", path=shown, count=len(runbooks))
    missing: dict[str, Health] = {}
    checks: dict[str, Check] = {"event_log": event_log.health, "store": store.health, "clock": clock.health}
    closers: list[Callable[[], Awaitable[object]]] = []
    grafana = Grafana(settings.grafana) if settings.grafana.url else None
    if grafana is not None:
        checks["grafana"] = grafana.health
        closers.append(grafana.aclose)
    logs, metrics, alert_states = _observability(settings, grafana, checks, missing, closers)

    issues = None
    if settings.gitlab.url and settings.gitlab.token and settings.gitlab.project:
        issues = GitLabIssues(settings.gitlab)
        checks["gitlab"] = issues.health
        closers.append(issues.aclose)
    else:
        missing["gitlab"] = _absent("SREOPS_GITLAB__URL, __TOKEN and __PROJECT", "incidents are kept locally")
    containers = None
    if settings.docker.host:
        containers = DockerContainers(settings.docker)
        checks["docker"] = containers.health
        closers.append(containers.close)
    else:
        missing["docker"] = _absent("SREOPS_DOCKER__HOST", "nothing can be remediated")
    analysts: list[Analyst] = [RuleAnalyst()]
    if settings.llm_api_key is not None:
        from sreops.adapters.claude import ClaudeAnalyst

        claude = ClaudeAnalyst(settings.llm, settings.llm_api_key, ledger=store, clock=clock)
        analysts.insert(0, claude)
        checks["model"] = claude.health
        closers.append(claude.aclose)
    else:
        missing["model"] = _absent("SREOPS_LLM__API_KEY or ANTHROPIC_API_KEY", "the rule analyst answers")
    extra: ExtraTools | None = None
    if settings.mcp.servers and settings.llm_api_key is not None:
        extra = _mcp_tools(settings, checks)
    prober = HttpProber()
    closers.append(prober.aclose)
    tools = Tools(
        store=store,
        clock=clock,
        settings=settings,
        runbooks=runbooks,
        analysts=analysts,
        tickets=TicketDesk(
            store,
            issues,
            clock,
            oncall_user=settings.gitlab.oncall_user,
            timeout_s=settings.gitlab.timeout_s,
            shared_lease_s=settings.worker.lease_s if is_postgres(settings.database_url) else None,
        ),
        prober=prober,
        logs=logs,
        metrics=metrics,
        alert_states=alert_states,
        containers=containers,
        changes=grafana,
        missing=missing,
        extra=extra,
    )
    return Parts(event_log, store, tools, checks, missing, closers)


def _observability(
    settings: Settings,
    grafana: Grafana | None,
    checks: dict[str, Check],
    missing: dict[str, Health],
    closers: list[Callable[[], Awaitable[object]]],
) -> tuple[Logs | None, Metrics | None, AlertStates | None]:
    """Return logs, metrics and alert states: direct where a URL is set, else through Grafana's data sources."""
    logs: Logs | None = None
    metrics: Metrics | None = None
    states: list[AlertStates] = []
    if settings.loki.url:
        direct = LokiLogs(settings.loki)
        logs = direct
        closers.append(direct.aclose)
    elif grafana is not None:
        logs = LogsThroughGrafana(grafana, settings.loki)
    if settings.prometheus.url:
        prometheus = PrometheusMetrics(settings.prometheus)
        metrics = prometheus
        closers.append(prometheus.aclose)
        states.append(PrometheusAlertStates(prometheus))
    elif grafana is not None:
        through = MetricsThroughGrafana(grafana, settings.prometheus)
        metrics = through
        states.append(PrometheusAlertStates(through))
    if grafana is not None:
        states.append(GrafanaAlertStates(grafana))
    if logs is not None:
        checks["loki"] = logs.health
    else:
        missing["loki"] = _absent("SREOPS_LOKI__URL or SREOPS_GRAFANA__URL", "no logs as evidence")
    if metrics is not None:
        checks["prometheus"] = metrics.health
    else:
        missing["prometheus"] = _absent(
            "SREOPS_PROMETHEUS__URL or SREOPS_GRAFANA__URL", "no metrics as evidence, and fixes can't be proven"
        )
    return logs, metrics, FirstKnown(states) if states else None


def _mcp_tools(settings: Settings, checks: dict[str, Check]) -> ExtraTools:
    try:
        from sreops.adapters.mcp_tools import McpTools
    except ImportError as exc:
        raise SettingsInvalid(["SREOPS_MCP__SERVERS needs the MCP client: pip install 'sreops[mcp]'"]) from exc
    tools = McpTools(settings.mcp)
    checks["mcp"] = tools.health
    return tools


def _absent(setting: str, consequence: str) -> Health:
    return Health("not_configured", f"not configured: {consequence}", f"set {setting}")


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Open everything, start the background tasks, and close it all in the reverse order."""
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(DataDirLock(settings.data_dir))
        database = await stack.enter_async_context(open_database(settings, build_store(settings)))
        store = database.store
        event_log = build_event_log(settings)
        spooled = build_spool(settings, event_log)
        accepting: EventLog = spooled or event_log
        await accepting.start()
        stack.push_async_callback(accepting.stop)
        parts = build_parts(settings, store, event_log, await _clock(store))
        for close in parts.closers:
            stack.push_async_callback(close)
        for name, health in parts.missing.items():
            log.warning("sreops.part_missing", part=name, detail=health.detail, cure=health.cure)
        wake, stopping, broken = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def reading() -> Health:
            return app.reading() if app.reading is not None else Health("up", "not the role of this process")

        web = build_web(
            WebContext(
                settings=settings,
                clock=parts.tools.clock,
                event_log=accepting,
                store=store,
                runbooks=parts.tools.runbooks,
                checks={**_with_spool(parts.checks, spooled), **database.checks, "intake": reading},
                missing=parts.missing,
                wake=wake,
                stopping=stopping,
                version=__version__,
                spool=spooled.state if spooled else None,
            )
        )
        app = Running(settings=settings, web=web, parts=parts, stopping=stopping, broken=broken, spooled=spooled)
        await stack.enter_async_context(_background(app, database, wake))
        yield app


async def _clock(store: SqlIncidentStore) -> SteadyClock:
    """Return a clock that goes on from the last time that the store was told."""
    clock = SteadyClock()
    with contextlib.suppress(StoreUnavailable):  # PostgreSQL may be away: then nothing is known to be later
        for record in await store.records(newest=True, limit=1):
            clock.not_before(record.at)
    return clock


def _with_spool(checks: Mapping[str, Check], spooled: SpooledEventLog | None) -> Mapping[str, Check]:
    """Let ``event_log`` say whether alerts can be made durable; a log that is away then only degrades."""
    if spooled is None:
        return checks
    return {
        **checks,
        "event_log": spooled.health,
        spooled.name: checks["event_log"],
        "spool": spooled.spool_health,
    }


@contextlib.asynccontextmanager
async def _background(app: Running, database: ProcessDatabase, wake: asyncio.Event) -> AsyncIterator[None]:
    """Run the worker's tasks while the block runs; one that fails sets ``broken`` so that the process ends.

    What works on the store begins when that is there.
    """
    parts, settings = app.parts, app.settings

    def own(work: Awaitable[None], name: str) -> asyncio.Task[None]:
        task = asyncio.ensure_future(_guarded(work, name, app.broken))
        app.background.append(task)
        return task

    async def once_ready(work: Callable[[], Awaitable[None]]) -> None:
        await database.ready.wait()
        await work()

    own(database.tend(), "database")
    if app.spooled is not None:  # whatever the roles: an earlier bridge may have left something in it
        forwarding = Forwarding(
            spool=app.spooled,
            event_log=parts.event_log,
            clock=parts.tools.clock,
            append_timeout_s=settings.ack_timeout_s,
        )
        own(forwarding.run(), "spool")
    if "worker" in settings.roles:
        app.dispatch = Dispatch(
            Runner(build_graph(database.saver), parts.tools),
            parts.tools,
            owner=f"{socket.gethostname()}-{os.getpid()}",
            wake=wake,
        )
        intake = Intake(
            subscribe=lambda: parts.event_log.subscribe(settings.worker.topics, group=settings.kafka.group_id),
            store=parts.store,
            event_log=parts.event_log,
            clock=parts.tools.clock,
            windows=Windows.model_validate(settings.correlation.model_dump()),
            on_due=wake.set,
            append_timeout_s=settings.ack_timeout_s,
            max_inbox_bytes=settings.worker.max_inbox_bytes,
        )
        app.reading = intake.health
        copies = Copies(store=parts.store, event_log=parts.event_log, clock=parts.tools.clock, shared=database.shared)
        app.intake = own(once_ready(intake.run), "intake")
        own(once_ready(app.dispatch.run), "dispatch")
        own(once_ready(copies.run), "copies")
        own(once_ready(partial(catch_up_tickets, parts.tools.tickets)), "tickets")
        own(once_ready(partial(watch, parts.tools, wake, app.dispatch.interrupt)), "watchdog")
        own(once_ready(_retention(app, database).run), "retention")
        if "model" in parts.checks:
            own(once_ready(partial(_look_at_model, parts.checks["model"])), "model")
    try:
        yield
    finally:
        for task in app.background:
            task.cancel()
        await asyncio.gather(*app.background, return_exceptions=True)


def _retention(app: Running, database: ProcessDatabase) -> Retention:
    """Return what prunes; the broker prunes its own topics."""
    settings, event_log = app.settings, app.parts.event_log
    windows = settings.correlation
    return Retention(
        store=app.parts.store,
        clock=app.parts.tools.clock,
        settings=settings.retention,
        needed_s=max(windows.clear_grace_s, windows.refire_window_s, windows.escalated_window_s),
        delete_thread=database.saver.adelete_thread,
        prune_log=event_log.prune if isinstance(event_log, EmbeddedEventLog) else None,
        used_bytes=partial(asyncio.to_thread, used_bytes, settings.data_dir),
    )


async def _look_at_model(check: Check) -> None:
    """Ask about the model once at the start: one that retires soon, or is not there, is told before it is needed."""
    found = await check()
    if found.status != "up":
        log.warning("model.not_up", detail=found.detail, cure=found.cure)


async def _guarded(work: Awaitable[None], name: str, broken: asyncio.Event) -> None:
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException:
        log.critical("sreops.task_failed", task=name, exc_info=True)
        broken.set()
        raise
