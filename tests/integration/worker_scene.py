"""The worker's parts around a real store, log and checkpoints, with analysts and a clock that a test holds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from sreops.adapters.database.checkpoints import open_checkpointer
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.adapters.store import SqlIncidentStore
from sreops.agent.context import Tools
from sreops.agent.graph import build_graph
from sreops.agent.runner import Runner
from sreops.app import build_parts
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.event_record import event_json
from sreops.domain.incidents.correlation import Windows
from sreops.domain.incidents.incident import Incident
from sreops.ports import Health, LogRecord, StoredRecord
from sreops.settings import Settings
from sreops.worker.copies import Copies
from sreops.worker.correlation import Correlator
from sreops.worker.dead_letter import Letter, letters
from sreops.worker.dispatch import Dispatcher
from sreops.worker.intake import Intake

CRITICAL, DEAD_LETTER = "sre-critical", "sre-dead-letter"


class Hands:
    """A clock that is moved by hand, beside the real time that passes."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Broken:
    """An analyst with a bug."""

    name = "claude"

    async def analyze(self, brief: Any, **_: Any) -> Any:
        return {}["a key that is not there"]

    async def health(self) -> Health:
        return Health("up")


class Hanging(Broken):
    """An analyst that never answers, whatever its deadline; ``asked`` is set once it was asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def analyze(self, brief: Any, **_: Any) -> Any:
        self.asked.set()
        await asyncio.Event().wait()


class Wrapped:
    """A store of which a test replaces what it wants to fail."""

    def __init__(self, store: SqlIncidentStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def event(number: int = 0, *, service: str = "payments", **changes: Any) -> AlertEvent:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "event_id": f"event-{number}",
        "source": "grafana",
        "fingerprint": f"fp-{service}",
        "status": AlertStatus.firing,
        "labels": {"alertname": "HighMemory", "service": service},
        "annotations": {"summary": "it hurts"},
        "starts_at": now - timedelta(minutes=1),
        "received_at": now,
        "tier": Tier.autonomous,
        "severity": Severity.critical,
        "service": service,
    }
    return AlertEvent(**(fields | changes))


def record_of(one: AlertEvent) -> LogRecord:
    return LogRecord(CRITICAL, one.service, event_json(one), (("schema", b"1"),))


class Worker:
    """Everything that a worker runs, in this process."""

    def __init__(self, tools: Tools, store: SqlIncidentStore, log: EmbeddedEventLog, runner: Runner) -> None:
        self.tools, self.store, self.log = tools, store, log
        self.wake = asyncio.Event()
        self.dispatch = Dispatcher(runner, tools, owner="w1", wake=self.wake)
        correlating = Correlator(
            store=tools.store,
            event_log=log,
            clock=tools.clock,
            windows=Windows(),
            on_due=self.wake.set,
            retry_s=0.001,
        )
        self.intake = Intake(
            subscribe=lambda: log.subscribe([CRITICAL], group="sreops"),
            store=tools.store,
            event_log=log,
            clock=tools.clock,
            correlating=correlating,
            poll_s=0.05,
            retry_s=0.001,
            full_poll_s=0.02,
            max_inbox_bytes=tools.settings.worker.max_inbox_bytes,
        )
        self.copies = Copies(store=tools.store, event_log=log, clock=tools.clock, wake=self.wake, retry_s=0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(part.run()) for part in (self.intake, self.dispatch, self.copies)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def incident(self, service: str = "payments") -> Incident | None:
        found, _ = await self.store.incidents(service=service)
        return found[0] if found else None

    async def ended(self, service: str = "payments", *, episode: int = 1) -> Incident | None:
        found = await self.incident(service)
        return found if found and found.status.ended and found.episode == episode else None

    async def read(self, topic: str, group: str) -> Sequence[StoredRecord]:
        async with self.log.subscribe([topic], group=group) as subscription:
            return await subscription.poll(max_records=1000, timeout_s=0.05)

    async def letters(self) -> list[Letter]:
        return letters(await self.read(DEAD_LETTER, "looking"))


@asynccontextmanager
async def a_worker(
    directory: Path, analysts: Sequence[Any], *, clock: Any = None, store: Any = None, **worker: Any
) -> AsyncIterator[Worker]:
    """Yield a worker that does not run yet; ``worker`` are its settings, ``store`` wraps the real one."""
    told = {"retry_s": 0.01, "idle_poll_s": 0.02, **worker}
    settings = Settings(_env_file=None, data_dir=directory, worker=told)
    real = SqlIncidentStore(directory / "sreops.db")
    log = EmbeddedEventLog(directory / "events.db")
    await real.open()
    await log.start()
    parts = build_parts(settings, real, log)
    seen = store(real) if store else real
    tools = replace(parts.tools, store=seen, clock=clock or parts.tools.clock, analysts=analysts)
    try:
        # captured: rendering a traceback for a terminal takes seconds
        with capture_logs():
            async with open_checkpointer(directory / "checkpoints.db") as saver:
                yield Worker(tools, real, log, Runner(build_graph(saver), tools))
    finally:
        for close in parts.closers:
            await close()
        await log.stop()
        await real.close()
