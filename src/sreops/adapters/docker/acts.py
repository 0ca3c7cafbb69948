"""What is done to one engine's containers and Swarm services."""

import re
from collections.abc import Sequence

from sreops.adapters.docker.allowed import refused_actions
from sreops.adapters.docker.answer import expect
from sreops.adapters.docker.commands import ContainerCommands
from sreops.adapters.docker.compose import ComposeServices, scaled_identity
from sreops.adapters.docker.engine import Engine
from sreops.adapters.docker.swarm import SwarmServices
from sreops.domain.evidence.evidence import ServiceState
from sreops.domain.remediation.command import CommandOutput, CommandState
from sreops.errors import EngineRefused

_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")


class DockerActs:
    """The acting half of ports.Containers; ``name`` is the engine's in the settings."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._acting = engine
        self._commands = ContainerCommands(engine)
        self._swarm = SwarmServices(engine, name)
        self._compose = ComposeServices(engine, name)

    async def refused_actions(self, actions: Sequence[str], *, timeout_s: float) -> Sequence[str]:
        """Return which of these actions whoever stands before the engine refuses, in words; nothing is done."""
        return await refused_actions(self._acting, actions, timeout_s=timeout_s)

    async def restart(self, container_id: str, *, stop_timeout_s: int | None, timeout_s: float) -> None:
        """Restart. EngineUnavailable, EngineRefused: nothing was done. OutcomeUnknown: look first.

        ``stop_timeout_s`` None leaves the container its own: a ``t`` would outrank it, and kill it in its last write.

        A 500 is OutcomeUnknown: the engine stops before it starts, and only the start may have failed.
        """
        path = f"containers/{full_id(container_id)}/restart"
        params = {} if stop_timeout_s is None else {"t": str(stop_timeout_s)}
        answer = await self._acting.ask("POST", path, params=params, timeout_s=timeout_s, acts=True)
        expect(answer, "restart", 204)

    async def start(self, container_id: str, *, timeout_s: float) -> None:
        """Start; a running one is no error. What is raised means what it means for ``restart``."""
        path = f"containers/{full_id(container_id)}/start"
        answer = await self._acting.ask("POST", path, timeout_s=timeout_s, acts=True)
        expect(answer, "start", 204, 304)

    async def stop(self, container_id: str, *, stop_timeout_s: int | None, timeout_s: float) -> None:
        """Stop; one that does not run is no error. What is said and raised means what it means for ``restart``."""
        path = f"containers/{full_id(container_id)}/stop"
        params = {} if stop_timeout_s is None else {"t": str(stop_timeout_s)}
        answer = await self._acting.ask("POST", path, params=params, timeout_s=timeout_s, acts=True)
        expect(answer, "stop", 204, 304)

    async def prepare_command(self, container_id: str, command: Sequence[str], *, timeout_s: float) -> str:
        """Make a record of a command in a container, which does not start it; return the record's id."""
        return await self._commands.prepare(full_id(container_id), command, timeout_s=timeout_s)

    async def run_command(self, container_id: str, command_id: str, *, timeout_s: float) -> CommandOutput:
        """Start a prepared command, and follow its output to its end or for ``timeout_s``."""
        return await self._commands.run(command_id, timeout_s=timeout_s)

    async def command_state(self, container_id: str, command_id: str, *, timeout_s: float) -> CommandState | None:
        """Return what became of it; None where the engine has no record of it (any more)."""
        return await self._commands.state(command_id, timeout_s=timeout_s)

    async def service(self, name: str, *, timeout_s: float, engine: str | None = None) -> ServiceState | None:
        """Return the Swarm service of exactly this name; None where there is none or no Swarm."""
        return await self._swarm.service(name, timeout_s=timeout_s)

    async def compose_service(self, identity: str, *, timeout_s: float) -> ServiceState | None:
        """Return the Compose service of this standing identity; None where it has no container."""
        return await self._compose.service(identity, timeout_s=timeout_s)

    async def scale(self, service_id: str, *, replicas: int, timeout_s: float, before: int | None = None) -> None:
        """Set the replicas of a Swarm service, whose image stays as it is declared, or of a Compose service."""
        if scaled_identity(service_id):
            await self._compose.scale(service_id, replicas, before, timeout_s=timeout_s)
        else:
            await self._swarm.scale(service_id, replicas, before, timeout_s=timeout_s)

    async def roll_back(self, service_id: str, *, spec: str, previous: str, timeout_s: float) -> None:
        """Let Swarm go back to a service's previous specification, if present and previous are still these."""
        await self._swarm.roll_back(service_id, spec, previous, timeout_s=timeout_s)

    async def restart_service(self, service_id: str, *, timeout_s: float) -> None:
        """Let Swarm replace the tasks of a service, at the pace that the service declares."""
        await self._swarm.restart(service_id, timeout_s=timeout_s)


def full_id(container_id: str) -> str:
    """Return it where it is a whole id; raises EngineRefused: part of one never reaches the engine."""
    if not _CONTAINER_ID.fullmatch(container_id):
        raise EngineRefused(f"docker: {container_id[:80]!r} is not a full container id (64 hex digits)")
    return container_id
