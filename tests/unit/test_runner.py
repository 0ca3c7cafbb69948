"""A run that dies anywhere between two checkpoints goes on from there, and ends only where its graph ends."""

from typing import Any, cast

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import RunControl

from sreops.agent.context import AgentContext, Tools
from sreops.agent.runner import Ended, Runner
from sreops.agent.state import State
from sreops.ports import Lease


class _DiedError(Exception):
    pass


class _Dying(InMemorySaver):
    """Fails at the ``at``-th write, as a process does that is killed there."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0
        self.count = 0

    def _write(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise _DiedError

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        self._write()
        return await super().aput(*args, **kwargs)

    async def aput_writes(self, *args: Any, **kwargs: Any) -> None:
        self._write()
        await super().aput_writes(*args, **kwargs)


async def _first(state: State) -> State:
    return State(alert_count=1)


async def _second(state: State) -> State:
    return State(alert_count=state["alert_count"] + 1)


def _runner(saver: InMemorySaver) -> Runner:
    graph = StateGraph(State, context_schema=AgentContext)
    graph.add_node("first", _first)
    graph.add_node("second", _second)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge("second", END)
    return Runner(cast(Any, graph.compile(checkpointer=saver)), cast(Tools, None))


LEASE = Lease(incident_id="i", episode=1, service="s", token=1, attempts=0, woken_by="start")


async def _writes_of_a_whole_run() -> int:
    saver = _Dying()
    await _runner(saver).advance(LEASE, RunControl())
    return saver.count


async def test_a_run_that_died_between_two_writes_is_carried_on_to_its_end() -> None:
    for at in range(1, await _writes_of_a_whole_run() + 1):
        saver = _Dying()
        saver.at = at
        with pytest.raises(_DiedError):
            await _runner(saver).advance(LEASE, RunControl())
        assert isinstance(await _runner(saver).advance(LEASE, RunControl()), Ended)
        reached = await saver.aget_tuple({"configurable": {"thread_id": "i:1"}})
        assert reached is not None
        assert reached.checkpoint["channel_values"].get("alert_count") == 2, f"died at write {at}"


async def test_an_ended_run_ends_again_without_a_write() -> None:
    saver = _Dying()
    await _runner(saver).advance(LEASE, RunControl())
    before = saver.count
    assert isinstance(await _runner(saver).advance(LEASE, RunControl()), Ended)
    assert saver.count == before
