"""Several drains at one incident, as the catch-up and a node are: each write is sent once, in order."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from sreops.agent.tickets import TicketDesk
from sreops.domain.incidents.incident import Issue
from sreops.ports import Clock, IncidentStore, Issues, TicketOp

ISSUE = Issue(iid=1, url="http://gitlab/1")
OPS = [TicketOp(f"i:{number}", "i", "note", {"note": str(number)}, issue=ISSUE) for number in range(8)]


class _Store:
    """Gives the first undone write, and takes a moment for everything, as a database does."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def due_tickets(self, **_: Any) -> list[TicketOp]:
        await asyncio.sleep(0)
        return [op for op in OPS if op.op_id not in self.done][:1]

    async def ticket_done(self, op_id: str, **_: Any) -> bool:
        await asyncio.sleep(0)
        self.done.append(op_id)
        return len(self.done) < len(OPS)


class _Issues:
    def __init__(self) -> None:
        self.notes: list[str] = []

    async def note(self, _: Issue, marker: str, __: str, **___: Any) -> None:
        for _turn in range(3):
            await asyncio.sleep(0)
        self.notes.append(marker)


async def test_drains_at_the_same_incident_send_each_write_once_and_in_order() -> None:
    issues = _Issues()
    clock = SimpleNamespace(now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    desk = TicketDesk(
        cast(IncidentStore, _Store()), cast(Issues, issues), cast(Clock, clock), oncall_user="o", timeout_s=5
    )
    async with asyncio.TaskGroup() as drains:
        for _ in range(20):  # they come while others are in the middle of it
            drains.create_task(desk.drain("i"))
            await asyncio.sleep(0)
    assert issues.notes == [op.op_id for op in OPS]
