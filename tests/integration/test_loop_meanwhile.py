"""What happens between the evidence and the act: ``not_when``, somebody else's hand, the alert's own end."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path

import pytest
from loop_scene import Scene, loop_scene

from servers.waiting import eventually
from sreops.domain.incidents.incident import Incident, Reason, Resolution
from sreops.sandbox.claude import Say
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.process import Idle
from sreops.sandbox.docker.swarm import Service
from sreops.sandbox.shop.shop import Shop
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch
RUNBOOKS = """
version: 1
runbooks:
  - id: restart
    when: {root_cause: ["^out_of_memory$", "^memory_leak$"]}
    not_when: {logs: ['migration \\w+ (has )?started']}
    autonomy: autonomous
    cooldown_s: 60
    steps: [{action: restart_container, timeout_s: 20}]
    verify:
      - promql: >-
          container_memory_working_set_bytes{name="{{ service }}"}
          / container_spec_memory_limit_bytes{name="{{ service }}"}
        condition: "< 0.8"
"""
MIGRATES = "flyway: Migration V42 has started"
STREAM = {"container": "payments", "service": "payments", "compose_service": "payments", "compose_project": "shop"}


def runbooks(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "meanwhile.yaml"
    path.write_text(RUNBOOKS)
    return {"SREOPS_RUNBOOKS": str(path)}


def leaking() -> World:
    world = World(claude=False, past_s=700, scrape_interval_s=0.5, window="5s")
    world.shop.leak("payments", full_in_s=-20, fills_in_s=600)
    return world


async def approved(it: Scene, waiting: Incident) -> Incident:
    assert (await it.decide(waiting, "approve")).status_code == 200
    return await it.ended()


async def test_a_migration_that_starts_while_a_plan_waits_for_approval_stops_it(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking(), **runbooks(tmp_path)) as it:
        await it.fire(tier="supervised")
        waiting = await it.reaches("awaiting_approval")
        it.world.loki.push(STREAM, MIGRATES)
        incident = await approved(it, waiting)
        assert incident.reason is Reason.policy_denied, incident.decision
        assert "not_when holds now" in str(incident.decision)
        assert it.starts() == 1


async def test_without_one_the_same_plan_is_carried_out(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking(), **runbooks(tmp_path)) as it:
        await it.fire()
        assert (await it.ended()).resolution is Resolution.fixed
        assert it.starts() == 2


async def test_a_line_that_no_excerpt_holds_is_found_by_the_query_of_its_own(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    world = leaking()
    async with loop_scene(tmp_path, monkeypatch, world, **runbooks(tmp_path), SREOPS_LOKI__MAX_LINES="500") as it:
        began = world.clock.now() - timedelta(seconds=300)
        at_ns = int(began.timestamp() * 1e9)
        world.loki.push(STREAM, MIGRATES, at_ns)
        for number in range(2000):
            world.loki.push(STREAM, f"GET /pay/{number} 200", at_ns + 100_000_000 * number)
        await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied, incident.decision
        assert f"a line of {began:%Y-%m-%d %H:%M:%S} UTC" in str(incident.decision)
        evidence = await it.store.evidence(incident.id)
        assert not any("Migration V42" in item.text for item in evidence)
        assert it.starts() == 1


async def test_logs_that_can_not_be_asked_need_a_person_and_a_person_may_say_yes(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    world = leaking()
    async with loop_scene(tmp_path, monkeypatch, world, **runbooks(tmp_path), SREOPS_LOKI__TIMEOUT_S="1") as it:
        await world.servers["loki"].stop()
        await it.fire(runbook_id="restart", escalate_threshold="0")
        waiting = await it.reaches("awaiting_approval", timeout_s=60)
        assert "can't be asked now" in str(waiting.decision)
        incident = await approved(it, waiting)
        assert [effect.action for effect in incident.effects] == ["restart_container"], incident.decision
        assert it.starts() == 2


async def test_what_somebody_restarted_while_the_plan_waited_is_not_restarted_again(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking(), **runbooks(tmp_path)) as it:
        alert = await it.fire(tier="supervised")
        waiting = await it.reaches("awaiting_approval")
        container = it.world.engine.find("payments")
        assert container is not None
        await it.world.engine.restart(container, 1)
        assert it.world.grafana is not None
        it.world.grafana.fire(
            alert.labels, {}, fingerprint=alert.fingerprint
        )  # it still fires, as it would for a while
        incident = await approved(it, waiting)
        assert incident.reason is Reason.policy_denied, incident.decision
        assert "somebody else started 'payments'" in str(incident.decision)
        assert not incident.effects
        assert it.starts() == 2, "theirs"


async def test_what_somebody_restarted_before_the_evidence_is_put_to_a_person(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking(), **runbooks(tmp_path)) as it:
        alert = it.world.alert("HighErrorRate", "payments")
        alert.starts_at = it.world.clock.now() - timedelta(seconds=90)
        container = it.world.engine.find("payments")
        assert container is not None
        await it.world.engine.restart(container, 1)
        it.world.shop.leak("payments", full_in_s=-5, fills_in_s=600)  # and it did not help
        await it.send(alert)
        waiting = await it.reaches("awaiting_approval")
        assert "after the alert had begun: it may have helped already" in str(waiting.decision)
        assert it.starts() == 2
        incident = await approved(it, waiting)
        assert len(incident.effects) == 1, incident.decision


async def test_what_our_restart_left_down_is_said_first_and_the_issue_holds_the_audits_last_hash(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking(), **runbooks(tmp_path)) as it:
        container = it.world.engine.find("payments")
        assert container is not None
        container.process = Idle(refuses_to_start="no such file or directory: /app/run")
        await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.step_failed, incident.decision
        assert str((incident.decision or {})["why"]).startswith("DOWN: payments is down")
        told = await it.thoughts(incident)
        assert any(text.startswith("DOWN: payments is down") for text in told)

        async def noted() -> bool:
            actions = await it.store.records(incident_id=incident.id, kind="action")
            heads = [one.hash for one in actions if one.body["action"] == "escalate"]
            return f"has the hash `{heads[0]}`" in str([note.body for note in it.issues[0].notes])

        await eventually(noted, 20, what="the issue to hold the last hash")


SERVICE_RUNBOOK = """
version: 1
runbooks:
  - id: restart
    when: {}
    autonomy: autonomous
    cooldown_s: 0
    steps: [{action: restart_container, timeout_s: 20}]
    verify: [{promql: 'errors{service="{{ service }}"}', condition: "< 1"}]
"""
STUCK = {
    "root_cause": "its threads wait for each other", "category": "deadlock", "confidence": 0.95,
    "recommended_action": "restart", "runbook_id": None, "reasoning": "nothing moves", "evidence": ["E1"],
}  # fmt: skip


def swarm_world() -> tuple[World, Service]:
    world = World(past_s=60, scrape_interval_s=0.5, window="5s")
    world.engine = DockerEngine(world.clock, swarm=True)
    world.shop = Shop(world.clock, world.loki, world.prometheus, world.engine, window="5s")
    service = world.engine.add_service("web", 1, labels={"sreops.enable": "true"})
    assert world.claude is not None
    world.claude.script(*[Say(STUCK)] * 9)
    return world, service


def force(world: World, service: Service) -> None:
    """Do as ``docker service update --force`` does."""
    spec = copy.deepcopy(service.spec)
    spec["TaskTemplate"]["ForceUpdate"] += 1
    assert world.engine.swarm is not None
    world.engine.swarm.update(service, service.index, spec, world.clock.time_ns())


def label(world: World, service: Service) -> None:
    """Change what replaces no task, as a scale does too."""
    spec = copy.deepcopy(service.spec)
    spec["Labels"]["team"] = "shop"
    assert world.engine.swarm is not None
    world.engine.swarm.update(service, service.index, spec, world.clock.time_ns())


async def test_a_swarm_service_that_somebody_restarted_while_the_plan_waited_is_not_restarted_again(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    world, service = swarm_world()
    path = tmp_path / "service.yaml"
    path.write_text(SERVICE_RUNBOOK)
    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_RUNBOOKS=str(path)) as it:
        world.prometheus.record("errors", {"service": "web"}, 9.0)
        alert = await it.fire("web", runbook_id="restart", tier="supervised", escalate_threshold="0")
        waiting = await it.reaches("awaiting_approval", "web")
        assert "somebody else started" not in str(waiting.decision)
        force(world, service)
        assert world.grafana is not None
        world.grafana.fire(alert.labels, {}, fingerprint=alert.fingerprint)
        assert (await it.decide(waiting, "approve")).status_code == 200
        incident = await it.ended("web")
        assert incident.reason is Reason.policy_denied, incident.decision
        assert "somebody else started 'web'" in str(incident.decision)
        assert not incident.effects
        assert service.spec["TaskTemplate"]["ForceUpdate"] == 1, "theirs"


async def test_a_swarm_service_whose_tasks_nobody_replaced_meanwhile_is_restarted_once_approved(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    world, service = swarm_world()
    path = tmp_path / "service.yaml"
    path.write_text(SERVICE_RUNBOOK)
    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_RUNBOOKS=str(path), SREOPS_VERIFY__TIMEOUT_S="1") as it:
        world.prometheus.record("errors", {"service": "web"}, 9.0)
        await it.fire("web", runbook_id="restart", tier="supervised", escalate_threshold="0")
        waiting = await it.reaches("awaiting_approval", "web")
        label(world, service)
        assert (await it.decide(waiting, "approve")).status_code == 200
        incident = await it.ended("web")
        assert [effect.action for effect in incident.effects] == ["restart_container"], incident.decision
        assert service.spec["TaskTemplate"]["ForceUpdate"] == 1, "ours"
