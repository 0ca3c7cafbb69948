"""The graph's topology, and nothing else."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from sreops.agent import routes
from sreops.agent.context import AgentContext
from sreops.agent.nodes.analyze_root_cause import analyze_root_cause
from sreops.agent.nodes.await_approval import await_approval
from sreops.agent.nodes.close_or_escalate import close_or_escalate
from sreops.agent.nodes.consume_event import consume_event
from sreops.agent.nodes.create_gitlab_issue import create_gitlab_issue
from sreops.agent.nodes.enrich_context import enrich_context
from sreops.agent.nodes.execute_remediation import execute_remediation
from sreops.agent.nodes.match_runbook import match_runbook
from sreops.agent.nodes.verify_success import verify_success
from sreops.agent.state import State
from sreops.agent.visit import as_node

RECURSION_LIMIT = 200
"""Supersteps of one run between two waits; a run that takes more is a bug, not an investigation."""


_Next = TypeVar("_Next")


def _at_once(route: Callable[[State], _Next]) -> Callable[[State], Coroutine[Any, Any, _Next]]:
    """Make a route a coroutine: LangGraph sends others to a thread, and a dict's look-up is not worth the way."""

    @wraps(route)
    async def choose(state: State) -> _Next:
        return route(state)

    return choose


def build_graph(
    checkpointer: BaseCheckpointSaver[Any] | None = None,
) -> CompiledStateGraph[State, AgentContext, State, State]:
    """Compile the eight nodes, and the approval between matching and acting."""
    graph: StateGraph[State, AgentContext, State, State] = StateGraph(State, context_schema=AgentContext)
    for node in (
        consume_event,
        create_gitlab_issue,
        enrich_context,
        analyze_root_cause,
        match_runbook,
        await_approval,
        execute_remediation,
        verify_success,
        close_or_escalate,
    ):
        graph.add_node(node.__name__, as_node(node))
    graph.add_edge(START, "consume_event")
    graph.add_edge("consume_event", "create_gitlab_issue")
    graph.add_conditional_edges("create_gitlab_issue", _at_once(routes.after_issue))
    graph.add_conditional_edges("enrich_context", _at_once(routes.after_evidence))
    graph.add_conditional_edges("analyze_root_cause", _at_once(routes.after_analysis))
    graph.add_conditional_edges("match_runbook", _at_once(routes.after_matching))
    graph.add_conditional_edges("await_approval", _at_once(routes.after_approval))
    graph.add_conditional_edges("execute_remediation", _at_once(routes.after_step))
    graph.add_conditional_edges("verify_success", _at_once(routes.after_look))
    graph.add_conditional_edges("close_or_escalate", _at_once(routes.after_close))
    return graph.compile(checkpointer=checkpointer)
