"""The sandbox's engine and a real one answer the same requests with the same status, type and words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from sreops.sandbox.clock import WallClock
from sreops.sandbox.docker.api import docker_api
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.process import Idle
from sreops.sandbox.server import Server

if TYPE_CHECKING:
    from servers.dockerd import Dockerd

pytestmark = pytest.mark.needs("docker")

NAME = "sandbox-agrees"
STEPS: list[tuple[str, str]] = [
    ("GET", "/_ping"),
    ("GET", f"/containers/{NAME}/json"),
    ("GET", "/containers/nobody/json"),
    ("GET", "/containers/nobody/logs?stdout=1"),
    ("GET", "/containers/nobody/stats?stream=0"),
    ("POST", "/containers/nobody/restart"),
    ("POST", "/containers/nobody/stop"),
    ("POST", "/containers/nobody/start"),
    ("POST", "/containers/nobody/kill"),
    ("POST", "/containers/nobody/wait"),
    ("GET", "/nothing/here"),
    ("GET", "/v1.10/containers/json"),
    ("GET", "/v1.99/containers/json"),
    ("GET", "/containers/json?filters=" + json.dumps({"colour": ["red"]})),
    ("GET", "/containers/json?filters=" + json.dumps({"status": ["happy"]})),
    ("GET", "/containers/json?filters=" + json.dumps({"health": ["so-so"]})),
    ("GET", "/containers/json?filters={"),
    ("GET", '/containers/json?filters={"label":"x"}'),
    ("GET", "/containers/json?limit=x"),
    ("GET", f"/containers/{NAME}/logs"),
    ("POST", f"/containers/{NAME}/start"),
    ("POST", f"/containers/{NAME}/restart?t=soon"),
    ("POST", f"/containers/{NAME}/kill?signal=NONSENSE"),
    ("POST", f"/containers/{NAME}/restart?t=0"),
    ("POST", f"/containers/{NAME}/stop?t=0"),
    ("POST", f"/containers/{NAME}/stop?t=0"),
    ("POST", f"/containers/{NAME}/kill"),
    ("GET", f"/containers/{NAME}/json"),
    ("GET", f"/containers/{NAME}/stats?stream=0"),
    ("POST", f"/containers/{NAME}/wait"),
    ("POST", f"/containers/{NAME}/start"),
    ("POST", f"/containers/{NAME}/kill"),
    ("GET", "/images/nobody/json"),
    ("GET", "/images/nobody:1/json"),
    ("GET", "/events?since=1&until=2"),
    ("GET", "/events?since=soon&until=2"),
    ("GET", "/services"),
    ("GET", "/tasks"),
]
# Engine 20.10 answers these with other words, or with 500 for what later became 400; both are refusals.
REWORDED = ("/v1.10/", "/images/nobody", "=x", "=soon", '"label":"x"', "so-so")
STATE = ("Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "Error")


def essence(answer: httpx.Response) -> tuple[int, str, str]:
    kind = answer.headers.get("content-type", "") if answer.content else ""
    text = ""
    if answer.status_code >= 400 and kind.startswith("application/json"):
        text = re.sub(r"[0-9a-f]{64}|\d+\.\d+", "#", answer.json()["message"]).casefold()
    return answer.status_code, kind, text


async def test_the_same_requests_get_the_same_answers(dockerd: Dockerd, tmp_path: Path) -> None:
    dockerd.run_container(dockerd.import_busybox_image(), ["sleep", "600"], name=NAME)
    engine = DockerEngine(WallClock())
    engine.add(NAME, Idle(stop_s=None))
    different: list[str] = []
    real_transport = httpx.AsyncHTTPTransport(uds=str(dockerd.socket))
    ours_transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "ours.sock"))
    async with (
        Server(docker_api(engine), path=tmp_path / "ours.sock"),
        httpx.AsyncClient(transport=real_transport, base_url="http://docker", timeout=30) as real_client,
        httpx.AsyncClient(transport=ours_transport, base_url="http://docker", timeout=30) as our_client,
    ):
        version = (await real_client.get("/version")).json()["ApiVersion"]
        old = tuple(map(int, version.split("."))) < (1, 44)
        for method, path in STEPS:
            real, ours = await real_client.request(method, path), await our_client.request(method, path)
            if old and (path.endswith("={") or any(part in path for part in REWORDED)):
                assert min(real.status_code, ours.status_code) >= 400, path
            elif essence(real) != essence(ours):
                different.append(f"{method} {path}\n  real {essence(real)}\n  ours {essence(ours)}")
            elif path.endswith(f"{NAME}/json"):
                states = [{name: answer.json()["State"][name] for name in STATE} for answer in (real, ours)]
                missing = ours.json()["State"].keys() - real.json()["State"].keys()
                if states[0] != states[1] or missing:
                    different.append(f"{path}\n  real {states[0]}\n  ours {states[1]} {missing}")
    assert not different, "\n".join(different)
