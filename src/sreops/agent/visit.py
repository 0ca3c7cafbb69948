"""One visit of a node: what it sees, how it tells, how it waits."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Protocol

import structlog
from langgraph.runtime import RunControl, Runtime
from langgraph.types import interrupt

from sreops.agent.alerts import Alerts
from sreops.agent.context import AgentContext, Tools
from sreops.agent.state import Outcome, State
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.incidents.incident import Incident, Reason, Resolution
from sreops.domain.records.record import Action, Thought
from sreops.errors import LeaseLost
from sreops.ports import Changes, Lease, TicketOp
from sreops.telemetry import NODE_SECONDS, log

THOUGHTS_TOLD: Final = "agent.thoughts_told"
Node = Callable[["Visit"], Awaitable[State]]


@dataclass
class Visit:
    """A node's view of its incident at one visit; ``incident`` is as the store held it at the last look or write."""

    node: str
    state: State
    tools: Tools
    lease: Lease
    incident: Incident
    control: RunControl = field(default_factory=RunControl)
    thoughts: list[Thought] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    tickets: list[TicketOp] = field(default_factory=list)
    doubted_resolve_at: datetime | None = None  # a resolve of that time was looked into at this visit, and not believed
    written: bool = False  # so that ``incident`` is as fresh as a look of the next node's would be
    _pairs: Sequence[tuple[AlertEvent, str]] | None = None

    @cached_property
    def event(self) -> AlertEvent:
        """The alert that opened this episode."""
        return AlertEvent.model_validate(self.state["event"])

    async def pairs(self) -> Sequence[tuple[AlertEvent, str]]:
        """Return the incident's events with their dispositions, oldest first, as they are at this visit."""
        if self._pairs is None:
            self._pairs = await self.tools.store.events(self.incident.id)
        return self._pairs

    async def alerts(self) -> Alerts:
        """Return the incident's alerts, as they are at this visit."""
        return Alerts(self.event, [event for event, _ in await self.pairs()])

    def now(self) -> datetime:
        """Aware UTC."""
        return self.tools.clock.now()

    def think(self, text: str, **data: Any) -> None:
        """Tell a thought with the next write."""
        self.thoughts.append(Thought(node=self.node, text=text, data=data))

    def note(self, key: str, body: str) -> None:
        """Queue a note on the issue with the next write; ``key`` makes it single within the episode."""
        op_id = f"{self.incident.id}:{self.incident.episode}:{key}"
        self.tickets.append(TicketOp(op_id=op_id, incident_id=self.incident.id, kind="note", body={"note": body}))

    async def write(self, incident: Mapping[str, Any] | None = None, evidence: Sequence[Any] = ()) -> None:
        """Write the incident's new fields and all that was told, in one transaction."""
        changes = Changes(
            incident=incident or {},
            thoughts=tuple(self.thoughts),
            actions=tuple(self.actions),
            tickets=tuple(self.tickets),
            evidence=tuple(evidence),
        )
        if incident or evidence or self.thoughts or self.actions or self.tickets:
            self.incident = await self.tools.store.write(self.lease, changes, now=self.now())
            self.written = True
        if self.thoughts:
            log.info(THOUGHTS_TOLD, node=self.node, texts=[thought.text for thought in self.thoughts])
        self.thoughts, self.actions, self.tickets = [], [], []

    async def refresh(self) -> Incident:
        """Read the incident again: it may have been resolved or decided meanwhile."""
        self.incident = await self.tools.store.incident(self.incident.id)
        return self.incident


def resolved(resolution: Resolution, why: str) -> Outcome:
    """Return a resolved outcome."""
    return Outcome(end="resolved", resolution=resolution.value, why=why)


def escalated(reason: Reason, why: str) -> Outcome:
    """Return an escalated outcome."""
    return Outcome(end="escalated", reason=reason.value, why=why)


def wait(state: State, now: datetime) -> bool:
    """Interrupt where the last visit left a time to wait for; return whether that time has come.

    A wait is a LangGraph interrupt, so the whole node runs again from its first line when it is woken:
    this must be a node's first act. Whoever wakes it early (a resolve, a decision, a crash) does no
    harm: the node looks at the store and, where nothing is due, waits again.
    """
    until = state.get("wait_until")
    if until is None:
        return True
    interrupt({"until": until, "timer": state.get("wait_timer", "")})
    return now >= datetime.fromisoformat(until)


def waiting(until: datetime, timer: str) -> State:
    """Return the state change that makes the next visit wait."""
    return State(wait_until=until.isoformat(), wait_timer=timer)


async def _still_ours(context: AgentContext) -> None:
    """Raise LeaseLost where another worker has the incident: after a pause a checkpoint must not go over theirs.

    Asked only after longer than the lease's renewal takes: until then nobody else can have it.
    """
    store, lease, tools = context.tools.store, context.lease, context.tools
    if not await store.renew([lease], now=tools.clock.now(), lease_s=tools.settings.worker.lease_s):
        raise LeaseLost(f"incident {lease.incident_id}: another worker took over while this one was held up")


class GraphNode(Protocol):
    """A node as LangGraph calls it."""

    def __call__(self, state: State, *, runtime: Runtime[AgentContext]) -> Awaitable[State]:
        """Run one visit."""
        ...


def as_node(node: Node) -> GraphNode:
    """Wrap a node for LangGraph: bind its logs, time it, and read the incident.

    A node that follows at once takes the incident from the last write of the one before: that is the same
    row, a checkpoint's writing ago. What must not be older is looked at in the transaction that needs it.
    """

    async def run(state: State, *, runtime: Runtime[AgentContext]) -> State:
        context = runtime.context
        structlog.contextvars.bind_contextvars(incident_id=state["incident_id"], service=context.lease.service)
        began, began_at = time.perf_counter(), context.tools.clock.now()
        try:
            incident, context.handed_on = context.handed_on, None
            visit = Visit(
                node=node.__name__,
                state=state,
                tools=context.tools,
                lease=context.lease,
                incident=incident or await context.tools.store.incident(state["incident_id"]),
                control=context.control,
            )
            change = await node(visit)
            outcome = change.get("outcome")
            if outcome is not None and outcome["end"] == "resolved" and "at" not in outcome:
                change = State(**{**change, "outcome": Outcome(**{**outcome, "at": began_at.isoformat()})})
            if time.perf_counter() - began > context.tools.settings.worker.lease_s / 3:
                await _still_ours(context)
            elif visit.written:
                context.handed_on = visit.incident
            return change
        finally:
            NODE_SECONDS.labels(node.__name__).observe(time.perf_counter() - began)

    run.__name__ = node.__name__
    return run
