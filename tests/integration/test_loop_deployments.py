"""Acting on GitLab in the whole loop: a deployment is rolled back, jobs and pipelines run; once, and to their ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from loop_scene import Scene, loop_scene

from servers.waiting import eventually
from sreops.domain.incidents.incident import EffectOutcome, Incident, Reason
from sreops.sandbox.gitlab import Project
from sreops.sandbox.gitlab.pipelines import Job, Pipeline
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch
PROJECT, TOKEN = "shop/payments", "glpat-payments"
RUNBOOKS = """
version: 1
runbooks:
  - id: roll-back
    when: {}
    autonomy: supervised
    steps:
      - {action: rollback_deployment, params: {project: shop/payments, environment: production}, timeout_s: 20}
  - id: renew
    when: {}
    autonomy: supervised
    steps:
      - {action: play_job, params: {project: shop/payments, ref: main, job: renew-certificate}, timeout_s: 20}
  - id: rebuild
    when: {}
    autonomy: supervised
    steps:
      - action: run_pipeline
        params: {project: shop/payments, ref: main, variables: {TARGET: "{{ service }}"}}
        timeout_s: 20
"""
ALLOWED = {
    "project": PROJECT, "token": TOKEN, "actions": ["rollback_deployment", "play_job", "run_pipeline"],
    "refs": ["main"], "environments": ["production"], "jobs": ["renew-certificate"],
}  # fmt: skip


@asynccontextmanager
async def deployed(
    tmp_path: Path, monkeypatch: Patch, *shas: str, runs_s: float = 0.0
) -> AsyncIterator[tuple[Scene, Project]]:
    """A scene whose payments service was deployed by these commits, one after another."""
    world = World(claude=False, past_s=700, scrape_interval_s=0.5, window="5s")
    world.shop.leak("payments", full_in_s=-20, fills_in_s=600)
    assert world.gitlab is not None
    project = world.gitlab.add_project(PROJECT, TOKEN)
    for sha in shas:
        project.commit(sha * 40, f"Change {sha}", by=world.gitlab.person("alice"))
        project.deploy(sha * 40, user=world.gitlab.person("alice"))
    for job in project.jobs:
        job.runs_s = runs_s
    runbooks = tmp_path / "gitlab.yaml"
    runbooks.write_text(RUNBOOKS)
    settings = {"SREOPS_GITLAB__ACTIONS": json.dumps([ALLOWED]), "SREOPS_RUNBOOKS": str(runbooks)}
    async with loop_scene(tmp_path, monkeypatch, world, **settings) as it:
        yield it, project


async def approve(it: Scene, runbook: str) -> Incident:
    await it.fire(runbook_id=runbook, tier="supervised", escalate_threshold="0")
    waiting = await it.reaches("awaiting_approval")
    assert not waiting.effects
    answer = await it.decide(waiting, "approve")
    assert answer.status_code == 200, answer.text
    return waiting


async def acted(it: Scene) -> Incident:
    async def look() -> Incident | None:
        found = await it.incident()
        done = found is not None and found.effects and found.effects[0].outcome is not None
        return found if done else None

    found = await eventually(look, 30, every_s=0.1, what="the effect to have an outcome")
    assert found is not None
    return found


async def test_an_approved_rollback_runs_the_job_of_the_last_good_version_once(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with deployed(tmp_path, monkeypatch, "a", "b", runs_s=1.5) as (it, project):
        await approve(it, "roll-back")
        [effect] = (await acted(it)).effects
        assert effect.outcome is EffectOutcome.succeeded
        assert (effect.snapshot["from_sha"][0], effect.snapshot["to_sha"][0]) == ("b", "a")
        assert effect.standing == "gitlab/shop%2Fpayments/production"
        assert [one.sha[0] for one in project.deployments] == ["a", "b", "a"]
        assert "ended well" in effect.detail


async def test_a_lost_answer_is_settled_by_the_job_that_it_began(tmp_path: Path, monkeypatch: Patch) -> None:
    async with deployed(tmp_path, monkeypatch, "a", "b") as (it, project):
        assert it.world.gitlab is not None
        it.world.gitlab.faults.reset(path="*/retry", times=1, after_acting=True)
        await approve(it, "roll-back")
        [effect] = (await acted(it)).effects
        assert effect.outcome is EffectOutcome.succeeded
        assert len(project.deployments) == 3


async def test_a_request_that_never_arrived_is_unknown_and_not_repeated(tmp_path: Path, monkeypatch: Patch) -> None:
    async with deployed(tmp_path, monkeypatch, "a", "b") as (it, project):
        assert it.world.gitlab is not None
        it.world.gitlab.faults.fail(502, path="*/retry", times=9)
        await approve(it, "roll-back")
        incident = await it.ended()
        assert incident.reason is Reason.outcome_unknown
        assert len(project.deployments) == 2


async def test_a_job_that_fails_is_a_step_that_failed_with_its_last_lines(tmp_path: Path, monkeypatch: Patch) -> None:
    async with deployed(tmp_path, monkeypatch, "a", "b") as (it, project):

        def failing(job: Job) -> bool:
            job.trace = "deploying\nERROR: image not found, token=glpat-abcdefghij0123456789"
            return False

        for job in project.jobs:
            job.script = failing
        await approve(it, "roll-back")
        incident = await it.ended()
        assert incident.reason is Reason.step_failed
        assert "ERROR: image not found" in incident.effects[0].detail
        assert "glpat-abcdefghij" not in incident.effects[0].detail


async def test_without_an_older_version_nothing_is_done_and_a_person_is_told_why(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with deployed(tmp_path, monkeypatch, "a", "b", "a") as (it, project):
        await approve(it, "roll-back")
        incident = await it.ended()
        assert incident.reason is Reason.step_failed
        assert "never rolled away from" in str((incident.decision or {}).get("why"))
        assert not incident.effects
        assert len(project.deployments) == 3


async def test_a_waiting_job_is_played_and_one_that_has_run_is_not(tmp_path: Path, monkeypatch: Patch) -> None:
    async with deployed(tmp_path, monkeypatch, "a") as (it, project):
        job = project.job(project.pipeline("a" * 40), "renew-certificate", manual=True, runs_s=1.0)
        await approve(it, "renew")
        [effect] = (await acted(it)).effects
        assert effect.outcome is EffectOutcome.succeeded
        assert (job.status, job.user.bot) == ("success", True)
        assert len([one for one in project.jobs if one.name == "renew-certificate"]) == 1


async def test_a_pipeline_runs_with_its_variables_and_is_followed_to_its_end(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with deployed(tmp_path, monkeypatch, "a") as (it, project):

        def stages(of: Project, pipeline: Pipeline) -> None:
            of.job(pipeline, "build", runs_s=1.0)

        project.stages["build"] = stages
        await approve(it, "rebuild")
        [effect] = (await acted(it)).effects
        assert effect.outcome is EffectOutcome.succeeded
        [started] = [one for one in project.pipelines if one.source == "api"]
        assert started.variables == [{"key": "TARGET", "value": "payments"}]


async def test_a_project_that_lets_nobody_set_variables_is_not_asked_in_vain(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with deployed(tmp_path, monkeypatch, "a") as (it, project):
        project.variables_role = "no_one_allowed"
        await approve(it, "rebuild")
        incident = await it.ended()
        assert incident.reason is Reason.step_failed
        assert "no_one_allowed" in str((incident.decision or {}).get("why"))
        assert not [one for one in project.pipelines if one.source == "api"]


async def test_what_the_settings_do_not_list_is_denied(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setitem(ALLOWED, "environments", ["staging"])  # type: ignore[arg-type]  # a literal of several types
    async with deployed(tmp_path, monkeypatch, "a", "b") as (it, project):
        await it.fire(runbook_id="roll-back", tier="supervised", escalate_threshold="0")
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert "does not list environment 'production'" in str(incident.decision)
        assert len(project.deployments) == 2
