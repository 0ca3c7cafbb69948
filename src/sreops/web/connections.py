"""Connections on which no request was accepted yet are limited in number and time, so they can't crowd out the others.

uvicorn waits for ever for the rest of a head, and its ``limit_concurrency`` counts idle connections too: it would turn
a crowd of half-open ones into a 503 for everybody. So the protocol class here (uvicorn's setting ``http``) keeps the
connections without proof in order of age, and of too many the oldest is cut off: a sender that means it needs
milliseconds to get from its first byte to its proof. docs/decisions has what of uvicorn this relies on.
"""

import asyncio
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sreops.telemetry import CONNECTIONS_REFUSED, CONNECTIONS_UNPROVEN, log
from sreops.web.tally import Tally

CONNECTIONS_CUT: Final = "web.connections_refused"

EXTENSION: Final = "sreops.connection"
"""Where an ASGI scope carries its connection."""


@dataclass(frozen=True)
class Bounds:
    """What is held back from those who have proven nothing; the times hold for everybody."""

    unproven: int = 512
    """Connections without proof, over all addresses."""
    unproven_of_address: int = 128
    """Of one IPv4 address or IPv6 /64, unless it is a trusted proxy's."""
    head_bytes: int = 32 * 1024
    head_s: float = 10.0
    """From the connection, or the first byte of a later request, to the end of its head."""
    body_s: float = 30.0
    """From the end of the head to the end of the body; endpoints that read one are stricter."""


class Connections:
    """All connections that somebody still waits for something from, and the limits on them."""

    def __init__(self, bounds: Bounds | None = None, trusted_proxies: Iterable[str] = ()) -> None:
        self.bounds = bounds or Bounds()
        self._trusted = tuple(ip_network(proxy, strict=False) for proxy in trusted_proxies)
        self._unproven: dict[Connection, None] = {}  # in order of age, as all of these
        self._of_address: dict[str, dict[Connection, None]] = {}
        self._heads: dict[Connection, float] = {}  # and when each began to wait
        self._bodies: dict[Connection, float] = {}
        self._sweeps = False
        self._tally = Tally(CONNECTIONS_CUT, log.warning)

    def protocol(self) -> type[asyncio.Protocol]:
        """Return the class for uvicorn's setting ``http``."""
        return type("BoundConnection", (Connection,), {"limits": self})

    def group_of(self, host: str) -> str | None:
        """Return what a peer's address counts as; None for a trusted proxy, which stands for many."""
        try:
            address = ip_address(host)
        except ValueError:
            return host
        if any(address in network for network in self._trusted if network.version == address.version):
            return None
        return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else host

    def enter(self, connection: "Connection") -> None:
        """Take in a new connection; where that is one too many, the oldest of its kind is cut off."""
        self._unproven[connection] = None
        CONNECTIONS_UNPROVEN.set(len(self._unproven))
        if connection.group is not None:
            of_address = self._of_address.setdefault(connection.group, {})
            of_address[connection] = None
            if len(of_address) > self.bounds.unproven_of_address:
                self.refuse(next(iter(of_address)), "too_many_of_address")
        if len(self._unproven) > self.bounds.unproven:
            # a proxy's connection may carry somebody else's request: others go before it
            direct = (waiting for waiting in self._unproven if waiting.group is not None)
            self.refuse(next(direct, None) or next(iter(self._unproven)), "too_many")
        self.waits_for_head(connection)

    def proven(self, connection: "Connection") -> None:
        """Take a connection out of those that are limited in number."""
        self._unproven.pop(connection, None)
        CONNECTIONS_UNPROVEN.set(len(self._unproven))
        of_address = self._of_address.get(connection.group or "")
        if of_address is not None:
            of_address.pop(connection, None)
            if not of_address:
                del self._of_address[connection.group or ""]

    def waits_for_head(self, connection: "Connection") -> None:
        """From now on its head has ``head_s``."""
        self._bodies.pop(connection, None)
        self._wait(self._heads, connection)

    def waits_for_body(self, connection: "Connection") -> None:
        """From now on its body has ``body_s``."""
        self._heads.pop(connection, None)
        self._wait(self._bodies, connection)

    def waits_for_nothing(self, connection: "Connection") -> None:
        """A whole request is there."""
        self._heads.pop(connection, None)
        self._bodies.pop(connection, None)

    def left(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        self.proven(connection)
        self.waits_for_nothing(connection)

    def refuse(self, connection: "Connection", reason: str, status: HTTPStatus | None = None) -> None:
        """End a connection, with an answer where a status is given; counted, and told at most once a second."""
        self.left(connection)
        self.count(reason, connection.peer)
        connection.cut(status)

    def count(self, reason: str, peer: str) -> None:
        """Count what was refused."""
        CONNECTIONS_REFUSED.labels(reason=reason).inc()
        self._tally.add({reason: 1}, latest_address=peer)

    def _wait(self, waiting: dict["Connection", float], connection: "Connection") -> None:
        if connection in waiting:
            return
        waiting[connection] = connection.loop.time()
        if not self._sweeps:
            self._sweeps = True
            connection.loop.call_later(1.0, self._sweep, connection.loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once a second, while anybody waits: a timer for each request would cost every sender."""
        late = ((self._heads, self.bounds.head_s, "head_timeout"), (self._bodies, self.bounds.body_s, "body_timeout"))
        for waiting, patience_s, reason in late:
            while waiting and (oldest := next(iter(waiting))) and waiting[oldest] + patience_s <= loop.time():
                self.refuse(oldest, reason, HTTPStatus.REQUEST_TIMEOUT)
        self._sweeps = bool(self._heads or self._bodies)
        if self._sweeps:
            loop.call_later(1.0, self._sweep, loop)


class Connection(HttpToolsProtocol):
    """One connection; ``group`` is what its peer counts as (None: a trusted proxy)."""

    limits: ClassVar[Connections]
    peer = ""
    group: str | None = None
    known = False
    """Whether a request on it was accepted: with credentials, or where none are asked for."""
    _in_head = True
    _in_body = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Begin to count it."""
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self.group = self.limits.group_of(self.peer)
        self.limits.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.limits.left(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and see what is still missing."""
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            if self._head_bytes > self.limits.bounds.head_bytes:
                large = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                self.limits.refuse(self, "head_too_large", large)
            else:
                self.limits.waits_for_head(self)
        elif self._in_body:
            self.limits.waits_for_body(self)
        else:
            self.limits.waits_for_nothing(self)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self.scope["extensions"] = {EXTENSION: {"connection": self}}

    def on_headers_complete(self) -> None:
        """Hand the request on."""
        self._in_head, self._in_body = False, True
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        self._in_body = False
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; counted here, since uvicorn's own line in the log comes once for each."""
        self.limits.left(self)
        self.limits.count("malformed", self.peer)
        super().send_400_response(msg)

    def prove(self) -> None:
        """A request on this connection was accepted."""
        if not self.known:
            self.known = True
            self.limits.proven(self)

    def cut(self, status: HTTPStatus | None) -> None:
        """End it now. What has not been read by the peer so far is thrown away: waiting for that is what it wants."""
        if status is not None and not self.transport.get_write_buffer_size() and not self._answering():
            told = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            self.transport.write(told.encode())
            self.transport.close()
        else:
            self.transport.abort()

    def _answering(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete


def tell_accepted(scope: MutableMapping[str, Any]) -> None:
    """Say that a request was accepted, so that its connection counts as known."""
    connection = _of(scope)
    if connection is not None:
        connection.prove()


def is_known(scope: MutableMapping[str, Any]) -> bool:
    """Say whether an earlier request on this connection was accepted."""
    connection = _of(scope)
    return connection is not None and connection.known


def _of(scope: MutableMapping[str, Any]) -> Connection | None:
    found: Connection | None = (scope.get("extensions") or {}).get(EXTENSION, {}).get("connection")
    return found
