"""How the agent treats its targets: as long to stop as they wish, each once whatever it is called, some never."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from loop_scene import Scene, loop_scene

from servers.waiting import eventually
from sreops.domain.incidents.incident import EffectOutcome, Reason, Resolution
from sreops.sandbox.docker.api import docker_api
from sreops.sandbox.docker.container import Container
from sreops.sandbox.server import Server
from sreops.sandbox.shop.service import ShopService
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch


async def _holds(it: Scene, incident_id: str, alerts: int) -> bool:
    return len((await it.store.incident(incident_id)).fingerprints) == alerts


class Flushing:
    """A service that needs its time to write what it holds before it ends."""

    def __init__(self, service: ShopService, stop_s: float) -> None:
        self._service, self._stop_s = service, stop_s

    def __getattr__(self, name: str) -> object:
        return getattr(self._service, name)

    def stop_seconds(self) -> float | None:
        return self._stop_s


def leaking() -> World:
    world = World(claude=False, past_s=700, scrape_interval_s=0.5, window="5s")
    world.shop.leak("payments", full_in_s=-20, fills_in_s=600)
    return world


def payments(world: World) -> Container:
    container = world.engine.find("payments")
    assert container is not None
    return container


async def test_a_container_has_the_time_to_stop_that_it_asks_for(tmp_path: Path, monkeypatch: Patch) -> None:
    world = leaking()
    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_DOCKER__TIMEOUT_S="2") as it:
        container = payments(world)
        container.stop_timeout_s = 30
        container.process = Flushing(it.world.shop.services["payments"], stop_s=4.0)  # type: ignore[assignment]  # by __getattr__
        await it.fire()
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed
        [effect] = incident.effects
        assert (effect.outcome, effect.detail) == (EffectOutcome.succeeded, ""), "our time-outs follow the container's"
        signals = [one.attributes.get("signal") for one in world.engine.events if one.action == "kill"]
        assert signals == ["15"], "it was asked, and not killed"


@pytest.mark.parametrize("own_s", [601, -1])
async def test_what_may_take_too_long_to_stop_is_for_a_person_to_decide(
    tmp_path: Path, monkeypatch: Patch, own_s: int
) -> None:
    world = leaking()
    async with loop_scene(tmp_path, monkeypatch, world) as it:
        payments(world).stop_timeout_s = own_s
        await it.fire()
        incident = await it.reaches("awaiting_approval")
        assert "stop" in str((incident.decision or {})["policy"]["reasons"])
        assert it.starts() == 1


async def test_one_container_under_two_names_is_restarted_once(tmp_path: Path, monkeypatch: Patch) -> None:
    world = leaking()
    async with loop_scene(tmp_path, monkeypatch, world) as it:
        payments(world).name = "shop-payments-1"
        sure = {"runbook_id": "restart-on-memory", "escalate_threshold": "0"}
        await it.fire("payments", **sure)
        await it.fire("shop-payments-1", **sure)
        for name in ("payments", "shop-payments-1"):
            await it.ended(name)
        assert it.starts() == 2, "the shop's opening, and one restart"


async def test_two_incidents_of_one_container_become_one(tmp_path: Path, monkeypatch: Patch) -> None:
    world = leaking()
    async with loop_scene(tmp_path, monkeypatch, world) as it:
        payments(world).name = "shop-payments-1"
        await it.fire("payments", tier="supervised")
        await it.fire("shop-payments-1", "MemoryNearLimit", tier="supervised")

        async def merged() -> bool:
            found = [await it.incident(name) for name in ("payments", "shop-payments-1")]
            return any(one is not None and one.merged_into for one in found)

        await eventually(merged, 30, what="the younger to join the older")
        [younger] = [one for one in (await it.store.incidents())[0] if one.merged_into]
        older = await it.store.incident(younger.merged_into or "")
        assert len(older.fingerprints) == 2
        await it.fire("shop-payments-1", "Third", tier="supervised")
        await eventually(lambda: _holds(it, older.id, 3), 20, what="the third to join under the other name")


async def test_what_carries_the_protecting_label_is_never_touched(tmp_path: Path, monkeypatch: Patch) -> None:
    world = leaking()
    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_POLICY__TARGETS="*") as it:
        container = payments(world)
        container.labels = {**container.labels, "sreops.protect": "true"}
        await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert "never acted upon: its label sreops.protect=true" in str(incident.decision)
        assert it.starts() == 1


async def test_the_proxy_of_the_engines_socket_is_never_touched(tmp_path: Path, monkeypatch: Patch) -> None:
    world = leaking()
    async with Server(docker_api(world.engine)) as proxy:
        port = urlsplit(proxy.url).port
        assert port is not None
        host = f"tcp://127.0.0.1:{port}"
        async with loop_scene(tmp_path, monkeypatch, world, SREOPS_POLICY__TARGETS="*", SREOPS_DOCKER__HOST=host) as it:
            payments(world).ports = {port: 2375}
            await it.fire()
            incident = await it.ended()
            assert incident.reason is Reason.policy_denied
            why = "it is the proxy of the engine's socket of sreops (SREOPS_DOCKER__HOST leads to it"
            assert why in str(incident.decision)
            assert it.starts() == 1


NAMED = """
version: 1
runbooks:
  - id: by-its-real-name
    when: {alertname: ["*"]}
    autonomy: supervised
    steps:
      - {action: restart_container, params: {service: payments}}
      - {action: notify, params: {message: "{{ container }} was restarted"}}
    verify:
      - {promql: 'max(container_health_state{name="{{ container }}"})', condition: "== 1"}
"""


async def test_the_targets_real_name_in_the_engine_stands_in_the_plan(tmp_path: Path, monkeypatch: Patch) -> None:
    books = tmp_path / "named.yaml"
    books.write_text(NAMED)
    sure = {"runbook_id": "by-its-real-name", "escalate_threshold": "0"}
    world = leaking()
    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_RUNBOOKS=str(books)) as it:
        payments(world).name = "shop-payments-1"
        await it.fire(**sure)
        incident = await it.reaches("awaiting_approval")
        plan = (incident.decision or {})["plan"]
        assert plan["steps"][0]["target"] == "shop-payments-1"
        assert plan["steps"][1]["params"] == {"message": "shop-payments-1 was restarted"}
        assert plan["verify"][0]["promql"] == 'max(container_health_state{name="shop-payments-1"})'


async def test_without_a_target_that_the_engine_knows_its_real_name_is_no_guess(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    books = tmp_path / "named.yaml"
    books.write_text(NAMED)
    sure = {"runbook_id": "by-its-real-name", "escalate_threshold": "0"}
    world = leaking()
    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_RUNBOOKS=str(books)) as it:
        payments(world).name = "something-else"
        payments_labels = world.engine.find("something-else")
        assert payments_labels is not None
        payments_labels.labels = {}
        await it.fire(**sure)
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert "'{{ container }}' needs the one target that 'payments' means" in str(incident.decision)
        assert it.starts() == 1
