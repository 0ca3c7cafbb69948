"""The sandbox's time: of the wall, faster than it, or moved by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

NS = 1_000_000_000


class Clock(Protocol):
    """What every sandbox server asks for the time."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        ...

    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for that much of this clock's time."""
        ...


class WallClock:
    """The wall's time; with ``speed`` above 1 it runs ahead of the wall from the moment of its making."""

    def __init__(self, speed: float = 1.0, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._speed = speed
        self._wall_ns = wall_ns
        self._began_ns = wall_ns()

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        elapsed = self._wall_ns() - self._began_ns
        return self._began_ns + (elapsed if self._speed == 1.0 else int(elapsed * self._speed))

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.time_ns() / NS

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        return datetime.fromtimestamp(self.time(), UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait for that much of this clock's time."""
        await asyncio.sleep(max(0.0, seconds) / self._speed)


class ManualClock:
    """Time that stands still until ``advance``; sleepers wake in the order of their times."""

    def __init__(self, start: datetime = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)) -> None:
        self._ns = int(start.timestamp()) * NS + start.microsecond * 1000
        self._sleepers: list[tuple[int, int, asyncio.Event]] = []
        self._order = itertools.count()

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self._ns

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._ns / NS

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        return datetime.fromtimestamp(self._ns / NS, UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait until ``advance`` has moved the time that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self._ns + int(seconds * NS), next(self._order), woken))
        await woken.wait()

    def advance(self, seconds: float) -> None:
        """Move the time on and wake whoever was due."""
        self._ns += int(seconds * NS)
        while self._sleepers and self._sleepers[0][0] <= self._ns:
            heapq.heappop(self._sleepers)[2].set()
