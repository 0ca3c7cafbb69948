"""What the agent does, and what it refuses to do: the whole process around the sandbox's world."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from loop_scene import Scene, loop_scene

from servers.waiting import eventually
from sreops.domain.incidents.incident import EffectOutcome, Reason, Resolution, VerificationResult
from sreops.sandbox import webhook
from sreops.sandbox.claude import Fail, Say
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.swarm import Service
from sreops.sandbox.grafana.alerts import GrafanaRule
from sreops.sandbox.shop.shop import Shop
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch
ANSWER = {
    "root_cause": "the session cache of payments grows without bound until the heap is exhausted",
    "category": "memory_leak",
    "confidence": 0.95,
    "recommended_action": "restart",
    "runbook_id": "restart-on-memory",
    "reasoning": "OutOfMemoryError in the log, memory at its limit",
    "evidence": ["E2"],
}


def leaking(service: str = "payments", *, claude: bool = False) -> World:
    """A world in which one service has leaked until it is full."""
    world = World(claude=claude, past_s=700, scrape_interval_s=0.5, window="5s")
    world.shop.leak(service, full_in_s=-20, fills_in_s=600)
    return world


async def test_a_leak_is_restarted_verified_and_closed(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire()
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed
        assert [effect.outcome for effect in incident.effects] == [EffectOutcome.succeeded]
        assert it.starts() == 2
        await eventually(lambda: it.issues[0].state == "closed", 10)


async def test_a_line_that_anyone_can_write_is_a_proposal_and_no_restart(tmp_path: Path, monkeypatch: Patch) -> None:
    world = World(claude=False, past_s=700, scrape_interval_s=0.5, window="5s")
    async with loop_scene(tmp_path, monkeypatch, world) as it:
        line = '172.18.0.9 "GET /search?q=java.lang.OutOfMemoryError HTTP/1.1" 200'
        it.world.loki.push({"container": "payments", "service": "payments"}, line)
        await it.fire()
        waiting = await it.reaches("awaiting_approval")
        assert waiting.category == "out_of_memory"
        assert waiting.decision is not None
        assert "nothing but text speaks for the cause" in str(waiting.decision["policy"])
        assert not waiting.effects
        assert it.starts() == 1


async def test_a_container_that_is_not_enabled_is_not_touched(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking("recommendations")) as it:
        await it.fire("recommendations")
        incident = await it.ended("recommendations")
        assert incident.reason is Reason.policy_denied
        assert "sreops.enable" in str(incident.decision)
        assert not incident.effects
        assert it.starts("recommendations") == 1


async def test_a_glob_allows_a_target_without_the_label(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking("recommendations"), SREOPS_POLICY__TARGETS="recomm*") as it:
        await it.fire("recommendations")
        assert (await it.ended("recommendations")).resolution is Resolution.fixed


async def test_the_pause_switch_stops_every_effect_until_it_is_lifted(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        paused = await it.client.post("/api/automation/pause", json={"by": "tester", "reason": "maintenance"})
        assert paused.status_code == 200
        await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert "pause" in str(incident.decision).lower()
        assert it.starts() == 1


async def test_an_approval_given_while_paused_is_carried_out_once_the_pause_is_lifted(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_POLICY__SLOT_RETRY_S="0.3") as it:
        await it.fire(tier="supervised", escalate_threshold="0")
        waiting = await it.reaches("awaiting_approval", timeout_s=60)
        await it.client.post("/api/automation/pause", json={"by": "tester", "reason": "maintenance"})
        assert (await it.decide(waiting, "approve")).status_code == 200

        async def held() -> bool:
            return any("automation is paused: it is done once" in text for text in await it.thoughts(waiting))

        await eventually(held, 30, what="the approval to be held")
        assert it.starts() == 1
        await it.client.post("/api/automation/resume", json={"by": "tester", "reason": "over"})
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed, incident.decision
        assert it.starts() == 2


async def test_a_dry_run_plans_and_touches_nothing(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_DRY_RUN="true") as it:
        await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert incident.runbook_id == "restart-on-memory"
        assert it.starts() == 1


async def test_a_second_remediation_within_the_cooldown_is_denied(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        first = await it.fire()
        assert (await it.ended()).resolution is Resolution.fixed
        await it.resolve(first)
        it.world.shop.leak("payments", full_in_s=-5, fills_in_s=600)
        await eventually(lambda: it.world.shop.services["payments"].symptoms.error_ratio > 0.2, 10)
        await it.fire(alertname="AnotherAlert")
        await eventually(lambda: _known(it, 2), 10)
        incident = await it.ended()
        assert incident.alertname == "AnotherAlert"
        assert incident.reason is Reason.policy_denied
        assert "cooldown" in str(incident.decision)
        assert it.starts() == 2


async def test_what_joined_the_incident_and_burns_on_is_not_closed_with_it(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_VERIFY__TIMEOUT_S="2") as it:
        await it.fire(tier="supervised")
        waiting = await it.reaches("awaiting_approval")
        stuck = await it.fire(alertname="QueueStuck")
        assert it.world.grafana is not None
        it.world.grafana.fire(stuck.labels, {}, fingerprint=stuck.fingerprint)
        await eventually(lambda: _count(it, waiting.id, 2), 10)
        assert (await it.decide(waiting, "approve")).status_code == 200
        # it is analysed again because of who joined: before the approval is heard, or after the effect was judged
        await eventually(lambda: _told_that_it_fires(it), 60)
        incident = await it.ended(episode=2)
        assert incident.status.value == "escalated"
        assert incident.verification is not VerificationResult.fixed
        assert it.starts() == 2


async def _told_that_it_fires(it: Scene) -> bool:
    found = await it.incident()
    return found is not None and "still fires" in str(await it.thoughts(found))


async def test_an_alert_that_joins_narrows_what_is_allowed(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        alerts = [it.world.alert("HighErrorRate", "payments"), it.world.alert("B", "payments", agent_action="observe")]
        await it.client.post("/alerts", content=webhook.body(alerts))
        incident = await it.ended()
        assert incident.reason is Reason.observe_only
        assert it.starts() == 1


async def test_a_storm_is_gathered_and_handed_over_without_a_model_call_or_a_restart(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    world = leaking(claude=True)
    assert world.claude is not None
    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_CORRELATION__STORM_INCIDENTS="1") as it:
        await it.fire("catalog", agent_action="observe")
        await it.ended("catalog")
        calls = len(world.claude.requests)
        alerts = [
            it.world.alert("HighErrorRate", service, severity="warning")
            for service in ("payments", "checkout", "frontend")
        ]
        await it.client.post("/alerts", content=webhook.body(alerts))
        storm = await it.ended()
        assert storm.reason is Reason.storm
        await eventually(lambda: _count(it, storm.id, 3), 10)
        assert len((await it.store.incidents())[0]) == 2
        assert len(world.claude.requests) == calls
        assert it.starts() == 1
        [issue] = [one for one in it.issues if "Storm: 3" in one.title]
        await eventually(lambda: "of frontend (" in str([note.body for note in issue.notes]), 20)
        assert "of checkout (" in str([note.body for note in issue.notes])
        await eventually(lambda: "sreops-escalated" in issue.labels, 20)


@pytest.mark.parametrize("sure", [True, False])
async def test_a_false_alarm_closes_only_where_the_analyst_is_sure_and_nothing_fires(
    tmp_path: Path, monkeypatch: Patch, sure: bool
) -> None:
    world = World(past_s=60, scrape_interval_s=0.5, window="5s")
    assert world.claude is not None
    assert world.grafana is not None
    world.grafana.rules.append(GrafanaRule("HighErrorRate", folder="shop"))
    said = {**ANSWER, "category": "false_alarm", "recommended_action": "none", "runbook_id": None, "evidence": ["E1"]}
    world.claude.script(*[Say({**said, "confidence": 0.95 if sure else 0.3})] * 5)
    async with loop_scene(tmp_path, monkeypatch, world) as it:
        await it.fire(escalate_threshold="0.31")
        incident = await it.ended()
        if sure:
            assert incident.resolution is Resolution.false_alarm, incident.decision
        else:
            assert incident.reason is Reason.low_confidence


async def test_a_query_step_without_a_condition_asks_for_data(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire(runbook_id="ask-then-restart")
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed, incident.decision
        assert any("wanted any value" in thought for thought in await it.thoughts(incident))


async def _known(it: Scene, count: int) -> bool:
    return len((await it.store.incidents(service="payments"))[0]) == count


async def test_a_supervised_plan_waits_for_a_person_and_acts_once_approved(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire(tier="supervised")
        waiting = await it.reaches("awaiting_approval")
        assert not waiting.effects
        wrong = await it.decide(waiting, "approve", plan_hash="0" * 16)
        assert wrong.status_code == 409
        assert (await it.decide(waiting, "approve")).status_code == 200
        assert (await it.decide(waiting, "reject")).status_code == 409
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed
        assert it.starts() == 2
        books = (await it.client.get("/api/runbooks")).json()["items"]
        [[record]] = [one["record"] for one in books if one["id"] == "restart-on-memory"]
        assert (record["service"], record["runs"], record["fixed"], record["in_a_row"]) == ("payments", 1, 1, 1)
        assert "payments</strong>: 1 time, fixed 1, handed over 0" in (await it.client.get("/runbooks")).text
        audit = (await it.client.get("/api/audit", params={"incident_id": incident.id})).json()["items"]
        assert [one["by"] for one in audit if one["action"] == "approve"] == ["tester"]


async def test_a_rejected_plan_is_handed_over(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire(tier="supervised")
        await it.decide(await it.reaches("awaiting_approval"), "reject")
        incident = await it.ended()
        assert incident.reason is Reason.approval_rejected
        assert it.starts() == 1


async def test_an_approval_nobody_gives_expires(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_POLICY__APPROVAL_TTL_S="1.5") as it:
        await it.fire(tier="supervised")
        assert (await it.ended()).reason is Reason.approval_expired
        assert it.starts() == 1


async def test_an_alert_that_asks_for_observation_is_analysed_and_not_acted_on(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire(agent_action="observe")
        incident = await it.ended()
        assert incident.reason in (Reason.observe_only, Reason.policy_denied)
        assert incident.root_cause
        assert it.starts() == 1


async def test_a_threshold_above_the_confidence_hands_over_and_names_the_runbook(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire(escalate_threshold="0.99")
        incident = await it.ended()
        assert incident.reason is Reason.low_confidence
        assert "restart-on-memory" in (incident.decision or {})["handover"]
        assert it.starts() == 1


async def test_a_runbook_label_that_names_nothing_is_a_mistake_to_mend(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire(runbook_id="no-such-runbook")
        assert (await it.ended()).reason is Reason.unknown_runbook


def filling() -> World:
    """A world in which a service leaks, is nearly full, and is not ill yet."""
    world = World(claude=False, past_s=700, scrape_interval_s=0.5, window="5s")
    world.shop.leak("payments", full_in_s=60, fills_in_s=600)
    return world


async def test_an_alert_resolved_before_anything_was_done_ends_as_recovered(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, filling()) as it:
        alert = await it.fire(tier="supervised", escalate_threshold="0")
        await it.reaches("awaiting_approval")
        await it.resolve(alert)
        incident = await it.ended()
        assert incident.resolution is Resolution.recovered
        assert not incident.effects
        assert it.starts() == 1


async def test_a_resolve_because_the_rule_was_edited_proves_no_recovery(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        alert = await it.fire(tier="supervised")
        await it.reaches("awaiting_approval")
        await it.resolve(alert, grafana_state_reason="Updated")
        assert (await it.ended()).reason is Reason.resolved_without_proof


@pytest.mark.parametrize(("healthy", "ends"), [("true", "recovered"), ("false", "resolved_without_proof")])
async def test_a_resolve_for_want_of_data_is_recovery_where_that_counts_as_healthy(
    tmp_path: Path, monkeypatch: Patch, healthy: str, ends: str
) -> None:
    healthily = {"SREOPS_CORRELATION__NO_DATA_RECOVERS": healthy}
    async with loop_scene(tmp_path, monkeypatch, filling(), **healthily) as it:
        alert = await it.fire(tier="supervised", escalate_threshold="0")
        await it.reaches("awaiting_approval")
        await it.resolve(alert, grafana_state_reason="MissingSeries")
        incident = await it.ended()
        assert (incident.resolution or incident.reason) == ends
        assert it.starts() == 1
        why = str((incident.decision or {}).get("why"))
        assert (healthy == "true") is not ("SREOPS_CORRELATION__NO_DATA_RECOVERS" in why and "MissingSeries" in why)


async def test_what_fires_again_after_a_fix_goes_to_a_person(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        alert = await it.fire()
        assert (await it.ended()).resolution is Resolution.fixed
        await it.resolve(alert)
        alert.starts_at, alert.ends_at = it.world.clock.now() + timedelta(milliseconds=5), None
        await it.send(alert)
        again = await it.ended(episode=2)
        assert again.reason is Reason.refired
        assert it.starts() == 2
        assert len(it.issues) == 1
        await eventually(lambda: it.issues[0].state == "opened", 10, what="the issue to be reopened")


async def test_healthy_by_its_conditions_is_not_restarted(tmp_path: Path, monkeypatch: Patch) -> None:
    world = World(claude=False, past_s=700, scrape_interval_s=0.5, window="5s")
    async with loop_scene(tmp_path, monkeypatch, world) as it:
        await it.fire(runbook_id="restart-on-memory", escalate_threshold="0")
        incident = await it.ended()
        assert incident.status.value == "escalated"
        assert not incident.effects
        assert it.starts() == 1


async def test_an_engine_whose_answer_is_lost_is_looked_at_and_not_asked_twice(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        it.world.engine.faults.reset(path="*/restart", after_acting=True)
        await it.fire()
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed
        assert "settled by looking" in incident.effects[0].detail
        assert it.starts() == 2


async def test_an_engine_that_never_did_what_it_was_asked_ends_as_unknown(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        it.world.engine.faults.reset(path="*/restart", times=None)
        await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.outcome_unknown
        assert [effect.outcome for effect in incident.effects] == [EffectOutcome.unknown]
        assert it.starts() == 1


async def test_a_step_that_the_engine_refuses_is_a_failed_step(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        it.world.engine.faults.fail(409, path="*/restart", times=None)
        await it.fire()
        assert (await it.ended()).reason is Reason.step_failed
        assert it.starts() == 1


async def test_gitlab_away_holds_up_nothing_and_is_caught_up(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.world.servers["gitlab"].stop()
        await it.fire()
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed
        assert incident.issue is None
        await it.world.servers["gitlab"].start()
        await eventually(lambda: bool(it.issues) and it.issues[0].state == "closed", 60, what="the record to catch up")
        assert len(it.issues) == 1
        bodies = [note.body for note in it.issues[0].notes]
        assert sum("Resolved: fixed" in body for body in bodies) == 1


@pytest.mark.parametrize("fault", ["hang", "garbage", "error"])
async def test_sources_that_fail_are_gaps_and_the_incident_ends(tmp_path: Path, monkeypatch: Patch, fault: str) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_VERIFY__TIMEOUT_S="1") as it:
        for source in (it.world.loki, it.world.prometheus):
            if fault == "hang":
                source.faults.hang(times=None)
            elif fault == "garbage":
                source.faults.garbage(times=None)
            else:
                source.faults.fail(500, times=None)
        await it.fire()
        incident = await it.ended(timeout_s=60)
        assert incident.status.value == "escalated"
        evidence = await it.store.evidence(incident.id)
        assert {"loki", "prometheus"} <= {item.source for item in evidence if item.kind.value == "gap"}


async def test_several_alerts_of_a_service_are_one_incident(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await asyncio.gather(*(it.fire(alertname=f"Alert{number}") for number in range(5)))

        async def ended_with_all() -> bool:
            # where some join once its analysis has begun it is analysed again because of them: in whichever episode
            found = await it.incident()
            over = found is not None and found.status.ended and found.rejoin_at is None
            return found is not None and over and await _count(it, found.id, 5)

        await eventually(ended_with_all, 75, what="the incident of all five to end")
        found, _ = await it.store.incidents(service="payments")
        assert len(found) == 1
        assert it.starts() == 2


async def _count(it: Scene, incident_id: str, wanted: int) -> bool:
    return len(await it.store.events(incident_id)) == wanted


@pytest.mark.parametrize("runbook", ["scale-out", "scale-and-check"])
@pytest.mark.parametrize("helps", [True, False])
async def test_a_swarm_service_is_scaled_and_scaled_back_where_it_does_not_help(
    tmp_path: Path, monkeypatch: Patch, helps: bool, runbook: str
) -> None:
    world = World(past_s=60, scrape_interval_s=0.5, window="5s")
    world.engine = DockerEngine(world.clock, swarm=True)
    world.shop = Shop(world.clock, world.loki, world.prometheus, world.engine, window="5s")
    service = world.engine.add_service("queue", 1, labels={"sreops.enable": "true"})
    assert world.claude is not None
    overload = {
        "root_cause": "more messages come than one replica takes",
        "category": "traffic_overload",
        "confidence": 0.95,
        "recommended_action": "scale",
        "runbook_id": None,
        "reasoning": "the queue grows",
        "evidence": ["E1"],
    }
    world.claude.script(*[Say(overload)] * 5)
    async with loop_scene(tmp_path, monkeypatch, world, SREOPS_VERIFY__TIMEOUT_S="3") as it:
        feeding = asyncio.create_task(_feed(it.world, service, helps=helps))
        try:
            await it.fire("queue", runbook_id=runbook, escalate_threshold="0")
            incident = await it.ended("queue")
        finally:
            feeding.cancel()
        assert incident.effects, incident.decision
        if helps:
            assert incident.resolution is Resolution.fixed
            assert service.replicas == 3
        else:
            assert incident.reason is Reason.remediation_ineffective
            assert incident.verification is VerificationResult.not_fixed
            assert [effect.detail for effect in incident.effects] == ["", "undone"]
            assert service.replicas == 1


async def _feed(world: World, service: Service, *, helps: bool) -> None:
    """Let the queue be long, and its one replica take all the CPU that it may."""
    own = {"service": "queue"}
    begun_s = world.clock.time() - 400
    for second in range(400):
        _work(world, begun_s, begun_s + second)
    while True:
        depth = 2.0 if helps and service.replicas == 3 else 50.0
        world.prometheus.record("queue_depth", own, depth)
        _work(world, begun_s, world.clock.time())
        await asyncio.sleep(0.2)


def _work(world: World, begun_s: float, at_s: float) -> None:
    own = {"service": "queue"}
    world.prometheus.record("container_cpu_usage_seconds_total", own, 0.99 * (at_s - begun_s), at_s)
    for name in ("container_spec_cpu_quota", "container_spec_cpu_period"):
        world.prometheus.record(name, own, 100_000.0, at_s)


async def test_logs_metrics_and_the_alerts_state_come_through_grafana_where_no_direct_url_is_set(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    patient = {
        "SREOPS_PROMETHEUS__TIMEOUT_S": "20",
        "SREOPS_LOKI__TIMEOUT_S": "20",
        "SREOPS_EVIDENCE__DEADLINE_S": "20",
    }
    async with loop_scene(tmp_path, monkeypatch, through_grafana=True, **patient) as it:
        await it.fire()
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed
        evidence = await it.store.evidence(incident.id)
        assert {"loki", "prometheus"} <= {item.source for item in evidence if item.kind.value != "gap"}
        health = (await it.client.get("/health")).json()
        assert health["checks"]["loki"]["status"] == "up"


async def test_the_model_answers_where_it_is_configured_and_is_named(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking(claude=True)) as it:
        assert it.world.claude is not None
        it.world.claude.script(Say(ANSWER))
        await it.fire()
        incident = await it.ended()
        assert incident.analyst == "claude"
        assert incident.resolution is Resolution.fixed, incident.decision


@pytest.mark.parametrize("status", [401, 500, 529])
async def test_the_rules_answer_where_the_model_does_not_and_say_why(
    tmp_path: Path, monkeypatch: Patch, status: int
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking(claude=True)) as it:
        assert it.world.claude is not None
        it.world.claude.script(*[Fail(status, "no")] * 6)
        await it.fire()
        incident = await it.ended()
        assert incident.analyst == "rules"
        assert "claude" in (incident.analyst_why or "")
        assert incident.resolution is Resolution.fixed, incident.decision
