"""Between sreops and PostgreSQL: sees each commit go by, holds its answer back, or never lets it through.

Reads the frontend's messages (PostgreSQL 17, chapter 55.7) as far as needed to know what commits: a COMMIT, or
outside of a transaction the Sync or simple query after something that writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

_ENCRYPTION_REQUESTS = (80877103, 80877104)  # SSLRequest, GSSENCRequest
_WRITES = re.compile(r'\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(?:\w+"?\."?)?(\w+)', re.IGNORECASE)


@dataclass
class _Session:
    """One connection: what it has sent, and what is held back from it."""

    statements: dict[bytes, str] = field(default_factory=dict)
    bound: str = ""
    in_transaction: bool = False
    touched: list[str] = field(default_factory=list)
    syncs: int = 1  # the server is ready once before it was asked anything
    answered: int = 0
    held_until: int = 0  # the answer with this number is the commit's
    place: str = ""
    released: asyncio.Event = field(default_factory=asyncio.Event)


class PostgresProxy:
    """`url` is the database through the proxy. Does for PostgreSQL what Breakpoints does for files."""

    def __init__(self, url: str, kill: Callable[[], Awaitable[None]]) -> None:
        found = re.fullmatch(r"(.*@)127\.0\.0\.1:(\d+)(/.*)", url)
        assert found, f"not a database on loopback: {url}"
        self._head, self._port, self._tail = found[1], int(found[2]), found[3]
        self._kill = kill
        self._mode: Literal["pass", "stop", "kill"] = "pass"
        self._kill_in = ""
        self._stopped: asyncio.Queue[_Session] = asyncio.Queue()
        self._standing: _Session | None = None
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[PostgresProxy]:
        """Take connections while the block runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"{self._head}127.0.0.1:{server.sockets[0].getsockname()[1]}{self._tail}"
        try:
            yield self
        finally:
            server.close()

    @asynccontextmanager
    async def stopping_at_commits(self) -> AsyncIterator[PostgresProxy]:
        """Hold each commit's answer back while the block runs."""
        self._stopped, self._mode = asyncio.Queue(), "stop"
        try:
            yield self
        finally:
            self._mode = "pass"
            self.go_on()
            while not self._stopped.empty():
                self._stopped.get_nowait().released.set()

    async def next_commit(self) -> str | None:
        """Wait for a commit whose answer is held back; return whether of the store or of the checkpoints."""
        self._standing = await self._stopped.get()
        return self._standing.place

    def go_on(self) -> None:
        """Let the answer through."""
        if self._standing is not None:
            self._standing.released.set()
            self._standing = None

    async def kill_before_next_commit(self, place: str) -> None:
        """Kill the process instead of passing its next commit on."""
        self._kill_in, self._mode = place, "kill"
        self.go_on()

    # --- the wire

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        session = _Session()
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await _begin(client_reader, client_writer, server_writer)
                async with asyncio.TaskGroup() as tasks:
                    asking = tasks.create_task(self._ask(session, client_reader, server_writer))
                    answering = tasks.create_task(self._answer(session, server_reader, client_writer))
                    await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
                    asking.cancel()
                    answering.cancel()
        finally:
            for writer in (client_writer, server_writer):
                writer.close()

    async def _ask(self, session: _Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await _message(reader)
                place = self._commits(session, kind, body)
                if place and self._mode == "kill" and place == self._kill_in:
                    self._mode = "pass"
                    await self._kill()
                    return
                if place and self._mode == "stop":
                    session.released.clear()
                    session.place = place
                    session.held_until = session.syncs + (1 if kind == b"E" else 0)
                writer.write(kind + struct.pack("!I", len(body) + 4) + body)
                await writer.drain()

    async def _answer(self, session: _Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await _message(reader)
                if kind == b"Z":
                    session.answered += 1
                    if session.answered == session.held_until and session.place:
                        self._stopped.put_nowait(session)
                        await session.released.wait()
                        session.place = ""
                writer.write(kind + struct.pack("!I", len(body) + 4) + body)
                await writer.drain()

    def _commits(self, session: _Session, kind: bytes, body: bytes) -> str:
        """Take a message in; return which database it commits to, or nothing."""
        if kind == b"P":
            name, query = body.split(b"\0")[:2]
            session.statements[name] = query.decode()
        elif kind == b"B":
            session.bound = session.statements.get(body.split(b"\0")[1], "")
        elif kind == b"E":
            return _run(session, session.bound)
        elif kind == b"Q":
            session.syncs += 1
            return _run(session, body.rstrip(b"\0").decode()) or _implicit(session)
        elif kind == b"S":
            session.syncs += 1
            return _implicit(session)
        return ""


async def _begin(reader: asyncio.StreamReader, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
    while True:
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        if struct.unpack("!I", body[:4])[0] not in _ENCRYPTION_REQUESTS:
            server.write(struct.pack("!I", length) + body)
            return
        client.write(b"N")


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


def _run(session: _Session, query: str) -> str:
    word = query.split(None, 1)[0].upper().rstrip(";") if query.strip() else ""
    if word in ("BEGIN", "START"):
        session.in_transaction, session.touched = True, []
    elif word in ("COMMIT", "END"):
        session.in_transaction = False
        return _place(session)
    elif word == "ROLLBACK":
        session.in_transaction, session.touched = False, []
    elif found := _WRITES.match(query):
        session.touched.append(found[1])
    return ""


def _implicit(session: _Session) -> str:
    return "" if session.in_transaction else _place(session)


def _place(session: _Session) -> str:
    touched, session.touched = session.touched, []
    if not touched:
        return ""
    return "checkpoints" if any(table.startswith("checkpoint") for table in touched) else "store"
