"""Heavy thought is in one thread, off the loop, and keeps its caller's context."""

import asyncio
import contextvars
import threading

import pytest

from sreops.agent.analysis_thread import in_analysis_thread

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("CALLER", default="nobody")


async def test_several_are_thought_one_after_another_in_one_thread_that_is_not_the_loops() -> None:
    inside, most = 0, 0

    def think(number: int) -> tuple[int, int]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        doubled = sum(range(20_000)) and 2 * number
        inside -= 1
        return threading.get_ident(), doubled

    told = await asyncio.gather(*(in_analysis_thread(think, number) for number in range(8)))
    assert len({thread for thread, _ in told}) == 1
    assert told[0][0] != threading.get_ident()
    assert [doubled for _, doubled in told] == [2 * number for number in range(8)]
    assert most == 1


async def test_the_callers_context_goes_along_and_its_errors_come_back() -> None:
    CALLER.set("incident-7")
    assert await in_analysis_thread(CALLER.get) == "incident-7"
    with pytest.raises(ZeroDivisionError):
        await in_analysis_thread(lambda: 1 // 0)
