"""What the tests of the web side share: an application on a real store, a server on loopback, told incidents."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from sse_starlette.sse import AppStatus
from starlette.applications import Starlette

from contract.store_scene import alert, always
from servers.waiting import eventually
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.incidents.incident import EffectOutcome
from sreops.domain.records.record import Thought
from sreops.domain.remediation.policy import PolicyLimits
from sreops.domain.runbooks.file import load_runbooks
from sreops.ports import Changes, Health, Lease, LogRecord, SpoolState
from sreops.ports.identity import IdentityProvider
from sreops.settings import Settings
from sreops.web.application import build_web
from sreops.web.connections import Connections
from sreops.web.context import WebContext

_FILE = Path(__file__).parents[2] / "runbooks.yaml"
RUNBOOKS = load_runbooks(_FILE.read_text(), path=str(_FILE))


class FakeClock:
    """Stands still unless it is moved."""

    def __init__(self, now: datetime) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at


class WallClock:
    """Real time: for pages that a person looks at."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FakeLog:
    """An event log that is up until a test says otherwise."""

    def __init__(self, name: str = "embedded") -> None:
        self.name = name
        self.state = Health("up", "data/events.db")
        self.records: list[LogRecord] = []

    async def append(self, records: Sequence[LogRecord], *, timeout_s: float) -> None:
        self.records += records

    async def health(self) -> Health:
        return self.state


@dataclass
class Scene:
    """An application and what it works with."""

    context: WebContext
    app: Starlette
    log: FakeLog
    store: SqlIncidentStore
    clock: Any
    checks: dict[str, Callable[[], Awaitable[Health]]] = field(default_factory=dict)
    paused: list[float] = field(default_factory=list)  # how long wrong credentials were held back, each


def scene(
    store: SqlIncidentStore,
    clock: Any,
    *,
    checks: Mapping[str, Callable[[], Awaitable[Health]]] | None = None,
    missing: Mapping[str, Health] | None = None,
    log_name: str = "embedded",
    spool: Callable[[], SpoolState] | None = None,
    identity: IdentityProvider | None = None,
    **settings: Any,
) -> Scene:
    """Build the application."""
    log = FakeLog(log_name)
    all_checks = {"event_log": log.health, "store": store.health, **(checks or {})}
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    context = WebContext(
        settings=Settings(_env_file=None, **settings),
        clock=clock,
        event_log=log,
        store=store,
        runbooks=RUNBOOKS,
        checks=all_checks,
        missing=missing or {},
        version="0.1.0",
        spool=spool,
        identity=identity,
        pause=pause,
    )
    return Scene(context, build_web(context), log, store, clock, dict(all_checks), paused)


@contextlib.asynccontextmanager
async def serving(
    app: Starlette, stopping: asyncio.Event, *, connections: Connections | None = None, **options: Any
) -> AsyncIterator[str]:
    """Serve on a free port of loopback; yield the base URL. ``options`` are uvicorn's."""
    AppStatus.should_exit = False
    if connections is not None:
        options["http"] = connections.protocol()
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        **options,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    task = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started, every_s=0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        stopping.set()
        server.should_exit = True
        await task


# --- incidents as the agent writes them ----------------------------------------------------------------------

LIMITS = PolicyLimits(targets=("*",), attempts_per_hour=10)
PLAN = {
    "runbook_id": "restart-on-memory",
    "autonomy": "supervised",
    "cooldown_s": 900.0,
    "steps": [
        {"action": "restart_container", "target": "payments", "params": {}, "required": True, "timeout_s": 60.0},
        {"action": "check_health", "target": "payments", "params": {}, "required": True, "timeout_s": 60.0},
    ],
    "verify": [
        {
            "promql": 'container_memory_working_set_bytes{name="payments"} / container_spec_memory_limit_bytes',
            "condition": "< 0.8",
            "for_s": 10.0,
        }
    ],
}
PLAN_HASH = "9f2c41d0a7b35e88"
LOG_EXCERPT = """\
12:02:51.104 WARN  GC overhead: 91 % of the last 10 s  (x 14)
12:02:58.377 ERROR java.lang.OutOfMemoryError: Java heap space
    at com.shop.payments.BasketCache.put(BasketCache.java:88)
12:03:01.020 INFO  request POST /charge took 8123 ms  (x 212)
12:03:04.911 ERROR upstream timed out (110: Connection timed out) while reading response header  (x 37)
"""


async def open_incident(
    store: SqlIncidentStore, now: datetime, service: str = "payments", alertname: str = "HighMemory", **changes: Any
) -> Lease:
    """Open an incident for a service and claim it."""
    labels = {"alertname": alertname, "service": service, "severity": "critical", "team": "shop"} | changes.pop(
        "labels", {}
    )
    annotations = {"summary": f"{service} uses 94 % of its memory limit"} | changes.pop("annotations", {})
    event = alert(service, starts_at=now, received_at=now, labels=labels, annotations=annotations, **changes)
    await store.take_in([(event, _stored(service))], now=now)
    made = await store.correlate(event, always("open"), now=now)
    leases = await store.claim("w1", now=now + timedelta(milliseconds=1), lease_s=86400, limit=20)
    return next(lease for lease in leases if lease.incident_id == made.incident_id)


def _stored(service: str) -> Any:
    from sreops.ports import StoredRecord

    return StoredRecord(topic="sre-critical", key=service, value=b"{}")


async def think(store: SqlIncidentStore, lease: Lease, node: str, text: str, now: datetime, **data: Any) -> None:
    """Tell one thought."""
    await store.write(lease, Changes(thoughts=[Thought(node=node, text=text, data=data)]), now=now)


def curve(now: datetime, low: float, high: float) -> list[list[float]]:
    """Return points that rise late."""
    start = now.timestamp() - 900
    return [[start + 15 * i, low + (high - low) * max(0.0, (i - 20) / 40) ** 1.6] for i in range(61)]


def evidence_of(service: str, now: datetime) -> list[Evidence]:
    """Return evidence as enrich_context gathers it."""
    return [
        Evidence(
            id="E1",
            kind="alert",
            source="alert",
            finding=f"HighMemory firing for {service} since {now:%H:%M:%S}",
            url="http://grafana.example/alerting/rule/1",
            text=f"alertname=HighMemory\nservice={service}\nseverity=critical",
        ),
        Evidence(
            id="E2",
            kind="logs",
            source="loki",
            query=f'{{container="{service}"}}',
            text=LOG_EXCERPT,
            finding=f"{service}: 2,140 lines, 38 templates; most telling: java.lang.OutOfMemoryError: Java heap space",
        ),
        Evidence(
            id="E3",
            kind="metric",
            source="prometheus",
            query=f'container_memory_working_set_bytes{{name="{service}"}}',
            finding="memory rose from 210 MiB to 486 MiB (94 % of its limit)",
            data={"points": curve(now, 210e6, 486e6), "unit": "bytes"},
        ),
        Evidence(
            id="E4",
            kind="metric",
            source="prometheus",
            query="rate(http_requests_total[1m])",
            finding="errors rose from 0.2 % to 18 %",
            data={"points": curve(now, 0.002, 0.18)},
        ),
        Evidence(
            id="E5",
            kind="container",
            source="docker",
            finding=f"{service} runs since 2 d, 0 restarts, health: unhealthy",
            text="image shop/payments:4.2.1\nhealth: GET /healthz 503",
        ),
        Evidence(
            id="E6",
            kind="gap",
            source="grafana",
            finding="grafana: annotations could not be read: 403",
            data={"cure": "give the token the role Viewer"},
            partial=True,
        ),
    ]


async def analysed(store: SqlIncidentStore, lease: Lease, now: datetime, **incident: Any) -> dict[str, Any]:
    """Write what the nodes up to analyze_root_cause write; return the decision so far."""
    service = lease.service

    def s(seconds: float) -> datetime:
        return now + timedelta(seconds=seconds)

    await think(store, lease, "consume_event", f"HighMemory fires on {service} (critical, tier supervised)", s(0.3))
    pieces = evidence_of(service, now)
    await store.write(lease, Changes(evidence=pieces), now=s(1.9))
    await think(store, lease, "create_gitlab_issue", "Opened issue #118", s(0.9))
    for piece in pieces[1:]:
        await think(store, lease, "enrich_context", f"{piece.id} {piece.source}: {piece.finding}", s(2))
    decision = {
        "analysis": {
            "root_cause": incident.get("root_cause", "heap exhausted"),
            "recommended_action": "restart",
            "evidence": ["E2", "E3", "E99"],
            "reasoning": "E3 shows memory climbing to the limit over twelve minutes, E2 the first OutOfMemoryError "
            "right after. Errors (E4) follow, they do not lead.\nNothing points to a dependency.",
        },
        "model": "claude-sonnet-5-5",
        "confidence": {"claimed": 0.96, "taken_down": ["all the evidence it cites is incomplete (0.96 → 0.91)"]},
        "model_usage": {
            "model": "claude-sonnet-5-5",
            "calls": 3,
            "failed_calls": 1,
            "input_tokens": 41250,
            "output_tokens": 1830,
            "cache_read_tokens": 33000,
            "cache_write_tokens": 4100,
            "usd": 0.0612,
            "seconds": 14.2,
        },
    }
    fields = {
        "analyst": "claude",
        "analyst_why": "the model claude-sonnet-5-5 answered",
        "root_cause": "The basket cache of payments grows without bound; the heap is exhausted and requests time out",
        "category": "memory_leak",
        "confidence": 0.91,
        "decision": decision,
        "issue": {"iid": 118, "url": "https://gitlab.example/shop/ops/-/issues/118"},
    } | incident
    await store.write(lease, Changes(incident=fields), now=s(6))
    told = f"Cause: {fields['root_cause']} (confidence {fields['confidence']:.2f})"
    await think(store, lease, "analyze_root_cause", told, s(6), reasoning=decision["analysis"]["reasoning"])
    return decision


async def planned(store: SqlIncidentStore, lease: Lease, now: datetime, decision: dict[str, Any]) -> dict[str, Any]:
    """Write what match_runbook writes; return the decision."""
    plan = PLAN | {"steps": [step | {"target": lease.service} for step in PLAN["steps"]]}
    decision = decision | {
        "selection": {"runbook_id": PLAN["runbook_id"], "how": "analysis", "why": "the analysis chose it"},
        "plan": plan,
        "plan_hash": PLAN_HASH,
        "policy": {
            "verdict": "needs_approval",
            "reasons": ["tier supervised", "the runbook's autonomy is supervised"],
        },
    }
    fields = {"decision": decision, "runbook_id": PLAN["runbook_id"], "plan_hash": PLAN_HASH}
    await store.write(lease, Changes(incident=fields), now=now)
    await think(store, lease, "match_runbook", "Runbook restart-on-memory (analysis); policy: needs_approval", now)
    return decision


async def awaiting(
    store: SqlIncidentStore, now: datetime, service: str = "payments", *, ttl_s: float = 14400, **changes: Any
) -> Lease:
    """Open an incident and bring it to where a person must decide."""
    lease = await open_incident(store, now, service, **changes)
    decision = await analysed(store, lease, now)
    await planned(store, lease, now + timedelta(seconds=7), decision)
    asked = now + timedelta(seconds=8)
    await store.request_approval(lease, plan_hash=PLAN_HASH, now=asked, expires_at=asked + timedelta(seconds=ttl_s))
    told = f"A person must approve: restart_container {service} (tier supervised)"
    await think(store, lease, "await_approval", told, asked)
    await store.write(lease, Changes(incident={"status": "awaiting_approval", "plan_hash": PLAN_HASH}), now=asked)
    return lease


async def remedied(store: SqlIncidentStore, now: datetime, service: str = "payments") -> Lease:
    """Open an incident and bring it to its verified end."""
    from sreops.domain.incidents.incident import Effect

    lease = await open_incident(store, now, service)
    decision = await planned(store, lease, now, await analysed(store, lease, now))

    def s(seconds: float) -> datetime:
        return now + timedelta(seconds=seconds)

    effect = Effect(
        effect_id=f"{lease.incident_id}:1:0",
        incident_id=lease.incident_id,
        episode=1,
        step=0,
        action="restart_container",
        target=service,
        service=service,
        runbook_id=PLAN["runbook_id"],
        snapshot={"id": "c0ffee"},
        intent_at=s(12),
    )
    await store.write(lease, Changes(incident={"status": "remediating"}), now=s(11))
    await store.begin_effect(lease, effect, LIMITS, now=s(12))
    await think(store, lease, "execute_remediation", f"restart_container {service} now", s(12))
    await store.end_effect(lease, effect.effect_id, EffectOutcome.succeeded, "", now=s(15))
    await store.write(lease, Changes(incident={"status": "verifying"}), now=s(16))
    reading = {"promql": PLAN["verify"][0]["promql"], "condition": "< 0.8", "holds": True, "values": [0.41]}
    look = {"readings": [reading | {"why": "0.41 < 0.8"}], "container": "healthy", "alert_firing": False}
    before = {"readings": [reading | {"holds": False, "values": [0.94], "why": "0.94 is not < 0.8"}]}
    proof = f"memory 41 % of its limit, was 94 %; {service} is healthy, for 30 s since the effect"
    await think(store, lease, "verify_success", f"Verification: fixed ({proof})", s(47), look=look, baseline=before)
    await think(store, lease, "close_or_escalate", f"Resolved (fixed): {proof}", s(48))
    fields = {
        "status": "resolved",
        "resolution": "fixed",
        "verification": "fixed",
        "ended_at": s(48),
        "decision": decision | {"why": proof, "handover": ACCOUNT},
    }
    await store.write(lease, Changes(incident=fields), now=s(48))
    await store.finish(lease)
    return lease


HANDOVER = """\
## Escalated: low_confidence

confidence 0.42 is below 0.70

### What to do next

Check whether the cause is right; if so, follow runbook renew-certificate.

### What was seen

- **E2** loki: `ledger: 3 lines, 2 templates; most telling: certificate has expired`
"""


ACCOUNT = """\
## Resolved: fixed

memory is at 41 % of its limit, and the alert no longer fires

### What was done

- restart_container on `payments`: succeeded
- verification: fixed
"""


async def escalated(
    store: SqlIncidentStore,
    now: datetime,
    service: str = "ledger",
    *,
    annotations: Mapping[str, str] | None = None,
    evidence: Sequence[Evidence] = (),
    **found: str,
) -> Lease:
    """Open an incident that ends with a person; ``found``: fields of it that are other than usual."""
    said = {"annotations": annotations} if annotations else {}
    lease = await open_incident(store, now, service, alertname="TLSHandshakeFailures", severity="warning", **said)
    decision = await analysed(
        store, lease, now, root_cause="The certificate of ledger has expired", confidence=0.42, analyst="rules"
    )
    await think(store, lease, "close_or_escalate", "Escalated (low_confidence)", now + timedelta(seconds=9))
    fields = {
        "status": "escalated",
        "reason": "low_confidence",
        "ended_at": now + timedelta(seconds=9),
        "decision": decision
        | {
            "why": "confidence 0.42 is below the alert's threshold of 0.70",
            "selection": {"runbook_id": None, "how": "", "why": "the analysis is not sure enough"},
            "would_have": "renew-certificate",
            "handover": HANDOVER,
            "missing": {"docker": "set SREOPS_DOCKER__HOST"},
        },
    } | found
    await store.write(lease, Changes(incident=fields, evidence=evidence), now=now + timedelta(seconds=9))
    await store.finish(lease)
    return lease
