"""The Engine API of the sandbox: paths, versions, status codes and messages (MB:api/swagger.yaml, daemon/)."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sreops.sandbox.docker.container import Container, Version
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.exec import exec_routes
from sreops.sandbox.docker.filters import (
    CONTAINER_KEYS,
    BadFilter,
    check_container_filters,
    container_matches,
    parse_filters,
)
from sreops.sandbox.docker.making import making_routes
from sreops.sandbox.docker.process import StartFailed
from sreops.sandbox.docker.reply import EngineError, error, flag, reply
from sreops.sandbox.docker.services import service_routes
from sreops.sandbox.docker.streams import events, logs, stats

_VERSIONED = re.compile(r"/v(\d+)\.(\d+)(/.*)")
_SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15}
DEFAULT_STOP_S = 10.0

Handler = Callable[[Request], Awaitable[Response]]


def docker_api(engine: DockerEngine) -> ASGIApp:
    """Build the HTTP API over an engine and its faults, with and without the version in front of the path."""
    pages = _Pages(engine)
    container_path = "/containers/{id:path}"
    routes = [
        Route("/_ping", pages.ping, methods=["GET", "HEAD"]),
        Route("/version", pages.version, methods=["GET"]),
        Route("/info", pages.info, methods=["GET"]),
        Route("/events", pages.events, methods=["GET"]),
        Route("/images/{name:path}/json", pages.image, methods=["GET"]),
        Route("/containers/json", pages.list, methods=["GET"]),
        Route(f"{container_path}/json", pages.inspect, methods=["GET"]),
        Route(f"{container_path}/logs", pages.logs, methods=["GET"]),
        Route(f"{container_path}/stats", pages.stats, methods=["GET"]),
        Route(f"{container_path}/start", pages.start, methods=["POST"]),
        Route(f"{container_path}/stop", pages.stop, methods=["POST"]),
        Route(f"{container_path}/restart", pages.restart, methods=["POST"]),
        Route(f"{container_path}/kill", pages.kill, methods=["POST"]),
        Route(f"{container_path}/wait", pages.wait, methods=["POST"]),
        *exec_routes(engine, pages.container),
        *making_routes(engine, pages.container),
        *service_routes(engine),
    ]
    handlers: Mapping[Any, Any] = {EngineError: _engine_error, BadFilter: _bad_filter, HTTPException: _no_such_page}
    app = Starlette(routes=routes, exception_handlers=handlers)

    async def versioned(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            version, path = _version_of(scope["path"], engine.max_version)
            refused = _refuse_version(version, engine)
            if refused is not None:
                await refused(scope, receive, send)
                return
            scope = {**scope, "path": path, "raw_path": path.encode(), "state": {"version": version}}
        await app(scope, receive, send)

    return engine.faults.wrap(versioned)


def _version_of(path: str, newest: Version) -> tuple[Version, str]:
    found = _VERSIONED.fullmatch(path)
    if found is None:
        return newest, path
    return (int(found[1]), int(found[2])), found[3]


def _refuse_version(version: Version, engine: DockerEngine) -> Response | None:
    shown = f"{version[0]}.{version[1]}"
    if version < engine.min_version:
        minimum = f"{engine.min_version[0]}.{engine.min_version[1]}"
        return error(
            400,
            f"client version {shown} is too old. Minimum supported API version is {minimum}, please upgrade "
            "your client to a newer version",
        )
    if version > engine.max_version:
        maximum = f"{engine.max_version[0]}.{engine.max_version[1]}"
        return error(400, f"client version {shown} is too new. Maximum supported API version is {maximum}")
    return None


class _Pages:
    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    def container(self, request: Request) -> Container:
        """Return the container that a request's path names."""
        reference = request.path_params["id"]
        container = self._engine.find(reference)
        if container is None:
            raise EngineError(404, f"No such container: {reference}")
        return container

    async def ping(self, _request: Request) -> Response:
        engine = self._engine
        headers = {
            "Api-Version": f"{engine.max_version[0]}.{engine.max_version[1]}",
            "Ostype": "linux",
            "Docker-Experimental": "false",
            "Swarm": "active/manager" if engine.swarm is not None else "inactive",
            "Cache-Control": "no-cache, no-store, must-revalidate",
        }
        return PlainTextResponse("OK", headers=headers)

    async def version(self, _request: Request) -> Response:
        newest, oldest = self._engine.max_version, self._engine.min_version
        return reply(
            {
                "Platform": {"Name": "Docker Engine - Community"},
                "Version": "29.1.3",
                "ApiVersion": f"{newest[0]}.{newest[1]}",
                "MinAPIVersion": f"{oldest[0]}.{oldest[1]}",
                "Os": "linux",
                "Arch": "amd64",
                "KernelVersion": "6.1.0",
                "GitCommit": "sandbox",
                "Components": [],
            }
        )

    async def info(self, _request: Request) -> Response:
        engine = self._engine
        running = sum(1 for container in engine.containers.values() if container.running)
        return reply(
            {
                "ID": "5ab3e7a4-0000-4000-8000-000000000000",
                "Name": "sandbox",
                "ServerVersion": "29.1.3",
                "Containers": len(engine.containers),
                "ContainersRunning": running,
                "ContainersPaused": 0,
                "ContainersStopped": len(engine.containers) - running,
                "NCPU": 2,
                "MemTotal": 16 << 30,
                "OSType": "linux",
                "Swarm": {
                    "LocalNodeState": "active" if engine.swarm is not None else "inactive",
                    "ControlAvailable": engine.swarm is not None,
                },
            }
        )

    async def list(self, request: Request) -> Response:
        filters = parse_filters(request.query_params.get("filters", ""), CONTAINER_KEYS)
        check_container_filters(filters)
        text = request.query_params.get("limit") or "0"
        if not re.fullmatch(r"-?\d+", text):
            raise EngineError(400, f'strconv.Atoi: parsing "{text}": invalid syntax')
        limit = int(text)
        everything = flag(request, "all") or limit > 0 or "status" in filters
        chosen = [
            container
            for container in self._engine.newest_first()
            if (everything or container.running) and container_matches(filters, container)
        ]
        now_ns = self._engine.clock.time_ns()
        shown = chosen[:limit] if limit > 0 else chosen
        return reply([container.summary(now_ns, request.state.version) for container in shown])

    async def image(self, request: Request) -> Response:
        reference = request.path_params["name"]
        tag = reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"
        image = self._engine.images.get(tag)
        if image is None:
            raise EngineError(404, f"No such image: {tag}")
        return reply(image.inspect(tag))

    async def inspect(self, request: Request) -> Response:
        return reply(self.container(request).inspect(request.state.version))

    async def logs(self, request: Request) -> Response:
        return await logs(self.container(request), request)

    async def stats(self, request: Request) -> Response:
        return await stats(self._engine, self.container(request), request)

    async def events(self, request: Request) -> Response:
        return await events(self._engine, request)

    async def start(self, request: Request) -> Response:
        container = self.container(request)
        try:
            began = await self._engine.finish(self._engine.start(container))
        except StartFailed as exc:
            raise EngineError(500, str(exc)) from exc
        return Response(status_code=204 if began else 304)

    async def stop(self, request: Request) -> Response:
        container = self.container(request)
        grace_s = _grace(request, container)
        ended = await self._engine.finish(self._engine.stop(container, grace_s))
        return Response(status_code=204 if ended else 304)

    async def restart(self, request: Request) -> Response:
        container = self.container(request)
        grace_s = _grace(request, container)
        try:
            await self._engine.finish(self._engine.restart(container, grace_s))
        except StartFailed as exc:
            raise EngineError(500, f"Cannot restart container {container.id}: {exc}") from exc
        return Response(status_code=204)

    async def kill(self, request: Request) -> Response:
        try:
            container = self.container(request)
        except EngineError as exc:
            raise EngineError(exc.status, f"cannot kill container: {request.path_params['id']}: {exc}") from exc
        signal = _signal(request.query_params.get("signal") or "KILL")
        if not container.running:
            raise EngineError(409, f"cannot kill container: {container.name}: container {container.id} is not running")
        await self._engine.kill(container, signal)
        return Response(status_code=204)

    async def wait(self, request: Request) -> Response:
        container = self.container(request)
        condition = request.query_params.get("condition") or "not-running"
        if condition not in ("not-running", "next-exit", "removed"):
            raise EngineError(400, f'invalid condition: "{condition}"')
        since_ns = container.finished_ns

        async def exit_code() -> Any:
            # The headers go out at once: a client that sees them knows that it waits.
            yield b""
            while container.running or (condition == "next-exit" and container.finished_ns == since_ns):
                await container.changed.wait()
            yield json.dumps({"StatusCode": container.exit_code}).encode() + b"\n"

        return StreamingResponse(exit_code(), media_type="application/json")


def _grace(request: Request, container: Container) -> float:
    text = request.query_params.get("t") or ""
    if not text:
        own_s = container.stop_timeout_s
        return DEFAULT_STOP_S if own_s is None else float(own_s) if own_s >= 0 else float("inf")
    if not re.fullmatch(r"-?\d+", text):
        raise EngineError(400, f'strconv.Atoi: parsing "{text}": invalid syntax')
    return float(text) if int(text) >= 0 else float("inf")


def _signal(text: str) -> int:
    name = text.upper().removeprefix("SIG")
    if name in _SIGNALS:
        return _SIGNALS[name]
    if name.isdecimal() and 0 < int(name) < 65:
        return int(name)
    raise EngineError(400, f"invalid signal: {text}")


async def _engine_error(_request: Request, exc: EngineError) -> Response:
    return error(exc.status, str(exc))


async def _bad_filter(_request: Request, exc: BadFilter) -> Response:
    return error(400, str(exc))


async def _no_such_page(_request: Request, exc: HTTPException) -> Response:
    return error(404, "page not found") if exc.status_code in (404, 405) else error(exc.status_code, exc.detail)
