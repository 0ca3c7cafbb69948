"""The container engine, and the HTTP checks of runbooks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sreops.domain.evidence.evidence import ContainerEvents, ContainerState, ImageState, LogLines, ServiceState, Window
from sreops.domain.remediation.protection import Ourselves
from sreops.ports.health import Health


class Containers(Protocol):
    """The container engine (Docker). Names are exact; a prefix of an id never matches."""

    async def find(self, name: str, *, timeout_s: float) -> ContainerState | None:
        """Return the container of exactly this name, else the only one of this Compose service; else None."""
        ...

    async def all_of(self, name: str, *, timeout_s: float) -> Sequence[ContainerState]:
        """Return the container of exactly this name, else all of this Compose service (a bounded number)."""
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

    async def events(self, names: Sequence[str], window: Window, *, limit: int, timeout_s: float) -> ContainerEvents:
        """Return what happened to the containers of exactly these names, the newest ``limit`` of it.

        A container that is gone has its events still. The engine remembers little: 256 events of everything, as Docker.
        """
        ...

    async def image(self, reference: str, *, timeout_s: float) -> ImageState | None:
        """Return what this tag means now; None where the engine has no such image (any more)."""
        ...

    async def ourselves(self, *, timeout_s: float) -> Ourselves:
        """Return what sreops knows of its own place: what is never a target follows from it."""
        ...

    async def restart(self, container_id: str, *, stop_timeout_s: int | None, timeout_s: float) -> None:
        """Restart. EngineUnavailable, EngineRefused: nothing was done. OutcomeUnknown: look first.

        ``stop_timeout_s`` is how long it may take to stop; None: as long as the container itself says.
        """
        ...

    async def start(self, container_id: str, *, timeout_s: float) -> None:
        """Start; a running one is no error."""
        ...

    async def service(self, name: str, *, timeout_s: float) -> ServiceState | None:
        """Return the Swarm service of exactly this name; None where there is none or no Swarm."""
        ...

    async def scale(self, service_id: str, *, replicas: int, timeout_s: float) -> None:
        """Set the replicas of a replicated Swarm service."""
        ...

    async def health(self) -> Health:
        """Say whether the engine answers."""
        ...


class Prober(Protocol):
    """HTTP checks that runbooks name."""

    async def status(self, url: str, *, timeout_s: float) -> int | None:
        """GET without following redirects; the status, or None where nothing answered."""
        ...
