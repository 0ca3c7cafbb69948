"""Running an incident's graph from its last checkpoint until it waits or ends."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langgraph.errors import GraphDrained
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import RunControl
from langgraph.types import Command

from sreops.agent.context import AgentContext, Tools
from sreops.agent.graph import RECURSION_LIMIT
from sreops.agent.state import STATE_SCHEMA, State
from sreops.ports import Lease


@dataclass(frozen=True)
class Waits:
    """The graph waits until a time (or until it is woken)."""

    until: datetime
    timer: str


@dataclass(frozen=True)
class Ended:
    """The graph has run to its end."""


@dataclass(frozen=True)
class Drained:
    """The graph stopped at a node boundary because the process shuts down."""


Step = Waits | Ended | Drained


class Runner:
    """Advances incidents; one at a time per thread, which the lease guarantees."""

    def __init__(self, graph: CompiledStateGraph[State, AgentContext, State, State], tools: Tools) -> None:
        self._graph = graph
        self._tools = tools

    async def where(self, lease: Lease) -> str:
        """Say where the episode's graph stands by its last checkpoint, for people: a node, and what it waits for."""
        snapshot = await self._graph.aget_state({"configurable": {"thread_id": f"{lease.incident_id}:{lease.episode}"}})
        if not snapshot.values:
            return "before its first node"
        if not snapshot.tasks:
            return "behind its last node"
        waits = f", which waits ({snapshot.interrupts[0].value['timer']})" if snapshot.interrupts else ""
        return f"in {', '.join(task.name for task in snapshot.tasks)}{waits}"

    async def place(self, lease: Lease) -> str:
        """Return the name of the episode's last checkpoint; empty before the first."""
        snapshot = await self._graph.aget_state({"configurable": {"thread_id": f"{lease.incident_id}:{lease.episode}"}})
        return str(snapshot.config.get("configurable", {}).get("checkpoint_id", ""))

    async def advance(self, lease: Lease, control: RunControl) -> Step:
        """Start, resume or continue the episode's thread; raise what a node raised."""
        config: Any = {
            "configurable": {"thread_id": f"{lease.incident_id}:{lease.episode}"},
            "recursion_limit": RECURSION_LIMIT,
        }
        snapshot = await self._graph.aget_state(config)
        given: Any
        if not snapshot.values:
            given = State(schema_version=STATE_SCHEMA, incident_id=lease.incident_id, episode=lease.episode)
        elif not snapshot.tasks:  # `next` leaves out a node whose writes are saved, their checkpoint not yet
            return Ended()
        elif snapshot.interrupts:
            given = Command(resume=lease.woken_by)  # nodes read the store; the value tells nothing
        else:
            given = None
        try:
            result = await self._graph.ainvoke(
                given,
                config,
                context=AgentContext(tools=self._tools, lease=lease, control=control),
                durability="sync",
                control=control,
            )
        except GraphDrained:
            return Drained()
        interrupts = result.get("__interrupt__") if isinstance(result, dict) else None
        if not interrupts:
            return Ended()
        value = interrupts[0].value
        return Waits(until=datetime.fromisoformat(value["until"]), timer=str(value["timer"]))
