"""The world of the crash matrix for each of the engine's other actions: what is broken until the act is done, once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crash.world import RUNBOOKS, STOP_S, World
from sreops.sandbox.docker.process import Idle, Ran

RESTART = """\
      - action: restart_container
        timeout_s: 20
      - action: check_health
        timeout_s: 10
"""
STEPS: Mapping[str, str] = {
    "stop_container": "{action: stop_container}",
    "exec_in_container": "{action: exec_in_container, params: {command: [flush, all]}, timeout_s: 5}",
    "rollback_service": "{action: rollback_service}",
    "scale_container": "{action: scale_container, params: {by: 1, max: 2}}",
}
assert RESTART in RUNBOOKS


def runbooks_of(step: str) -> str:
    """Return the crash tests' runbook with this step in place of the restart, for a person to approve."""
    return RUNBOOKS.replace(RESTART, f"      - {step}\n").replace("autonomous", "supervised")


@dataclass
class Flush:
    """The command in a container, which takes its time and counts how often it was begun."""

    runs: int = 0
    seen: list[Sequence[str]] = field(default_factory=list)

    def __call__(self, words: Sequence[str]) -> Ran:
        self.runs += 1
        self.seen.append(words)
        return Ran(["flushed"], takes_s=STOP_S)


class ActWorld(World):
    """A world in which a service is broken until this act was done to it; a person approves every plan."""

    asks = True

    def __init__(self, directory: Path, act: str) -> None:
        super().__init__(directory, broken=self._not_done, swarm=True)
        self.act = act
        self._flushes: dict[str, Flush] = {}
        self._known: list[str] = []
        add: Mapping[str, Callable[[str], None]] = {
            "stop_container": self._add_container,
            "exec_in_container": self._add_container,
            "rollback_service": self._add_service,
            "scale_container": self._add_replica,
        }
        self._add = add[act]
        (directory / "runbooks.yaml").write_text(runbooks_of(STEPS[act]))

    def add(self, service: str) -> None:
        """Add what is broken."""
        self._add(service)
        self._known.append(service)
        self.prometheus.scrape()

    def restarts(self, service: str) -> int:
        """How often the act was done."""
        assert self.engine.swarm is not None
        if self.act == "exec_in_container":
            return self._flushes[service].runs
        if self.act == "stop_container":
            container = self.engine.find(service)
            assert container is not None
            return sum(one.action == "stop" and one.container == container.id for one in self.engine.events)
        if self.act == "rollback_service":
            found = self.engine.swarm.find(service)
            assert found is not None
            return (found.index - 21) // 10  # 11 when it was made, 21 when the bad version came
        labels = [one.labels for one in self.engine.containers.values()]
        return sum(one.get("com.docker.compose.service") == service for one in labels) - 1

    def _not_done(self) -> Mapping[str, float]:
        return {service: float(self._still_broken(service)) for service in self._known}

    def _still_broken(self, service: str) -> bool:
        if self.act == "scale_container":  # a container that was made and does not run takes no load
            own = self.engine.containers.values()
            up = [one for one in own if one.labels.get("com.docker.compose.service") == service and one.running]
            return len(up) < 2
        return not self.restarts(service)

    def _add_container(self, service: str) -> None:
        flush = self._flushes[service] = Flush()
        container = self.engine.add(
            service, Idle(stop_s=STOP_S), labels={"sreops.enable": "true"}, commands=flush, restart_policy="no"
        )
        self.engine.log(container, "ERROR java.lang.OutOfMemoryError: Java heap space")

    def _add_service(self, service: str) -> None:
        assert self.engine.swarm is not None
        made = self.engine.add_service(service, 1, labels={"sreops.enable": "true"})
        spec = copy.deepcopy(made.spec)
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = "registry.example/bad:2"
        self.engine.swarm.update(made, made.index, spec, self.engine.clock.time_ns())

    def _add_replica(self, service: str) -> None:
        labels = {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.config-hash": "h",
            "com.docker.compose.image": "i",
            "sreops.enable": "true",
        }
        container = self.engine.add(f"shop-{service}-1", Idle(stop_s=STOP_S), labels=labels)
        self.engine.log(container, "ERROR java.lang.OutOfMemoryError: Java heap space")
