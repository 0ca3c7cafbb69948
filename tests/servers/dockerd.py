"""The Docker Engine: a daemon of our own beside any other, and a thin client to set scenes with.

The client speaks the Engine API itself, so that tests of our adapter don't prepare and judge with what
they test. Containers use the host's network: what crosses a bridge is dropped on machines like CI's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import httpx

from servers import root_filesystems
from servers.containerd import Containerd
from servers.installed import path_of
from servers.ports import free_port
from servers.process import Server, alive

SWARM_BRIDGE = "docker_gwbridge"  # dockerd gives swarm's bridge this name, whatever we say


class Dockerd(Server):
    """`host` is what clients take (unix://...), `socket` the path of it, `api` an httpx client for it.

    kill, pause and resume are done to the daemon alone, as crashes are: containers go on meanwhile.
    """

    name = "dockerd"
    whole_tree: ClassVar[bool] = False
    start_timeout_s: ClassVar[float] = 90.0

    def __init__(self) -> None:
        self._binary = path_of("docker")
        super().__init__()
        self._containerd = Containerd()
        self.socket = self.directory / "docker.sock"
        self.host = f"unix://{self.socket}"
        self.api = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://docker", timeout=60
        )
        self._bridge = f"sre{os.getpid():x}x{free_port() % 1000}"
        self._imported: set[str] = set()
        self._swarm_bridge_was_there = _link_exists(SWARM_BRIDGE)

    # --- the daemon

    def prepare(self) -> None:
        self._containerd.start()
        (self.directory / "daemon.json").write_text("{}")
        _remove_stale_bridges()
        if not _link_exists(self._bridge):
            # its own: with --bridge=none it would delete the docker0 of another daemon
            port = free_port()
            subnet = f"10.213.{port % 256}.1/24"
            for command in (
                ["ip", "link", "add", self._bridge, "type", "bridge"],
                ["ip", "addr", "add", subnet, "dev", self._bridge],
                ["ip", "link", "set", self._bridge, "up"],
            ):
                subprocess.run(command, check=True, capture_output=True, timeout=10)

    def command(self) -> list[str]:
        return [
            str(self._binary),
            f"--host={self.host}",
            f"--containerd={self._containerd.socket}",
            f"--data-root={self.directory / 'data'}",
            f"--exec-root={self.directory / 'exec'}",
            f"--pidfile={self.directory / 'docker.pid'}",
            f"--bridge={self._bridge}",
            # nothing of the machine's own networking is touched
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            "--userland-proxy=false",
            f"--config-file={self.directory / 'daemon.json'}",  # an empty one: never the machine's /etc/docker
        ]

    def environment(self) -> dict[str, str]:
        # a pull that nobody meant must fail here, not knock at a registry: nothing listens on the discard port
        nowhere = "http://127.0.0.1:9"
        return {**super().environment(), "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere}

    def ready(self) -> bool:
        try:
            return self.api.get("/_ping", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End the daemon with SIGKILL; its containers go on until the next start.

        That start, as without live-restore everywhere, stops them and starts again those whose restart
        policy says so.
        """
        super().kill()
        (self.directory / "docker.pid").unlink(missing_ok=True)  # a recycled pid in it would stop a start

    def close(self) -> None:
        """Remove the containers, stop the daemon and what it leaves behind, and remove its data."""
        if self.running:
            self.resume()
            with contextlib.suppress(httpx.HTTPError):
                self.swarm_leave()
                for container in self.api.get("/containers/json", params={"all": True}).json():
                    self.remove(container["Id"])
        self.stop()
        self._containerd.close()
        self.api.close()
        for link, ours in ((self._bridge, True), (SWARM_BRIDGE, not self._swarm_bridge_was_there)):
            if ours and _link_exists(link):
                subprocess.run(["ip", "link", "del", link], check=False, capture_output=True, timeout=10)
        self._unmount()
        super().close()

    def _unmount(self) -> None:
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.directory}/")]):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True, timeout=10)

    # --- images

    def import_busybox_image(self, tag: str = "busybox:test") -> str:
        """Make an image with a shell and small tools; return its tag."""
        return self._import(tag, root_filesystems.busybox)

    def import_python_image(self, tag: str = "python:test") -> str:
        """Make an image with this machine's Python and its standard library (62 MB); return its tag."""
        return self._import(tag, root_filesystems.python)

    def import_anew(self, tag: str) -> None:
        """Let a tag mean an image with a shell that nothing meant before."""
        self._imported.discard(tag)
        self._import(tag, root_filesystems.busybox)

    def untag(self, tag: str) -> None:
        """Remove a tag, and its image where nothing else needs it."""
        self.api.delete(f"/images/{tag}", params={"force": True})

    def _import(self, tag: str, make: Any) -> str:
        if tag not in self._imported:
            repository, _, version = tag.partition(":")
            answer = self.api.post(
                "/images/create",
                params={
                    "fromSrc": "-",
                    "repo": repository,
                    "tag": version or "latest",
                    "changes": "ENV PATH=/usr/local/bin:/usr/bin:/bin",
                },
                content=make(),
            )
            _checked(answer)
            if '"error"' in answer.text:
                raise RuntimeError(f"the image {tag} could not be imported: {answer.text}")
            self._imported.add(tag)
        return tag

    # --- containers

    def run_container(
        self,
        image: str,
        command: Sequence[str],
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        restart_policy: str = "no",
        healthcheck: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        host_config: Mapping[str, Any] | None = None,
    ) -> str:
        """Create and start a container, and return its id.

        `config` and `host_config` add to what the Engine API calls so (Memory, Binds, StopTimeout, ...).
        """
        body = {
            "Image": image,
            "Cmd": list(command),
            "Labels": dict(labels or {}),
            "Env": [f"{key}={value}" for key, value in (env or {}).items()],
            **({"Healthcheck": dict(healthcheck)} if healthcheck else {}),
            **(config or {}),
            "HostConfig": {
                "NetworkMode": "host",
                "RestartPolicy": {"Name": restart_policy},
                **(host_config or {}),
            },
        }
        created = self.api.post("/containers/create", params={"name": name} if name else {}, json=body)
        container: str = _checked(created).json()["Id"]
        _checked(self.api.post(f"/containers/{container}/start"))
        return container

    def create_network(self, name: str) -> None:
        """Create a user's network; what is in it may not reach anything (see above)."""
        _checked(self.api.post("/networks/create", json={"Name": name, "Driver": "bridge", "Internal": True}))

    def remove_network(self, name: str) -> None:
        """Remove a network that no container is in any more."""
        _checked(self.api.delete(f"/networks/{name}"))

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine knows of it."""
        shown: dict[str, Any] = _checked(self.api.get(f"/containers/{container}/json")).json()
        return shown

    def logs(self, container: str) -> str:
        """Return its standard output and error, in order."""
        answer = self.api.get(f"/containers/{container}/logs", params={"stdout": True, "stderr": True})
        raw, text = _checked(answer).content, b""
        while raw:  # frames of 8 bytes of head (the last 4 a length) and a payload
            end = 8 + int.from_bytes(raw[4:8], "big")
            text, raw = text + raw[8:end], raw[end:]
        return text.decode(errors="replace")

    def restart_container(self, container: str, timeout_s: int = 1) -> None:
        _checked(self.api.post(f"/containers/{container}/restart", params={"t": timeout_s}))

    def stop_container(self, container: str, timeout_s: int = 1) -> None:
        _checked(self.api.post(f"/containers/{container}/stop", params={"t": timeout_s}))

    def remove(self, container: str) -> None:
        """Remove it, running or not."""
        answer = self.api.delete(f"/containers/{container}", params={"force": True, "v": True})
        if answer.status_code not in (404, 409):  # gone, or going
            _checked(answer)

    # --- swarm

    def swarm_init(self) -> None:
        """Make this daemon a swarm of one, if it is none."""
        body = {
            "ListenAddr": f"127.0.0.1:{free_port()}",
            "AdvertiseAddr": "127.0.0.1",
            "DataPathPort": free_port(),
        }
        answer = self.api.post("/swarm/init", json=body)
        if answer.status_code != 503 or "already part of a swarm" not in answer.text:
            _checked(answer)

    def swarm_leave(self) -> None:
        """End the swarm and its services, if there is one."""
        answer = self.api.post("/swarm/leave", params={"force": True})
        if answer.status_code != 503:  # not part of one
            _checked(answer)

    def run_service(
        self,
        image: str,
        command: Sequence[str],
        *,
        name: str,
        replicas: int = 1,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Create a replicated swarm service on the host's network, and return its id."""
        # by its id: swarm would ask a registry for the digest of a tag
        image_id = _checked(self.api.get(f"/images/{image}/json")).json()["Id"]
        spec = {
            "Name": name,
            "Labels": dict(labels or {}),
            "TaskTemplate": {
                "ContainerSpec": {"Image": image_id, "Command": list(command), "StopGracePeriod": 1_000_000_000},
                "Networks": [{"Target": "host"}],
            },
            "Mode": {"Replicated": {"Replicas": replicas}},
        }
        service: str = _checked(self.api.post("/services/create", json=spec)).json()["ID"]
        return service

    def redeploy(self, service: str, variable: str) -> None:
        """Update a service: its tasks get this variable, `NAME=value`."""
        shown = _checked(self.api.get(f"/services/{service}")).json()
        shown["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = [variable]
        version = shown["Version"]["Index"]
        _checked(self.api.post(f"/services/{service}/update", params={"version": version}, json=shown["Spec"]))

    def running_tasks(self, service: str) -> int:
        """Count the service's tasks that run."""
        filters = json.dumps({"service": [service]})
        tasks = _checked(self.api.get("/tasks", params={"filters": filters})).json()
        return sum(task["Status"]["State"] == "running" for task in tasks)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        request = answer.request
        raise RuntimeError(f"{request.method} {request.url.path}: the engine said {answer.status_code} {answer.text}")
    return answer


def _link_exists(name: str) -> bool:
    return Path(f"/sys/class/net/{name}").exists()


def _remove_stale_bridges() -> None:
    """Remove the bridges of runs that were killed: their names say whose they were."""
    for link in Path("/sys/class/net").iterdir():
        ours = re.fullmatch(r"sre([0-9a-f]+)x\d+", link.name)
        if ours and not alive(int(ours[1], 16)):
            subprocess.run(["ip", "link", "del", link.name], check=False, capture_output=True, timeout=10)
