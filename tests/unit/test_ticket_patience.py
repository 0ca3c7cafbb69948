"""A GitLab that hangs holds up no node: what it does not take in one request's time is left to the catch-up."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from sreops.agent.tickets import TicketDesk, drain_quietly
from sreops.ports import Clock, IncidentStore, Issues, TicketOp

OP = TicketOp("i:create", "i", "create", {"title": "t", "description": "", "labels": [], "severity": "critical"})


class _Store:
    def __init__(self) -> None:
        self.written: list[str] = []

    async def due_tickets(self, **_: Any) -> list[TicketOp]:
        return [OP]

    async def ticket_failed(self, op_id: str, **_: Any) -> None:
        self.written.append("failed")

    async def ticket_done(self, op_id: str, **_: Any) -> bool:
        self.written.append("done")
        return False


class _Broken:
    async def create(self, *_: Any, **__: Any) -> None:
        raise KeyError("title")


async def test_a_write_that_trips_our_own_code_fails_alone_and_comes_again() -> None:
    store = _Store()
    clock = SimpleNamespace(now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    desk = TicketDesk(
        cast(IncidentStore, store), cast(Issues, _Broken()), cast(Clock, clock), oncall_user="o", timeout_s=5
    )
    assert await desk.drain() == 0
    assert store.written == ["failed"]


class _Hanging:
    async def create(self, *_: Any, **__: Any) -> None:
        await asyncio.Event().wait()


async def test_a_hanging_gitlab_costs_a_node_one_requests_time_and_loses_nothing() -> None:
    store = _Store()
    clock = SimpleNamespace(now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    desk = TicketDesk(
        cast(IncidentStore, store), cast(Issues, _Hanging()), cast(Clock, clock), oncall_user="o", timeout_s=0.2
    )
    async with asyncio.timeout(5):
        await drain_quietly(desk, "i")
        assert store.written == [], "the write is as due as before"
        await desk.drain("i")  # the catch-up is patient, and keeps the account of failures
    assert store.written == ["failed"]
