"""Containers made and removed through the API: create, connect to a network, remove."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sreops.sandbox.docker.container import Container
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.process import Idle
from sreops.sandbox.docker.reply import EngineError, asked_for, flag, reply

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
Find = Callable[[Request], Container]


def making_routes(engine: DockerEngine, find: Find) -> list[Route]:
    """Build the routes over an engine."""
    pages = _Making(engine, find)
    return [
        Route("/containers/create", pages.create, methods=["POST"]),
        Route("/networks/{network}/connect", pages.connect, methods=["POST"]),
        Route("/containers/{id:path}", pages.remove, methods=["DELETE"]),
    ]


class _Making:
    def __init__(self, engine: DockerEngine, find: Find) -> None:
        self._engine = engine
        self._find = find

    async def create(self, request: Request) -> Response:
        name = request.query_params.get("name") or ""
        body = await asked_for(request)
        if not _NAME.fullmatch(name):
            raise EngineError(400, f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        image = body.get("Image")
        if not isinstance(image, str) or not image:
            raise EngineError(400, "Config.Image: no image was given")
        if image not in self._engine.images:
            raise EngineError(404, f"No such image: {image}")
        taken = self._engine.find(name)
        if taken is not None and taken.name == name:
            raise EngineError(
                409,
                f'Conflict. The container name "/{name}" is already in use by container "{taken.id}". '
                "You have to remove (or rename) that container to be able to reuse that name.",
            )
        host = _mapping(body, "HostConfig")
        endpoints = _mapping(_mapping(body, "NetworkingConfig"), "EndpointsConfig")
        if len(endpoints) > 1 and request.state.version < (1, 44):
            raise EngineError(400, "Container cannot be created with multiple network endpoints")
        labels = _mapping(body, "Labels")
        pattern = next((container for container in self._engine.containers.values() if container.image == image), None)
        made = self._engine.add(
            name,
            Idle(),
            start=False,
            image=image,
            labels={str(key): str(value) for key, value in labels.items()},
            env=tuple(body.get("Env") or ()),
            network=str(host.get("NetworkMode") or "bridge"),
            restart_policy=str(_mapping(host, "RestartPolicy").get("Name") or "no"),
            stop_timeout_s=body.get("StopTimeout"),
            **({"commands": pattern.commands} if pattern is not None else {}),
        )
        return reply({"Id": made.id, "Warnings": []}, 201)

    async def connect(self, request: Request) -> Response:
        body = await asked_for(request)
        container = self._engine.find(str(body.get("Container") or ""))
        if container is None:
            raise EngineError(404, f"No such container: {body.get('Container')}")
        return Response(status_code=200)

    async def remove(self, request: Request) -> Response:
        container = self._find(request)
        if container.running and not flag(request, "force"):
            raise EngineError(
                409,
                f'cannot remove container "/{container.name}": container is running: stop the container before '
                "removing or force remove",
            )
        await self._engine.finish(self._engine.remove(container))
        return Response(status_code=204)


def _mapping(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}
