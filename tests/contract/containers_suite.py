"""What every ports.Containers must do; subclasses say how a world of containers is made (see test_containers_*.py)."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from sreops.adapters.docker import DockerContainers
from sreops.domain.evidence.evidence import ContainerState, Window
from sreops.domain.remediation.command import CommandOutput, CommandState
from sreops.errors import EngineRefused

T = 20.0


class Scene(Protocol):
    """What a test needs done to the engine behind the adapter's back."""

    host: str

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
        """Start a container, in a network of that name (made where there is none) or else the host's."""
        ...

    async def stop(self, container_id: str) -> None: ...

    async def remove(self, container_id: str) -> None: ...

    async def retag(self, reference: str) -> None:
        """Let ``reference`` mean an image that nothing meant before."""

    async def service(self, name: str, replicas: int, labels: Mapping[str, str]) -> str: ...

    async def running_tasks(self, service_id: str) -> int: ...

    async def redeploy(self, service_id: str, variable: str) -> None:
        """Update a service: its tasks get this variable, ``NAME=value``."""


async def until(containers: DockerContainers, container_id: str, health: str) -> ContainerState:
    deadline = time.monotonic() + T
    while True:
        seen = await containers.inspect(container_id, timeout_s=T)
        if seen is not None and seen.health == health:
            return seen
        assert time.monotonic() < deadline, f"not {health}: {seen}"
        await asyncio.sleep(0.05)


async def ended_command(containers: DockerContainers, container_id: str, command: str) -> CommandState:
    """Return the record of a command once it has ended: its output ends a moment before."""
    deadline = time.monotonic() + T
    while True:
        seen = await containers.command_state(container_id, command, timeout_s=T)
        assert seen is not None
        if not seen.running:
            return seen
        assert time.monotonic() < deadline, "it runs still"
        await asyncio.sleep(0.02)


class ContainersContract:
    """Subclasses give the fixtures ``scene``, ``containers`` and ``name`` (unique per test, as a prefix)."""

    async def test_a_container_is_found_by_its_exact_name_only(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        wanted = await scene.run(f"{name}.web", labels={"sreops.enable": "true"}, env={"PASSWORD": "hunter2"})
        await scene.run(f"{name}xweb")  # what an unescaped dot would match too
        await scene.run(f"{name}.web-2")
        found = await containers.find(f"{name}.web", timeout_s=T)
        assert found is not None
        assert (found.id, found.name, found.running, found.status) == (wanted, f"{name}.web", True, "running")
        assert found.labels["sreops.enable"] == "true"
        assert found.health is None
        assert found.started_at is not None
        assert found.started_at.tzinfo is not None
        assert found.finished_at is None
        assert "hunter2" not in found.model_dump_json()
        for other in (f"{name}.we", wanted[:12], wanted, f"/{name}.web", f"{name}.*", ".*", "", "a b", "x" * 400):
            assert await containers.find(other, timeout_s=T) is None, other

    async def test_else_the_only_container_of_a_compose_service_is_found(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        compose = {"com.docker.compose.service": f"{name}-api", "com.docker.compose.oneoff": "False"}
        wanted = await scene.run(f"{name}-shop-api-1", labels=compose)
        await scene.run(f"{name}-migrate", labels={**compose, "com.docker.compose.oneoff": "True"})
        found = await containers.find(f"{name}-api", timeout_s=T)
        assert found is not None
        assert found.id == wanted

    async def test_several_of_one_compose_service_are_refused_by_name(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        compose = {"com.docker.compose.service": f"{name}-api", "com.docker.compose.oneoff": "False"}
        for number in (1, 2):
            await scene.run(f"{name}-api-{number}", labels=compose)
        with pytest.raises(EngineRefused, match=rf"2 containers.*{name}-api-1, {name}-api-2.*params.container"):
            await containers.find(f"{name}-api", timeout_s=T)

    async def test_a_name_means_what_is_called_so_within_its_scope(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        def compose(project: str, number: int, service: str = "db") -> dict[str, str]:
            return {
                "com.docker.compose.project": f"{name}{project}",
                "com.docker.compose.service": f"{name}-{service}",
                "com.docker.compose.container-number": str(number),
                "com.docker.compose.oneoff": "False",
            }

        shop = await scene.run(f"{name}-s-1", labels=compose("shop", 1) | {"env": "prod"})
        second = await scene.run(f"{name}-s-2", labels=compose("shop", 2))
        other = await scene.run(f"{name}-m-1", labels=compose("mon", 1))
        await scene.run(f"{name}-web-1", labels=compose("shop", 1, "web"))
        plain = await scene.run(f"{name}-db")

        async def found(wanted: str, scope: dict[str, str], *, exact: bool = False) -> list[str]:
            seen = await containers.matching(wanted, scope, exact=exact, timeout_s=T)
            return [one.id for one in seen]

        project = {"compose_project": f"{name}shop"}
        assert await found(f"{name}-db", {}) == [plain, other, shop, second]
        assert await found(f"{name}-db", {}, exact=True) == [plain]
        assert await found(f"{name}-db", project) == [shop, second]
        assert await found(f"{name}-db", project, exact=True) == [shop, second]
        assert await found(f"{name}-db", project | {"environment": "test"}) == [second], "the other says it is prod"
        assert await found(f"{name}-db", {"compose_project": "elsewhere"}) == []
        for joint in "-_":
            assert await found(f"{name}shop{joint}{name}-db{joint}2", {}) == [second]
            assert await found(f"{name}shop{joint}{name}-db", {}) == [shop, second]
        assert await found(f"{name}-d", {}) == []

    async def test_a_standing_identity_leads_to_its_containers_under_whatever_name(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        labels = {
            "com.docker.compose.project": name, "com.docker.compose.service": "db",
            "com.docker.compose.oneoff": "False",
        }  # fmt: skip
        first = await scene.run(f"{name}-one", labels=labels)
        await scene.run(f"{name}-run", labels=labels | {"com.docker.compose.oneoff": "True"})
        second = await scene.run(f"{name}-two", labels=labels)
        plain = await scene.run(f"{name}-plain")

        async def held(identity: str) -> list[str]:
            return [one.id for one in await containers.standing(identity, timeout_s=T)]

        assert await held(f"docker/compose/{name}/db") == [first, second]
        assert await held(f"docker/container/{name}-plain") == [plain]
        for nobody in (f"docker/container/{name}-one", f"docker%3Aweb1/container/{name}-plain", "nonsense", ""):
            assert await held(nobody) == [], nobody

    async def test_neighbours_are_those_it_depends_on_and_that_depend_on_it(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        def compose(service: str, *needs: str, project: str = name, oneoff: str = "False") -> dict[str, str]:
            return {
                "com.docker.compose.project": project,
                "com.docker.compose.service": service,
                "com.docker.compose.oneoff": oneoff,
                "com.docker.compose.depends_on": ",".join(needs),
            }

        own = await scene.run(
            f"{name}-b", labels=compose("b", "c:service_healthy:false", "m:service_completed_successfully:false")
        )
        calling = await scene.run(f"{name}-a", labels=compose("a", "x:service_started:false", "b:service_started:true"))
        called = await scene.run(f"{name}-c", labels=compose("c"))
        await scene.run(f"{name}-m", labels=compose("m"))
        await scene.run(f"{name}-b2", labels=compose("b", "c:service_healthy:false"))
        await scene.run(f"{name}-run", labels=compose("a", "b:service_started:true", oneoff="True"))
        await scene.run(f"{name}-other", labels=compose("c", "b:service_started:true", project=f"{name}-o"))
        await scene.stop(called)
        state = await containers.inspect(own, timeout_s=T)
        assert state is not None
        found = await containers.neighbours(state, timeout_s=T)
        assert [(one.id, one.running) for one in found] == [(calling, True), (called, False)]

    async def test_peers_share_a_network_of_the_project_and_come_last_the_worst_off_first(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        def compose(service: str, needs: str = "") -> dict[str, str]:
            labels = {"com.docker.compose.project": name, "com.docker.compose.service": service}
            return {**labels, "com.docker.compose.depends_on": needs}

        front, back = f"{name}_front", f"{name}_back"
        own = await scene.run(f"{name}-web", labels=compose("web", "db:service_started:false"), network=front)
        db = await scene.run(f"{name}-db", labels=compose("db"), network=back)
        near = await scene.run(f"{name}-a", labels=compose("a", "mig:service_completed_successfully"), network=front)
        down = await scene.run(f"{name}-z", labels=compose("z"), network=front)
        await scene.run(f"{name}-mig", labels=compose("mig"), network=front)
        await scene.run(f"{name}-web2", labels=compose("web"), network=front)
        await scene.run(f"{name}-apart", labels=compose("apart"), network=back)
        await scene.run(f"{name}-stranger", network=front)
        hosted = await scene.run(f"{name}-h", labels=compose("h"))
        await scene.stop(down)
        state = await containers.inspect(own, timeout_s=T)
        assert state is not None
        assert state.networks == (front,)
        found = await containers.neighbours(state, timeout_s=T)
        assert [one.id for one in found] == [db, down, near, hosted]

    async def test_without_compose_the_same_value_of_a_declared_label_makes_peers(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        part_of = "app.kubernetes.io/part-of"
        own = await scene.run(f"{name}-web", labels={part_of: name})
        near = await scene.run(f"{name}-db", labels={part_of: name})
        await scene.run(f"{name}-other", labels={part_of: f"{name}2"})
        state = await containers.inspect(own, timeout_s=T)
        assert state is not None
        assert [one.id for one in await containers.neighbours(state, timeout_s=T)] == [near]

    async def test_without_labels_there_are_no_neighbours(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        state = await containers.inspect(await scene.run(name), timeout_s=T)
        assert state is not None
        assert list(await containers.neighbours(state, timeout_s=T)) == []

    async def test_a_container_that_is_gone_is_none(self, containers: DockerContainers) -> None:
        assert await containers.inspect("0" * 64, timeout_s=T) is None

    async def test_part_of_an_id_never_reaches_the_engine(self, containers: DockerContainers) -> None:
        for wrong in ("0" * 12, "web", "../images", "0" * 63 + "/"):
            with pytest.raises(EngineRefused, match="full container id"):
                await containers.inspect(wrong, timeout_s=T)
            with pytest.raises(EngineRefused, match="full container id"):
                await containers.restart(wrong, stop_timeout_s=1, timeout_s=T)

    async def test_a_restart_changes_started_at_and_nothing_else_of_its_identity(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        container_id = await scene.run(name)
        before = await containers.inspect(container_id, timeout_s=T)
        await containers.restart(container_id, stop_timeout_s=2, timeout_s=T)
        after = await containers.inspect(container_id, timeout_s=T)
        assert before is not None
        assert after is not None
        assert after.running
        assert after.started_at is not None
        assert before.started_at is not None
        assert after.started_at > before.started_at
        assert (after.id, after.name, after.created_at) == (before.id, before.name, before.created_at)

    async def test_a_container_that_ignores_term_is_killed_after_the_stop_timeout(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        container_id = await scene.run(name, ignores_term=True)
        began = time.monotonic()
        await containers.restart(container_id, stop_timeout_s=1, timeout_s=T)
        assert time.monotonic() - began >= 0.9
        after = await containers.inspect(container_id, timeout_s=T)
        assert after is not None
        assert after.running

    async def test_without_a_stop_timeout_of_ours_the_containers_own_holds(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        patient = await scene.run(name, ignores_term=True, stop_timeout_s=2)
        silent = await scene.run(f"{name}-silent")
        seen = await containers.inspect(patient, timeout_s=T)
        assert seen is not None
        assert seen.stop_timeout_s == 2.0
        said_nothing = await containers.inspect(silent, timeout_s=T)
        assert said_nothing is not None
        assert said_nothing.stop_timeout_s is None
        began = time.monotonic()
        await containers.restart(patient, stop_timeout_s=None, timeout_s=T)
        assert 1.9 <= time.monotonic() - began < 9, "neither our default nor the engine's"

    async def test_a_stopped_one_is_started_and_a_running_one_is_left(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        container_id = await scene.run(name)
        await scene.stop(container_id)
        stopped = await containers.inspect(container_id, timeout_s=T)
        assert stopped is not None
        assert not stopped.running
        assert stopped.status == "exited"
        assert stopped.finished_at is not None
        await containers.start(container_id, timeout_s=T)
        started = await containers.inspect(container_id, timeout_s=T)
        await containers.start(container_id, timeout_s=T)
        again = await containers.inspect(container_id, timeout_s=T)
        assert started is not None
        assert again is not None
        assert started.running
        assert again.started_at == started.started_at

    async def test_a_stop_ends_it_in_the_time_that_it_asks_for_and_it_stays_so(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        stubborn = await scene.run(name, ignores_term=True, stop_timeout_s=1)
        before = await containers.inspect(stubborn, timeout_s=T)
        assert before is not None
        began = time.monotonic()
        await containers.stop(stubborn, stop_timeout_s=None, timeout_s=T)
        assert 0.8 < time.monotonic() - began < 8
        await containers.stop(stubborn, stop_timeout_s=5, timeout_s=T)  # one that does not run is no error
        after = await containers.inspect(stubborn, timeout_s=T)
        assert after is not None
        assert (after.running, after.status, after.exit_code) == (False, "exited", 137)
        assert (after.id, after.started_at, after.restart_count) == (before.id, before.started_at, before.restart_count)
        assert after.finished_at is not None

    async def test_a_command_runs_once_and_tells_its_end_and_its_last_lines(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        container_id = await scene.run(name)
        command = await containers.prepare_command(container_id, ["sh", "-c", "echo first; echo last"], timeout_s=T)
        before = await containers.command_state(container_id, command, timeout_s=T)
        assert before == CommandState(running=False, exit_code=None, pid=0)
        output = await containers.run_command(container_id, command, timeout_s=T)
        assert output == CommandOutput(lines=("first", "last"), whole=True)
        after = await ended_command(containers, container_id, command)
        assert (after.running, after.exit_code) == (False, 0)
        again = await containers.run_command(container_id, command, timeout_s=T)
        assert "has already run" in again.lines[0], "a record is started once, ever"
        assert await containers.command_state(container_id, command, timeout_s=T) == after

    async def test_a_command_that_fails_tells_its_exit_code(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        container_id = await scene.run(name)
        command = await containers.prepare_command(container_id, ["sh", "-c", "echo no >&2; exit 3"], timeout_s=T)
        assert (await containers.run_command(container_id, command, timeout_s=T)).lines == ("no",)
        assert (await ended_command(containers, container_id, command)).exit_code == 3
        missing = await containers.prepare_command(container_id, ["/no/such/program"], timeout_s=T)
        assert "/no/such/program" in " ".join((await containers.run_command(container_id, missing, timeout_s=T)).lines)
        assert (await ended_command(containers, container_id, missing)).exit_code in (126, 127)
        with pytest.raises(EngineRefused, match="404"):
            await containers.run_command(container_id, "0" * 64, timeout_s=T)

    async def test_a_command_outlives_whoever_follows_it_and_ends_with_its_container(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        container_id = await scene.run(name)
        command = await containers.prepare_command(container_id, ["sleep", "600"], timeout_s=T)
        never = await containers.prepare_command(container_id, ["sleep", "600"], timeout_s=T)
        assert not (await containers.run_command(container_id, command, timeout_s=1)).whole
        seen = await containers.command_state(container_id, command, timeout_s=T)
        assert seen is not None
        assert (seen.running, seen.exit_code) == (True, None)
        assert seen.pid > 0
        await containers.restart(container_id, stop_timeout_s=1, timeout_s=T)
        assert (await ended_command(containers, container_id, command)).exit_code == 137
        assert await containers.command_state(container_id, never, timeout_s=T) is None

    async def test_no_command_is_made_in_what_does_not_run(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        container_id = await scene.run(name)
        await scene.stop(container_id)
        with pytest.raises(EngineRefused, match="409"):
            await containers.prepare_command(container_id, ["true"], timeout_s=T)
        for strange in ("", "../containers/json", "0" * 63):
            with pytest.raises(EngineRefused):
                await containers.command_state(container_id, strange, timeout_s=T)

    async def test_acting_on_what_is_gone_is_refused(self, containers: DockerContainers) -> None:
        for act in (
            containers.restart("0" * 64, stop_timeout_s=1, timeout_s=T),
            containers.start("0" * 64, timeout_s=T),
            containers.logs("0" * 64, since=datetime.now(UTC), limit=5, timeout_s=T),
        ):
            with pytest.raises(EngineRefused) as caught:
                await act
            assert caught.value.status == 404

    async def test_health_checks_show_with_what_they_said(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        well = await scene.run(f"{name}-well", healthy=True)
        ill = await scene.run(f"{name}-ill", healthy=False)
        assert (await until(containers, well, "healthy")).running
        seen = await until(containers, ill, "unhealthy")
        assert any("exit 1: no pulse" in line for line in seen.health_log)
        assert all(line.isprintable() for line in seen.health_log)

    @pytest.mark.parametrize("tty", [False, True])
    async def test_logs_are_the_last_lines_with_their_times(
        self, scene: Scene, containers: DockerContainers, name: str, tty: bool
    ) -> None:
        since = datetime.now(UTC) - timedelta(minutes=1)
        container_id = await scene.run(name, lines=[f"line {n} ä" for n in range(5)], tty=tty)
        deadline = time.monotonic() + T
        while True:
            answer = await containers.logs(container_id, since=since, limit=100, timeout_s=T)
            if len(answer.lines) == 5:
                break
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.05)
        assert [line.text for line in answer.lines] == [f"line {n} ä" for n in range(5)]
        assert all(since < line.at < datetime.now(UTC) + timedelta(minutes=1) for line in answer.lines)
        assert not answer.partial
        last = await containers.logs(container_id, since=since, limit=2, timeout_s=T)
        assert [line.text for line in last.lines] == ["line 3 ä", "line 4 ä"]
        assert last.partial
        later = datetime.now(UTC) + timedelta(minutes=1)
        assert (await containers.logs(container_id, since=later, limit=9, timeout_s=T)).lines == ()

    async def test_events_tell_what_happened_to_a_container_and_to_no_other(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        begun = datetime.now(UTC) - timedelta(seconds=1)
        wanted = await scene.run(name)
        await scene.run(f"{name}-2")  # the engine's own filter takes the beginning of a name for the whole
        await containers.restart(wanted, stop_timeout_s=1, timeout_s=T)
        await scene.stop(wanted)
        window = Window(start=begun, end=datetime.now(UTC))
        told = await containers.events([name], window, limit=100, timeout_s=T)
        assert {(one.name, one.container_id) for one in told.events} == {(name, wanted)}
        actions = [one.action for one in told.events]
        assert [action for action in actions if action != "kill"] == [
            "create", "start", "die", "stop", "start", "restart", "die", "stop",
        ]  # fmt: skip
        assert next(one.signal for one in told.events if one.action == "kill") == 15
        assert all(one.exit_code is not None for one in told.events if one.action == "die")
        assert all(begun <= one.at <= window.end for one in told.events)
        assert not told.partial
        assert f"docker events --since {begun.isoformat()}" in told.query
        last = await containers.events([name], window, limit=2, timeout_s=T)
        assert ([one.action for one in last.events], last.partial) == (["die", "stop"], True)
        earlier = Window(start=begun - timedelta(minutes=9), end=begun - timedelta(minutes=1))
        assert (await containers.events([name], earlier, limit=9, timeout_s=T)).events == ()

    async def test_events_outlive_their_container(self, scene: Scene, containers: DockerContainers, name: str) -> None:
        begun = datetime.now(UTC) - timedelta(seconds=1)
        first = await scene.run(name)
        await scene.remove(first)
        second = await scene.run(name)
        told = await containers.events([name], Window(start=begun, end=datetime.now(UTC)), limit=99, timeout_s=T)
        assert [one.container_id for one in told.events if one.action in ("create", "destroy")] == [
            first, first, second,
        ]  # fmt: skip

    async def test_no_name_that_is_none_reaches_the_engine_s_events(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        window = Window(start=datetime.now(UTC) - timedelta(minutes=1), end=datetime.now(UTC))
        await scene.run(name)
        for wrong in ([], ["a b"], ["../x"], [""], ['"]}']):
            assert (await containers.events(wrong, window, limit=9, timeout_s=T)).events == ()

    async def test_a_container_keeps_its_image_when_the_tag_comes_to_mean_another(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        tag = f"{name}/app:1.0"
        await scene.retag(tag)
        state = await containers.inspect(await scene.run(name, image=tag), timeout_s=T)
        assert state is not None
        before = await containers.image(tag, timeout_s=T)
        assert before is not None
        assert (state.image, state.image_id) == (tag, before.id)
        assert before.id.startswith("sha256:")
        await scene.retag(tag)
        after = await containers.image(tag, timeout_s=T)
        again = await containers.inspect(state.id, timeout_s=T)
        assert after is not None
        assert again is not None
        assert after.id != before.id
        assert (again.image_id, again.config) == (before.id, state.config)
        for wrong in (f"{name}/other:1.0", "../containers", "a b", "", "x" * 600, f"{name}/app:1.0/json?x="):
            assert await containers.image(wrong, timeout_s=T) is None, wrong

    async def test_the_digest_of_a_configuration_tells_it_apart_and_no_secret(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        async def digest(suffix: str, **made: dict[str, str]) -> str:
            state = await containers.inspect(await scene.run(f"{name}-{suffix}", **made), timeout_s=T)  # type: ignore[arg-type]
            assert state is not None
            return state.config

        one = await digest("a", env={"TOKEN": "x"})
        assert one
        assert await digest("b", env={"TOKEN": "y"}) == one  # a value may be a secret that is short enough to guess
        assert await digest("c", env={"TOKEN": "x", "URL": ""}) != one
        compose = {"com.docker.compose.config-hash": "1"}
        assert await digest("d", env={"TOKEN": "x"}, labels=compose) != one

    async def test_a_service_is_found_by_its_exact_name_and_scaled(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        service_id = await scene.service(f"{name}-web", 1, {"sreops.enable": "true"})
        await scene.service(f"{name}-web-two", 1, {})
        found = await containers.service(f"{name}-web", timeout_s=T)
        assert found is not None
        assert (found.id, found.name, found.replicas) == (service_id, f"{name}-web", 1)
        assert found.labels == {"sreops.enable": "true"}
        assert await containers.service(f"{name}-we", timeout_s=T) is None
        assert await containers.service(service_id, timeout_s=T) is None
        await containers.scale(service_id, replicas=3, timeout_s=T)
        deadline = time.monotonic() + T
        while await scene.running_tasks(service_id) != 3:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        scaled = await containers.service(f"{name}-web", timeout_s=T)
        assert scaled is not None
        assert (scaled.replicas, scaled.running) == (3, 3)
        await containers.scale(service_id, replicas=3, timeout_s=T)  # what is so already is no error
        await asyncio.gather(*(containers.scale(service_id, replicas=n, timeout_s=T) for n in (1, 2)))
        raced = await containers.service(f"{name}-web", timeout_s=T)
        assert raced is not None
        assert raced.replicas in (1, 2)

    async def test_a_service_goes_back_to_its_previous_version_and_tells_so(
        self, scene: Scene, containers: DockerContainers, name: str
    ) -> None:
        service_id = await scene.service(name, 1, {})
        first = await containers.service(name, timeout_s=T)
        assert first is not None
        assert (first.previous_spec, first.update) == ("", "")
        with pytest.raises(EngineRefused, match="no previous specification"):
            await containers.roll_back(service_id, spec=first.spec, previous="", timeout_s=T)
        await scene.redeploy(service_id, "VERSION=2")
        second = await containers.service(name, timeout_s=T)
        assert second is not None
        assert second.spec != first.spec == second.previous_spec
        assert "VERSION" not in second.model_dump_json()
        with pytest.raises(EngineRefused, match="was changed since"):
            await containers.roll_back(service_id, spec=first.spec, previous=second.spec, timeout_s=T)
        await containers.roll_back(service_id, spec=second.spec, previous=first.spec, timeout_s=T)
        third = await containers.service(name, timeout_s=T)
        assert third is not None
        assert (third.spec, third.previous_spec) == (first.spec, second.spec)
        assert third.update.startswith("rollback")
        await containers.scale(service_id, replicas=2, timeout_s=T)
        fourth = await containers.service(name, timeout_s=T)
        assert fourth is not None
        assert fourth.spec == fourth.previous_spec == first.spec, "after a scale there is no older version"

    async def test_scaling_what_is_no_service_is_refused(self, containers: DockerContainers) -> None:
        for wrong in ("0" * 25, "web", "../containers"):
            with pytest.raises(EngineRefused):
                await containers.scale(wrong, replicas=2, timeout_s=T)

    async def test_health_says_which_engine(self, containers: DockerContainers) -> None:
        health = await containers.health()
        assert health.status == "up"
        assert "API 1." in health.detail

    async def test_after_close_it_connects_anew(self, containers: DockerContainers) -> None:
        await containers.close()
        assert await containers.inspect("0" * 64, timeout_s=T) is None

    async def test_neither_environment_nor_context_leads_elsewhere(
        self, containers: DockerContainers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for variable, value in {
            "DOCKER_HOST": "tcp://127.0.0.1:9",
            "DOCKER_CONTEXT": "elsewhere",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": "/nowhere",
            "HTTP_PROXY": "http://127.0.0.1:9",
        }.items():
            monkeypatch.setenv(variable, value)
        assert (await containers.health()).status == "up"
