"""The right container is restarted, once, and every other is untouched: on real engines, with the real Compose."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from target_scene import OBEYS, composed, hands

from servers.dockerd import Dockerd
from servers.waiting import eventually
from sreops.domain.incidents.incident import EffectOutcome, Reason

Patch = pytest.MonkeyPatch
pytestmark = [pytest.mark.needs("docker"), pytest.mark.timeout(300)]
EATS_ON_DEMAND = [
    "sh",
    "-c",
    "trap 'exit 0' TERM; while true; do [ -e /eat ] && rm /eat && exec tail /dev/zero; sleep 0.1; done",
]


def service(command: list[str], **more: object) -> dict[str, object]:
    return {"image": "busybox:test", "command": command, "network_mode": "host", "stop_grace_period": "1s", **more}


@pytest.fixture
def shops(dockerd: Dockerd, tmp_path: Path) -> Iterator[Path]:
    """Two Compose projects that both have a ``db``; ``shop`` has three replicas of ``web`` besides."""
    dockerd.import_busybox_image()
    file = tmp_path / "compose.json"
    web = service(EATS_ON_DEMAND, restart="always", mem_limit="32m", scale=3)
    file.write_text(json.dumps({"services": {"db": service(OBEYS), "web": web}}))
    composed(dockerd, file, "shop", "up", "-d", "--pull", "never")
    composed(dockerd, file, "monitoring", "up", "-d", "--pull", "never", "db")
    yield file
    for project in ("shop", "monitoring"):
        composed(dockerd, file, project, "down", "-t", "0")


@pytest.mark.needs("compose")
async def test_of_two_projects_the_one_that_the_alert_names(
    dockerd: Dockerd, shops: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    async with hands(tmp_path, monkeypatch, {"": dockerd}) as it:
        before = await it.lives()
        await it.fire(service="db")
        incident = await it.reaches("db", "escalated", "awaiting_approval")
        assert incident.reason is Reason.policy_denied
        told = str(incident.decision)
        assert "may mean any of monitoring-db-1 (project monitoring), shop-db-1 (project shop)" in told
        assert await it.touched_since(before) == set()
    async with hands(tmp_path, monkeypatch, {"": dockerd}) as it:
        await it.fire(service="db", compose_project="shop")
        incident = await it.approved("db")
        assert [(one.target, one.outcome) for one in incident.effects] == [("shop-db-1", EffectOutcome.succeeded)]
        assert incident.effects[0].standing == "docker/compose/shop/db"
        assert await it.touched_since(before) == {"/shop-db-1"}


@pytest.mark.needs("compose")
async def test_a_container_that_was_renamed_while_the_plan_waited_is_still_the_target(
    dockerd: Dockerd, shops: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    async with hands(tmp_path, monkeypatch, {"": dockerd}) as it:
        await it.fire(container="shop-db-1")
        incident = await it.reaches("shop-db-1", "awaiting_approval")
        made = await asyncio.to_thread(dockerd.inspect, "shop-db-1")
        renamed = await asyncio.to_thread(dockerd.api.post, f"/containers/{made['Id']}/rename?name=shop_db_9")
        assert renamed.status_code == 204
        before = await it.lives()
        incident = await it.approve(incident)
        assert [one.outcome for one in incident.effects] == [EffectOutcome.succeeded]
        assert await it.touched_since(before) == {"/shop_db_9"}


@pytest.mark.needs("compose")
async def test_a_container_that_somebody_made_anew_while_the_plan_waited_is_known_and_left_alone(
    dockerd: Dockerd, shops: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    async with hands(tmp_path, monkeypatch, {"": dockerd}) as it:
        await it.fire(container="shop-db-1")
        incident = await it.reaches("shop-db-1", "awaiting_approval")
        await asyncio.to_thread(composed, dockerd, shops, "shop", "up", "-d", "--force-recreate", "db")
        before = await it.lives()
        incident = await it.approve(incident)
        assert (incident.reason, incident.effects) == (Reason.policy_denied, ())
        assert "somebody else started" in str(incident.decision)
        assert await it.touched_since(before) == set()


@pytest.mark.needs("compose")
async def test_of_three_replicas_the_one_that_was_oom_killed(
    dockerd: Dockerd, shops: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    async with hands(tmp_path, monkeypatch, {"": dockerd}) as it:
        before = await it.lives()
        await it.fire(service="web", compose_project="shop")
        incident = await it.reaches("web", "escalated", "awaiting_approval")
        assert incident.reason is Reason.policy_denied, "none of them is ill: which one is for a person to say"
    async with hands(tmp_path, monkeypatch, {"": dockerd}) as it:
        ill = await asyncio.to_thread(dockerd.inspect, "shop-web-2")
        await asyncio.to_thread(run_inside, dockerd, ill["Id"], "touch", "/eat")

        def came_back() -> bool:
            return bool(dockerd.inspect(ill["Id"])["RestartCount"])

        await eventually(lambda: asyncio.to_thread(came_back), 60, what="the engine to start it again")
        killed = await it.lives()
        await it.fire(service="web", compose_project="shop")
        incident = await it.approved("web")
        assert [(one.target, one.outcome) for one in incident.effects] == [("shop-web-2", EffectOutcome.succeeded)]
        assert await it.touched_since(killed) == {"/shop-web-2"}
        assert await it.touched_since(before) == {"/shop-web-2"}
        evidence = await it.app.parts.store.evidence(incident.id)
        seen = [one.query for one in evidence if one.kind == "container"]
        assert seen == ["shop-web-2", "shop-web-1", "shop-web-3"]


@pytest.mark.needs("compose")
async def test_all_replicas_one_after_another_and_never_two_down(
    dockerd: Dockerd, shops: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    async with hands(tmp_path, monkeypatch, {"": dockerd}) as it:
        before = await it.lives()
        await it.fire(runbook="restart-all", service="web", compose_project="shop")
        incident = await it.approved("web")
        assert [one.target for one in incident.effects] == ["shop-web-1", "shop-web-2", "shop-web-3"]
        assert {one.outcome for one in incident.effects} == {EffectOutcome.succeeded}
        assert await it.touched_since(before) == {"/shop-web-1", "/shop-web-2", "/shop-web-3"}
        started = [(await asyncio.to_thread(dockerd.inspect, one.target))["State"] for one in incident.effects]
        for earlier, later in itertools.pairwise(started):
            assert earlier["StartedAt"] < later["FinishedAt"], "the one before was up when the next was stopped"


async def test_a_swarm_service_is_restarted_by_swarm(dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch) -> None:
    image = dockerd.import_busybox_image()
    dockerd.swarm_init()
    try:
        ids = {
            name: dockerd.run_service(image, OBEYS, name=name, labels={"com.docker.stack.namespace": "shop"})
            for name in ("shop_api", "shop_cart")
        }

        def all_run() -> bool:
            return all(dockerd.running_tasks(one) == 1 for one in ids.values())

        await eventually(lambda: asyncio.to_thread(all_run), 60, what="the tasks to run")
        async with hands(tmp_path, monkeypatch, {"": dockerd}) as it:
            before = await it.lives()
            await it.fire(swarm_service="shop_api")
            incident = await it.approved("shop_api")
            assert [(one.target, one.outcome) for one in incident.effects] == [("shop_api", EffectOutcome.succeeded)]

            async def replaced() -> bool:
                running = [one for one in await it.lives() if one.startswith("/shop_api.1.")]
                return len(running) == 2 and await asyncio.to_thread(all_run)

            await eventually(replaced, 60, what="Swarm to replace the task")
            assert {name.split(".")[0] for name in await it.touched_since(before)} == {"/shop_api"}
            services = {name: dockerd.api.get(f"/services/{one}").json() for name, one in ids.items()}
            forced = {name: one["Spec"]["TaskTemplate"].get("ForceUpdate", 0) for name, one in services.items()}
            assert forced == {"shop_api": 1, "shop_cart": 0}
    finally:
        dockerd.swarm_leave()


async def test_the_host_of_the_alert_picks_the_engine(dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch) -> None:
    with Dockerd() as other:
        engines = {"web1": dockerd, "web2": other}
        made = []
        for engine in engines.values():
            image = engine.import_busybox_image()
            made.append((engine, engine.run_container(image, OBEYS, name="api")))
        try:
            async with hands(tmp_path, monkeypatch, engines) as it:
                before = await it.lives()
                await it.fire(container="api")
                incident = await it.reaches("api", "escalated", "awaiting_approval")
                assert incident.reason is Reason.policy_denied
                assert "may mean any of api on web1, api on web2" in str(incident.decision)
            async with hands(tmp_path, monkeypatch, engines) as it:
                await it.fire(container="api", host="web3")
                incident = await it.reaches("api", "escalated", "awaiting_approval")
                assert incident.reason is Reason.policy_denied, "no engine is called so: nobody else's api is taken"
                assert await it.touched_since(before) == set()
            async with hands(tmp_path, monkeypatch, engines) as it:
                await it.fire(container="api", host="web2")
                incident = await it.approved("api")
                assert [one.standing for one in incident.effects] == ["docker%3Aweb2/container/api"]
                assert await it.touched_since(before) == {"web2/api"}
                health = (await it.client.get("/health")).json()
                assert {"docker:web1", "docker:web2"} <= health["checks"].keys()
        finally:
            for engine, container in made:
                engine.remove(container)


def run_inside(dockerd: Dockerd, container: str, *command: str) -> None:
    made = dockerd.api.post(f"/containers/{container}/exec", json={"Cmd": list(command)})
    started = dockerd.api.post(f"/exec/{made.json()['Id']}/start", json={"Detach": True})
    assert started.status_code == 200, started.text
