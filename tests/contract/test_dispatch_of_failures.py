"""Dispatch where something fails: what is tried again and when, what drains, and who stops when a lease is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from langgraph.runtime import RunControl
from store_scene import at, claimed, fresh_store, opened
from structlog.testing import capture_logs

from servers.waiting import eventually
from sreops.adapters.store import SqlIncidentStore
from sreops.agent.context import Tools
from sreops.agent.runner import Drained, Runner, Step, Waits
from sreops.errors import StoreUnavailable
from sreops.ports import Lease
from sreops.settings import Settings
from sreops.worker.dispatch import Dispatcher

store = pytest.fixture(fresh_store)


class SetClock:
    def __init__(self) -> None:
        self.at = at(0)

    def now(self) -> datetime:
        return self.at


class Noting:
    """The store, beside which it is noted how long a failed run waits; the time then passes by itself."""

    def __init__(self, store: SqlIncidentStore, clock: SetClock) -> None:
        self._store, self._clock = store, clock
        self.waits_s: list[float] = []
        self.parked = asyncio.Event()
        self.claimed = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def claim(self, owner: str, **given: Any) -> Any:
        leases = await self._store.claim(owner, **given)
        if leases:
            self.claimed.set()
            await self.go.wait()
        return leases

    async def retry(self, lease: Lease, *, wake_at: datetime, error: str) -> int:
        self.waits_s.append((wake_at - self._clock.now()).total_seconds())
        failures = await self._store.retry(lease, wake_at=wake_at, error=error)
        self._clock.at = wake_at
        return failures

    async def park(self, lease: Lease, **given: Any) -> None:
        await self._store.park(lease, **given)
        self.parked.set()


class Graph:
    """A graph that does what it is given, one thing at each run."""

    def __init__(self, *runs: Callable[[RunControl], Awaitable[Step]]) -> None:
        self._runs = list(runs)

    async def advance(self, lease: Lease, control: RunControl) -> Step:
        return await self._runs.pop(0)(control)


async def fails(control: RunControl) -> Step:
    raise StoreUnavailable("locked for a moment")


async def waits(control: RunControl) -> Step:
    return Waits(at(9999), "poll")


def dispatch_of(graph: Graph, store: Noting, clock: SetClock, **worker: float) -> Dispatcher:
    settings = Settings(_env_file=None, worker={"idle_poll_s": 0.01, **worker})
    tools = SimpleNamespace(store=store, clock=clock, settings=settings, analysts=())
    return Dispatcher(cast(Runner, graph), cast(Tools, tools), owner="w1", wake=asyncio.Event())


@asynccontextmanager
async def running(dispatch: Dispatcher) -> AsyncIterator[asyncio.Task[None]]:
    with capture_logs():  # rendering a traceback for a terminal takes seconds
        task = asyncio.create_task(dispatch.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_what_may_pass_is_tried_again_later_and_later_and_never_counts_toward_giving_up(
    store: SqlIncidentStore,
) -> None:
    incident_id, clock = await opened(store), SetClock()
    noting = Noting(store, clock)
    graph = Graph(*[fails] * 8, waits)
    async with running(dispatch_of(graph, noting, clock, retry_s=2.0, max_attempts=3)):
        await asyncio.wait_for(noting.parked.wait(), 20)
    assert noting.waits_s == [2, 4, 8, 16, 32, 60, 60, 60]
    assert not (await store.incident(incident_id)).status.ended


async def test_what_is_claimed_while_the_process_drains_stops_at_its_first_boundary_and_is_given_back(
    store: SqlIncidentStore,
) -> None:
    await opened(store)
    clock = SetClock()
    noting, asked_to_drain = Noting(store, clock), []

    async def drains(control: RunControl) -> Step:
        asked_to_drain.append(control.drain_requested)
        return Drained() if control.drain_requested else Waits(at(9999), "poll")

    noting.go.clear()
    dispatch = dispatch_of(Graph(drains), noting, clock)
    async with running(dispatch) as task:
        await asyncio.wait_for(noting.claimed.wait(), 10)
        dispatch.drain()  # while the claim is on its way back
        noting.go.set()
        await asyncio.wait_for(task, 10)
    assert asked_to_drain == [True]
    assert (await claimed(store, owner="w2")).woken_by == "start", "the next process goes on at once"


async def test_a_graph_whose_lease_another_worker_took_over_is_stopped_at_its_next_boundary(
    store: SqlIncidentStore,
) -> None:
    await opened(store)
    clock = SetClock()
    noting, began, stopped = Noting(store, clock), asyncio.Event(), asyncio.Event()

    async def works_on(control: RunControl) -> Step:
        began.set()
        await eventually(lambda: control.drain_requested, 10, what="the graph to be asked to stop")
        stopped.set()
        return Drained()

    async with running(dispatch_of(Graph(works_on), noting, clock, lease_s=1.01)):
        await asyncio.wait_for(began.wait(), 10)
        theirs = await claimed(store, now=at(60), owner="w2")
        await asyncio.wait_for(stopped.wait(), 10)
    assert await store.renew([theirs], now=at(61), lease_s=30) == [theirs], "what it gives back is not theirs to lose"
