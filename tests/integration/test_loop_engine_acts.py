"""What is done to containers and services besides restarts: the whole process around the sandbox's world."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from pathlib import Path

import pytest
from loop_scene import Scene, loop_scene

from servers.waiting import eventually
from sreops.domain.incidents.incident import EffectOutcome, Incident, Reason, Resolution, VerificationResult
from sreops.sandbox.claude import Say
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.process import Idle, Ran
from sreops.sandbox.docker.swarm import Service
from sreops.sandbox.shop.shop import Shop
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch
RUNBOOKS = """
version: 1
runbooks:
  - id: stop-it
    when: {}
    autonomy: autonomous
    cooldown_s: 0
    steps:
      - {action: stop_container}
    verify:
      - {promql: 'absent(container_memory_working_set_bytes{name="{{ service }}"})', condition: "== 1"}
  - id: stop-in-vain
    when: {}
    autonomy: autonomous
    cooldown_s: 0
    steps:
      - {action: stop_container}
    verify:
      - {promql: 'count(container_memory_working_set_bytes)', condition: "> 1000"}
  - id: flush
    when: {}
    autonomy: supervised
    cooldown_s: 0
    steps:
      - {action: exec_in_container, params: {command: [flush, --all, 7]}, timeout_s: 2}
    verify:
      - {promql: 'flushed{service="{{ service }}"}', condition: "== 1"}
  - id: roll-back
    when: {}
    autonomy: supervised
    cooldown_s: 0
    steps:
      - {action: rollback_service}
    verify:
      - {promql: 'errors{service="{{ service }}"}', condition: "< 1"}
  - id: drain
    when: {}
    autonomy: supervised
    cooldown_s: 0
    steps:
      - {action: scale_container, params: {by: 2, max: 3}}
    verify:
      - {promql: 'queue_depth{service="{{ service }}"}', condition: "< 10"}
"""


class Flushing:
    """The program ``flush`` in the container of payments."""

    def __init__(self, it: Scene, ran: Ran) -> None:
        self.it, self.ran, self.runs = it, ran, 0
        it.container().commands = self
        it.world.prometheus.add_target("flush", "payments", self._exposed)

    def __call__(self, words: Sequence[str]) -> Ran | None:
        assert tuple(words) == ("flush", "--all", "7")
        self.runs += 1
        if not self.ran.exit_code and not self.ran.takes_s:
            self.it.world.shop.cure("payments")
        return self.ran

    def _exposed(self) -> Sequence[tuple[str, dict[str, str], float]]:
        return [("flushed", {"service": "payments"}, float(self.runs))]


async def planned(it: Scene, runbook: str, service: str = "payments") -> Incident:
    """Let an alert name the runbook, and return its incident once it waits for a person."""
    await it.fire(service, runbook_id=runbook, escalate_threshold="0")
    return await it.reaches("awaiting_approval", service)


async def approved(it: Scene, incident: Incident) -> Incident:
    assert (await it.decide(incident, "approve")).status_code == 200
    return await it.ended(incident.service)


@pytest.fixture
def runbooks(tmp_path: Path) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(RUNBOOKS)
    return str(path)


async def test_a_stop_asks_a_person_whatever_tier_and_runbook_say_and_what_is_stopped_is_no_death(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks) as it:
        incident = await planned(it, "stop-it")
        assert incident.decision is not None
        assert "stays so until somebody starts it" in str(incident.decision)
        assert it.container().running
        ended = await approved(it, incident)
        assert ended.resolution is Resolution.fixed, ended.decision
        assert [effect.action for effect in ended.effects] == ["stop_container"]
        assert not it.container().running
        assert it.starts() == 1


async def test_what_was_stopped_in_vain_is_started_again(tmp_path: Path, monkeypatch: Patch, runbooks: str) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks, SREOPS_VERIFY__TIMEOUT_S="2") as it:
        ended = await approved(it, await planned(it, "stop-in-vain"))
        assert ended.reason is Reason.remediation_ineffective
        assert ended.verification is VerificationResult.not_fixed
        assert [(one.action, one.detail) for one in ended.effects] == [
            ("stop_container", ""),
            ("start_container", "undone"),
        ]
        assert it.container().running
        assert it.starts() == 2


async def test_a_stop_whose_answer_is_lost_is_settled_by_looking(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks) as it:
        incident = await planned(it, "stop-it")
        it.world.engine.faults.reset(path="*/stop", after_acting=True)
        ended = await approved(it, incident)
        assert ended.resolution is Resolution.fixed, ended.decision
        assert "settled by looking" in ended.effects[0].detail


async def test_a_command_is_run_once_and_its_end_is_in_the_ledger(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks) as it:
        flush = Flushing(it, Ran(["flushed 7 keys", "password=hunter2xyz"]))
        incident = await planned(it, "flush")
        assert flush.runs == 0
        ended = await approved(it, incident)
        assert ended.resolution is Resolution.fixed, ended.decision
        assert flush.runs == 1
        [effect] = ended.effects
        assert "exit code 0; its last lines: flushed 7 keys" in effect.detail
        assert "hunter2xyz" not in effect.detail
        assert effect.snapshot["command"] == ["flush", "--all", "7"]
        assert it.starts() == 1


async def test_a_command_that_fails_is_a_failed_step_with_its_last_lines(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks) as it:
        Flushing(it, Ran(["no such database"], exit_code=3))
        ended = await approved(it, await planned(it, "flush"))
        assert ended.reason is Reason.step_failed
        assert "exit code 3; its last lines: no such database" in ended.effects[0].detail


async def test_a_command_whose_answer_is_lost_is_settled_by_its_record_and_not_repeated(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks) as it:
        flush = Flushing(it, Ran(["done"]))
        incident = await planned(it, "flush")
        it.world.engine.faults.reset(path="*/exec/*/start", after_acting=True)
        ended = await approved(it, incident)
        assert ended.resolution is Resolution.fixed, ended.decision
        assert flush.runs == 1
        assert "settled by looking" in ended.effects[0].detail


async def test_a_command_that_does_not_end_is_told_and_holds_back_whatever_follows(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    # no margin: a restart soon after the command would pass for one of sreops itself
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=runbooks, SREOPS_DOCKER__SETTLE_MARGIN_S="0") as it:
        flush = Flushing(it, Ran(takes_s=3600))
        ended = await approved(it, await planned(it, "flush"))
        assert ended.reason is Reason.outcome_unknown
        assert [effect.outcome for effect in ended.effects] == [EffectOutcome.unknown]
        assert "still runs after" in ended.effects[0].detail
        answer = await it.client.post(f"/api/incidents/{ended.id}/rerun", json={"by": "tester", "reason": "again"})
        assert answer.status_code == 200, answer.text
        again = await it.reaches("awaiting_approval")
        assert (await it.decide(again, "approve")).status_code == 200

        async def held() -> bool:
            return any("is busy: a command that incident" in text for text in await it.thoughts(again))

        await eventually(held, 20, every_s=0.1, what="the plan to be held back")
        assert flush.runs == 1
        await it.world.engine.restart(it.container(), 1)  # which ends the command
        over = await it.ended(episode=again.episode)
        assert over.reason is Reason.policy_denied, "what was held back looks again: somebody has just restarted it"
        assert flush.runs == 1


BAD_DEPLOY = {
    "root_cause": "the version that was deployed a minute ago fails",
    "category": "bad_deploy",
    "confidence": 0.95,
    "recommended_action": "rollback",
    "runbook_id": None,
    "reasoning": "it began with the deploy",
    "evidence": ["E1"],
}


def deploy(service: Service, image: str, now_ns: int, engine: DockerEngine) -> None:
    spec = copy.deepcopy(service.spec)
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = image
    assert engine.swarm is not None
    engine.swarm.update(service, service.index, spec, now_ns)


async def errors_of(world: World, service: Service) -> None:
    """Let the image that is called bad fail."""
    while True:
        bad = service.spec["TaskTemplate"]["ContainerSpec"]["Image"].endswith(":bad")
        world.prometheus.record("errors", {"service": "web"}, 9.0 if bad else 0.0)
        await asyncio.sleep(0.2)


async def test_a_bad_version_is_rolled_back_once_and_a_second_incident_does_not_roll_forward(
    tmp_path: Path, monkeypatch: Patch, runbooks: str
) -> None:
    world = World(past_s=60, scrape_interval_s=0.5, window="5s")
    world.engine = DockerEngine(world.clock, swarm=True)
    world.shop = Shop(world.clock, world.loki, world.prometheus, world.engine, window="5s")
    service = world.engine.add_service("web", 2, labels={"sreops.enable": "true"})
    good = service.spec["TaskTemplate"]["ContainerSpec"]["Image"]
    deploy(service, "registry.example/web:bad", world.clock.time_ns(), world.engine)
    assert world.claude is not None
    world.claude.script(*[Say(BAD_DEPLOY)] * 9)
    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_RUNBOOKS=runbooks, SREOPS_VERIFY__TIMEOUT_S="3") as it:
        told = asyncio.create_task(errors_of(world, service))
        try:
            incident = await planned(it, "roll-back", "web")
            world.engine.faults.reset(path="*/update", after_acting=True)
            ended = await approved(it, incident)
            assert ended.resolution is Resolution.fixed, ended.decision
            assert service.spec["TaskTemplate"]["ContainerSpec"]["Image"] == good
            [effect] = ended.effects
            assert "gone back to its previous specification" in effect.detail

            await it.fire("web", alertname="OtherTrouble", runbook_id="roll-back", escalate_threshold="0")

            async def second() -> Incident | None:
                found = await it.incident("web")
                return found if found is not None and found.id != ended.id and found.status.ended else None

            again = await eventually(second, 60, every_s=0.1, what="the second incident to end")
            assert again is not None
            assert again.reason is Reason.policy_denied
            assert "would roll forward to what was left" in str(again.decision)
            assert service.spec["TaskTemplate"]["ContainerSpec"]["Image"] == good
        finally:
            told.cancel()


LONG_QUEUE = {**BAD_DEPLOY, "root_cause": "more comes than two can take", "category": "traffic_overload",
              "recommended_action": "scale", "reasoning": "the queue grows"}  # fmt: skip


def replicas_of(world: World) -> dict[str, bool]:
    own = [one for one in world.engine.containers.values() if one.labels.get("com.docker.compose.service") == "queue"]
    return {one.name: one.running for one in sorted(own, key=lambda one: one.name)}


@pytest.mark.parametrize("helps", [True, False])
async def test_a_compose_service_is_scaled_within_its_bounds_and_scaled_back_where_it_does_not_help(
    tmp_path: Path, monkeypatch: Patch, runbooks: str, helps: bool
) -> None:
    world = World(past_s=60, scrape_interval_s=0.5, window="5s")
    for number in (1, 2):
        labels = {
            "com.docker.compose.project": "shop", "com.docker.compose.service": "queue",
            "com.docker.compose.container-number": str(number), "com.docker.compose.oneoff": "False",
            "com.docker.compose.config-hash": "h", "com.docker.compose.image": "i", "sreops.enable": "true",
        }  # fmt: skip
        world.engine.add(f"shop-queue-{number}", Idle(), labels=labels, image="queue:1")
    assert world.claude is not None
    world.claude.script(*[Say(LONG_QUEUE)] * 9)

    async def depth() -> None:
        while True:
            short = helps and len(replicas_of(world)) == 3
            world.prometheus.record("queue_depth", {"service": "queue"}, 2.0 if short else 50.0)
            await asyncio.sleep(0.2)

    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_RUNBOOKS=runbooks, SREOPS_VERIFY__TIMEOUT_S="3") as it:
        told = asyncio.create_task(depth())
        try:
            incident = await planned(it, "drain", "queue")
            assert list(replicas_of(world)) == ["shop-queue-1", "shop-queue-2"]
            ended = await approved(it, incident)
        finally:
            told.cancel()
        assert ended.effects, ended.decision
        assert ended.effects[0].standing == "docker/compose/shop/queue"
        assert (ended.effects[0].snapshot["replicas"], ended.effects[0].snapshot["wanted"]) == (2, 3)
        if helps:
            assert ended.resolution is Resolution.fixed, ended.decision
            assert replicas_of(world) == {"shop-queue-1": True, "shop-queue-2": True, "shop-queue-3": True}
        else:
            assert ended.reason is Reason.remediation_ineffective
            assert [effect.detail for effect in ended.effects] == ["", "undone"]
            assert list(replicas_of(world)) == ["shop-queue-1", "shop-queue-2"]
