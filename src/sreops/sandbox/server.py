"""Serve an ASGI app on loopback or on a unix socket, inside the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sreops.errors import SreopsError

TRANSPORT_EXTENSION = "sreops.transport"
"""Where a request's scope (``extensions``) holds its ``asyncio`` transport, so that a fault can reset it."""


class SandboxNotStarted(SreopsError):
    """A sandbox server could not be started, or its address was asked for before it was."""

    retryable = False


class _TransportInScope(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with the transport in reach of the app."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT_EXTENSION: {"transport": self.transport}}


class Server:
    """One app on ``127.0.0.1`` (any free port, or ``port``), or on the unix socket ``path``.

    ``async with Server(app) as server: server.url``. After ``stop`` the address stays the server's: ``start``
    listens there again, which is how a test takes a dependency away and gives it back.
    """

    def __init__(self, app: ASGIApp, *, port: int = 0, path: Path | None = None) -> None:
        self._app = app
        self._path = path
        self._port = port
        self._uvicorn: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it listens now."""
        return self._task is not None

    @property
    def port(self) -> int:
        """The TCP port; known once it has been started."""
        if self._path is not None or not self._port:
            raise SandboxNotStarted("this sandbox server has no port: start it first, or ask for its path")
        return self._port

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``, or ``unix://<path>`` on a unix socket."""
        return f"unix://{self._path}" if self._path is not None else f"http://127.0.0.1:{self.port}"

    async def start(self) -> Self:
        """Listen; returns once connections are taken."""
        if self._task is not None:
            return self
        listener = await asyncio.to_thread(self._listen)
        config = uvicorn.Config(
            self._app,
            http=_TransportInScope,
            ws="none",
            lifespan="auto",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=30,
        )
        server = uvicorn.Server(config)
        # The process that hosts the sandbox owns its signals.
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        self._uvicorn = server
        self._task = asyncio.create_task(self._serve(server, listener), name=f"sandbox {self._address()}")
        while not server.started:
            if self._task.done():
                self._task.result()
                raise SandboxNotStarted(f"the sandbox server at {self._address()} ended while it started")
            await asyncio.sleep(0.001)
        return self

    def _listen(self) -> socket.socket:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            address: tuple[str, int] | str = str(self._path)
        else:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            address = ("127.0.0.1", self._port)
        try:
            listener.bind(address)
        except OSError as exc:
            listener.close()
            raise SandboxNotStarted(
                f"cannot listen on {self._address()}: {exc}; is another sandbox running there?"
            ) from exc
        if self._path is None:
            self._port = listener.getsockname()[1]
        return listener

    def _address(self) -> str:
        return str(self._path) if self._path is not None else f"127.0.0.1:{self._port}"

    @staticmethod
    async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
        try:
            await server.serve(sockets=[listener])
        except SystemExit as exc:
            # uvicorn leaves by SystemExit when the app's lifespan fails; it must not take the host along.
            raise SandboxNotStarted("the sandbox app's lifespan failed; its traceback is in the log") from exc
        finally:
            listener.close()

    def drop_connections(self) -> int:
        """Cut every open connection without an answer; returns how many there were."""
        if self._uvicorn is None:
            return 0
        connections = list(self._uvicorn.server_state.connections)
        for connection in connections:
            transport = connection.transport
            if transport is not None:
                transport.abort()
        return len(connections)

    async def stop(self) -> None:
        """Stop listening and cut what is open; the next connection is refused."""
        if self._task is None or self._uvicorn is None:
            return
        self._uvicorn.should_exit = True
        self.drop_connections()
        try:
            await self._task
        finally:
            self._task = None
            self._uvicorn = None
            if self._path is not None:
                await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
