"""Several engines as one ports.Containers.

A scope's host picks the engine; for an id, it is the engine that holds that id.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sreops.adapters.docker.containers import DockerContainers, ambiguous
from sreops.domain.evidence.evidence import ContainerEvents, ContainerState, ImageState, LogLines, ServiceState, Window
from sreops.domain.remediation.command import CommandOutput, CommandState
from sreops.domain.remediation.protection import Ourselves
from sreops.domain.remediation.target_identity import read_identity
from sreops.errors import EngineRefused
from sreops.ports import Health

_KNOWN_IDS = 10_000
_T = TypeVar("_T")


class DockerHosts:
    """Implements ports.Containers over several engines, by the names that the settings give them.

    What is asked of all of them needs an answer of all: what one of them holds can't be known while it is away.
    """

    def __init__(self, engines: Mapping[str, DockerContainers]) -> None:
        self._engines = dict(engines)
        self._holders: dict[str, str] = {}
        """The engine that holds an id, by what it said last."""

    async def close(self) -> None:
        """Close the connections."""
        for engine in self._engines.values():
            await engine.close()

    async def find(
        self, name: str, *, timeout_s: float, scope: Mapping[str, str] | None = None
    ) -> ContainerState | None:
        """Return the only container that this name means within the scope; several raise TargetAmbiguous."""
        found = await self.matching(name, scope or {}, exact=True, timeout_s=timeout_s)
        if len(found) > 1:
            raise ambiguous(name, found)
        return found[0] if found else None

    async def matching(
        self, name: str, scope: Mapping[str, str], *, timeout_s: float, exact: bool = False
    ) -> Sequence[ContainerState]:
        """Return the containers that a name means within a scope; the scope's host picks the engine."""
        asked = self._within(scope)
        found = await _each(engine.matching(name, scope, exact=exact, timeout_s=timeout_s) for engine in asked)
        return self._noted(state for states in found for state in states)

    async def standing(self, identity: str, *, timeout_s: float) -> Sequence[ContainerState]:
        """Return the containers that are this target now."""
        where = read_identity(identity)
        engine = self._engines.get(where.engine) if where is not None else None
        return self._noted(await engine.standing(identity, timeout_s=timeout_s)) if engine is not None else ()

    async def inspect(self, container_id: str, *, timeout_s: float) -> ContainerState | None:
        """Return it by its full id, wherever it is; None where it is gone."""
        holder = self._engines.get(self._holders.get(container_id, "\0"))
        if holder is not None:
            return await holder.inspect(container_id, timeout_s=timeout_s)
        found = await _each(engine.inspect(container_id, timeout_s=timeout_s) for engine in self._engines.values())
        return next(iter(self._noted(state for state in found if state is not None)), None)

    async def neighbours(self, container: ContainerState, *, timeout_s: float) -> Sequence[ContainerState]:
        """Return those around it on its own engine."""
        return self._noted(await self._named(container.engine).neighbours(container, timeout_s=timeout_s))

    async def logs(self, container_id: str, *, since: datetime, limit: int, timeout_s: float) -> LogLines:
        """Return its own last lines."""
        holder = await self._holder(container_id, timeout_s)
        return await holder.logs(container_id, since=since, limit=limit, timeout_s=timeout_s)

    async def events(
        self, names: Sequence[str], window: Window, *, limit: int, timeout_s: float, engine: str | None = None
    ) -> ContainerEvents:
        """Return what happened to these containers on this engine; None: on all, where names may mean several."""
        asked = self._engines.values() if engine is None else (self._named(engine),)
        answers = await _each(host.events(names, window, limit=limit, timeout_s=timeout_s) for host in asked)
        events = sorted((event for answer in answers for event in answer.events), key=lambda event: event.at)
        partial = any(answer.partial for answer in answers) or len(events) > limit
        return ContainerEvents(query=answers[0].query, events=tuple(events[-limit:]), partial=partial)

    async def image(self, reference: str, *, timeout_s: float, engine: str = "") -> ImageState | None:
        """Return what this tag means on an engine."""
        return await self._named(engine).image(reference, timeout_s=timeout_s)

    async def ourselves(self, *, timeout_s: float, engine: str = "") -> Ourselves:
        """Return what sreops knows of its own place, as seen from an engine."""
        return await self._named(engine).ourselves(timeout_s=timeout_s)

    async def refused_actions(self, actions: Sequence[str], *, timeout_s: float) -> Sequence[str]:
        """Return which of these actions are refused before which engine."""
        refused = []
        for name, engine in self._engines.items():
            found = await engine.refused_actions(actions, timeout_s=timeout_s)
            refused += [f"{action} on {name}" if name else action for action in found]
        return refused

    async def restart(self, container_id: str, *, stop_timeout_s: int | None, timeout_s: float) -> None:
        """Restart it where it is."""
        holder = await self._holder(container_id, timeout_s)
        await holder.restart(container_id, stop_timeout_s=stop_timeout_s, timeout_s=timeout_s)

    async def start(self, container_id: str, *, timeout_s: float) -> None:
        """Start it where it is."""
        await (await self._holder(container_id, timeout_s)).start(container_id, timeout_s=timeout_s)

    async def stop(self, container_id: str, *, stop_timeout_s: int | None, timeout_s: float) -> None:
        """Stop it where it is."""
        holder = await self._holder(container_id, timeout_s)
        await holder.stop(container_id, stop_timeout_s=stop_timeout_s, timeout_s=timeout_s)

    async def prepare_command(self, container_id: str, command: Sequence[str], *, timeout_s: float) -> str:
        """Make a record of a command where the container is."""
        holder = await self._holder(container_id, timeout_s)
        return await holder.prepare_command(container_id, command, timeout_s=timeout_s)

    async def run_command(self, container_id: str, command_id: str, *, timeout_s: float) -> CommandOutput:
        """Start it where its container is."""
        holder = await self._holder(container_id, timeout_s)
        return await holder.run_command(container_id, command_id, timeout_s=timeout_s)

    async def command_state(self, container_id: str, command_id: str, *, timeout_s: float) -> CommandState | None:
        """Ask the engine that holds its container; None where none does."""
        if container_id not in self._holders and await self.inspect(container_id, timeout_s=timeout_s) is None:
            return None
        holder = await self._holder(container_id, timeout_s)
        return await holder.command_state(container_id, command_id, timeout_s=timeout_s)

    async def service(self, name: str, *, timeout_s: float, engine: str | None = None) -> ServiceState | None:
        """Return the Swarm service of this name; None for the engine: of all, and several are refused."""
        asked = self._engines.values() if engine is None else (self._named(engine),)
        found = [
            service
            for service in await _each(host.service(name, timeout_s=timeout_s) for host in asked)
            if service is not None
        ]
        if len({service.id for service in found}) > 1:  # two managers of one Swarm know the same service
            engines = ", ".join(sorted(service.engine or "(nameless)" for service in found))
            raise EngineRefused(f"docker: services {name} exist on {engines}: the alert's host tells which is meant")
        if found:
            self._note(found[0].id, found[0].engine)
        return found[0] if found else None

    async def compose_service(self, identity: str, *, timeout_s: float) -> ServiceState | None:
        """Return the Compose service of this standing identity on its engine."""
        where = read_identity(identity)
        engine = self._engines.get(where.engine) if where is not None else None
        return await engine.compose_service(identity, timeout_s=timeout_s) if engine is not None else None

    async def scale(self, service_id: str, *, replicas: int, timeout_s: float, before: int | None = None) -> None:
        """Set the replicas of a Swarm or Compose service."""
        where = read_identity(service_id)
        holder = self._named(where.engine) if where is not None else self._manager(service_id)
        await holder.scale(service_id, replicas=replicas, timeout_s=timeout_s, before=before)

    async def roll_back(self, service_id: str, *, spec: str, previous: str, timeout_s: float) -> None:
        """Let Swarm go back to a service's previous specification."""
        await self._manager(service_id).roll_back(service_id, spec=spec, previous=previous, timeout_s=timeout_s)

    async def restart_service(self, service_id: str, *, timeout_s: float) -> None:
        """Let Swarm replace the tasks of a service."""
        await self._manager(service_id).restart_service(service_id, timeout_s=timeout_s)

    async def health(self) -> Health:
        """Say whether every engine answers; each has a check of its own besides."""
        found = await asyncio.gather(*(engine.health() for engine in self._engines.values()))
        return next((health for health in found if health.status != "up"), found[0])

    def _within(self, scope: Mapping[str, str]) -> Sequence[DockerContainers]:
        host = scope.get("host")
        if not host:
            return list(self._engines.values())
        host = host.lower().rstrip(".")
        whole = [
            engine for engine in self._engines.values() if engine.name and host in (engine.name.lower(), engine.address)
        ]
        short = [engine for engine in self._engines.values() if engine.name and _short(engine.name) == _short(host)]
        picked = next((found[0] for found in (whole, short) if len(found) == 1), None)
        if picked is None:  # the nameless one is for hosts that nobody named; another's would be a stranger's
            picked = self._engines.get("")
        return [picked] if picked is not None else []

    def _named(self, name: str) -> DockerContainers:
        engine = self._engines.get(name)
        if engine is None:
            raise EngineRefused(f"docker: no engine is called {name!r}: name it in SREOPS_DOCKER__HOSTS")
        return engine

    def _manager(self, service_id: str) -> DockerContainers:
        return self._named(self._holders.get(service_id, ""))

    async def _holder(self, container_id: str, timeout_s: float) -> DockerContainers:
        if container_id not in self._holders and await self.inspect(container_id, timeout_s=timeout_s) is None:
            raise EngineRefused(f"docker: no engine holds container {container_id[:12]}", status=404)
        return self._named(self._holders[container_id])

    def _noted(self, states: Iterable[ContainerState]) -> Sequence[ContainerState]:
        found = list(states)
        for state in found:
            self._note(state.id, state.engine)
        return found

    def _note(self, one_id: str, engine: str) -> None:
        if len(self._holders) >= _KNOWN_IDS:
            self._holders.clear()
        self._holders[one_id] = engine


def _short(host: str) -> str:
    """Return a host's name without its domain; an address as it is."""
    return host.lower() if host.replace(".", "").isdigit() else host.lower().partition(".")[0]


async def _each(asked: Iterable[Awaitable[_T]]) -> list[_T]:
    """Ask all at once; where one fails, what all together hold is not known."""
    found = await asyncio.gather(*asked, return_exceptions=True)
    for result in found:
        if isinstance(result, BaseException):
            raise result
    return [result for result in found if not isinstance(result, BaseException)]
