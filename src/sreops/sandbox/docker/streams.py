"""What the engine streams: logs in multiplexed frames, stats, events."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sreops.sandbox.clock import NS
from sreops.sandbox.docker.container import Container, LogLine, rfc3339
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.event import Event
from sreops.sandbox.docker.filters import labels_match, parse_filters
from sreops.sandbox.docker.reply import EngineError, flag, reply

EVENT_KEYS = frozenset({"container", "event", "image", "label", "scope", "type"})
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"


def frame(line: LogLine, *, tty: bool, timestamps: bool) -> bytes:
    """Return a line as it goes over the wire: without a tty, behind eight bytes of stream and length."""
    stamp = f"{rfc3339(line.ts_ns)} " if timestamps else ""
    payload = f"{stamp}{line.text}\n".encode("utf-8", "surrogateescape")
    if tty:
        return payload
    return struct.pack(">BxxxL", 1 if line.stream == "stdout" else 2, len(payload)) + payload


def _seconds_ns(request: Request, name: str) -> int | None:
    """Nanoseconds of a ``since`` or ``until``: unix seconds, with or without a fraction."""
    text = request.query_params.get(name) or ""
    if not text or text == "0":
        return None
    whole, _, fraction = text.partition(".")
    if not whole.lstrip("-").isdecimal() or (fraction and not fraction.isdecimal()):
        raise EngineError(400, f'invalid value for "{name}": invalid timestamp: {text}')
    return int(whole) * NS + int(fraction[:9].ljust(9, "0"))


async def logs(container: Container, request: Request) -> Response:
    """Answer ``/containers/{id}/logs``."""
    streams = {name for name in ("stdout", "stderr") if flag(request, name)}
    if not streams:
        raise EngineError(400, "Bad parameters: you must choose at least one stream")
    since_ns, until_ns = _seconds_ns(request, "since"), _seconds_ns(request, "until")
    tail = request.query_params.get("tail") or "all"
    timestamps = flag(request, "timestamps")

    def wanted(line: LogLine) -> bool:
        in_time = (since_ns is None or line.ts_ns >= since_ns) and (until_ns is None or line.ts_ns <= until_ns)
        return line.stream in streams and in_time

    chosen = [line for line in container.logs if wanted(line)]
    if tail.isdecimal():
        # As in the engine, anything that is no number means all.
        chosen = chosen[len(chosen) - min(int(tail), len(chosen)) :]
    kind = RAW if container.tty else MULTIPLEXED
    if not flag(request, "follow"):
        body = b"".join(frame(line, tty=container.tty, timestamps=timestamps) for line in chosen)
        return Response(body, media_type=kind)

    async def follow() -> AsyncIterator[bytes]:
        last = container.logs[-1] if container.logs else None
        for line in chosen:
            yield frame(line, tty=container.tty, timestamps=timestamps)
        while True:
            changed = container.changed
            fresh = _after(container, last)
            for line in fresh:
                last = line
                if wanted(line):
                    yield frame(line, tty=container.tty, timestamps=timestamps)
            if not container.running:
                return
            if not fresh:
                await changed.wait()

    return StreamingResponse(follow(), media_type=kind)


def _after(container: Container, last: LogLine | None) -> list[LogLine]:
    fresh: list[LogLine] = []
    for line in reversed(container.logs):
        if line is last:
            break
        fresh.append(line)
    return fresh[::-1]


async def stats(engine: DockerEngine, container: Container, request: Request) -> Response:
    """Answer ``/containers/{id}/stats``: once, or every second."""

    def sample(before: tuple[int, float] | None) -> tuple[int, float]:
        return (engine.clock.time_ns(), container.process.usage()[0]) if container.running else before or (0, 0.0)

    if not flag(request, "stream", default=True):
        if flag(request, "one-shot") or not container.running:
            return reply(container.stats(engine.clock.time_ns(), None))
        before = sample(None)
        # The real engine takes two samples a second apart, so that a share can be told.
        await engine.clock.sleep(1.0)
        return reply(container.stats(engine.clock.time_ns(), before))

    async def stream() -> AsyncIterator[bytes]:
        before: tuple[int, float] | None = None
        while True:
            yield json.dumps(container.stats(engine.clock.time_ns(), before)).encode() + b"\n"
            before = sample(before)
            await engine.clock.sleep(1.0)

    return StreamingResponse(stream(), media_type="application/json")


async def events(engine: DockerEngine, request: Request) -> Response:
    """Answer ``/events``: what has happened since ``since``, then what happens, up to ``until``."""
    filters = parse_filters(request.query_params.get("filters", ""), EVENT_KEYS)
    since_ns, until_ns = _seconds_ns(request, "since"), _seconds_ns(request, "until")
    version = request.state.version
    start = engine.events[-1] if engine.events else None

    def wanted(event: Event) -> bool:
        action = event.action.partition(":")[0]
        about = (event.container, event.attributes["name"])
        return (
            ("type" not in filters or "container" in filters["type"])
            and ("event" not in filters or event.action in filters["event"] or action in filters["event"])
            # the beginning of a name or id is enough for the engine (daemon/events/filter.go, FuzzyMatch)
            and ("container" not in filters or any(name.startswith(tuple(filters["container"])) for name in about))
            and ("image" not in filters or event.attributes["image"] in filters["image"])
            and labels_match(filters.get("label", []), event.attributes)
        )

    async def stream() -> AsyncIterator[bytes]:
        # Sent at once, so that a subscriber knows it has subscribed before anything happens.
        yield b""
        last = start
        if since_ns is not None:
            for event in list(engine.events):
                if event.ts_ns >= since_ns and (until_ns is None or event.ts_ns <= until_ns) and wanted(event):
                    yield json.dumps(event.shown(version)).encode() + b"\n"
        while until_ns is None or engine.clock.time_ns() < until_ns:
            happened = engine.happened
            fresh = _events_after(engine, last)
            for event in fresh:
                last = event
                if wanted(event):
                    yield json.dumps(event.shown(version)).encode() + b"\n"
            if not fresh:
                await _until(engine, happened, until_ns)

    return StreamingResponse(stream(), media_type="application/json")


async def _until(engine: DockerEngine, happened: asyncio.Event, until_ns: int | None) -> None:
    """Wait for an event, or for the end of what was asked for."""
    if until_ns is None:
        await happened.wait()
        return
    waits = [
        asyncio.ensure_future(happened.wait()),
        asyncio.ensure_future(engine.clock.sleep((until_ns - engine.clock.time_ns()) / NS)),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _events_after(engine: DockerEngine, last: Event | None) -> list[Event]:
    fresh: list[Event] = []
    for event in reversed(engine.events):
        if event is last:
            break
        fresh.append(event)
    return fresh[::-1]
