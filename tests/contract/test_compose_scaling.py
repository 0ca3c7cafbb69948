"""Containers made for a Compose service: the real Compose takes them for its own, and changes nothing about them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.dockerd import Dockerd
from servers.installed import path_of
from sreops.adapters.docker import DockerContainers
from sreops.errors import EngineRefused
from sreops.settings import DockerSettings

pytestmark = [pytest.mark.needs("docker"), pytest.mark.needs("compose")]

T = 60.0
FILE = """
services:
  web:
    image: busybox:test
    command: ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 600 & wait $$!; done"]
    environment: {PASSWORD: hunter2}
    labels: {sreops.enable: "true"}
    networks: {front: {aliases: [shopfront]}, back: {}}
    volumes: ["data:/data", "/scratch"]
    stop_grace_period: 2s
networks:
  front: {internal: true}
  back: {internal: true}
volumes:
  data: {}
"""


class Project:
    """A Compose project on an engine, run by the real Compose."""

    def __init__(self, dockerd: Dockerd, directory: Path, name: str) -> None:
        self.dockerd, self.name = dockerd, name
        self.file = directory / "compose.yaml"
        self.file.write_text(FILE)
        self.identity = f"docker/compose/{name}/web"

    def compose(self, *words: str) -> str:
        command = [str(path_of("compose")), "-p", self.name, "-f", str(self.file), *words]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.file.parent), "DOCKER_HOST": self.dockerd.host}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def seen(self) -> list[str]:
        """Return the containers of web that Compose sees."""
        told = self.compose("ps", "--all", "--format", "json", "web")
        return sorted(json.loads(line)["Name"] for line in told.splitlines() if line.strip())

    def lives(self) -> dict[str, tuple[str, str]]:
        """Return id and start of each container of web."""
        filters = json.dumps({"label": [f"com.docker.compose.project={self.name}", "com.docker.compose.service=web"]})
        listed = self.dockerd.api.get("/containers/json", params={"all": True, "filters": filters}).json()
        shown = [self.dockerd.inspect(one["Id"]) for one in listed]
        return {one["Name"]: (one["Id"], one["State"]["StartedAt"]) for one in shown}


@pytest.fixture
def project(dockerd: Dockerd, tmp_path: Path) -> Iterator[Project]:
    dockerd.import_busybox_image()
    project = Project(dockerd, tmp_path, f"t{uuid.uuid4().hex[:8]}")
    try:
        project.compose("up", "-d")
        yield project
    finally:
        project.compose("down", "--volumes", "--timeout", "1")


@pytest.fixture
async def containers(dockerd: Dockerd) -> AsyncIterator[DockerContainers]:
    containers = DockerContainers(DockerSettings(host=dockerd.host))
    yield containers
    await containers.close()


def shape(shown: dict[str, Any]) -> dict[str, Any]:
    """Return what two replicas have in common."""
    labels = {k: v for k, v in shown["Config"]["Labels"].items() if k != "com.docker.compose.container-number"}
    config = {k: v for k, v in shown["Config"].items() if k not in ("Hostname", "Labels")}
    mounts = sorted((one["Destination"], one["Type"], len(one.get("Name", ""))) for one in shown["Mounts"])
    own = {shown["Name"].removeprefix("/"), shown["Id"][:12]}
    networks = {
        name: sorted(set(one["Aliases"] or ()) - own) for name, one in shown["NetworkSettings"]["Networks"].items()
    }
    return {"labels": labels, "config": config, "host": shown["HostConfig"], "mounts": mounts, "networks": networks}


async def test_compose_sees_a_scaled_service_as_its_own_and_changes_nothing(
    project: Project, containers: DockerContainers
) -> None:
    before = await containers.compose_service(project.identity, timeout_s=T)
    assert before is not None
    assert (before.replicas, before.running, before.project, before.name) == (1, 1, project.name, "web")
    await containers.scale(project.identity, replicas=3, before=1, timeout_s=T)
    after = await containers.compose_service(project.identity, timeout_s=T)
    assert after is not None
    assert (after.replicas, after.running) == (3, 3)
    wanted = [f"{project.name}-web-{number}" for number in (1, 2, 3)]
    assert list(after.members) == wanted
    assert await asyncio.to_thread(project.seen) == wanted
    lives = await asyncio.to_thread(project.lives)
    first, second, _ = [project.dockerd.inspect(lives[f"/{name}"][0]) for name in wanted]
    assert shape(first) == shape(second)
    assert second["Config"]["Labels"]["com.docker.compose.container-number"] == "2"
    for one in second["NetworkSettings"]["Networks"].values():
        assert {"web", wanted[1]} <= set(one["Aliases"])
    await asyncio.to_thread(project.compose, "up", "-d", "--scale", "web=3")
    assert await asyncio.to_thread(project.lives) == lives, "Compose made none anew and started none"
    await asyncio.to_thread(project.compose, "up", "-d", "--scale", "web=4")
    assert (await asyncio.to_thread(project.seen))[-1] == f"{project.name}-web-4", "and goes on counting"
    await containers.scale(project.identity, replicas=2, before=4, timeout_s=T)
    assert await asyncio.to_thread(project.seen) == wanted[:2], "the highest numbers go first"
    kept = await asyncio.to_thread(project.lives)
    assert kept == {name: life for name, life in lives.items() if name.removeprefix("/") in wanted[:2]}


async def test_what_changed_since_it_was_looked_at_is_not_scaled(
    project: Project, containers: DockerContainers
) -> None:
    with pytest.raises(EngineRefused, match="2 were looked at"):
        await containers.scale(project.identity, replicas=3, before=2, timeout_s=T)
    with pytest.raises(EngineRefused, match="too far"):
        await containers.scale(project.identity, replicas=40, timeout_s=T)
    with pytest.raises(EngineRefused, match="no container"):
        await containers.scale(f"docker/compose/{project.name}/nothing", replicas=2, timeout_s=T)
    assert len(await asyncio.to_thread(project.lives)) == 1


async def test_a_service_whose_tag_means_another_image_by_now_is_not_scaled(
    project: Project, containers: DockerContainers
) -> None:
    [(container_id, _)] = (await asyncio.to_thread(project.lives)).values()
    try:
        await asyncio.to_thread(project.dockerd.import_anew, "busybox:test")
        with pytest.raises(EngineRefused, match="Compose would make all of them anew"):
            await containers.scale(project.identity, replicas=2, timeout_s=T)
    finally:
        image = project.dockerd.inspect(container_id)["Image"]
        params = {"repo": "busybox", "tag": "test"}
        project.dockerd.api.post(f"/images/{image}/tag", params=params).raise_for_status()
    assert len(await asyncio.to_thread(project.lives)) == 1


async def test_a_service_with_a_stopped_container_is_left_to_a_person(
    project: Project, containers: DockerContainers
) -> None:
    [(container_id, _)] = (await asyncio.to_thread(project.lives)).values()
    await containers.stop(container_id, stop_timeout_s=None, timeout_s=T)
    with pytest.raises(EngineRefused, match="start it first"):
        await containers.scale(project.identity, replicas=2, timeout_s=T)
