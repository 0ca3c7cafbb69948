"""Evidence: what was found out about an incident, each piece with a stable id and a source."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.evidence.reach import Reach


class EvidenceKind(StrEnum):
    """What sort of thing a piece of evidence is."""

    alert = "alert"
    logs = "logs"
    metric = "metric"
    container = "container"
    history = "history"
    neighbour = "neighbour"  # a service that the alerted one calls, that calls it, or that stands beside it
    suspects = "suspects"  # who is suspected, by the ranking of services
    change = "change"  # what was changed lately
    events = "events"  # what the container engine did and saw: deaths, kills, starts
    tool = "tool"  # what a tool from elsewhere said, an MCP server's
    gap = "gap"  # something that could not be found out, and why


class Evidence(BaseModel):
    """One piece of evidence; ``id`` is ``E1``, ``E2``, … within an incident.

    ``finding`` is one line; ``text`` the excerpt behind it (untrusted); ``data`` numbers for the rules
    and the page; ``partial`` says that the source gave less than was asked.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    kind: EvidenceKind
    source: str
    query: str = ""
    url: str = ""
    finding: str
    text: str = ""
    data: dict[str, Any] = {}
    partial: bool = False


class Window(BaseModel):
    """A closed time window, aware UTC."""

    model_config = ConfigDict(frozen=True)
    start: AwareDatetime
    end: AwareDatetime

    def span_s(self) -> float:
        """Length in seconds."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log line at an aware time; ``text`` is untrusted and may hold anything.

    No model: an incident has tens of thousands, and who reads them from outside has made each whole.
    """

    at: datetime
    text: str
    labels: dict[str, str] = field(default_factory=dict)


class LogLines(BaseModel):
    """The answer of a log query, oldest first; ``partial`` where the source cut or warned (see ``notes``)."""

    model_config = ConfigDict(frozen=True)
    query: str
    lines: tuple[LogLine, ...]
    partial: bool = False
    notes: tuple[str, ...] = ()


class Series(BaseModel):
    """One metric series: labels and ``(epoch seconds, value)`` points; NaN and ±Inf are kept."""

    model_config = ConfigDict(frozen=True)
    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class SeriesSet(BaseModel):
    """The answer of a metric query; no series is an answer too ("no data"), not an error."""

    model_config = ConfigDict(frozen=True)
    query: str
    series: tuple[Series, ...]
    partial: bool = False
    notes: tuple[str, ...] = ()


class ContainerState(BaseModel):
    """A container as the engine describes it, less what may hold secrets (no environment).

    ``health`` is ``healthy|unhealthy|starting`` or None where it has no health check.
    ``stop_timeout_s`` is how long it asks to be waited for before it is killed (-1: for ever; None: it says nothing).
    ``image_id`` is the digest of the image that it was made from; ``config`` a digest of how it was made (command,
    mounts, limits, names of variables). ``networks`` are those that a user made, by name (``peers.user_networks``);
    ``engine`` is the name that the settings give the engine that holds it.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    name: str
    image: str
    status: str
    running: bool
    health: str | None = None
    health_log: tuple[str, ...] = ()
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    labels: dict[str, str] = {}
    restart_policy: str = ""
    stop_timeout_s: float | None = None
    memory_limit_bytes: int | None = None
    swarm_service: str | None = None
    image_id: str = ""
    config: str = ""
    networks: tuple[str, ...] = ()
    engine: str = ""
    reach: Reach = Reach()

    def snapshot(self) -> dict[str, Any]:
        """Return what the effects ledger compares with later."""
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "started_at": self.started_at.isoformat() if self.started_at else None,
            "restart_count": self.restart_count,
            "image": self.image,
            "image_id": self.image_id,
            "config": self.config,
        }


class ContainerEvent(BaseModel):
    """Something that the engine did to a container or saw of it; ``action`` in its words (``die``, ``oom``, …).

    ``signal`` is that of a ``kill``, which somebody asked for; ``exit_code`` that of a ``die``.
    """

    model_config = ConfigDict(frozen=True)
    at: AwareDatetime
    action: str
    name: str
    container_id: str
    image: str = ""
    exit_code: int | None = None
    signal: int | None = None


class ContainerEvents(BaseModel):
    """The engine's events of some containers, oldest first; ``partial`` where older ones were left out."""

    model_config = ConfigDict(frozen=True)
    query: str
    events: tuple[ContainerEvent, ...]
    partial: bool = False


class ImageState(BaseModel):
    """An image as the engine has it under a tag now; ``id`` is its digest."""

    model_config = ConfigDict(frozen=True)
    id: str
    created_at: datetime | None = None


class ServiceState(BaseModel):
    """A Swarm or Compose service: its id, declared and running replicas, labels, and its StopGracePeriod (None: none).

    ``force_update`` counts the restarts that were asked for; ``parallelism`` is how many tasks Swarm replaces at once
    (0: all of them).
    ``failed_at`` is when tasks of it failed, of those of its present kind that the engine still remembers (five a
    replica), ascending. ``spec`` and ``previous_spec`` are digests of what its tasks are and were before the last
    update (empty: none), ``image`` and ``previous_image`` their images; ``update`` is how far that update is, in
    Swarm's words, and ``replaced_at`` when it began to replace tasks (None: never, or it was only scaled since). Of a
    Compose service ``project`` is set, ``members`` are its containers' names, and there is none of these.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    name: str
    replicas: int
    running: int
    labels: dict[str, str] = {}
    failed_at: tuple[datetime, ...] = ()
    stop_timeout_s: float | None = None
    force_update: int = 0
    parallelism: int | None = 1
    engine: str = ""
    reach: Reach = Reach()
    spec: str = ""
    previous_spec: str = ""
    image: str = ""
    previous_image: str = ""
    update: str = ""
    replaced_at: datetime | None = None
    project: str = ""
    members: tuple[str, ...] = ()

    def snapshot(self) -> dict[str, Any]:
        """Return what the effects ledger compares with later."""
        return {
            "id": self.id,
            "name": self.name,
            "replicas": self.replicas,
            "running": self.running,
            "force_update": self.force_update,
            "spec": self.spec,
            "previous_spec": self.previous_spec,
            "image": self.image,
            "previous_image": self.previous_image,
        }
