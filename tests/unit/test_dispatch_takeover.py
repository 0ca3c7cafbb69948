"""A run whose lease lapsed is stopped before the one that takes over begins, in the same process too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from langgraph.runtime import RunControl

from sreops.agent.context import Tools
from sreops.agent.runner import Runner, Step, Waits
from sreops.ports import Lease
from sreops.settings import Settings
from sreops.worker.dispatch import Dispatcher

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def lease(token: int) -> Lease:
    return Lease(incident_id="i", episode=1, service="s", token=token, attempts=0, woken_by="takeover")


class _Store:
    """Gives the same incident out a second time, as a store does when the lease has lapsed."""

    def __init__(self) -> None:
        self.leases = [lease(1), lease(2)]
        self.parked: list[int] = []
        self.begun_again: list[int] = []
        self.done = asyncio.Event()

    async def claim(self, owner: str, **_: Any) -> list[Lease]:
        return [self.leases.pop(0)] if self.leases else []

    async def renew(self, leases: Any, **_: Any) -> list[Lease]:
        return []

    async def overdue(self, **_: Any) -> list[str]:
        return []

    async def release(self, lease: Lease) -> None: ...

    async def begin_again(self, lease: Lease, *, place: str) -> int:
        self.begun_again.append(lease.token)
        return 2

    async def park(self, lease: Lease, **_: Any) -> None:
        self.parked.append(lease.token)
        self.done.set()


class _Runner:
    def __init__(self) -> None:
        self.running = 0
        self.at_once = 0

    async def place(self, lease: Lease) -> str:
        return "c1"

    async def advance(self, lease: Lease, control: RunControl) -> Step:
        self.running += 1
        self.at_once = max(self.at_once, self.running)
        try:
            if lease.token == 1:
                await asyncio.Event().wait()  # it hangs: only being stopped ends it
            return Waits(NOW + timedelta(hours=1), "poll")
        finally:
            self.running -= 1


@asynccontextmanager
async def running(dispatch: Dispatcher) -> AsyncIterator[None]:
    task = asyncio.create_task(dispatch.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_two_runs_of_one_incident_never_overlap() -> None:
    store, runner, wake = _Store(), _Runner(), asyncio.Event()
    settings = Settings(worker={"idle_poll_s": 0.01}, _env_file=None)
    tools = SimpleNamespace(store=store, clock=SimpleNamespace(now=lambda: NOW), settings=settings, analysts=())
    dispatch = Dispatcher(cast(Runner, runner), cast(Tools, tools), owner="me", wake=wake)
    async with running(dispatch):
        async with asyncio.timeout(5):
            await store.done.wait()
    assert store.parked == [2]
    assert runner.at_once == 1
    assert store.begun_again == [1], "a lease of ours that lapsed is no process that died"
