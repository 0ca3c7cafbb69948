"""Waiting for a condition by looking at it again and again, up to a limit; never by sleeping blindly."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

Seen = TypeVar("Seen")


class DidNotHappen(AssertionError):
    """The awaited condition did not hold within its time; says what was seen last."""


@overload
async def eventually(
    predicate: Callable[[], Awaitable[Seen]], timeout_s: float = ..., *, every_s: float = ..., what: str = ...
) -> Seen: ...


@overload
async def eventually(
    predicate: Callable[[], Seen], timeout_s: float = ..., *, every_s: float = ..., what: str = ...
) -> Seen: ...


async def eventually(
    predicate: Callable[[], Seen | Awaitable[Seen]],
    timeout_s: float = 10.0,
    *,
    every_s: float = 0.05,
    what: str = "",
) -> Seen:
    """Return the predicate's first true value; it may be async, and an AssertionError in it means not yet.

    Any other exception goes through: a mistake in the predicate must not look like a slow server.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        last, failed = await _look(predicate)
        if last and failed is None:
            return last
        if time.monotonic() >= deadline:
            raise _too_late(what, predicate, timeout_s, last, failed) from failed
        await asyncio.sleep(every_s)


async def _look(predicate: Callable[[], Seen | Awaitable[Seen]]) -> tuple[Seen | None, AssertionError | None]:
    try:
        seen = predicate()
        return (await seen if inspect.isawaitable(seen) else seen), None
    except AssertionError as not_yet:
        return None, not_yet


def poll(predicate: Callable[[], Seen], timeout_s: float = 10.0, *, every_s: float = 0.05, what: str = "") -> Seen:
    """Do what `eventually` does where there is no event loop."""
    deadline = time.monotonic() + timeout_s
    while True:
        last, failed = None, None
        try:
            last = predicate()
        except AssertionError as not_yet:
            failed = not_yet
        if last and failed is None:
            return last
        if time.monotonic() >= deadline:
            raise _too_late(what, predicate, timeout_s, last, failed) from failed
        time.sleep(every_s)


def _too_late(
    what: str, predicate: object, timeout_s: float, last: object, failed: AssertionError | None
) -> DidNotHappen:
    awaited = what or getattr(predicate, "__qualname__", repr(predicate))
    seen = f"it failed with: {failed}" if failed is not None else f"it was {last!r}"
    return DidNotHappen(f"waited {timeout_s:g} s for {awaited}; the last time, {seen}")
