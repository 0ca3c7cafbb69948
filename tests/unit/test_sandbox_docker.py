import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiodocker
import aiohttp
import httpx
import pytest
from aiodocker.exceptions import DockerError

from sreops.sandbox.clock import WallClock
from sreops.sandbox.docker.api import docker_api
from sreops.sandbox.docker.container import Container
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.process import Idle
from sreops.sandbox.server import Server


class Engine(DockerEngine):
    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(WallClock(), **options)
        self.server = Server(docker_api(self), path=path)

    def web(self) -> Container:
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "sreops.enable": "true"}
        return self.add("shop-web-1", Idle(), labels=labels, healthcheck=True, env=("TOKEN=hidden",))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    engine = Engine(tmp_path / "docker.sock", swarm=True)
    async with engine.server:
        yield engine
        engine.faults.clear()
        await engine.close()


@pytest.fixture
async def docker(engine: Engine) -> AsyncIterator[aiodocker.Docker]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiodocker.Docker(url=engine.server.url, timeout=timeout) as docker:
        yield docker


@pytest.fixture
async def raw(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=engine.server.url.removeprefix("unix://"))
    async with httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=10) as client:
        yield client


async def test_the_version_is_negotiated(engine: Engine, docker: aiodocker.Docker) -> None:
    engine.web()
    assert [one["Names"] for one in await docker.containers.list()] == [["/shop-web-1"]]
    assert docker.api_version == "v1.52"
    assert (await docker.system.info())["ContainersRunning"] == 1


async def test_a_version_out_of_range_is_refused(engine: Engine) -> None:
    for version, said in (("v1.24", "client version 1.24 is too old. Minimum"), ("v1.99", "is too new. Maximum")):
        async with aiodocker.Docker(url=engine.server.url, api_version=version) as docker:
            with pytest.raises(DockerError, match=said) as caught:
                await docker.containers.list()
            assert caught.value.status == 400


async def test_inspect_shows_state_health_and_the_shape_of_its_version(engine: Engine, raw: httpx.AsyncClient) -> None:
    web = engine.web()
    shown = (await raw.get(f"/containers/{web.id}/json")).json()
    assert shown["State"]["Status"] == "running"
    assert shown["State"]["StartedAt"].endswith("Z")
    assert shown["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert shown["State"]["Health"] == {"Status": "starting", "FailingStreak": 0, "Log": []}
    assert "IPAddress" not in shown["NetworkSettings"]
    assert "IPAddress" in (await raw.get(f"/v1.51/containers/{web.id}/json")).json()["NetworkSettings"]
    plain = engine.add("plain", Idle())
    assert "Health" not in (await raw.get(f"/containers/{plain.name}/json")).json()["State"]


async def test_containers_are_found_by_id_prefix_and_name_and_by_nothing_else(
    engine: Engine, raw: httpx.AsyncClient
) -> None:
    web = engine.web()
    for reference in (web.id, web.id[:6], "shop-web-1"):
        assert (await raw.get(f"/containers/{reference}/json")).json()["Id"] == web.id
    missing = await raw.get("/v1.44/containers/nobody/json")
    assert (missing.status_code, missing.json()) == (404, {"message": "No such container: nobody"})
    assert missing.headers["content-type"] == "application/json"
    page = await raw.get("/v1.44/nothing")
    assert (page.status_code, page.json()) == (404, {"message": "page not found"})


async def test_lists_filter_as_the_engine_does(engine: Engine, docker: aiodocker.Docker) -> None:
    web = engine.web()
    engine.add("shop-web-10", Idle(), start=False)
    engine.probe(web, ok=True)

    async def names(**params: Any) -> list[str]:
        return sorted(one["Names"][0] for one in await docker.containers.list(**params))

    assert await names() == ["/shop-web-1"]
    assert await names(all=True) == ["/shop-web-1", "/shop-web-10"]
    assert len(await names(limit=1)) == 1
    for filters, found in (
        ({"label": ["com.docker.compose.project=shop", "sreops.enable"]}, ["/shop-web-1"]),
        ({"label": ["sreops.enable=false"]}, []),
        ({"name": ["shop-web-1"]}, ["/shop-web-1", "/shop-web-10"]),
        ({"name": ["^/shop-web-1$"]}, ["/shop-web-1"]),
        ({"status": ["created"]}, ["/shop-web-10"]),
        ({"health": ["healthy"]}, ["/shop-web-1"]),
        ({"health": ["none"]}, ["/shop-web-10"]),
        ({"id": [web.id[:5]]}, ["/shop-web-1"]),
    ):
        assert await names(all=True, filters=json.dumps(filters)) == found
    for wrong in ('{"colour":["red"]}', '{"status":["happy"]}', '{"health":["so-so"]}', "{", '{"label":"x"}', "[]"):
        with pytest.raises(DockerError, match="invalid filter") as caught:
            await docker.containers.list(filters=wrong)
        assert caught.value.status == 400


async def test_start_and_stop_say_when_there_was_nothing_to_do(engine: Engine, raw: httpx.AsyncClient) -> None:
    web = engine.web()
    path = f"/v1.44/containers/{web.id}"
    assert (await raw.post(f"{path}/start")).status_code == 304
    stopped = await raw.post(f"{path}/stop", params={"t": 1})
    assert (stopped.status_code, stopped.content) == (204, b"")
    assert (await raw.post(f"{path}/stop")).status_code == 304
    state = (await raw.get(f"{path}/json")).json()["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 143, 0)
    killed = await raw.post(f"{path}/kill")
    assert killed.status_code == 409
    assert killed.json()["message"].endswith("is not running")
    assert (await raw.post(f"{path}/start")).status_code == 204
    assert (await raw.post(f"{path}/kill", params={"signal": "SIGNONSENSE"})).status_code == 400
    assert (await raw.post(f"{path}/kill")).status_code == 204
    assert (await raw.get(f"{path}/json")).json()["State"]["ExitCode"] == 137
    assert (await raw.post("/v1.44/containers/nobody/restart")).status_code == 404
    assert (await raw.post(f"{path}/restart", params={"t": "soon"})).status_code == 400


async def test_a_restart_starts_anew_and_forgets_the_policy_s_restarts(
    engine: Engine, docker: aiodocker.Docker
) -> None:
    web = engine.web()
    engine.crash(web, 137, oom=True)
    container = docker.containers.container(web.id)
    before = await container.show()
    assert (before["RestartCount"], before["State"]["Running"]) == (1, True)
    await container.restart(t=1)
    after = await container.show()
    assert after["RestartCount"] == 0
    assert after["State"]["StartedAt"] > before["State"]["StartedAt"]
    assert after["Id"] == before["Id"]


async def test_what_ignores_the_signal_is_killed_when_its_grace_is_over(
    engine: Engine, docker: aiodocker.Docker
) -> None:
    stubborn = engine.add("stubborn", Idle(stop_s=None), restart_policy="no")
    await docker.containers.container(stubborn.id).stop(t=0)
    assert (stubborn.exit_code, stubborn.status) == (137, "exited")


async def test_a_container_that_cannot_start_says_so(engine: Engine, docker: aiodocker.Docker) -> None:
    process = Idle()
    web = engine.add("shop-web-1", process)
    process.refuses_to_start = "driver failed: port is already allocated"
    with pytest.raises(DockerError, match="port is already allocated") as caught:
        await docker.containers.container(web.id).restart(t=0)
    assert caught.value.status == 500
    state = (await docker.containers.container(web.id).show())["State"]
    assert (state["Status"], state["Error"]) == ("exited", "driver failed: port is already allocated")


async def test_a_restart_runs_on_when_the_client_goes_away(engine: Engine, docker: aiodocker.Docker) -> None:
    process = Idle(stop_s=0.2)
    web = engine.add("slow", process)
    with pytest.raises(TimeoutError):
        await docker.containers.container(web.id).restart(t=5, timeout=aiohttp.ClientTimeout(total=0.05))
    assert process.starts == 1
    while process.starts == 1:
        await web.changed.wait()
    assert web.running


async def test_a_restart_whose_answer_is_lost_has_happened(engine: Engine, docker: aiodocker.Docker) -> None:
    web = engine.web()
    engine.faults.reset(path="*/restart", after_acting=True)
    with pytest.raises(DockerError) as caught:
        await docker.containers.container(web.id).restart(t=0)
    assert caught.value.status == 900
    assert web.process.starts == 2  # type: ignore[attr-defined]
    engine.faults.reset(path="*/restart")
    with pytest.raises(DockerError):
        await docker.containers.container(web.id).restart(t=0)
    assert web.process.starts == 2  # type: ignore[attr-defined]
    engine.faults.fail(500, path="*/restart")
    with pytest.raises(DockerError, match="sandbox fault"):
        await docker.containers.container(web.id).restart(t=0)


async def test_three_failed_checks_make_it_unhealthy_and_the_engine_leaves_it_so(
    engine: Engine, docker: aiodocker.Docker
) -> None:
    web = engine.web()
    engine.probe(web, ok=True, output="ok")
    for streak in (1, 2, 3):
        engine.probe(web, ok=False, output="timed out")
        shown = (await docker.containers.container(web.id).show())["State"]["Health"]
        assert shown["FailingStreak"] == streak
    assert shown["Status"] == "unhealthy"
    assert [probe["ExitCode"] for probe in shown["Log"]] == [0, 1, 1, 1]
    assert web.running


async def test_logs_come_in_frames_with_tail_and_times(engine: Engine, docker: aiodocker.Docker) -> None:
    web = engine.web()
    for index in range(5):
        engine.log(web, f"line {index}", stream="stderr" if index == 3 else "stdout", ts_ns=(1000 + index) * 10**9)
    container = docker.containers.container(web.id)
    assert "".join(await container.log(stdout=True, stderr=True, tail=2)) == "line 3\nline 4\n"
    assert "".join(await container.log(stderr=True)) == "line 3\n"
    stamped = await container.log(stdout=True, timestamps=True, since=1002, until=1003)
    assert "".join(stamped) == "1970-01-01T00:16:42Z line 2\n"
    followed: list[str] = []
    async for piece in container.log(stdout=True, stderr=True, follow=True, tail=1):
        followed.append(piece)
        if len(followed) == 1:
            engine.log(web, "line 5")
        else:
            break
    assert "".join(followed) == "line 4\nline 5\n"


async def test_logs_want_a_stream(engine: Engine, raw: httpx.AsyncClient) -> None:
    answer = await raw.get(f"/containers/{engine.web().id}/logs")
    assert (answer.status_code, answer.json()["message"][:14]) == (400, "Bad parameters")


async def test_stats_wait_and_events(engine: Engine, docker: aiodocker.Docker) -> None:
    web = engine.web()
    container = docker.containers.container(web.id)
    (stats,) = await container.stats(stream=False)
    assert stats["memory_stats"]["usage"] - stats["memory_stats"]["stats"]["inactive_file"] == 6 << 20
    assert stats["cpu_stats"]["system_cpu_usage"] > stats["precpu_stats"]["system_cpu_usage"]
    happened = docker.events.subscribe()
    while not engine.faults.count(path="*/events"):  # noqa: ASYNC110 - nothing signals a request
        await asyncio.sleep(0)
    waiting = asyncio.ensure_future(container.wait())
    while not engine.faults.count(path="*/wait"):  # noqa: ASYNC110 - nothing signals a request
        await asyncio.sleep(0)
    await container.stop(t=1)
    assert (await waiting)["StatusCode"] == 143
    seen = []
    while "stop" not in seen:
        event = await happened.get()
        assert event["Type"] == "container"
        assert "status" not in event
        seen.append(event["Action"])
    assert seen == ["kill", "die", "stop"]


async def test_a_service_is_scaled_only_from_its_current_version(engine: Engine, docker: aiodocker.Docker) -> None:
    engine.add_service("api", 2, {"sreops.enable": "true"})
    (listed,) = await docker.services.list(filters={"name": ["api"]})
    shown = await docker.services.inspect("api")
    assert shown["ID"] == listed["ID"]
    spec, index = shown["Spec"], shown["Version"]["Index"]
    spec["Mode"]["Replicated"]["Replicas"] = 3
    path = f"services/{shown['ID']}/update"
    await docker._query_json(path, method="POST", params={"version": index}, data=spec)
    assert len(await docker.tasks.list(filters={"service": ["api"]})) == 3
    with pytest.raises(DockerError, match="update out of sequence") as caught:
        await docker._query_json(path, method="POST", params={"version": index}, data=spec)
    assert caught.value.status == 500
    with pytest.raises(DockerError) as caught:
        await docker._query_json(path, method="POST", params={}, data=spec)
    assert caught.value.status == 400
    with pytest.raises(DockerError, match="not found"):
        await docker.services.inspect("nobody")


async def test_without_a_swarm_services_are_503(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "plain.sock")
    async with engine.server, aiodocker.Docker(url=engine.server.url) as docker:
        with pytest.raises(DockerError, match="not a swarm manager") as caught:
            await docker.services.list()
        assert caught.value.status == 503


async def test_a_missing_socket_is_aiodocker_s_900(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "gone.sock")
    async with engine.server:
        url = engine.server.url
    async with aiodocker.Docker(url=url) as docker:
        with pytest.raises(DockerError) as caught:
            await docker.containers.list()
        assert caught.value.status == 900
