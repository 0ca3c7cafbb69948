"""Killed around the engine's other acts: the real Docker Engine, a project of the real Compose, Swarm on one node."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from target_scene import composed

from crash.acts import STEPS, runbooks_of
from crash.databases import Sqlite
from crash.lineage import Lineage
from crash.real_engine import OBEDIENT, REAL, SLOW_TO_STOP, EngineProxy, killed_around
from crash.world import Moment, World
from servers.dockerd import Dockerd
from servers.waiting import poll

pytestmark = [pytest.mark.needs("docker"), pytest.mark.needs("compose"), pytest.mark.timeout(300)]

MOMENTS: tuple[Moment, ...] = ("before", "during", "after")
OWN = {"sreops.enable": "true"}
FLUSH = "{action: exec_in_container, params: {command: [sh, -c, 'echo flushed > /proc/1/fd/1; sleep 1']}, timeout_s: 5}"


@dataclass(frozen=True)
class Act:
    """An act on the engine: the request that does it, how its target is made, and how often it was done."""

    step: str
    request: bytes
    make: Callable[[Dockerd, str, Path], None]
    done: Callable[[Dockerd, str], int]


def container(dockerd: Dockerd, name: str, _: Path) -> None:
    dockerd.run_container("busybox:test", ["sh", "-c", SLOW_TO_STOP], name=name, labels=OWN)


def compose_service(dockerd: Dockerd, name: str, directory: Path) -> None:
    file = directory / f"{name}.yaml"
    command = ["sh", "-c", OBEDIENT.replace("$", "$$")]
    service = {"image": "busybox:test", "command": command, "labels": OWN, "network_mode": "none"}
    file.write_text(json.dumps({"services": {name: service}}))
    composed(dockerd, file, f"p-{name}", "up", "-d", "--pull", "never")


def swarm_service(dockerd: Dockerd, name: str, _: Path) -> None:
    dockerd.swarm_init()
    dockerd.run_service("busybox:test", ["sh", "-c", OBEDIENT], name=name, labels=OWN)
    poll(lambda: dockerd.running_tasks(name) == 1, 30, what=f"the task of {name} to run")
    dockerd.redeploy(name, "VERSION=bad")
    poll(lambda: _updated(dockerd, name), 30, what=f"the update of {name} to end")


def _updated(dockerd: Dockerd, name: str) -> bool:
    told = dockerd.api.get(f"/services/{name}").json().get("UpdateStatus") or {}
    return told.get("State") == "completed"


def stops(dockerd: Dockerd, name: str) -> int:
    return int(not dockerd.inspect(name)["State"]["Running"])


def flushes(dockerd: Dockerd, name: str) -> int:
    return dockerd.logs(name).count("flushed")


def replicas(dockerd: Dockerd, name: str) -> list[str]:
    filters = json.dumps({"label": [f"com.docker.compose.service={name}"]})
    found = dockerd.api.get("/containers/json", params={"all": True, "filters": filters}).json()
    return [one["Id"] for one in found]


def rollbacks(dockerd: Dockerd, name: str) -> int:
    """Once where the first version is wanted again; twice would want the bad one, and so count as none."""
    return int("bad" not in json.dumps(dockerd.api.get(f"/services/{name}").json()["Spec"]))


ACTS = {
    "stop_container": Act(STEPS["stop_container"], rb"POST \S*/containers/\w+/stop", container, stops),
    "exec_in_container": Act(FLUSH, rb"POST \S*/exec/\w+/start", container, flushes),
    "rollback_service": Act(
        STEPS["rollback_service"], rb"POST \S*/services/\w+/update", swarm_service, rollbacks
    ),
    "scale_container": Act(
        STEPS["scale_container"],
        rb"POST \S*/containers/create",
        compose_service,
        lambda dockerd, name: len(replicas(dockerd, name)) - 1,
    ),
}  # fmt: skip


class RealActWorld(World):
    """A world whose services are broken until the act was done to them on the real engine; a person approves."""

    asks = True

    def __init__(self, directory: Path, dockerd: Dockerd, act: Act) -> None:
        self.services: list[str] = []
        self._dockerd, self._act = dockerd, act
        super().__init__(directory, broken=self._not_done)
        (directory / "runbooks.yaml").write_text(runbooks_of(act.step))

    def _not_done(self) -> dict[str, float]:
        return {name: float(not self._act.done(self._dockerd, name)) for name in self.services}


@pytest.mark.parametrize("named", ACTS)
async def test_killed_around_an_act_of_the_real_engine_it_is_done_once_at_most_and_never_settled_wrongly(
    dockerd: Dockerd, tmp_path: Path, named: str
) -> None:
    act = ACTS[named]
    dockerd.import_busybox_image()
    world = RealActWorld(tmp_path, dockerd, act)
    proxy = EngineProxy(dockerd, tmp_path / "engine.sock", re.compile(act.request))
    settings = {
        **REAL,
        "SREOPS_DOCKER__HOST": proxy.host,
        "SREOPS_DOCKER__STOP_TIMEOUT_S": "3",
        "SREOPS_VERIFY__TIMEOUT_S": "60",  # a Swarm service takes its time to go back
    }
    names = [f"act-{uuid.uuid4().hex[:6]}" for _ in MOMENTS]
    try:
        for name in names:
            await asyncio.to_thread(act.make, dockerd, name, tmp_path)
        world.services += names
        async with (
            world.serving(),
            proxy.serving(),
            Lineage(world, "real", Sqlite(), settings).opened() as lineage,
        ):
            for name, moment in zip(names, MOMENTS, strict=True):
                incident = await killed_around(lineage, proxy, name, moment)
                done = await asyncio.to_thread(act.done, dockerd, name)
                _check(incident, done, moment)
                assert len(world.issues(name)) == 1
            assert await lineage.audit() == ""
    finally:
        await asyncio.to_thread(_clear, dockerd, names)


def _check(incident: dict[str, Any], done: int, moment: Moment) -> None:
    outcomes = [effect["outcome"] for effect in incident["effects"]]
    told = (moment, incident["status"], incident["reason"], incident["verification"], outcomes, done)
    assert done <= 1, told
    assert len(outcomes) == 1, told
    if moment == "before":
        assert done == 0, told
    if outcomes == ["succeeded"]:
        assert done == 1, told
    if incident["status"] == "resolved":
        assert (incident["resolution"], outcomes) == ("fixed", ["succeeded"]), told
    else:
        assert incident["reason"] in ("outcome_unknown", "step_failed"), told


def _clear(dockerd: Dockerd, names: list[str]) -> None:
    for name in names:
        for one in (name, *replicas(dockerd, name)):
            dockerd.remove(one)
        if dockerd.api.get("/services").status_code == 200:
            dockerd.api.delete(f"/services/{name}")
    dockerd.swarm_leave()
