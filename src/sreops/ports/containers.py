"""The container engine, and the HTTP checks of runbooks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sreops.domain.evidence.evidence import ContainerEvents, ContainerState, ImageState, LogLines, ServiceState, Window
from sreops.domain.remediation.command import CommandOutput, CommandState
from sreops.domain.remediation.protection import Ourselves
from sreops.ports.health import Health


class Containers(Protocol):
    """The container engine (Docker). Names are exact; a prefix of an id never matches."""

    async def find(
        self, name: str, *, timeout_s: float, scope: Mapping[str, str] | None = None
    ) -> ContainerState | None:
        """Return the container of exactly this name, else the only one that it means (``matching``); else None.

        Several raise TargetAmbiguous that names them.
        """
        ...

    async def matching(
        self, name: str, scope: Mapping[str, str], *, timeout_s: float, exact: bool = False
    ) -> Sequence[ContainerState]:
        """Return the containers that a name means within a scope (``Subject.scope``), by name; bounded in number.

        Of exactly this name, of the Compose or Swarm service of this name, or called so with or without project
        (stack) and number. With ``exact`` a container of exactly this name is the only one. The scope's host picks
        the engine.
        """
        ...

    async def standing(self, identity: str, *, timeout_s: float) -> Sequence[ContainerState]:
        """Return the containers that are this target now (``standing_identity``), under whatever id and name."""
        ...

    async def inspect(self, container_id: str, *, timeout_s: float) -> ContainerState | None:
        """Return it by its full id; None where it is gone."""
        ...

    async def neighbours(self, container: ContainerState, *, timeout_s: float) -> Sequence[ContainerState]:
        """Return the containers of its Compose project that it depends on or that depend on it, by name; then peers.

        Peers are those beside it (``domain.peers``), the worst off first. All are bounded in number.
        """
        ...

    async def logs(self, container_id: str, *, since: datetime, limit: int, timeout_s: float) -> LogLines:
        """Return its own last lines (for where there is no Loki)."""
        ...

    async def events(
        self, names: Sequence[str], window: Window, *, limit: int, timeout_s: float, engine: str | None = None
    ) -> ContainerEvents:
        """Return what happened to the containers of exactly these names, the newest ``limit`` of it.

        A container that is gone has its events still. The engine remembers little: 256 events of everything, as Docker.
        """
        ...

    async def image(self, reference: str, *, timeout_s: float, engine: str = "") -> ImageState | None:
        """Return what this tag means now; None where the engine has no such image (any more)."""
        ...

    async def ourselves(self, *, timeout_s: float, engine: str = "") -> Ourselves:
        """Return what sreops knows of its own place: what is never a target follows from it."""
        ...

    async def refused_actions(self, actions: Sequence[str], *, timeout_s: float) -> Sequence[str]:
        """Return which of these actions whoever stands before the engine refuses, in words; nothing is done."""
        ...

    async def restart(self, container_id: str, *, stop_timeout_s: int | None, timeout_s: float) -> None:
        """Restart. EngineUnavailable, EngineRefused: nothing was done. OutcomeUnknown: look first.

        ``stop_timeout_s`` is how long it may take to stop; None: as long as the container itself says.
        """
        ...

    async def start(self, container_id: str, *, timeout_s: float) -> None:
        """Start; a running one is no error."""
        ...

    async def stop(self, container_id: str, *, stop_timeout_s: int | None, timeout_s: float) -> None:
        """Stop; one that does not run is no error. ``stop_timeout_s`` and what is raised: as for ``restart``."""
        ...

    async def prepare_command(self, container_id: str, command: Sequence[str], *, timeout_s: float) -> str:
        """Make a record of a command in a container, which does not start it; return the record's id."""
        ...

    async def run_command(self, container_id: str, command_id: str, *, timeout_s: float) -> CommandOutput:
        """Start a prepared command, once ever, and follow its output to its end or for ``timeout_s``.

        EngineUnavailable, EngineRefused: it does not run. OutcomeUnknown: look first.
        """
        ...

    async def command_state(self, container_id: str, command_id: str, *, timeout_s: float) -> CommandState | None:
        """Return what became of it; None where the engine has no record of it (any more)."""
        ...

    async def service(self, name: str, *, timeout_s: float, engine: str | None = None) -> ServiceState | None:
        """Return the Swarm service of exactly this name; None where there is none or no Swarm."""
        ...

    async def compose_service(self, identity: str, *, timeout_s: float) -> ServiceState | None:
        """Return the Compose service of this standing identity, which is its id; None where it has no container."""
        ...

    async def scale(self, service_id: str, *, replicas: int, timeout_s: float, before: int | None = None) -> None:
        """Set the replicas of a replicated Swarm service or a Compose service; refused where ``before`` is over."""
        ...

    async def roll_back(self, service_id: str, *, spec: str, previous: str, timeout_s: float) -> None:
        """Let Swarm go back to a service's previous specification; refused where these are not the two any more."""
        ...

    async def restart_service(self, service_id: str, *, timeout_s: float) -> None:
        """Let Swarm replace the tasks of a service, at the pace that the service declares."""
        ...

    async def health(self) -> Health:
        """Say whether the engine answers."""
        ...


class Prober(Protocol):
    """HTTP checks that runbooks name."""

    async def status(self, url: str, *, timeout_s: float) -> int | None:
        """GET without following redirects; the status, or None where nothing answered."""
        ...
