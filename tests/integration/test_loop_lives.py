"""Fixed and recovered need a target that lives: the whole process around a real Docker Engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration.loop_scene import Scene, loop_scene
from servers.dockerd import Dockerd
from servers.waiting import eventually
from sreops.domain.incidents.incident import Incident, Reason, Resolution, VerificationResult
from sreops.sandbox.claude import Say
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch
SETTLE_S = 5
RUNBOOKS = """
version: 1
runbooks:
  - id: restart
    when: {}
    autonomy: autonomous
    steps: [{action: restart_container, timeout_s: 30}]
"""
SAID: dict[str, Any] = {
    "root_cause": "the process ends by itself",
    "category": "process_exited",
    "confidence": 0.95,
    "recommended_action": "restart",
    "runbook_id": "restart",
    "reasoning": "it dies",
    "evidence": ["E1"],
}

pytestmark = [pytest.mark.needs("docker"), pytest.mark.timeout(240)]


@dataclass
class Bed:
    """One container of the real engine, and sreops that looks after it."""

    it: Scene
    dockerd: Dockerd
    name: str
    container: str

    async def waits(self) -> tuple[Any, Incident]:
        """Fire an alert that a person must decide on; return it, and the incident that waits."""
        alert = await self.it.fire(self.name, runbook_id="restart", tier="supervised", escalate_threshold="0")
        return alert, await self.it.reaches("awaiting_approval", self.name, timeout_s=60)

    async def ended(self) -> Incident:
        return await self.it.ended(self.name, timeout_s=90)


@asynccontextmanager
async def bed(
    dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch, command: str, *, restart_policy: str = "no"
) -> AsyncIterator[Bed]:
    image = await asyncio.to_thread(dockerd.import_busybox_image)
    name = f"patient-{uuid.uuid4().hex[:8]}"
    world = World(docker=False, past_s=10, scrape_interval_s=0.5, window="5s")
    assert world.claude is not None
    world.claude.script(*[Say(SAID)] * 5)
    runbooks = tmp_path / "lives.yaml"
    runbooks.write_text(RUNBOOKS)
    container = await asyncio.to_thread(
        dockerd.run_container, image, ["sh", "-c", command], name=name, labels={"sreops.enable": "true"},
        restart_policy=restart_policy,
    )  # fmt: skip
    own = {
        "SREOPS_DOCKER__HOST": dockerd.host,
        "SREOPS_DOCKER__TIMEOUT_S": "20",
        "SREOPS_RUNBOOKS": str(runbooks),
        "SREOPS_VERIFY__SETTLE_S": str(SETTLE_S),
        "SREOPS_VERIFY__POLL_S": "1",
        "SREOPS_VERIFY__TIMEOUT_S": "8",
    }
    try:
        async with loop_scene(tmp_path, monkeypatch, world, **own) as it:
            yield Bed(it, dockerd, name, container)
    finally:
        await asyncio.to_thread(dockerd.remove, container)


async def test_a_crash_loop_is_not_fixed_by_a_lucky_look(dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch) -> None:
    # up for three seconds of about four: at most looks it runs
    async with bed(dockerd, tmp_path, monkeypatch, "sleep 3; exit 1", restart_policy="always") as it:
        alert, waiting = await it.waits()
        assert (await it.it.decide(waiting, "approve")).status_code == 200
        await it.it.reaches("verifying", it.name, timeout_s=60)
        await it.it.resolve(alert)  # as a rule on errors of the process does while it is away
        incident = await it.ended()
        assert incident.reason is Reason.remediation_ineffective, incident.decision
        assert incident.verification is VerificationResult.not_fixed
        why = str(incident.decision)
        assert "since the effect" in why
        assert len(incident.effects) == 1


async def test_what_lives_on_after_a_restart_is_fixed_and_not_before_it_has_settled(
    dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch
) -> None:
    async with bed(dockerd, tmp_path, monkeypatch, "trap 'exit 0' TERM; sleep 600 & wait") as it:
        alert, waiting = await it.waits()
        assert (await it.it.decide(waiting, "approve")).status_code == 200
        await it.it.reaches("verifying", it.name, timeout_s=60)
        await it.it.resolve(alert)  # ends the wait for the alert's state, never the settle time
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed, incident.decision
        [effect] = incident.effects
        assert effect.outcome_at is not None
        assert incident.ended_at is not None
        assert (incident.ended_at - effect.outcome_at).total_seconds() >= SETTLE_S


@pytest.mark.parametrize("end", ["killed", "removed", "loops"])
async def test_an_alert_that_resolves_since_its_series_died_with_the_process_is_no_recovery(
    dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch, end: str
) -> None:
    command, policy = ("sleep 600", "no") if end != "loops" else ("sleep 3; exit 1", "always")
    async with bed(dockerd, tmp_path, monkeypatch, command, restart_policy=policy) as it:
        alert, _ = await it.waits()
        if end == "killed":
            it.dockerd.api.post(f"/containers/{it.container}/kill").raise_for_status()
        elif end == "removed":
            await asyncio.to_thread(it.dockerd.remove, it.container)
        await it.it.resolve(alert)
        incident = await it.ended()
        assert incident.reason is Reason.resolved_without_proof, incident.decision
        said = {"killed": ("is down",), "removed": ("is gone",), "loops": ("is down", "not yet for")}[end]
        assert any(words in str(incident.decision) for words in said)


async def test_what_lives_is_recovered_after_it_has_settled(
    dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch
) -> None:
    async with bed(dockerd, tmp_path, monkeypatch, "sleep 600") as it:
        alert, waiting = await it.waits()
        await it.it.resolve(alert)
        verifying = await it.it.reaches("verifying", it.name)
        assert (await it.it.decide(waiting, "approve")).status_code == 409, "nothing waits for a person any more"
        incident = await it.ended()
        assert incident.resolution is Resolution.recovered, incident.decision
        assert verifying.all_resolved_at is not None
        assert incident.ended_at is not None
        assert (incident.ended_at - verifying.all_resolved_at).total_seconds() >= SETTLE_S
        assert not incident.effects


async def test_a_job_that_ended_well_is_recovered(dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch) -> None:
    async with bed(dockerd, tmp_path, monkeypatch, "while [ ! -e /done ]; do sleep 0.2; done; exit 0") as it:
        alert, _ = await it.waits()
        execution = it.dockerd.api.post(f"/containers/{it.container}/exec", json={"Cmd": ["touch", "/done"]}).json()
        it.dockerd.api.post(f"/exec/{execution['Id']}/start", json={"Detach": True}).raise_for_status()
        await eventually(lambda: not it.dockerd.inspect(it.container)["State"]["Running"], 20, what="the job to end")
        await it.it.resolve(alert)
        incident = await it.ended()
        assert incident.resolution is Resolution.recovered, incident.decision


async def test_what_fires_again_before_it_has_settled_is_looked_at_anew(
    dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch
) -> None:
    async with bed(dockerd, tmp_path, monkeypatch, "sleep 600") as it:
        alert, waiting = await it.waits()
        await it.it.resolve(alert)
        await it.it.reaches("verifying", it.name)
        again = await it.it.fire(it.name, runbook_id="restart", tier="supervised", escalate_threshold="0")
        assert again.fingerprint == alert.fingerprint
        waits_again = await it.it.reaches("awaiting_approval", it.name, timeout_s=60)
        assert waits_again.id == waiting.id


async def test_a_resolve_that_the_system_which_fired_contradicts_ends_no_waiting_approval(
    dockerd: Dockerd, tmp_path: Path, monkeypatch: Patch
) -> None:
    async with bed(dockerd, tmp_path, monkeypatch, "trap 'exit 0' TERM; sleep 600 & wait") as it:
        grafana = it.it.world.grafana
        assert grafana is not None
        alert, waiting = await it.waits()
        active = grafana.fire(alert.labels, {}, fingerprint=alert.fingerprint)
        await it.it.resolve(alert)  # forged, or too early
        told = await eventually(lambda: _disbelieved(it, waiting.id), 30, what="the resolve to be looked into")
        assert told
        assert (await it.it.reaches("awaiting_approval", it.name)).id == waiting.id
        assert (await it.it.decide(waiting, "approve")).status_code == 200
        await it.it.reaches("verifying", it.name, timeout_s=60)
        grafana.resolve(active)
        incident = await it.ended()
        assert incident.resolution is Resolution.fixed, incident.decision
        assert len(incident.effects) == 1


async def _disbelieved(it: Bed, incident_id: str) -> bool:
    incident = await it.it.store.incident(incident_id)
    return any("still fires: the work goes on" in text for text in await it.it.thoughts(incident))
