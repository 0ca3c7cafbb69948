"""Break a sandbox server on purpose: errors, rubbish, silence and cut connections, for chosen requests.

``faults = Faults(); app = faults.wrap(app)``; then ``faults.fail(503)``, ``faults.hang(path="/api/*")`` …
A fault is spent on the next ``times`` requests that it matches (``None``: on all until ``clear``); of several
that match, the oldest goes first. ``faults.requests`` holds what was asked, so that tests can count calls.
"""

from __future__ import annotations

import asyncio
import fnmatch
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sreops.sandbox.server import TRANSPORT_EXTENSION


class FaultKind(StrEnum):
    """What becomes of a request."""

    RESPOND = "respond"
    """Answered with the given status and body; the app never sees it."""
    HANG = "hang"
    """Never answered, never acted on."""
    DELAY = "delay"
    """Answered properly, but late."""
    CUT = "cut"
    """Acted on; the answer breaks off in the middle of its body."""
    RESET = "reset"
    """Connection reset before anything was done."""
    ACT_THEN_RESET = "act_then_reset"
    """Acted on; the connection is reset instead of answered."""
    ACT_THEN_HANG = "act_then_hang"
    """Acted on; never answered."""


@dataclass(slots=True)
class Fault:
    """One way to break requests, and which requests."""

    kind: FaultKind
    path: str = "*"
    """Glob over the request's path."""
    method: str = "*"
    times: int | None = 1
    """How many requests it breaks; None for all."""
    after: int = 0
    """How many matching requests pass untouched first."""
    status: int = 500
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Wall seconds, for DELAY."""
    keep_bytes: int | None = None
    """For CUT: bytes of the body that arrive; None for half of it."""
    hits: int = 0
    """How many requests it has broken so far."""

    def takes(self, method: str, path: str) -> bool:
        """Whether it breaks this request; counts it if so."""
        if self.times is not None and self.hits >= self.times:
            return False
        if self.method not in ("*", method) or not fnmatch.fnmatchcase(path, self.path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.hits += 1
        return True


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as it came in, and the fault that it met."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    fault: FaultKind | None


ErrorBody = Callable[[int], tuple[bytes, str]]
"""From a status to the body and content type in which the server in question reports it."""


def plain_error(status: int) -> tuple[bytes, str]:
    """Report an error as plain text, as proxies and Loki do."""
    return f"sandbox fault: {status}\n".encode(), "text/plain; charset=utf-8"


class Faults:
    """The faults of one server, and the requests that it saw (the last ``remember``)."""

    def __init__(self, error_body: ErrorBody = plain_error, *, remember: int = 10_000) -> None:
        self._error_body = error_body
        self._faults: list[Fault] = []
        self._released = asyncio.Event()
        self.requests: deque[SeenRequest] = deque(maxlen=remember)

    def add(self, fault: Fault) -> Fault:
        """Arm a fault; its ``hits`` tell what became of it."""
        self._faults.append(fault)
        return fault

    def fail(
        self,
        status: int,
        body: bytes | str | None = None,
        *,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        path: str = "*",
        method: str = "*",
        times: int | None = 1,
        after: int = 0,
    ) -> Fault:
        """Answer with ``status``, with the server's own shape of error unless a body is given."""
        own_body, own_type = self._error_body(status)
        raw = own_body if body is None else body.encode() if isinstance(body, str) else body
        kind = content_type or (own_type if body is None else "text/plain; charset=utf-8")
        return self.add(Fault(FaultKind.RESPOND, path, method, times, after, status, raw, kind, dict(headers or {})))

    def garbage(
        self,
        body: bytes | str = b"<html><body>It works!</body></html>",
        *,
        status: int = 200,
        content_type: str = "application/json",
        path: str = "*",
        method: str = "*",
        times: int | None = 1,
    ) -> Fault:
        """Answer 200 with a body that is not what its content type says."""
        return self.fail(status, body, content_type=content_type, path=path, method=method, times=times)

    def hang(self, *, path: str = "*", method: str = "*", times: int | None = 1, after_acting: bool = False) -> Fault:
        """Never answer, before or after acting on the request."""
        kind = FaultKind.ACT_THEN_HANG if after_acting else FaultKind.HANG
        return self.add(Fault(kind, path, method, times))

    def delay(self, seconds: float, *, path: str = "*", method: str = "*", times: int | None = 1) -> Fault:
        """Answer properly after ``seconds`` of wall time."""
        return self.add(Fault(FaultKind.DELAY, path, method, times, delay_s=seconds))

    def cut(
        self,
        *,
        keep_bytes: int | None = None,
        path: str = "*",
        method: str = "*",
        times: int | None = 1,
    ) -> Fault:
        """Act, but break the answer off in the middle of its body."""
        return self.add(Fault(FaultKind.CUT, path, method, times, keep_bytes=keep_bytes))

    def reset(self, *, path: str = "*", method: str = "*", times: int | None = 1, after_acting: bool = False) -> Fault:
        """Reset the connection, before or after acting on the request."""
        kind = FaultKind.ACT_THEN_RESET if after_acting else FaultKind.RESET
        return self.add(Fault(kind, path, method, times))

    def clear(self) -> None:
        """Disarm everything and let go of requests that hang (their connections are reset)."""
        self._faults.clear()
        self._released.set()
        self._released = asyncio.Event()

    def count(self, method: str = "*", path: str = "*") -> int:
        """How many of the remembered requests match."""
        return sum(1 for seen in self.requests if method in ("*", seen.method) and fnmatch.fnmatchcase(seen.path, path))

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return the app with the faults in front of it."""

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            method, path = scope["method"], scope["path"]
            fault = next((fault for fault in self._faults if fault.takes(method, path)), None)
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            query = scope["query_string"].decode("latin-1")
            self.requests.append(SeenRequest(method, path, query, headers, fault.kind if fault else None))
            if fault is None:
                await app(scope, receive, send)
            else:
                await self._break(fault, app, scope, receive, send)

        return faulty

    async def _break(self, fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.kind:
            case FaultKind.RESPOND:
                await _respond(fault, receive, send)
            case FaultKind.DELAY:
                await asyncio.sleep(fault.delay_s)
                await app(scope, receive, send)
            case FaultKind.CUT:
                await _cut(fault, app, scope, receive, send)
            case FaultKind.RESET:
                await _reset(scope, receive)
            case FaultKind.HANG:
                await self._hang(scope, receive)
            case FaultKind.ACT_THEN_RESET:
                await app(scope, receive, _swallow)
                await _reset(scope, receive)
            case FaultKind.ACT_THEN_HANG:
                await app(scope, receive, _swallow)
                await self._hang(scope, receive)

    async def _hang(self, scope: Scope, receive: Receive) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        released = asyncio.ensure_future(self._released.wait())
        try:
            await asyncio.wait({gone, released}, return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                _abort(scope)
                await gone
        finally:
            gone.cancel()
            released.cancel()


async def _swallow(message: Message) -> None:
    """Take the app's answer and lose it."""


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["extensions"][TRANSPORT_EXTENSION]["transport"]
    return transport


def _abort(scope: Scope) -> None:
    transport = _transport(scope)
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_INET:
        # Linger of zero makes the kernel send RST, which is what a crashed peer looks like.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _reset(scope: Scope, receive: Receive) -> None:
    _abort(scope)
    await _disconnected(receive)


async def _respond(fault: Fault, receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    headers = [(b"content-type", fault.content_type.encode("latin-1"))]
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fault.headers.items()]
    bodiless = fault.status in (204, 304)
    if not bodiless:
        headers.append((b"content-length", str(len(fault.body)).encode()))
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bodiless else fault.body})


async def _cut(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    start: Message = {}
    body = bytearray()

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    await app(scope, receive, collect)
    keep = len(body) // 2 if fault.keep_bytes is None else min(fault.keep_bytes, len(body))
    headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    # One byte more than is ever sent, so that the client can tell even where the whole body is kept.
    headers.append((b"content-length", str(len(body) + 1).encode()))
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(body[:keep]), "more_body": True})
    _transport(scope).close()
    await _disconnected(receive)
