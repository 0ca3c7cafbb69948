"""The swarm side of the sandbox's engine: services with replicas, and the tasks that run them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sreops.sandbox.docker.container import rfc3339

SERVICE_KEYS = frozenset({"id", "label", "mode", "name"})
TASK_KEYS = frozenset({"desired-state", "id", "label", "name", "node", "service"})


def swarm_id(text: str) -> str:
    """Return a 25-character id, as swarm gives its objects."""
    return hashlib.sha256(text.encode()).hexdigest()[:25]


class OutOfSequence(Exception):
    """An update that names another version than the current one."""


@dataclass(slots=True)
class Service:
    """One swarm service."""

    spec: dict[str, Any]
    created_ns: int
    updated_ns: int
    index: int = 11
    previous: dict[str, Any] | None = None
    update_state: str = ""

    @property
    def id(self) -> str:
        """Its id, which outlives updates."""
        return swarm_id(f"service {self.name}")

    @property
    def name(self) -> str:
        """Its name."""
        name: str = self.spec["Name"]
        return name

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the service itself."""
        labels: Mapping[str, str] = self.spec.get("Labels") or {}
        return labels

    @property
    def mode(self) -> str:
        """``replicated`` or ``global``."""
        return "global" if "Global" in self.spec["Mode"] else "replicated"

    @property
    def replicas(self) -> int:
        """How many tasks it should have."""
        return int(self.spec["Mode"]["Replicated"]["Replicas"]) if self.mode == "replicated" else 1

    def shown(self) -> dict[str, Any]:
        """Return it as ``/services/{id}``."""
        shown: dict[str, Any] = {
            "ID": self.id,
            "Version": {"Index": self.index},
            "CreatedAt": rfc3339(self.created_ns),
            "UpdatedAt": rfc3339(self.updated_ns),
            "Spec": copy.deepcopy(self.spec),
            "Endpoint": {"Spec": {}},
        }
        if self.previous is not None:
            shown["PreviousSpec"] = copy.deepcopy(self.previous)
        if self.update_state:
            shown["UpdateStatus"] = {"State": self.update_state, "StartedAt": rfc3339(self.updated_ns), "Message": ""}
        return shown


class NoPreviousSpec(Exception):
    """A rollback of a service that was never updated."""


@dataclass(slots=True)
class Swarm:
    """The services of one manager node."""

    services: dict[str, Service] = field(default_factory=dict)

    def add(self, name: str, replicas: int | None, labels: Mapping[str, str], now_ns: int) -> Service:
        """Create a service; ``replicas`` of None makes it global."""
        spec = {
            "Name": name,
            "Labels": dict(labels),
            "TaskTemplate": {
                "ContainerSpec": {"Image": f"registry.example/{name}:1"},
                "ForceUpdate": 0,
                "Runtime": "container",
            },
            "Mode": {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}},
        }
        service = Service(spec, now_ns, now_ns)
        self.services[service.id] = service
        return service

    def find(self, reference: str) -> Service | None:
        """Find a service by id, name or unambiguous prefix of its id."""
        if reference in self.services:
            return self.services[reference]
        named = [service for service in self.services.values() if service.name == reference]
        found = named or [service for key, service in self.services.items() if reference and key.startswith(reference)]
        return found[0] if len(found) == 1 else None

    def update(self, service: Service, version: int, spec: dict[str, Any], now_ns: int) -> None:
        """Replace a service's specification; raises OutOfSequence where it has changed meanwhile."""
        if version != service.index:
            raise OutOfSequence
        # a scale changes no task, and the status goes
        service.update_state = "completed" if spec["TaskTemplate"] != service.spec["TaskTemplate"] else ""
        service.previous, service.spec = service.spec, spec
        service.index += 10
        service.updated_ns = now_ns

    def roll_back(self, service: Service, version: int, now_ns: int) -> None:
        """Swap the specification with the one before: a second time this rolls forward again."""
        if version != service.index:
            raise OutOfSequence
        if service.previous is None:
            raise NoPreviousSpec
        service.previous, service.spec = service.spec, service.previous
        service.update_state = "rollback_completed"
        service.index += 10
        service.updated_ns = now_ns

    def tasks(self, now_ns: int) -> list[dict[str, Any]]:
        """Return the running tasks of all services."""
        return [_task(service, slot, now_ns) for service in self.services.values() for slot in range(service.replicas)]


def _task(service: Service, slot: int, now_ns: int) -> dict[str, Any]:
    force = service.spec["TaskTemplate"].get("ForceUpdate", 0)
    return {
        "ID": swarm_id(f"task {service.id} {slot} {force}"),
        "Version": {"Index": service.index},
        "CreatedAt": rfc3339(service.updated_ns),
        "UpdatedAt": rfc3339(service.updated_ns),
        "Labels": {},
        "Spec": service.spec["TaskTemplate"],
        "ServiceID": service.id,
        "Slot": slot + 1,
        "NodeID": swarm_id("node"),
        "Status": {
            "Timestamp": rfc3339(now_ns),
            "State": "running",
            "Message": "started",
            "ContainerStatus": {"ContainerID": hashlib.sha256(f"{service.id}{slot}{force}".encode()).hexdigest()},
        },
        "DesiredState": "running",
    }
