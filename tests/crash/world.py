"""What sreops looks at and acts on in the crash tests: an engine, a GitLab and a Prometheus, quick enough for hundreds.

The servers are the sandbox's (their agreement with the real ones is tests/contract's); the real engine is in
test_crash_real_engine.py and test_random_kills.py. A gate before the engine and before GitLab counts the
requests that change something, and kills sreops right before or right after the chosen one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from servers.sreops import Sreops
from sreops.sandbox.clock import WallClock
from sreops.sandbox.docker.api import docker_api
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.process import Idle
from sreops.sandbox.gitlab import GitLab, Issue
from sreops.sandbox.prometheus.api import prometheus_api
from sreops.sandbox.prometheus.server import Exposed, Prometheus
from sreops.sandbox.server import Server as SandboxServer

TOKEN = "glpat-crash"
PROJECT = "ops/incidents"
MEMORY = 512_000_000.0
STOP_S = 0.4
"""How long a container takes to obey SIGTERM: long enough to kill sreops while the engine is at it."""
RUNBOOKS = """\
version: 1
runbooks:
  - id: restart-what-is-broken
    when: {}
    autonomy: autonomous
    cooldown_s: 0
    steps:
      - action: restart_container
        timeout_s: 20
      - action: check_health
        timeout_s: 10
    verify:
      - promql: 'max by (name) (service_broken{name="{{ service }}"})'
        condition: "< 0.5"
"""
QUICK = {
    "SREOPS_VERIFY__SETTLE_S": "0.3",
    "SREOPS_VERIFY__POLL_S": "0.3",
    "SREOPS_VERIFY__TIMEOUT_S": "20",
    "SREOPS_WORKER__LEASE_S": "2",
    "SREOPS_WORKER__IDLE_POLL_S": "0.1",
    "SREOPS_WORKER__RETRY_S": "0.2",
    "SREOPS_DOCKER__STOP_TIMEOUT_S": "1",
    "SREOPS_DOCKER__SETTLE_MARGIN_S": "2",
    "SREOPS_POLICY__ATTEMPTS_PER_HOUR": "1000",
    "SREOPS_POLICY__HOST_ACTS_PER_HOUR": "100000",
    "SREOPS_POLICY__PROJECT_ACTS_PER_HOUR": "100000",
    # three unknown outcomes in a row, as neighbouring points have them, would close automation
    "SREOPS_POLICY__BREAKER_FAILURES": "1000",
    "SREOPS_POLICY__SLOT_RETRY_S": "0.3",
    "SREOPS_EVIDENCE__DEADLINE_S": "10",
    "SREOPS_CORRELATION__BURST_INCIDENTS": "1000",  # its services all have the same alert
}
"""Settings that make an incident take two seconds instead of a minute."""

Moment = Literal["before", "during", "after"]


@dataclass
class Gate:
    """Before a server: numbers the requests that write, and does ``then`` at one of them."""

    app: ASGIApp
    seen: list[str] = field(default_factory=list)
    """Writes since ``rearm``: method and the last words of the path."""
    number: int = 0
    moment: Moment = "before"
    then: Callable[[], Awaitable[None]] | None = None

    def rearm(
        self, number: int = 0, moment: Moment = "before", then: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Begin to count anew; the ``number``-th write (from 1) meets ``then``, and is never answered."""
        self.seen, self.number, self.moment, self.then = [], number, moment, then

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        self.seen.append(_shown(scope))
        if self.then is None or len(self.seen) != self.number:
            await self.app(scope, receive, send)
            return
        then, self.then = self.then, None
        if self.moment == "before":
            await then()
            return  # whoever asked is dead: the server never hears of it
        acting = asyncio.ensure_future(self.app(scope, receive, _lose))
        if self.moment == "during":
            await asyncio.sleep(STOP_S / 2)  # the engine is at it
            await then()
        with contextlib.suppress(asyncio.CancelledError):
            await acting
        if self.moment == "after":
            await then()


async def _lose(message: Message) -> None:
    """Take the answer, and lose it."""


def _shown(scope: Scope) -> str:
    parts = [part for part in scope["path"].split("/") if part and not part.startswith("v1.")]
    return f"{scope['method']} {parts[-1] if len(parts[-1]) < 20 else '…'}"


class World:
    """The servers; ``add`` makes a broken service, which a restart mends.

    ``broken``: says instead which services of another engine are (1.0) or are not (0.0).
    """

    asks = False
    """Whether its plans wait for a person, who approves them all."""

    def __init__(
        self, directory: Path, *, broken: Callable[[], Mapping[str, float]] | None = None, swarm: bool = False
    ) -> None:
        clock = WallClock()
        self.directory = directory
        self.engine = DockerEngine(clock, swarm=swarm)
        self.gitlab = GitLab(TOKEN, PROJECT, notes_per_minute=100_000)
        self.prometheus = Prometheus(clock, scrape_interval_s=0.25)
        self.engine_gate = Gate(docker_api(self.engine))
        self.gitlab_gate = Gate(self.gitlab.app)
        self._processes: dict[str, Idle] = {}
        self._incurable: set[str] = set()
        self._broken = broken or self._not_restarted
        self._have_a_past: set[str] = set()
        self._servers = {
            "docker": SandboxServer(self.engine_gate, path=directory / "docker.sock"),
            "gitlab": SandboxServer(self.gitlab_gate),
            "prometheus": SandboxServer(prometheus_api(self.prometheus)),
        }
        self.prometheus.add_target("crash", "world", self._exposed)
        self.prometheus.add_rule("ServiceBroken", "service_broken > 0.5")
        (directory / "runbooks.yaml").write_text(RUNBOOKS)

    def add(self, service: str) -> None:
        """Start a container that is broken until its first restart."""
        process = self._processes[service] = Idle(stop_s=STOP_S)
        container = self.engine.add(service, process, labels={"sreops.enable": "true"})
        for number in range(3):
            self.engine.log(container, f"ERROR java.lang.OutOfMemoryError: Java heap space (request {number})")
        self.prometheus.scrape()

    def make_incurable(self, service: str) -> None:
        """Let a restart mend nothing."""
        self._incurable.add(service)

    def restarts(self, service: str) -> int:
        """How often its container was started anew."""
        return self._processes[service].starts - 1

    def issues(self, service: str) -> list[Issue]:
        """The issues about a service."""
        return [issue for issue in self.gitlab.issues if service in issue.title]

    def _exposed(self) -> Iterable[Exposed]:
        for service, value in self._broken().items():
            self._fill_the_past(service)
            own = {"name": service}
            yield "service_broken", own, value
            # what bears out, besides the log, that it ran out of memory
            yield "container_memory_working_set_bytes", own, MEMORY * (0.98 if value else 0.3)
            yield "container_spec_memory_limit_bytes", own, MEMORY

    def _fill_the_past(self, service: str) -> None:
        """Record, once, that its memory was well below the limit until a minute ago."""
        if service in self._have_a_past:
            return
        self._have_a_past.add(service)
        now_s = self.prometheus.clock.time()
        for ago_s in range(900, 60, -15):
            past = {"name": service}
            self.prometheus.record("container_memory_working_set_bytes", past, MEMORY * 0.3, now_s - ago_s)

    def _not_restarted(self) -> Mapping[str, float]:
        return {
            service: float(process.starts < 2 or service in self._incurable)
            for service, process in self._processes.items()
        }

    def settings(self) -> dict[str, str]:
        """Return what points sreops here."""
        return {
            **QUICK,
            "SREOPS_RUNBOOKS": str(self.directory / "runbooks.yaml"),
            "SREOPS_DOCKER__HOST": self._servers["docker"].url,
            "SREOPS_PROMETHEUS__URL": self._servers["prometheus"].url,
            "SREOPS_GITLAB__URL": self._servers["gitlab"].url,
            "SREOPS_GITLAB__TOKEN": TOKEN,
            "SREOPS_GITLAB__PROJECT": PROJECT,
        }

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[World]:
        """Serve, and scrape, while the block runs."""
        async with AsyncExitStack() as stack:
            for server in self._servers.values():
                await stack.enter_async_context(server)
            scraping = asyncio.create_task(self._scrape())
            try:
                yield self
            finally:
                scraping.cancel()
                await asyncio.gather(scraping, return_exceptions=True)
                await self.engine.close()

    async def _scrape(self) -> None:
        while True:
            self.prometheus.scrape()
            await asyncio.sleep(self.prometheus.scrape_interval_s)


class Process(Sreops):
    """sreops to be killed."""

    def __init__(self, settings: Mapping[str, str] | None = None, *, ready_path: str = "/livez") -> None:
        super().__init__(settings, ready_path=ready_path)
        self._killing = threading.Lock()

    def environment(self) -> dict[str, str]:
        same_code = {name: value for name, value in os.environ.items() if name == "PYTHONPATH"}
        return super().environment() | same_code

    def kill(self) -> None:
        """Kill it; of two that do so at once the second waits, and does not forget a process started since."""
        with self._killing:
            super().kill()

    def kill_outright(self) -> None:
        """Send SIGKILL and leave the rest to whoever waits for it, such as a ``start`` that is under way."""
        with contextlib.suppress(RuntimeError, ProcessLookupError):  # it is not there
            os.kill(self.pid, signal.SIGKILL)

    def ended_or_gone(self) -> bool:
        """Whether the process is dead, by whose hand ever."""
        return not self.running


def payload(service: str, alerts: int = 2, *, first: int = 0, status: str = "firing", **labels: str) -> dict[str, Any]:
    """Return a webhook with that many alerts of one service, each with a fingerprint of its own from its number."""
    now = datetime.now(UTC).isoformat()
    return {
        "version": "1",
        "status": status,
        "alerts": [
            {
                "status": status,
                "labels": {
                    "alertname": "ServiceBroken",
                    "container": service,
                    "name": service,
                    "severity": "critical",
                    "tier": "autonomous",
                    "escalate_threshold": "0",
                    "runbook_id": "restart-what-is-broken",
                    "number": str(number),
                    **labels,
                },
                "annotations": {"summary": f"{service} is broken"},
                "startsAt": now,
                **({"endsAt": now} if status == "resolved" else {}),
                "fingerprint": f"{service}-{number}",
            }
            for number in range(first, first + alerts)
        ],
    }
