"""The sandbox's engine keeps the contract; and what the adapter makes of everything that can go wrong on the wire."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from contract.containers_suite import ContainersContract, T
from sreops.adapters.docker import DockerContainers
from sreops.adapters.docker.log_frames import log_lines
from sreops.domain.evidence.evidence import Window
from sreops.errors import EngineRefused, EngineUnavailable, OutcomeUnknown, SettingsInvalid
from sreops.sandbox.clock import WallClock
from sreops.sandbox.docker.api import docker_api
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.process import Idle, Ran
from sreops.sandbox.server import Server
from sreops.settings import DockerSettings
from sreops.telemetry import REGISTRY


def past() -> Window:
    return Window(start=datetime.now(UTC) - timedelta(minutes=1), end=datetime.now(UTC))


Act = Callable[[DockerContainers, str, str], Awaitable[object]]
LOOKS: dict[str, Act] = {
    "find": lambda c, container, service: c.find("web", timeout_s=0.4),
    "inspect": lambda c, container, service: c.inspect(container, timeout_s=0.4),
    "logs": lambda c, container, service: c.logs(container, since=datetime.now(UTC), limit=5, timeout_s=0.4),
    "service": lambda c, container, service: c.service("worker", timeout_s=0.4),
    "events": lambda c, container, service: c.events(["web"], past(), limit=5, timeout_s=0.4),
    "image": lambda c, container, service: c.image("registry.example/shop:1.4.2", timeout_s=0.4),
}
ACTS: dict[str, Act] = {
    "restart": lambda c, container, service: c.restart(container, stop_timeout_s=0, timeout_s=0.4),
    "start": lambda c, container, service: c.start(container, timeout_s=0.4),
    "stop": lambda c, container, service: c.stop(container, stop_timeout_s=0, timeout_s=0.4),
    "scale": lambda c, container, service: c.scale(service, replicas=3, timeout_s=0.4),
}


def programs(words: Sequence[str]) -> Ran | None:
    """What the commands of the contract do in a container."""
    known = {
        ("sh", "-c", "echo first; echo last"): Ran(["first", "last"]),
        ("sh", "-c", "echo no >&2; exit 3"): Ran(["no"], exit_code=3),
        ("sleep", "600"): Ran(takes_s=600),
    }
    return known.get(tuple(words))


class SandboxScene:
    def __init__(self, path: Path, **options: object) -> None:
        self.engine = DockerEngine(WallClock(), swarm=True, **options)  # type: ignore[arg-type]
        self.server = Server(docker_api(self.engine), path=path)
        self.host = self.server.url
        self.tagged = 0

    async def run(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        lines: Sequence[str] = (),
        ignores_term: bool = False,
        healthy: bool | None = None,
        env: Mapping[str, str] | None = None,
        tty: bool = False,
        image: str | None = None,
        network: str | None = None,
        stop_timeout_s: int | None = None,
    ) -> str:
        container = self.engine.add(
            name,
            Idle(stop_s=None if ignores_term else 0.0),
            labels=labels or {},
            healthcheck=healthy is not None,
            env=tuple(f"{key}={value}" for key, value in (env or {}).items()),
            tty=tty,
            image=image or "registry.example/shop:1.4.2",
            network=network or "host",
            stop_timeout_s=stop_timeout_s,
            commands=programs,
        )
        for line in lines:
            self.engine.log(container, line)
        for _ in range(3 if healthy is not None else 0):
            self.engine.probe(container, ok=bool(healthy), output="\x1b[31mno pulse\x1b[0m\n\x00")
        return container.id

    async def stop(self, container_id: str) -> None:
        await self.engine.stop(self.engine.containers[container_id], 0)

    async def remove(self, container_id: str) -> None:
        await self.engine.remove(self.engine.containers[container_id])

    async def retag(self, reference: str) -> None:
        self.tagged += 1
        self.engine.tag(reference, f"image {self.tagged}")

    async def service(self, name: str, replicas: int, labels: Mapping[str, str]) -> str:
        return self.engine.add_service(name, replicas, labels).id

    async def redeploy(self, service_id: str, variable: str) -> None:
        assert self.engine.swarm is not None
        service = self.engine.swarm.services[service_id]
        spec = json.loads(json.dumps(service.spec))
        spec["TaskTemplate"]["ContainerSpec"]["Env"] = [variable]
        self.engine.swarm.update(service, service.index, spec, self.engine.clock.time_ns())

    async def running_tasks(self, service_id: str) -> int:
        assert self.engine.swarm is not None
        return self.engine.swarm.services[service_id].replicas


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SandboxScene]:
    scene = SandboxScene(tmp_path / "docker.sock")
    async with scene.server:
        yield scene
        scene.engine.faults.clear()
        await scene.engine.close()


@pytest.fixture
async def containers(scene: SandboxScene) -> AsyncIterator[DockerContainers]:
    containers = DockerContainers(DockerSettings(host=scene.host))
    yield containers
    await containers.close()


@pytest.fixture
def name() -> str:
    return "t"


class TestSandbox(ContainersContract):
    pass


@pytest.fixture
async def world(scene: SandboxScene, containers: DockerContainers) -> tuple[str, str]:
    """A container and a service, and an adapter that has negotiated its version."""
    await containers.inspect("0" * 64, timeout_s=T)
    return await scene.run("web"), await scene.service("worker", 1, {})


def act_on(scene: SandboxScene, what: str, fault: Callable[..., object], **options: object) -> None:
    """Arm a fault for the request of ``what`` that acts, not for those before it that look."""
    paths = {"restart": "*/restart", "start": "*/start", "stop": "*/stop", "scale": "*/update"}
    path = paths[what]
    fault(path=path, method="POST", times=None, **options)


@pytest.mark.parametrize("what", LOOKS)
@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"{", b"[]", b"{}", b"[1]", b"null", b'"x"', b"[" * 5000, b"\xff\xfe", b""]
)
async def test_looking_survives_any_body(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str, body: bytes
) -> None:
    scene.engine.faults.garbage(body, times=None)
    try:
        answer = await LOOKS[what](containers, *world)
    except EngineUnavailable:
        return
    # an empty list is an honest answer: there is none of that name; and so is a stream without events
    assert (what, body) in (("find", b"[]"), ("service", b"[]"), ("events", b""))
    assert not answer or not getattr(answer, "events", answer)


@pytest.mark.parametrize("what", LOOKS)
@pytest.mark.parametrize("content_type", ["application/json", "text/html", "application/x-tar", "nonsense"])
async def test_looking_at_what_is_refused_by_a_proxy_says_so(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str, content_type: str
) -> None:
    html = b"<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>"
    scene.engine.faults.fail(403, html, content_type=content_type, times=None)
    with pytest.raises((EngineRefused, EngineUnavailable)) as caught:
        await LOOKS[what](containers, *world)
    if content_type == "text/html":
        assert isinstance(caught.value, EngineRefused)
        assert "403" in str(caught.value)
        assert "proxy" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", LOOKS)
@pytest.mark.parametrize("fault", ["hang", "reset", "cut"])
async def test_looking_that_gets_no_whole_answer_is_unavailable(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str, fault: str
) -> None:
    getattr(scene.engine.faults, fault)(times=None)
    with pytest.raises(EngineUnavailable):
        await asyncio.wait_for(LOOKS[what](containers, *world), 5)


@pytest.mark.parametrize("what", LOOKS)
@pytest.mark.parametrize("status", [500, 502, 503])
async def test_looking_at_a_failing_engine_is_unavailable(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str, status: int
) -> None:
    scene.engine.faults.fail(status, times=None)
    with pytest.raises(EngineUnavailable, match=str(status)):
        await LOOKS[what](containers, *world)


@pytest.mark.parametrize("what", ACTS)
@pytest.mark.parametrize("status", [400, 403, 404, 409])
async def test_an_act_that_is_refused_has_done_nothing(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str, status: int
) -> None:
    act_on(scene, what, lambda **o: scene.engine.faults.fail(status, **o))
    with pytest.raises(EngineRefused, match=str(status)) as caught:
        await ACTS[what](containers, *world)
    assert caught.value.status == status


@pytest.mark.parametrize("what", ACTS)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_act_that_fails_with_5xx_is_unknown(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str, status: int
) -> None:
    act_on(scene, what, lambda **o: scene.engine.faults.fail(status, **o))
    with pytest.raises(OutcomeUnknown, match=rf"{status}: sandbox fault"):
        await ACTS[what](containers, *world)


@pytest.mark.parametrize("what", ACTS)
async def test_an_act_that_is_put_off_has_done_nothing(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str
) -> None:
    act_on(scene, what, lambda **o: scene.engine.faults.fail(429, **o))
    with pytest.raises(EngineUnavailable):
        await ACTS[what](containers, *world)


@pytest.mark.parametrize("what", ACTS)
@pytest.mark.parametrize("fault", ["reset", "hang", "reset after acting", "hang after acting", "garbage", "odd error"])
async def test_an_act_without_a_whole_answer_is_unknown(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str, fault: str
) -> None:
    faults = scene.engine.faults
    if what == "start":
        await scene.stop(world[0])
    kind, _, after = fault.partition(" after ")
    if fault == "garbage":
        act_on(scene, what, lambda **o: faults.garbage(b"It works!", status=201, **o))
    elif fault == "odd error":
        act_on(scene, what, lambda **o: faults.fail(409, b'{"oops": 1}', content_type="application/json", **o))
    else:
        act_on(scene, what, getattr(faults, kind), after_acting=bool(after))
    with pytest.raises(OutcomeUnknown):
        await asyncio.wait_for(ACTS[what](containers, *world), 5)
    if after:  # and it did happen
        process = scene.engine.containers[world[0]].process
        assert isinstance(process, Idle)
        assert process.starts == (2 if what in ("restart", "start") else 1)
        assert await scene.running_tasks(world[1]) == (3 if what == "scale" else 1)


@pytest.mark.parametrize("what", ACTS)
async def test_an_act_that_could_not_connect_has_done_nothing(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str
) -> None:
    await scene.server.stop()
    with pytest.raises(EngineUnavailable, match=r"cannot connect.*no such socket"):
        await ACTS[what](containers, *world)


@pytest.mark.parametrize("what", ACTS)
@pytest.mark.parametrize("fault", ["hang", "reset", "garbage"])
async def test_an_act_whose_version_can_not_be_agreed_on_is_never_sent(
    scene: SandboxScene, containers: DockerContainers, what: str, fault: str
) -> None:
    container, service = await scene.run("web"), await scene.service("worker", 1, {})
    getattr(scene.engine.faults, fault)(path="/version", times=None)
    with pytest.raises(EngineUnavailable):
        await asyncio.wait_for(ACTS[what](containers, container, service), 5)
    assert scene.engine.faults.count(method="POST") == 0


@pytest.mark.parametrize("what", [*LOOKS, *ACTS])
async def test_a_redirect_is_not_followed(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str], what: str
) -> None:
    scene.engine.faults.fail(302, b"", headers={"Location": "/v1.52/login"}, times=None)
    with pytest.raises(EngineRefused, match=r"redirect \(302\)"):
        await (LOOKS | ACTS)[what](containers, *world)
    assert scene.engine.faults.count(path="*/login") == 0


async def test_a_start_that_fails_is_unknown_and_carries_the_engines_words(
    scene: SandboxScene, containers: DockerContainers
) -> None:
    broken = scene.engine.add("broken", Idle(refuses_to_start="port is already allocated"), start=False)
    with pytest.raises(OutcomeUnknown, match="port is already allocated"):
        await containers.start(broken.id, timeout_s=T)


async def test_a_scale_that_loses_races_is_tried_on_what_is_there_now(
    scene: SandboxScene, containers: DockerContainers
) -> None:
    service = await scene.service("worker", 1, {})
    body = json.dumps({"message": "rpc error: code = Unknown desc = update out of sequence"})
    lost = scene.engine.faults.fail(500, body, content_type="application/json", path="*/update", times=3)
    await containers.scale(service, replicas=4, timeout_s=T)
    assert lost.hits == 3
    assert await scene.running_tasks(service) == 4
    scene.engine.faults.fail(500, body, content_type="application/json", path="*/update", times=None)
    with pytest.raises(EngineRefused, match="not scaled"):
        await containers.scale(service, replicas=5, timeout_s=T)


async def test_a_global_service_has_no_replicas_to_set(scene: SandboxScene, containers: DockerContainers) -> None:
    service = scene.engine.add_service("everywhere", None)
    seen = await containers.service("everywhere", timeout_s=T)
    assert seen is not None
    assert (seen.replicas, seen.running) == (1, 1)
    with pytest.raises(EngineRefused, match="not replicated"):
        await containers.scale(service.id, replicas=2, timeout_s=T)
    assert scene.engine.faults.count(method="POST") == 0


async def test_no_swarm_is_no_service(tmp_path: Path) -> None:
    engine = DockerEngine(WallClock(), swarm=False)
    async with Server(docker_api(engine), path=tmp_path / "d.sock") as server:
        containers = DockerContainers(DockerSettings(host=server.url))
        assert await containers.service("web", timeout_s=T) is None
        await containers.close()


@pytest.mark.parametrize(
    ("oldest", "newest", "spoken"),
    [
        ((1, 24), (1, 41), "v1.41"),
        ((1, 44), (1, 52), "v1.52"),
        ((1, 40), (1, 60), "v1.52"),
        ((1, 56), (1, 60), "v1.56"),
    ],
)
async def test_the_version_is_agreed_on(
    tmp_path: Path, oldest: tuple[int, int], newest: tuple[int, int], spoken: str
) -> None:
    scene = SandboxScene(tmp_path / "d.sock", min_version=oldest, max_version=newest)
    async with scene.server:
        containers = DockerContainers(DockerSettings(host=scene.host))
        await scene.run("web")
        assert await containers.find("web", timeout_s=T) is not None
        await containers.close()
    assert {seen.path.split("/")[1] for seen in scene.engine.faults.requests} == {"version", spoken}


async def test_an_engine_that_was_replaced_meanwhile_is_agreed_with_anew(
    scene: SandboxScene, containers: DockerContainers, world: tuple[str, str]
) -> None:
    scene.engine.min_version, scene.engine.max_version = (1, 30), (1, 45)
    await containers.restart(world[0], stop_timeout_s=0, timeout_s=T)
    process = scene.engine.containers[world[0]].process
    assert isinstance(process, Idle)
    assert process.starts == 2


async def test_over_tcp_it_is_the_same(scene: SandboxScene) -> None:
    async with Server(docker_api(scene.engine)) as server:
        await scene.run("web")
        for host in (server.url, server.url.replace("http://", "tcp://")):
            containers = DockerContainers(DockerSettings(host=host))
            assert await containers.find("web", timeout_s=T) is not None
            await containers.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be refused: runs as root only")
async def test_a_socket_that_this_user_may_not_use_says_so(scene: SandboxScene, tmp_path: Path) -> None:
    containers = DockerContainers(DockerSettings(host=scene.host))
    await asyncio.to_thread((tmp_path / "docker.sock").chmod, 0o600)
    os.seteuid(65534)
    try:
        health = await containers.health()
    finally:
        os.seteuid(0)
        await containers.close()
    assert health.status == "down"
    assert "socket's group" in health.detail


@pytest.mark.parametrize("host", ["", "docker.sock", "unix://", "unix://rel/x", "ssh://h", "npipe:////./x", "tcp://"])
def test_a_host_that_is_none_is_refused_with_examples(host: str) -> None:
    with pytest.raises(SettingsInvalid, match="SREOPS_DOCKER__HOST"):
        DockerContainers(DockerSettings().model_copy(update={"host": host}))  # past the settings' own check


async def test_errors_are_counted(scene: SandboxScene, containers: DockerContainers, world: tuple[str, str]) -> None:
    def counted() -> float:
        registry: CollectorRegistry = REGISTRY
        labels = {"adapter": "docker", "error": "OutcomeUnknown"}
        return registry.get_sample_value("sreops_adapter_errors_total", labels) or 0.0

    before = counted()
    act_on(scene, "restart", scene.engine.faults.reset)
    with pytest.raises(OutcomeUnknown):
        await ACTS["restart"](containers, *world)
    assert counted() == before + 1


def test_log_frames_that_are_torn_or_absurd_give_what_is_whole() -> None:
    since = datetime(2026, 11, 22, tzinfo=UTC)
    at = since + timedelta(seconds=1)

    def frame(stream: int, text: bytes, length: int | None = None) -> bytes:
        return bytes([stream, 0, 0, 0]) + (len(text) if length is None else length).to_bytes(4, "big") + text

    stamp = at.isoformat().encode()
    raw = (
        frame(1, stamp + b" one\n")
        + frame(2, b"no time\r\n")
        + frame(9, stamp + b" odd\xff\n")
        + frame(1, b"x", 2**32 - 1)
    )
    lines, torn = log_lines(raw, tty=False, since=since, most=100)
    assert torn
    assert [(line.at, line.text, line.labels["stream"]) for line in lines] == [
        (since, "no time", "stderr"),
        (at, "one", "stdout"),
        (at, "odd\ufffd", "stdout"),
        (at, "x", "stdout"),
    ]
    assert log_lines(b"\x01\x00", tty=False, since=since, most=100) == ([], True)
    assert log_lines(b"", tty=False, since=since, most=100) == ([], False)
