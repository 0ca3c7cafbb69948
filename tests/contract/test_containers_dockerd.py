"""A real Docker Engine keeps the contract, and an answer that is lost on the way is told for what it is."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from contract.containers_suite import ContainersContract, T
from servers.dockerd import Dockerd
from servers.ports import free_port
from sreops.adapters.docker import DockerContainers, OwnPlace
from sreops.domain.remediation.protection import OwnAddress, why_protected
from sreops.errors import EngineRefused, EngineUnavailable, OutcomeUnknown
from sreops.settings import DockerSettings

SECOND_NS = 1_000_000_000


class DockerdScene:
    def __init__(self, dockerd: Dockerd, image: str) -> None:
        self.host = dockerd.host
        self.made: list[str] = []
        self.networks: list[str] = []
        self.tagged: set[str] = set()
        self._dockerd = dockerd
        self._image = image

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
        if network is not None and network not in self.networks:
            self.networks.append(network)
            await asyncio.to_thread(self._dockerd.create_network, network)
        trap = "''" if ignores_term else "'exit 0'"
        said = "".join(f"echo '{line}'; " for line in lines)
        script = f"trap {trap} TERM; {said}while true; do sleep 600 & wait $!; done"
        check = "exit 0" if healthy else "echo 'no pulse'; exit 1"
        healthcheck = {"Test": ["CMD-SHELL", check], "Interval": SECOND_NS // 5, "Timeout": SECOND_NS, "Retries": 1}
        container_id = await asyncio.to_thread(
            self._dockerd.run_container,
            image or self._image,
            ["sh", "-c", script],
            name=name,
            labels=labels,
            env=env,
            healthcheck=None if healthy is None else healthcheck,
            config={"Tty": tty, **({} if stop_timeout_s is None else {"StopTimeout": stop_timeout_s})},
            host_config={"NetworkMode": network or "host"},
        )
        self.made.append(container_id)
        return container_id

    async def stop(self, container_id: str) -> None:
        await asyncio.to_thread(self._dockerd.stop_container, container_id)

    async def remove(self, container_id: str) -> None:
        await asyncio.to_thread(self._dockerd.remove, container_id)

    async def retag(self, reference: str) -> None:
        self.tagged.add(reference)
        await asyncio.to_thread(self._dockerd.import_anew, reference)

    async def service(self, name: str, replicas: int, labels: Mapping[str, str]) -> str:
        await asyncio.to_thread(self._dockerd.swarm_init)
        command = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 600 & wait $!; done"]
        return await asyncio.to_thread(
            self._dockerd.run_service, self._image, command, name=name, replicas=replicas, labels=labels
        )

    async def redeploy(self, service_id: str, variable: str) -> None:
        await asyncio.to_thread(self._dockerd.redeploy, service_id, variable)

    async def running_tasks(self, service_id: str) -> int:
        return await asyncio.to_thread(self._dockerd.running_tasks, service_id)


class LossyProxy:
    """Passes requests on to the engine, and closes the connection instead of answering those with ``lose`` in them."""

    def __init__(self, engine: Path, path: Path, lose: bytes) -> None:
        self.host = f"unix://{path}"
        self.passed_on = asyncio.Event()
        self._engine, self._path, self._lose = engine, path, lose

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["LossyProxy"]:
        server = await asyncio.start_unix_server(self._serve, self._path)
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        theirs, ours = await asyncio.open_unix_connection(self._engine)
        ours.write(request)
        await ours.drain()
        if self._lose in request:
            self.passed_on.set()
            writer.close()
        with contextlib.suppress(OSError):
            while chunk := await theirs.read(65536):
                writer.write(chunk)
                await writer.drain()
        ours.close()
        writer.close()


@pytest.fixture
def scene(dockerd: Dockerd) -> Iterator[DockerdScene]:
    scene = DockerdScene(dockerd, dockerd.import_busybox_image())
    yield scene
    for container_id in scene.made:
        dockerd.remove(container_id)
    for network in scene.networks:
        dockerd.remove_network(network)
    for reference in scene.tagged:
        dockerd.untag(reference)
    dockerd.swarm_leave()


@pytest.fixture
async def containers(scene: DockerdScene) -> AsyncIterator[DockerContainers]:
    containers = DockerContainers(DockerSettings(host=scene.host))
    yield containers
    await containers.close()


@pytest.fixture
def name() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.mark.needs("docker")
class TestDockerd(ContainersContract):
    async def test_the_stop_timeout_and_the_image_are_read(
        self, scene: DockerdScene, containers: DockerContainers, name: str
    ) -> None:
        container_id = await scene.run(name, stop_timeout_s=7)
        seen = await containers.inspect(container_id, timeout_s=T)
        assert seen is not None
        assert (seen.stop_timeout_s, seen.image, seen.restart_policy) == (7.0, "busybox:test", "no")

    async def test_sreops_itself_and_what_it_stands_on_are_told_from_strangers(
        self, scene: DockerdScene, name: str, dockerd: Dockerd
    ) -> None:
        network, port = f"{name}_ops", free_port()
        own_id = await scene.run(f"{name}-sreops", network=network)
        database = await scene.run(f"{name}-db", network=network)
        namesake = await scene.run(f"{name}-db2", network=f"{name}_shop")
        published = {"NetworkMode": "bridge", "PortBindings": {"9092/tcp": [{"HostPort": str(port)}]}}
        broker = await asyncio.to_thread(
            dockerd.run_container, "busybox:test", ["sleep", "600"], name=f"{name}-broker", host_config=published
        )
        scene.made.append(broker)
        networks = dockerd.inspect(database)["NetworkSettings"]["Networks"]
        by_name = OwnAddress(what="the database", setting="DB", host=f"{name}-db", port=5432)
        by_address = OwnAddress(what="the database", setting="DB", host=networks[network]["IPAddress"], port=5432)
        by_port = OwnAddress(what="the broker", setting="MQ", host="localhost", port=port)

        async def protected(place: OwnPlace) -> dict[str, bool]:
            containers = DockerContainers(DockerSettings(host=scene.host), place)
            us = await containers.ourselves(timeout_s=T)
            found = [await containers.inspect(one, timeout_s=T) for one in (own_id, database, namesake, broker)]
            await containers.close()
            return {one.name.removeprefix(f"{name}-"): bool(why_protected(one, us)) for one in found if one}

        nobody = {"sreops": False, "db": False, "db2": False, "broker": False}
        on_host = {"hostname": "ops1", "ids": frozenset[str]()}
        assert await protected(OwnPlace(**on_host)) == nobody
        for addresses, what in (((by_name,), "db"), ((by_address,), "db"), ((by_port,), "broker")):
            assert await protected(OwnPlace(addresses, **on_host)) == nobody | {what: True}
        inside = {"hostname": own_id[:12], "ids": frozenset({own_id})}
        us_and_ours = nobody | {"sreops": True, "db": True}
        assert await protected(OwnPlace((by_name,), **inside)) == us_and_ours
        assert await protected(OwnPlace((by_port,), **inside)) == nobody | {"sreops": True}, "its own loopback"

    async def test_what_a_container_writes_while_it_stops_as_it_wishes_is_not_lost(
        self, scene: DockerdScene, containers: DockerContainers, name: str, dockerd: Dockerd
    ) -> None:
        """Its own signal, and more time than the engine's 10 s are: what a broker or a database needs to flush."""
        script = "trap 'sleep 11; echo flushed; exit 0' USR1; while true; do sleep 600 & wait $!; done"
        container_id = await asyncio.to_thread(
            dockerd.run_container,
            "busybox:test",
            ["sh", "-c", script],
            name=name,
            config={"StopTimeout": 30, "StopSignal": "SIGUSR1"},
        )
        scene.made.append(container_id)
        await containers.restart(container_id, stop_timeout_s=None, timeout_s=40)
        assert "flushed" in await asyncio.to_thread(dockerd.logs, container_id)

    async def test_a_service_shows_its_stop_grace_period(
        self, scene: DockerdScene, containers: DockerContainers, name: str
    ) -> None:
        await scene.service(name, 1, {})
        seen = await containers.service(name, timeout_s=T)
        assert seen is not None
        assert seen.stop_timeout_s == 1.0

    async def test_a_task_shows_its_swarm_service(
        self, scene: DockerdScene, containers: DockerContainers, name: str, dockerd: Dockerd
    ) -> None:
        service_id = await scene.service(name, 1, {})
        async with asyncio.timeout(T):
            while not await scene.running_tasks(service_id):  # noqa: ASYNC110 - the daemon signals nothing
                await asyncio.sleep(0.05)
        listed = dockerd.api.get("/containers/json").json()
        task = next(one for one in listed if one["Labels"].get("com.docker.swarm.service.id") == service_id)
        seen = await containers.find(task["Names"][0].removeprefix("/"), timeout_s=T)
        assert seen is not None
        assert seen.swarm_service == name

    async def test_without_a_swarm_there_is_no_service(self, containers: DockerContainers, name: str) -> None:
        assert await containers.service(name, timeout_s=T) is None

    async def test_the_image_of_a_scaled_service_stays_as_declared(
        self, scene: DockerdScene, containers: DockerContainers, name: str, dockerd: Dockerd
    ) -> None:
        service_id = await scene.service(name, 1, {})
        before = dockerd.api.get(f"/services/{service_id}").json()["Spec"]
        await containers.scale(service_id, replicas=2, timeout_s=T)
        after = dockerd.api.get(f"/services/{service_id}").json()["Spec"]
        assert after.pop("Mode") == {"Replicated": {"Replicas": 2}}
        before.pop("Mode")
        assert after == before

    async def test_a_lost_answer_is_unknown_and_the_restart_still_happens(
        self, scene: DockerdScene, containers: DockerContainers, name: str, dockerd: Dockerd, tmp_path: Path
    ) -> None:
        container_id = await scene.run(name, ignores_term=True)
        before = await containers.inspect(container_id, timeout_s=T)
        async with LossyProxy(dockerd.socket, tmp_path / "p.sock", b"/restart").listening() as proxy:
            lossy = DockerContainers(DockerSettings(host=proxy.host))
            with pytest.raises(OutcomeUnknown, match="look before doing anything again"):
                await lossy.restart(container_id, stop_timeout_s=1, timeout_s=T)
            assert proxy.passed_on.is_set()
            await lossy.close()
        assert before is not None
        async with asyncio.timeout(T):
            while True:
                after = await containers.inspect(container_id, timeout_s=T)
                assert after is not None
                if after.running and after.started_at != before.started_at:
                    break
                await asyncio.sleep(0.05)

    async def test_a_restart_that_outlasts_the_deadline_is_unknown_and_still_happens(
        self, scene: DockerdScene, containers: DockerContainers, name: str
    ) -> None:
        container_id = await scene.run(name, ignores_term=True)
        before = await containers.inspect(container_id, timeout_s=T)
        assert before is not None
        with pytest.raises(OutcomeUnknown, match="no answer within"):
            await containers.restart(container_id, stop_timeout_s=2, timeout_s=0.5)
        async with asyncio.timeout(T):
            while True:
                after = await containers.inspect(container_id, timeout_s=T)
                assert after is not None
                if after.running and after.started_at != before.started_at:
                    break
                await asyncio.sleep(0.05)

    async def test_a_restart_whose_start_fails_is_unknown_since_the_stop_has_happened(
        self, scene: DockerdScene, containers: DockerContainers, name: str, dockerd: Dockerd, tmp_path: Path
    ) -> None:
        mounted = tmp_path / "mounted"
        mounted.mkdir()
        mount = {"Type": "bind", "Source": str(mounted), "Target": "/mounted"}
        container_id = await asyncio.to_thread(
            dockerd.run_container, "busybox:test", ["sleep", "600"], name=name, host_config={"Mounts": [mount]}
        )
        scene.made.append(container_id)
        mounted.rmdir()
        with pytest.raises(OutcomeUnknown, match=r"answered [45]\d\d: .*mounted") as caught:
            await containers.restart(container_id, stop_timeout_s=0, timeout_s=T)
        assert "part of it may have been done" in str(caught.value)
        seen = await containers.inspect(container_id, timeout_s=T)
        assert seen is not None
        assert not seen.running

    async def test_an_engine_that_is_away_is_unavailable_and_comes_back(
        self, scene: DockerdScene, containers: DockerContainers, dockerd: Dockerd
    ) -> None:
        assert (await containers.health()).status == "up"
        await asyncio.to_thread(dockerd.stop)
        for act in (
            containers.restart("0" * 64, stop_timeout_s=1, timeout_s=T),
            containers.inspect("0" * 64, timeout_s=T),
        ):
            with pytest.raises(EngineUnavailable, match="cannot connect"):
                await act
        health = await containers.health()
        assert (health.status, bool(health.cure)) == ("down", True)
        await asyncio.to_thread(dockerd.start)
        with pytest.raises(EngineRefused, match="No such container"):
            await containers.start("0" * 64, timeout_s=T)
