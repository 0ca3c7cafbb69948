"""The door to the engine: version negotiation, deadlines, a byte cap, and what every failure means.

Two kinds of request go through it. One that *looks* may fail in any way: nothing was done. One that *acts* is
different, since the engine does not cancel what it began when its client goes away:

- it could not be sent (no connection, no version): EngineUnavailable, nothing was done;
- the engine, or a proxy before it, answered 3xx or 4xx: EngineRefused, nothing was done;
- everything else, also a complete 5xx, is OutcomeUnknown: a restart whose start fails answers 500 after it has
  stopped the container, and a proxy answers 502 or 504 for an engine that is still at it.

aiodocker folds "refused to connect" and "hung up after the request" into status 900; the cause tells them apart.
"""

import asyncio
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from sreops.adapters.answers import ENCODING_ASKED, Turns, read_aside, read_json
from sreops.adapters.docker.answer import (
    EngineAnswer,
    EngineRefusal,
    Redirected,
    Unreadable,
    bounded,
    meaning_of,
    read_whole,
    refuse_redirect,
    shown,
)
from sreops.adapters.trust import handshake_cure
from sreops.domain.text.urls import without_userinfo, without_userinfo_in
from sreops.errors import EngineRefused, EngineUnavailable, OutcomeUnknown, SettingsInvalid, SreopsError
from sreops.telemetry import ADAPTER_ERRORS, ADAPTER_SECONDS, log

NEWEST_API = (1, 52)
"""The newest Engine API whose shapes we have read; a newer engine is asked to speak this one."""
MAX_BODY_BYTES = 8 * 1024 * 1024
"""Of lists, logs and events."""
MAX_INSPECT_BYTES = 1024 * 1024
"""Of the answer about one thing: dozens of them are asked for at the same time."""
ENGINE_FAILED: Final = "engine.request_failed"
_CONNECT_S = 5.0
_RECEIVED_BYTES = 32 * 1024
"""What the kernel keeps of an engine's answer (Linux twice as much): aiohttp takes all of it in one go, and the loop is
still meanwhile; thousands of heads of 1xx answers fit into a few hundred KiB."""
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})")


class Engine:
    """One engine at an explicit address: ``unix:///path``, ``tcp://host:port``, ``http://`` or ``https://``.

    Neither ``DOCKER_HOST`` nor a Docker context nor ``DOCKER_TLS_VERIFY`` changes where requests go.
    """

    def __init__(self, host: str, trust: ssl.SSLContext | None = None) -> None:
        self._trust = trust
        self.shown = without_userinfo(host)
        self._url, self._socket = _address(host)
        self.name = "" if self._socket else urlsplit(host).hostname or ""
        """The host's name where it is reached over the network."""
        self._docker: Docker | None = None
        self._session: aiohttp.ClientSession | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        docker, self._docker = self._docker, None
        session, self._session = self._session, None
        if docker is not None:
            await docker.close()
        if session is not None:
            await session.close()

    async def version(self, *, timeout_s: float) -> Mapping[str, Any]:
        """Return ``/version`` of the engine."""
        docker = self._client()
        answer = await self._send(docker, "GET", "version", {}, None, timeout_s, acts=False, versioned=False)
        shown = self.read_json("GET /version", answer)
        if not isinstance(shown, dict) or not _VERSION.fullmatch(str(shown.get("ApiVersion"))):
            raise self._unreadable("GET /version", answer, "the answer is not that of a Docker engine")
        return shown

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        acts: bool = False,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> EngineAnswer:
        """Send one request and return its answer below 400; ``acts`` says that it changes the world."""
        deadline = time.monotonic() + timeout_s
        docker = await self._negotiated(timeout_s)
        data = None if body is None else json.dumps(body).encode()
        for attempt in (1, 2):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise EngineUnavailable(f"docker: {method} {path}: nothing was sent, {timeout_s:g} s were over before")
            try:
                return await self._send(
                    docker, method, path, params or {}, data, left_s, acts=acts, max_bytes=max_bytes
                )
            except EngineRefused as exc:
                # The engine was replaced by another version while we ran: nothing was done, so agree anew.
                if attempt == 2 or exc.status != 400 or "client version" not in str(exc):
                    raise
                docker.api_version = "auto"
                docker = await self._negotiated(deadline - time.monotonic())
        raise AssertionError("the second attempt returns or raises")  # pragma: no cover

    async def follow(
        self, path: str, body: Mapping[str, Any], take: Callable[[bytes], None], *, timeout_s: float
    ) -> bool:
        """POST what acts and answers with a stream: give its pieces to ``take``, to its end or for ``timeout_s``.

        Return whether the end came. What is raised, is raised before the stream began, and means what acts mean.
        """
        docker = await self._negotiated(timeout_s)
        return await self._follow(docker, path, json.dumps(body).encode(), take, timeout_s)

    async def list(
        self,
        path: str,
        filters: Mapping[str, Sequence[str]],
        *,
        timeout_s: float,
        params: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return the objects that a list holds; raises EngineUnavailable where it is none."""
        asked = {**(params or {}), "filters": json.dumps(filters)}
        answer = await self.ask("GET", path, params=asked, timeout_s=timeout_s)
        shown = await self.parsed(f"GET /{path}", answer)
        if not isinstance(shown, list) or not all(isinstance(item, dict) for item in shown):
            raise EngineUnavailable(f"docker: GET /{path}: the answer is JSON, but not a list of objects")
        return shown

    def read_json(self, what: str, answer: EngineAnswer) -> Any:
        """Parse an answer to a request that looks; raises EngineUnavailable where it is not JSON."""
        if answer.cut:
            raise self._unreadable(what, answer, f"the answer is longer than {len(answer.body)} bytes")
        try:
            return read_json(answer.body.decode("utf-8", "replace"))
        except ValueError as exc:
            raise self._unreadable(what, answer, f"the answer is not JSON ({exc})") from exc

    async def parsed(self, what: str, answer: EngineAnswer) -> Any:
        """Parse like ``read_json``, off the loop where the answer is large."""
        return await read_aside(len(answer.body), self.read_json, what, answer)

    def _unreadable(self, what: str, answer: EngineAnswer, why: str) -> EngineUnavailable:
        ADAPTER_ERRORS.labels("docker", "unreadable").inc()
        return EngineUnavailable(
            f"docker: {what} at {self.shown}: {why} (status {answer.status}: {shown(answer.body)}); "
            "check that SREOPS_DOCKER__HOST is the engine"
        )

    def _client(self) -> Docker:
        if self._docker is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_redirect.append(refuse_redirect)
            # A fresh connection each time: one that the engine closed while it idled would look like a lost answer.
            connector: aiohttp.BaseConnector = (
                aiohttp.UnixConnector(self._socket, force_close=True)
                if self._socket is not None
                else aiohttp.TCPConnector(force_close=True, ssl=self._trust or True, socket_factory=_socket_of)
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=60.0, sock_connect=_CONNECT_S),
                trace_configs=[tracing],
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept-Encoding": ENCODING_ASKED},
                middlewares=(bounded,),
            )
            self._docker = Docker(url=self._url, connector=connector, session=self._session)
        return self._docker

    async def _negotiated(self, timeout_s: float) -> Docker:
        async with self._connecting:
            docker = self._client()
            if docker.api_version == "auto":
                docker.api_version = _spoken(await self.version(timeout_s=min(timeout_s, 2 * _CONNECT_S)))
            return docker

    async def _send(
        self,
        docker: Docker,
        method: str,
        path: str,
        params: Mapping[str, str],
        data: bytes | None,
        left_s: float,
        *,
        acts: bool,
        versioned: bool = True,
        max_bytes: int = MAX_INSPECT_BYTES,
    ) -> EngineAnswer:
        began = time.monotonic()
        what = f"{method} /{path}"
        limits = aiohttp.ClientTimeout(total=left_s, sock_connect=max(0.05, min(_CONNECT_S, left_s / 2)))
        try:
            async with (
                asyncio.timeout(left_s),
                docker._query(
                    path, method, params=dict(params), data=data, timeout=limits, versioned_api=versioned
                ) as response,
            ):
                try:
                    return await read_whole(response, max_bytes)
                finally:
                    response.close()
        # aiodocker lets these through, or makes them itself of an error answer that it can't read
        except (DockerError, aiohttp.ClientError, TimeoutError, OSError, LookupError, TypeError, ValueError) as exc:
            error = self._meaning(what, exc, left_s, acts=acts)
            ADAPTER_ERRORS.labels("docker", type(error).__name__).inc()
            log.warning(ENGINE_FAILED, request=what, error=type(error).__name__, detail=str(error))
            raise error from exc
        finally:
            ADAPTER_SECONDS.labels("docker").observe(time.monotonic() - began)

    async def _follow(
        self, docker: Docker, path: str, data: bytes, take: Callable[[bytes], None], left_s: float
    ) -> bool:
        what, begun, began = f"POST /{path}", False, time.monotonic()
        limits = aiohttp.ClientTimeout(total=left_s, sock_connect=max(0.05, min(_CONNECT_S, left_s / 2)))
        try:
            async with (
                asyncio.timeout(left_s),
                docker._query(path, "POST", data=data, timeout=limits) as response,
            ):
                begun, turns = True, Turns()
                try:
                    async for chunk in response.content.iter_any():
                        take(chunk)
                        await turns.give()
                finally:
                    response.close()
        except (DockerError, aiohttp.ClientError, TimeoutError, OSError, LookupError, TypeError, ValueError) as exc:
            if begun:  # it was started, and only its output is lost
                return False
            error = self._meaning(what, exc, left_s, acts=True)
            ADAPTER_ERRORS.labels("docker", type(error).__name__).inc()
            log.warning(ENGINE_FAILED, request=what, error=type(error).__name__, detail=str(error))
            raise error from exc
        finally:
            ADAPTER_SECONDS.labels("docker").observe(time.monotonic() - began)
        return True

    def _meaning(self, what: str, exc: Exception, left_s: float, *, acts: bool) -> SreopsError:
        where = f"docker: {what} at {self.shown}"
        if isinstance(exc, EngineRefusal):
            return meaning_of(where, exc.status, exc.message, acts=acts)
        cause = exc.__context__ if isinstance(exc, DockerError) else exc
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            cure = _cure(cause)
            return EngineUnavailable(f"{where}: cannot connect ({_reason(cause)}); {cure}", cure=cure)
        if isinstance(cause, aiohttp.InvalidURL | Redirected):
            told = without_userinfo_in(_reason(cause))
            return EngineRefused(f"{where}: {told}; check SREOPS_DOCKER__HOST")
        if isinstance(cause, Unreadable):
            why = str(cause)
        else:
            why = f"no answer within {left_s:g} s" if isinstance(cause, TimeoutError) else _broken(cause)
        if acts:
            return OutcomeUnknown(f"{where}: {why}; it may be done or under way: look before doing anything again")
        return EngineUnavailable(f"{where}: {why}")


def _reason(exc: BaseException | None) -> str:
    return str(exc) or type(exc).__name__


def _broken(exc: BaseException | None) -> str:
    if isinstance(exc, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        return f"the connection ended before the answer was complete ({type(exc).__name__})"
    return f"the answer is not one of a Docker engine ({type(exc).__name__})"


def _cure(exc: BaseException) -> str:
    failed = handshake_cure(exc)
    if failed:
        return failed
    inner = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else None
    if isinstance(inner, PermissionError):
        return "this user may not use the socket: add it to the socket's group"
    if isinstance(inner, FileNotFoundError):
        return "there is no such socket: check SREOPS_DOCKER__HOST, or start the engine"
    return "check SREOPS_DOCKER__HOST, and that the engine runs"


def _address(host: str) -> tuple[str, str | None]:
    """Return the URL for aiodocker, and the path of the unix socket where it is one."""
    parts = urlsplit(host)
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return "unix://localhost", parts.path
    if parts.scheme in ("tcp", "http", "https") and parts.hostname:
        scheme = "http" if parts.scheme == "tcp" else parts.scheme
        return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}", None
    raise SettingsInvalid(
        ["SREOPS_DOCKER__HOST: write unix:///var/run/docker.sock, tcp://host:port or https://host:port"]
    )


def _socket_of(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, proto, _, _ = address
    made = socket.socket(family, kind, proto)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_BYTES)
    return made


def _spoken(version: Mapping[str, Any]) -> str:
    """Return the version to speak: the engine's own, or ours where the engine is newer and still takes it."""
    newest = _numbers(version.get("ApiVersion")) or NEWEST_API
    oldest = _numbers(version.get("MinAPIVersion")) or (1, 0)
    major, minor = max(min(newest, NEWEST_API), oldest)
    return f"v{major}.{minor}"


def _numbers(text: Any) -> tuple[int, int] | None:
    found = _VERSION.fullmatch(str(text))
    return (int(found[1]), int(found[2])) if found else None
