"""Runs whose process died: how often they are begun again, and which of them run beside each other."""

import asyncio
from typing import Any, cast

from servers.waiting import eventually
from sreops.agent.runner import Runner
from sreops.ports import IncidentStore, Lease
from sreops.worker.lost_runs import LostRuns

MOST = 3


class _Died:
    """Store and runner in one: every incident stands at the same place for ever."""

    def __init__(self, starts: int) -> None:
        self.starts = starts
        self.counted: list[str] = []

    async def place(self, lease: Lease) -> str:
        return "c1"

    async def begin_again(self, lease: Lease, *, place: str) -> int:
        self.counted.append(lease.incident_id)
        return self.starts + 1


def lost(died: _Died) -> LostRuns:
    return LostRuns(cast(Runner, died), cast(IncidentStore, died), MOST)


def lease(incident_id: str, starts: int) -> Lease:
    fields: dict[str, Any] = {"episode": 1, "service": incident_id, "token": 1, "attempts": 0, "woken_by": "takeover"}
    return Lease(incident_id=incident_id, starts=starts, **fields)


async def test_a_run_may_die_three_times_and_is_not_begun_a_fourth_time() -> None:
    for starts, may in ((0, True), (1, True), (2, True), (3, False)):
        async with lost(_Died(starts)).begun_again(lease("a", starts)) as may_run:
            assert may_run is may


async def test_the_last_start_is_made_beside_no_other_suspect_and_counted_when_it_is_made() -> None:
    died = _Died(starts=2)
    runs = lost(died)
    second_runs = asyncio.Event()

    async def second() -> None:
        async with runs.begun_again(lease("b", 2)):
            second_runs.set()

    async with runs.begun_again(lease("a", 2)):
        waiting = asyncio.create_task(second())
        await eventually(lambda: runs.waiting, what="b to wait")
        assert died.counted == ["a"], "a process that dies now says nothing about b"
        async with runs.begun_again(lease("c", 1)):
            pass  # one that died once only waits for nobody
    await waiting
    assert second_runs.is_set()
    assert died.counted == ["a", "c", "b"]
