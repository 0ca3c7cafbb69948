"""One turn for all who wait: what is asked for while the database is busy shares the next transaction.

Most of a small write is the disk's time and the hop to the driver's thread, and both are the same for one as for a
hundred. A call is durable when its future is done, and nobody's failure is told to anybody else: what befell the
database befell all of a group, and after anything else its halves are tried, down to the call that it befell.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sreops.errors import Unavailable

Given = TypeVar("Given")
Result = TypeVar("Result")


class _Call(Generic[Given, Result]):
    __slots__ = ("done", "given")

    def __init__(self, given: Given) -> None:
        self.given = given
        self.done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()


class GroupCommit(Generic[Given, Result]):
    """Calls ``together`` with groups of at most ``most`` (by ``weight``, which is 1 where none is given).

    ``together`` returns each call's result, or the exception that befell it alone, in their order. It raises
    ``Unavailable`` for what befell them all; raises it anything else, nothing of the group is kept and its halves are
    tried, so that one call of 64 that fails costs a dozen groups and not 64.
    ``carriers`` groups may be under way at the same time; more than one is for reads.
    """

    def __init__(
        self,
        together: Callable[[Sequence[Given]], Awaitable[Sequence[Result | BaseException]]],
        *,
        name: str,
        most: int,
        weight: Callable[[Given], int] | None = None,
        carriers: int = 1,
    ) -> None:
        self._together = together
        self._name = name
        self._most = most
        self._weight = weight
        self._most_carriers = carriers
        self._waiting: list[_Call[Given, Result]] = []
        self._carriers: set[asyncio.Task[None]] = set()

    def put(self, given: Given) -> "asyncio.Future[Result]":
        """Return what the call comes to; one that is cancelled or settled before its turn is left out."""
        call: _Call[Given, Result] = _Call(given)
        self._waiting.append(call)
        # one that has ended is discarded a moment later: counted until then, it would leave this call to nobody
        if sum(not carrier.done() for carrier in self._carriers) < self._most_carriers:
            carrier = asyncio.create_task(self._carry_out(), name=self._name)
            self._carriers.add(carrier)
            carrier.add_done_callback(self._carriers.discard)
        return call.done

    async def idle(self, timeout_s: float | None = None) -> None:
        """Return when nothing is under way any more, or after a time."""
        if self._carriers:
            await asyncio.wait(self._carriers, timeout=timeout_s)

    async def _carry_out(self) -> None:
        while self._waiting:
            group = self._next()
            if not group:
                continue
            try:
                outcomes = await self._outcomes(group)
            except BaseException:  # the loop ends, and nobody would carry out the rest
                for call in [*group, *self._waiting]:
                    call.done.cancel()
                raise
            for call, outcome in zip(group, outcomes, strict=True):
                if call.done.done():  # the caller has gone
                    continue
                if isinstance(outcome, BaseException):
                    call.done.set_exception(outcome)
                else:
                    call.done.set_result(outcome)

    def _next(self) -> list[_Call[Given, Result]]:
        taken = size = 0
        for call in self._waiting:
            weight = 1 if self._weight is None else self._weight(call.given)
            if taken and size + weight > self._most:
                break
            taken, size = taken + 1, size + weight
        group = [call for call in self._waiting[:taken] if not call.done.done()]
        del self._waiting[:taken]
        return group

    async def _outcomes(self, group: Sequence[_Call[Given, Result]]) -> Sequence[Result | BaseException]:
        try:
            return await self._together([call.given for call in group])
        except Unavailable as exc:
            return [exc] * len(group)
        except Exception as exc:  # noqa: BLE001  # it serves all: whoever caused it is told so, and the others are served
            if len(group) == 1:
                return [exc]
        half = len(group) // 2
        return [*await self._outcomes(group[:half]), *await self._outcomes(group[half:])]
