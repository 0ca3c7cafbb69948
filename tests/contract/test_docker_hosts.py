"""Several engines as one: the host picks one, an id is where it is, and one that is away hides nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sreops.adapters.docker import DockerContainers, DockerHosts
from sreops.errors import EngineRefused, EngineUnavailable, SettingsInvalid, TargetAmbiguous
from sreops.sandbox.clock import WallClock
from sreops.sandbox.docker.api import docker_api
from sreops.sandbox.docker.container import Container
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.process import Idle
from sreops.sandbox.server import Server
from sreops.settings import DockerSettings, load_settings

T = 10.0
NAMES = ("", "web1.example.com", "web2")


class Machines:
    """Three engines, each with an ``api`` of its own, and the adapter over all of them."""

    def __init__(self, folder: Path) -> None:
        self.engines = {name: DockerEngine(WallClock()) for name in NAMES}
        self.servers = {
            name: Server(docker_api(engine), path=folder / f"{number}.sock")
            for number, (name, engine) in enumerate(self.engines.items())
        }
        self.apis: dict[str, Container] = {}
        for number, (name, engine) in enumerate(self.engines.items()):
            self.apis[name] = engine.add("api", Idle(), id=f"{number}" * 64)
        settings = DockerSettings(
            host=self.servers[""].url, hosts={name: self.servers[name].url for name in NAMES if name}
        )
        self.hosts = DockerHosts({name: DockerContainers(settings, name=name) for name in settings.engines})

    async def found(self, **scope: str) -> list[str]:
        return [one.engine for one in await self.hosts.matching("api", scope, timeout_s=T)]


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[Machines]:
    machines = Machines(tmp_path)
    for server in machines.servers.values():
        await server.start()
    yield machines
    await machines.hosts.close()
    for server in machines.servers.values():
        await server.stop()


async def test_the_host_picks_the_engine_by_whole_or_short_name(machines: Machines) -> None:
    assert await machines.found() == list(NAMES)
    for host in ("web2", "WEB2", "web2.example.com", "web2."):
        assert await machines.found(host=host) == ["web2"], host
    for host in ("web1", "web1.example.com"):
        assert await machines.found(host=host) == ["web1.example.com"], host
    assert await machines.found(host="web3") == [""], "the nameless one is for hosts that nobody named"


async def test_without_a_nameless_engine_an_unknown_host_is_nowhere(machines: Machines) -> None:
    named = DockerHosts({name: engine for name, engine in machines.hosts._engines.items() if name})
    assert await named.matching("api", {"host": "web3"}, timeout_s=T) == []
    assert await named.find("api", scope={"host": "web3"}, timeout_s=T) is None


async def test_namesakes_on_two_engines_are_a_choice(machines: Machines) -> None:
    with pytest.raises(TargetAmbiguous) as caught:
        await machines.hosts.find("api", timeout_s=T)
    assert caught.value.choice == ("api", "api on web1.example.com", "api on web2")


async def test_what_is_done_to_an_id_is_done_where_it_is(machines: Machines) -> None:
    wanted = machines.apis["web2"]
    before = {name: one.started_ns for name, one in machines.apis.items()}
    await machines.hosts.restart(wanted.id, stop_timeout_s=0, timeout_s=T)
    assert [name for name, one in machines.apis.items() if one.started_ns != before[name]] == ["web2"]
    seen = await machines.hosts.inspect(wanted.id, timeout_s=T)
    assert seen is not None
    assert seen.engine == "web2"
    identity = "docker%3Aweb2/container/api"
    assert [one.id for one in await machines.hosts.standing(identity, timeout_s=T)] == [wanted.id]
    assert await machines.hosts.inspect("f" * 64, timeout_s=T) is None
    with pytest.raises(EngineRefused, match="no engine holds"):
        await machines.hosts.start("f" * 64, timeout_s=T)


async def test_while_one_engine_is_away_nothing_is_known_of_all_and_the_others_go_on(machines: Machines) -> None:
    await machines.servers["web2"].stop()
    with pytest.raises(EngineUnavailable):
        await machines.hosts.matching("api", {}, timeout_s=T)
    assert await machines.found(host="web1") == ["web1.example.com"]
    assert (await machines.hosts.health()).status == "down"


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        ({"hosts": {"a": "unix:///run/a.sock", "b": "unix:///run/a.sock"}}, "name each engine once"),
        ({"host": "unix:///run/a.sock", "hosts": {"a": "unix:///run/a.sock"}}, "name each engine once"),
        ({"hosts": {"a": ""}}, "a: give an address"),
        ({"hosts": {"a": "nonsense"}}, "HOSTS__a"),
        ({"hosts": {"a/b": "unix:///run/a.sock"}}, "HOSTS"),
    ],
)
def test_engines_that_can_not_be_told_apart_are_refused(docker: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(docker=docker)
    assert said.lower() in str(caught.value).lower()
