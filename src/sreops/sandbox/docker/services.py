"""The swarm part of the Engine API: services and tasks."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.filters import labels_match, parse_filters
from sreops.sandbox.docker.reply import EngineError, reply
from sreops.sandbox.docker.swarm import SERVICE_KEYS, TASK_KEYS, NoPreviousSpec, OutOfSequence, Service, Swarm

NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to '
    "swarm and try again."
)


def service_routes(engine: DockerEngine) -> list[Route]:
    """Build the routes over an engine."""
    pages = _Services(engine)
    return [
        Route("/services", pages.list, methods=["GET"]),
        Route("/services/{id}", pages.inspect, methods=["GET"]),
        Route("/services/{id}/update", pages.update, methods=["POST"]),
        Route("/tasks", pages.tasks, methods=["GET"]),
    ]


class _Services:
    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    def _swarm(self) -> Swarm:
        if self._engine.swarm is None:
            raise EngineError(503, NO_MANAGER)
        return self._engine.swarm

    def _service(self, request: Request) -> Service:
        reference = request.path_params["id"]
        service = self._swarm().find(reference)
        if service is None:
            raise EngineError(404, f"service {reference} not found")
        return service

    async def list(self, request: Request) -> Response:
        swarm = self._swarm()
        filters = parse_filters(request.query_params.get("filters", ""), SERVICE_KEYS)
        return reply(
            [
                service.shown()
                for service in swarm.services.values()
                if ("id" not in filters or any(service.id.startswith(value) for value in filters["id"]))
                and ("name" not in filters or any(service.name.startswith(value) for value in filters["name"]))
                and ("mode" not in filters or service.mode in filters["mode"])
                and labels_match(filters.get("label", []), service.labels)
            ]
        )

    async def inspect(self, request: Request) -> Response:
        return reply(self._service(request).shown())

    async def update(self, request: Request) -> Response:
        service = self._service(request)
        text = request.query_params.get("version") or ""
        if not text.isdecimal():
            raise EngineError(400, f"invalid service version '{text}': strconv.ParseUint: invalid syntax")
        try:
            spec = json.loads(await request.body())
        except ValueError as exc:
            raise EngineError(400, f"invalid JSON: {exc}") from exc
        _check_spec(spec, service)
        rollback = request.query_params.get("rollback") or ""
        if rollback not in ("", "previous"):
            raise EngineError(400, f"unrecognized rollback option {rollback}")
        try:
            if rollback:
                self._swarm().roll_back(service, int(text), self._engine.clock.time_ns())
            else:
                self._swarm().update(service, int(text), spec, self._engine.clock.time_ns())
        except NoPreviousSpec as exc:
            raise EngineError(500, "service does not have a previous spec") from exc
        except OutOfSequence as exc:
            raise EngineError(500, "rpc error: code = Unknown desc = update out of sequence") from exc
        return reply({"Warnings": None})

    async def tasks(self, request: Request) -> Response:
        swarm = self._swarm()
        filters = parse_filters(request.query_params.get("filters", ""), TASK_KEYS)
        wanted = filters.get("service", [])
        found = swarm.tasks(self._engine.clock.time_ns())
        return reply(
            [
                task
                for task in found
                if (not wanted or any(swarm.services[task["ServiceID"]] is swarm.find(value) for value in wanted))
                and ("desired-state" not in filters or task["DesiredState"] in filters["desired-state"])
                and ("id" not in filters or any(task["ID"].startswith(value) for value in filters["id"]))
            ]
        )


def _check_spec(spec: Any, service: Service) -> None:
    if not isinstance(spec, dict) or not isinstance(spec.get("TaskTemplate"), dict):
        raise EngineError(400, "rpc error: code = InvalidArgument desc = TaskTemplate: missing task template")
    if spec.get("Name") != service.name:
        raise EngineError(500, "rpc error: code = Unimplemented desc = renaming services is not supported")
    mode = spec.get("Mode")
    if not isinstance(mode, dict) or ("Global" in mode) == ("Replicated" in mode):
        raise EngineError(400, "invalid service mode: must be either global or replicated")
    if ("Global" in mode) != (service.mode == "global"):
        raise EngineError(500, "rpc error: code = Unimplemented desc = service mode change is not allowed")
    replicas = (mode.get("Replicated") or {}).get("Replicas", 1)
    if not isinstance(replicas, int) or replicas < 0:
        raise EngineError(400, "json: cannot unmarshal number into Go struct field of type uint64")
