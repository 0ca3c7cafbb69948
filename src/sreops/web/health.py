"""``/livez``, ``/readyz``, ``/health``, ``/metrics``: asked by machines, so never slow and never a surprise."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sreops.ports import Backlog, Health, SpoolState
from sreops.telemetry import REGISTRY, log
from sreops.web.access import Access
from sreops.web.answers import RETRY_AFTER_S, answer
from sreops.web.context import WebContext

CHECK_CRASHED: Final = "health.check_crashed"

CHECK_TIMEOUT_S: Final = 3.0
FRESH_S: Final = 2.0
"""For so long an answer is given again, so that many askers cost a dependency one check."""
PAGE_WAITS_S: Final = 0.25
"""For so long a page waits for a new report; the last one may be hours old, where nobody looked meanwhile."""
LATE_READY_S: Final = 120.0
"""Work that has been ready for longer without being started means that sreops does not keep up."""
FULL_INBOX: Final = 1000
VITAL: Final = ("event_log", "store")
"""Without these nothing can be accepted or decided: unhealthy. Everything else only degrades."""

_T = TypeVar("_T")
State = Literal["healthy", "degraded", "unhealthy"]


@dataclass(frozen=True)
class HealthReport:
    """How the process is; ``why`` are the sentences behind a state that is not healthy."""

    status: State
    kafka: str
    checks: Mapping[str, Health]
    backlog: Backlog | None
    why: Sequence[str]
    spool: SpoolState | None = None


class Probe(Generic[_T]):
    """A check that is bounded in time, at most once under way, and whose answer is kept for FRESH_S."""

    def __init__(self, check: Callable[[], Awaitable[_T]], failed: Callable[[str], _T]) -> None:
        self._check = check
        self._failed = failed
        self._running: asyncio.Task[_T] | None = None
        self._kept: tuple[float, _T] | None = None

    async def ask(self) -> _T:
        """Return the answer, at the latest after CHECK_TIMEOUT_S."""
        if self._kept is not None and time.monotonic() - self._kept[0] < FRESH_S:
            return self._kept[1]
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        task = self._running
        # wait() and not wait_for(): a check that ignores its cancellation must not hold up the answer
        done, _ = await asyncio.wait({task}, timeout=CHECK_TIMEOUT_S)
        if not done:
            task.cancel()
            return self._keep(self._failed(f"did not answer within {CHECK_TIMEOUT_S:g} s"))
        if task.cancelled():  # by another asker, whose time was up first
            return self._kept[1] if self._kept else self._failed("was interrupted")
        if (crash := task.exception()) is not None:
            log.error(CHECK_CRASHED, error=repr(crash))
            return self._keep(self._failed(f"the check itself failed: {crash}"))
        return self._keep(task.result())

    async def _run(self) -> _T:
        return await self._check()

    def _keep(self, found: _T) -> _T:
        self._kept = (time.monotonic(), found)
        return found


class Checks:
    """All probes of the process."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._probes = {name: Probe(check, _down) for name, check in context.checks.items()}
        if "event_log" not in self._probes:
            self._probes["event_log"] = Probe(context.event_log.health, _down)
        self._backlog: Probe[Backlog | None] = Probe(self._count, lambda why: None)
        self._last: HealthReport | None = None
        self._refreshing: asyncio.Task[HealthReport] | None = None

    async def _count(self) -> Backlog | None:
        return await self._context.store.backlog(now=self._context.clock.now())

    async def report(self) -> HealthReport:
        """Ask everything at once."""
        asked = asyncio.gather(*(probe.ask() for probe in self._probes.values()))
        backlog, found = await asyncio.gather(self._backlog.ask(), asked)
        checks = dict(zip(self._probes, found, strict=True)) | dict(self._context.missing)
        spool = self._context.spool() if self._context.spool else None
        self._last = judge(checks, backlog, log_name=self._context.event_log.name, spool=spool)
        return self._last

    async def at_hand(self) -> HealthReport:
        """Return a new report, or the last one where that takes longer than a page waits for what hangs."""
        if self._last is None:
            return await self.report()
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self.report(), name="health for the page")
        await asyncio.wait({self._refreshing}, timeout=PAGE_WAITS_S)
        return self._last

    async def accepts(self) -> Health:
        """Say whether alerts could be made durable now."""
        if not self._context.ready():
            return Health("down", "sreops is shutting down")
        return await self._probes["event_log"].ask()


def judge(
    checks: Mapping[str, Health], backlog: Backlog | None, *, log_name: str, spool: SpoolState | None = None
) -> HealthReport:
    """Say how the process is, from its checks and what waits.

    With a spool, ``event_log`` says whether alerts can be made durable, and the check named after the log whether
    that is there: where it is not, alerts are spooled, which is degraded and no more.
    """
    down = [f"{name} is down: {health.detail}" for name, health in checks.items() if health.status == "down"]
    fatal = any(checks[name].status == "down" for name in VITAL if name in checks)
    late = _late(backlog)
    if spool is not None and spool.records:
        late.append(f"backlog: {spool.records} events wait in the spool for the event log")
    status: State = "unhealthy" if fatal else "degraded" if down or late else "healthy"
    up = checks.get(log_name, checks["event_log"]).status == "up"
    kafka = "disconnected" if not up else "embedded" if log_name == "embedded" else "connected"
    return HealthReport(status, kafka, checks, backlog, (*down, *late), spool)


def _late(backlog: Backlog | None) -> list[str]:
    if backlog is None:
        return ["the backlog could not be counted"]
    reasons = []
    if backlog.oldest_ready_s > LATE_READY_S:
        reasons.append(
            f"backlog: {backlog.ready} incidents wait to be started, the oldest {backlog.oldest_ready_s:.0f} s"
        )
    if backlog.inbox > FULL_INBOX:
        reasons.append(f"backlog: {backlog.inbox} events wait to be correlated")
    return reasons


def _down(why: str) -> Health:
    return Health("down", why)


def health_routes(context: WebContext, access: Access, checks: Checks) -> list[Route]:
    """Return the routes that machines ask; all are open, details are not."""

    async def livez(_: Request) -> Response:
        return answer({"status": "alive", "version": context.version})

    async def readyz(_: Request) -> Response:
        found = await checks.accepts()
        if found.status == "up":
            return answer({"status": "ready"})
        # the reason may name hosts and paths: it is in /health, for those who have the token
        return answer({"status": "not ready"}, 503, {"Retry-After": str(RETRY_AFTER_S)})

    async def health(request: Request) -> Response:
        report = await checks.report()
        shown: dict[str, Any] = {"status": report.status, "kafka": report.kafka}
        if await access.allows(request):
            shown |= {
                "checks": {name: _shown(check) for name, check in report.checks.items()},
                "backlog": _waiting(report, context.clock.now()),
                "why": list(report.why),
                "version": context.version,
            }
        return answer(shown, 503 if report.status == "unhealthy" else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/health", health, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]


def _waiting(report: HealthReport, now: datetime) -> dict[str, Any] | None:
    """Return the backlog, with the spool's depth and age where there is one."""
    shown = asdict(report.backlog) if report.backlog else {}
    if (spool := report.spool) is not None:
        shown |= {"spool_records": spool.records, "spool_bytes": spool.size_bytes, "spool_age_s": spool.age_s(now)}
    return shown or None


def _shown(health: Health) -> dict[str, str]:
    return {name: text for name, text in asdict(health).items() if text or name != "cure"}
