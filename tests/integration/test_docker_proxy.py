"""The proxy before the Docker Engine: a real HAProxy with the file that ships, before a real engine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers.dockerd import Dockerd
from servers.installed import REPOSITORY, path_of
from servers.ports import free_port
from servers.process import Server
from sreops.adapters.docker import DockerContainers
from sreops.domain.evidence.evidence import Window
from sreops.errors import EngineRefused
from sreops.settings import DockerSettings

pytestmark = [pytest.mark.needs("haproxy"), pytest.mark.needs("docker")]

CONFIG = REPOSITORY / "deploy" / "docker-proxy" / "haproxy.cfg"
ID = "0" * 64  # of no container: what gets through is told 404 by the engine
SERVICE = "0" * 25


class DockerProxy(Server):
    """`url` is where it listens; `switches` are what compose.yaml sets in its environment."""

    name = "docker-proxy"
    whole_tree = True

    def __init__(self, socket: Path, **switches: str) -> None:
        self._binary = path_of("haproxy")
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {"BIND": f"127.0.0.1:{self.port}", "ENGINE_SOCKET": f"unix@{socket}", **switches}

    def command(self) -> list[str]:
        return [str(self._binary), "-db", "-f", str(CONFIG)]

    def environment(self) -> dict[str, str]:
        return super().environment() | self.settings

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/_ping", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def actor(dockerd: Dockerd) -> Iterator[DockerProxy]:
    """What sreops gets in compose.yaml."""
    with DockerProxy(dockerd.socket, ALLOW_ACT="1", ALLOW_SWARM_SCALING="0") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def reader(dockerd: Dockerd) -> Iterator[DockerProxy]:
    """What Alloy and cAdvisor get in compose.yaml."""
    with DockerProxy(dockerd.socket, ALLOW_NETWORKS="1") as proxy:
        yield proxy


@contextmanager
def sleeper(dockerd: Dockerd, name: str) -> Iterator[str]:
    image = dockerd.import_busybox_image()
    command = ["sh", "-c", "echo up; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    container = dockerd.run_container(image, command, name=name, labels={"sreops.enable": "true"})
    try:
        yield container
    finally:
        dockerd.remove(container)


def sent(proxy: DockerProxy, raw: bytes) -> tuple[int, str]:
    """Send exactly these bytes (httpx would tidy the path) and return status and body."""
    import socket

    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        connection.sendall(raw)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode(errors="replace")


def request(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: docker", "Connection: close", *headers, "", ""]).encode()


FORBIDDEN = [
    "GET /v1.41/containers/{id}/archive?path=/etc/shadow",
    "GET /v1.41/containers/{id}/export",
    "GET /v1.41/containers/{id}/attach/ws",
    "GET /v1.41/containers/{id}/top",
    "GET /v1.41/containers/{id}/json/../archive",
    "GET /v1.41/containers/{id}%2fjson",
    "GET /v1.41//containers/json",
    "GET /v1.41/containers/./json",
    "GET /v1.41/containers/../images/json",
    "GET /v1.41/images/json",
    "GET /v1.41/secrets",
    "GET /v1.41/configs",
    "GET /v1.41/volumes",
    "GET /v1.41/events",
    "GET /v1.41/events?since=1",
    "GET /v1.41/events?until=",
    "GET /v1.41/events?until=24h",
    "GET /v1.41/images/x/../json",
    "GET /v1.41/images/x%2fget/json",
    "GET /v1.41/images/x/get",
    "POST /v1.41/images/x/json",
    "GET /v1.41/swarm",
    "GET /v1.41/nodes",
    "GET /v1.41/system/df",
    "GET /v2.0/containers/json",
    "GET /",
    "HEAD /v1.41/containers/{id}/archive?path=/",
    "POST /v1.41/containers/create?name=x",
    "POST /v1.41/containers/{id}/exec",
    "POST /v1.41/containers/{id}/stop",
    "POST /v1.41/containers/{id}/kill",
    "POST /v1.41/containers/{id}/update",
    "POST /v1.41/containers/{id}/attach?stream=1",
    "POST /v1.41/containers/{id}/restart/",
    "POST /v1.41/containers/payments/restart",
    "POST /v1.41/containers/{id}/restart%00",
    "POST /v1.41/containers/prune",
    "POST /v1.41/build",
    "POST /v1.41/images/create?fromImage=evil",
    "POST /v1.41/services/create",
    "POST /v1.41/services/{service}/update?version=1",
    "POST /v1.41/swarm/init",
    "POST /session",
    "POST /grpc",
    "PUT /v1.41/containers/{id}/archive?path=/",
    "DELETE /v1.41/containers/{id}?force=1",
    "DELETE /v1.41/containers/{id}/json",
    "OPTIONS /v1.41/containers/json",
    "PATCH /v1.41/containers/{id}/json",
]


@pytest.mark.parametrize("line", FORBIDDEN)
def test_what_nobody_needs_never_reaches_the_engine(actor: DockerProxy, reader: DockerProxy, line: str) -> None:
    line = line.format(id=ID, service=SERVICE)
    for proxy in (actor, reader):
        status, body = sent(proxy, request(line))
        assert status == 403, f"{proxy.settings}: {line}: {status} {body[:200]}"
        assert line.startswith("HEAD") or "haproxy.cfg" in body  # the proxy's own refusal, not one of the engine


def test_a_refusal_reads_as_an_error_of_the_engine(actor: DockerProxy) -> None:
    answer = httpx.delete(f"{actor.url}/v1.41/containers/{ID}")
    assert answer.headers["content-type"] == "application/json"
    assert "does not allow" in answer.json()["message"]


@pytest.mark.parametrize(
    "line",
    [
        "GET /_ping",
        "HEAD /_ping",
        "GET /version",
        "GET /v1.41/info",
        "GET /v1.41/containers/json?all=1&filters=%7B%22name%22%3A%5B%22%5E%2Fx%24%22%5D%7D",
    ],
)
def test_looking_passes_for_both(actor: DockerProxy, reader: DockerProxy, line: str) -> None:
    for proxy in (actor, reader):
        assert sent(proxy, request(line))[0] == 200


@pytest.mark.parametrize("line", ["GET /v1.41/events?since=1&until=2", "GET /v1.41/images/busybox:test/json"])
def test_events_that_end_and_one_image_are_for_sreops_only(actor: DockerProxy, reader: DockerProxy, line: str) -> None:
    assert sent(reader, request(line))[0] == 403
    status, body = sent(actor, request(line))
    assert status in (200, 404), body  # the engine's own answer
    assert "haproxy.cfg" not in body


def test_the_reader_sees_networks_and_can_do_nothing(dockerd: Dockerd, reader: DockerProxy, actor: DockerProxy) -> None:
    assert httpx.get(f"{reader.url}/v1.41/networks").status_code == 200
    assert httpx.get(f"{actor.url}/v1.41/networks").status_code == 403
    with sleeper(dockerd, "proxied-reader") as container:
        before = dockerd.inspect(container)["State"]["StartedAt"]
        for what in ("restart", "start"):
            assert httpx.post(f"{reader.url}/v1.41/containers/{container}/{what}").status_code == 403
        assert dockerd.inspect(container)["State"]["StartedAt"] == before


def test_a_body_can_not_ride_along(dockerd: Dockerd, actor: DockerProxy) -> None:
    with sleeper(dockerd, "proxied-body") as container:
        before = dockerd.inspect(container)["State"]["StartedAt"]
        host_config = {"Binds": ["/:/host"], "Privileged": True}
        url = f"{actor.url}/v1.41/containers/{container}/restart"
        assert httpx.post(url, json=host_config).status_code == 403
        chunked = request(
            f"POST /v1.41/containers/{container}/restart",
            "Transfer-Encoding: chunked",
            "Content-Type: application/json",
        )
        assert sent(actor, chunked + b"2\r\n{}\r\n0\r\n\r\n")[0] == 403
        upgraded = request(f"POST /v1.41/containers/{container}/restart", "Upgrade: tcp")
        assert sent(actor, upgraded.replace(b"Connection: close", b"Connection: Upgrade"))[0] == 403
        assert dockerd.inspect(container)["State"]["StartedAt"] == before


async def test_sreops_does_through_it_all_that_it_does(dockerd: Dockerd, actor: DockerProxy) -> None:
    containers = DockerContainers(DockerSettings(host=actor.url.replace("http://", "tcp://")))
    try:
        with sleeper(dockerd, "proxied") as container:
            assert (await containers.health()).status == "up"
            seen = await containers.find("proxied", timeout_s=10)
            assert seen is not None
            assert seen.labels["sreops.enable"] == "true"
            since = datetime.now(UTC) - timedelta(minutes=5)
            logs = await containers.logs(container, since=since, limit=10, timeout_s=10)
            assert [line.text for line in logs.lines] == ["up"]
            before = dockerd.inspect(container)["State"]["StartedAt"]
            await containers.restart(container, stop_timeout_s=1, timeout_s=20)
            assert dockerd.inspect(container)["State"]["StartedAt"] != before
            dockerd.stop_container(container)
            await containers.start(container, timeout_s=20)
            assert dockerd.inspect(container)["State"]["Running"]
            window = Window(start=since, end=datetime.now(UTC))
            told = await containers.events(["proxied"], window, limit=50, timeout_s=10)
            assert {"create", "start", "die", "restart"} <= {one.action for one in told.events}
            image = await containers.image(seen.image, timeout_s=10)
            assert image is not None
            assert image.id == seen.image_id
            assert await containers.image("host:5000/a/b-c:1.2@sha256:" + "0" * 64, timeout_s=10) is None
            assert await containers.service("proxied", timeout_s=10) is None  # no swarm: asked, and told so
    finally:
        await containers.close()


async def test_scaling_needs_its_switch(dockerd: Dockerd, actor: DockerProxy) -> None:
    image = dockerd.import_busybox_image()
    dockerd.swarm_init()
    try:
        dockerd.run_service(image, ["sleep", "1000"], name="proxied-web", replicas=1)
        refused = DockerContainers(DockerSettings(host=actor.url))
        with DockerProxy(dockerd.socket, ALLOW_ACT="1", ALLOW_SWARM_SCALING="1") as scaler:
            allowed = DockerContainers(DockerSettings(host=scaler.url))
            try:
                seen = await refused.service("proxied-web", timeout_s=10)
                assert seen is not None
                with pytest.raises(EngineRefused, match="403"):
                    await refused.scale(seen.id, replicas=2, timeout_s=20)
                await allowed.scale(seen.id, replicas=2, timeout_s=20)
                scaled = await allowed.service("proxied-web", timeout_s=10)
                assert scaled is not None
                assert scaled.replicas == 2
            finally:
                await refused.close()
                await allowed.close()
    finally:
        dockerd.swarm_leave()


NEW = {
    "ALLOW_STOP": ["POST /v1.41/containers/{id}/stop"],
    "ALLOW_EXEC": ["POST /v1.41/containers/{id}/exec", "POST /v1.41/exec/{id}/start", "GET /v1.41/exec/{id}/json"],
    "ALLOW_COMPOSE_SCALING": [
        "POST /v1.41/containers/create?name=x",
        "POST /v1.41/networks/shop_default/connect",
        "POST /v1.41/containers/{id}/stop",
        "DELETE /v1.41/containers/{id}",
    ],
    "ALLOW_SWARM_ROLLBACK": ["POST /v1.41/services/{service}/update?version=1&rollback=previous"],
    "ALLOW_SWARM_SCALING": [
        "POST /v1.41/services/{service}/update?version=1",
        "POST /v1.41/services/{service}/update?version=1&rollback=previous",
    ],
}
ACTIONS = {
    "ALLOW_STOP": {"stop_container"},
    "ALLOW_EXEC": {"exec_in_container"},
    "ALLOW_COMPOSE_SCALING": {"scale_container of Compose services", "stop_container"},
    "ALLOW_SWARM_ROLLBACK": {"rollback_service"},
    "ALLOW_SWARM_SCALING": {"scale_container of Swarm services", "rollback_service"},
}


@pytest.mark.parametrize("switch", NEW)
async def test_each_new_ability_has_a_switch_of_its_own_and_check_sees_it(dockerd: Dockerd, switch: str) -> None:
    every = ["restart_container", "stop_container", "exec_in_container", "scale_container", "rollback_service"]
    with DockerProxy(dockerd.socket, ALLOW_ACT="1", **{switch: "1"}) as proxy:
        for line in {line for lines in NEW.values() for line in lines}:
            status, body = sent(proxy, request(line.format(id=ID, service=SERVICE)))
            assert ("haproxy.cfg" in body) is (line not in NEW[switch]), f"{line}: {status} {body[:200]}"
        containers = DockerContainers(DockerSettings(host=proxy.url.replace("http://", "tcp://")))
        try:
            refused = await containers.refused_actions(every, timeout_s=20)
        finally:
            await containers.close()
        assert set(refused) == set().union(*ACTIONS.values()) - ACTIONS[switch]
    assert not dockerd.api.get("/containers/json", params={"all": 1, "filters": '{"name":["sreops-check"]}'}).json()


def test_a_rollback_that_asks_for_more_is_an_update(dockerd: Dockerd) -> None:
    with DockerProxy(dockerd.socket, ALLOW_ACT="1", ALLOW_SWARM_ROLLBACK="1") as proxy:
        for query in (
            "version=1",
            "version=1&rollback=",
            "version=1&rollback=x&rollback=previous",
            "rollback=Previous",
        ):
            status, _ = sent(proxy, request(f"POST /v1.41/services/{SERVICE}/update?{query}"))
            assert status == 403, query


def test_without_an_engine_it_says_503_and_not_that_it_was_done(tmp_path: Path) -> None:
    class Orphan(DockerProxy):
        def ready(self) -> bool:
            try:
                return httpx.get(f"{self.url}/_ping", timeout=2).status_code == 503
            except httpx.TransportError:
                return False

    with Orphan(tmp_path / "none.sock", ALLOW_ACT="1") as proxy:
        assert httpx.post(f"{proxy.url}/v1.41/containers/{ID}/restart").status_code == 503


def test_the_file_is_valid_to_haproxy_itself() -> None:
    checked: subprocess.CompletedProcess[Any] = subprocess.run(
        [str(path_of("haproxy")), "-c", "-f", str(CONFIG)],
        env={"BIND": "127.0.0.1:1", "ENGINE_SOCKET": "unix@/run/none.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "[WARNING]" not in checked.stderr
