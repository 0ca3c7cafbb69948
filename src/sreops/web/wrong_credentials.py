"""Wrong credentials: counted, told, and answered slower and slower; the right ones are never held up by them.

Whoever guesses must not be able to lock out those behind the same proxy, so nothing is refused because of what others
showed before: every credential is compared first. What is slowed is the answer to a wrong one, and a guesser has only
as many connections at once as ``web/connections.py`` leaves to an address without proof.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request

from sreops.telemetry import CREDENTIALS_REFUSED, log
from sreops.web.tally import Tally

CREDENTIALS_WRONG: Final = "web.credentials_wrong"

FREE_GUESSES: Final = 10
"""Wrong ones of an address within WINDOW_S that are answered at once."""
WINDOW_S: Final = 60.0
SLOW_S: Final = 1.0
"""How long each further one waits for its answer."""

_MAX_ADDRESSES = 1000
_MAX_WAITING = 100
"""At most so many answers are held back at the same time; further ones are sent immediately, since each that waits
costs us more than the guesser."""


class WrongCredentials:
    """What was shown and is wrong, by address, within the last minute."""

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now_s = now_s
        self._pause = pause
        self._of_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._waiting = 0
        self._tally = Tally(CREDENTIALS_WRONG, log.warning)

    async def wrong(self, where: str, request: Request) -> bool:
        """Take note of a wrong credential; return, after a while, whether there were too many of them."""
        CREDENTIALS_REFUSED.labels(where=where).inc()
        address = request.client.host if request.client else ""
        self._tally.add({where: 1}, latest_address=address)
        now_s = self._now_s()
        recent = self._of_address.pop(address, None) or deque(maxlen=FREE_GUESSES + 1)
        while recent and recent[0] <= now_s - WINDOW_S:
            recent.popleft()
        recent.append(now_s)
        self._of_address[address] = recent
        if len(self._of_address) > _MAX_ADDRESSES:
            self._of_address.popitem(last=False)
        if len(recent) <= FREE_GUESSES:
            return False
        if self._waiting < _MAX_WAITING:
            self._waiting += 1
            try:
                await self._pause(SLOW_S)
            finally:
                self._waiting -= 1
        return True
