"""What a situation is played on: the sandbox's engine and Prometheus, or real ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from integration.loop_scene import Scene
from sreops.domain.incidents.incident import Incident
from sreops.sandbox.faults import Faults
from sreops.sandbox.world import World

_DISRUPTIVE = ("create", "destroy", "die", "kill", "restart", "start", "stop")
_WITHIN = {"restart": ("start", "stop", "die", "kill"), "stop": ("die", "kill"), "kill": ("die",)}


class State(Enum):
    """How the patient is when the story begins."""

    ill = "ill"  # it has leaked until its memory is full, and fails
    filling = "filling"  # it leaks, is nearly full, and is not ill yet
    well = "well"


@dataclass(frozen=True)
class Beginning:
    """What there is when the story begins: the patient, and what is beside it.

    ``labels`` and ``stop_timeout_s`` (-1: for ever) are those of its container beside the usual ones. ``model``: there
    is one, which is sure that a restart helps. ``faulty``: the engine's answers can be broken.
    """

    service: str = "payments"
    state: State = State.ill
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_timeout_s: int | None = None
    model: bool = False
    faulty: bool = False


def told_short(events: Iterable[tuple[str, str]]) -> list[str]:
    """Return engine events (action, container) as people tell them: a restart is one event and not five."""
    told: list[tuple[str, str]] = []
    for action, name in events:
        action = action.partition(":")[0]
        if action not in _DISRUPTIVE:
            continue
        if action == "die" and ("kill", name) in told[-2:]:
            continue  # the end of what was killed, or is being stopped
        if action in ("restart", "stop"):
            while told and told[-1][1] == name and told[-1][0] in _WITHIN[action]:
                told.pop()
        told.append((action, name))
    return [f"{action} {name}" for action, name in told]


def told_end(incident: Incident) -> str:
    """Return how an incident ended, or its status."""
    if not incident.status.ended:
        return incident.status.value
    end = incident.resolution or incident.reason
    assert end is not None
    return end.value


class Stage(Protocol):
    """A process at work, and the world that it looks at."""

    it: Scene
    patient: str  # the service that is ill, and its container
    fired: list[Any]

    @property
    def world(self) -> World:
        """The sandbox's part of the world: Grafana, Loki, GitLab and a model at least."""
        ...

    @property
    def engine_faults(self) -> Faults:
        """What breaks the engine's answers."""
        ...

    async def break_patient(self) -> None:
        """Let it leak until its memory is full."""
        ...

    async def cure_patient(self) -> None:
        """Let it be well again without a restart."""
        ...

    async def by_somebody(self, what: str) -> None:
        """Let somebody do this to the patient's container: restart, kill, remove."""
        ...

    async def comes_back(self) -> None:
        """Let the patient fall ill again whenever it has been started anew."""
        ...

    async def dies_again(self) -> None:
        """Let the patient die by itself, once, when it has been started anew; its policy starts it again."""
        ...

    async def will_not_start(self) -> None:
        """Let the engine be unable to start the patient again."""
        ...

    async def neighbour_down(self) -> None:
        """Let somebody stop ledger-db, which the patient depends on."""
        ...

    async def metrics_away(self) -> None:
        """Let nobody answer where metrics are asked for."""
        ...

    async def add_idle(self, containers: Mapping[str, Mapping[str, str]]) -> None:
        """Let there have been these containers all along: their labels by name."""
        ...
