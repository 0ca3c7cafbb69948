"""GitLab's deployments, jobs and pipelines, over the strict sandbox: read, and acted upon as its rules are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from sreops.adapters.gitlab.pipelines import GitLabPipelines
from sreops.errors import IssuesRefused, IssuesUnavailable, OutcomeUnknown
from sreops.sandbox.clock import WallClock
from sreops.sandbox.gitlab import GitLab, Project
from sreops.sandbox.server import Server
from sreops.settings import GitLabSettings

T = 5.0
PROJECT, TOKEN = "shop/payments", "glpat-payments"
ALLOWED = {
    "project": PROJECT,
    "token": TOKEN,
    "actions": ["rollback_deployment", "play_job", "run_pipeline"],
    "refs": ["main"],
    "environments": ["prod*"],
    "jobs": ["renew-*"],
}


class Scene:
    def __init__(self) -> None:
        self.gitlab = GitLab("glpat-issues", clock=WallClock())
        self.project: Project = self.gitlab.add_project(PROJECT, TOKEN)
        self.server = Server(self.gitlab.app)

    def settings(self, **changed: object) -> GitLabSettings:
        return GitLabSettings.model_validate(
            {"url": self.server.url, "token": "glpat-issues", "actions": [{**ALLOWED, **changed}]}
        )


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    async with scene.server:
        yield scene


@pytest.fixture
async def pipelines(scene: Scene) -> AsyncIterator[GitLabPipelines]:
    made = GitLabPipelines(scene.settings())
    yield made
    await made.aclose()


def deploy(scene: Scene, *shas: str) -> None:
    for sha in shas:
        scene.project.commit(sha, f"Change {sha}", files=[f"src/{sha}.py"], by=scene.gitlab.person("alice"))
        scene.project.deploy(sha)


async def test_deployments_come_newest_first_with_their_jobs(scene: Scene, pipelines: GitLabPipelines) -> None:
    deploy(scene, "a" * 40, "b" * 40)
    scene.project.report("b" * 40, "staging")
    found = await pipelines.history(PROJECT, "production", timeout_s=T)
    assert [one.sha[0] for one in found] == ["b", "a"]
    assert found[0].well
    assert found[0].job_name == "deploy"
    assert found[0].url.endswith(f"/-/jobs/{found[0].job_id}")
    everywhere = await pipelines.history(PROJECT, None, timeout_s=T)
    assert [one.environment for one in everywhere] == ["staging", "production", "production"]
    assert everywhere[0].job_id is None


async def test_what_came_is_told_with_titles_authors_files_and_release(
    scene: Scene, pipelines: GitLabPipelines
) -> None:
    from sreops.sandbox.gitlab.pipelines import Release

    deploy(scene, "a" * 40, "b" * 40)
    scene.project.releases.append(Release("v2", "Two", datetime.now(UTC), "b" * 40, scene.gitlab.person("alice")))
    new, old = await pipelines.history(PROJECT, "production", timeout_s=T)
    brought = await pipelines.brought(old, new, timeout_s=T)
    assert [one.title for one in brought.commits] == [f"Change {'b' * 40}"]
    assert brought.files == (f"src/{'b' * 40}.py",)
    assert [(one.title, one.author) for one in brought.requests] == [(f"Change {'b' * 40}", "alice")]
    assert brought.release == "v2"
    assert not brought.back


async def test_a_rollback_is_seen_as_one(scene: Scene, pipelines: GitLabPipelines) -> None:
    deploy(scene, "a" * 40, "b" * 40)
    scene.project.retry(scene.project.jobs[0], scene.gitlab.person("bob"))
    new, old, _ = await pipelines.history(PROJECT, "production", timeout_s=T)
    assert (new.sha[0], old.sha[0]) == ("a", "b")
    assert (await pipelines.brought(old, new, timeout_s=T)).back


async def test_what_does_not_change_is_asked_for_once(scene: Scene, pipelines: GitLabPipelines) -> None:
    deploy(scene, "a" * 40, "b" * 40)
    new, old = await pipelines.history(PROJECT, "production", timeout_s=T)
    first = await pipelines.brought(old, new, timeout_s=T)
    scene.gitlab.faults.fail(500, path="*", times=50)
    assert await pipelines.brought(old, new, timeout_s=T) == first
    assert await pipelines.history(PROJECT, "production", timeout_s=T) == [new, old]


async def test_a_throttled_project_is_left_alone_for_as_long_as_it_asks(
    scene: Scene, pipelines: GitLabPipelines
) -> None:
    deploy(scene, "a" * 40)
    scene.gitlab.throttle(1, 60)
    with pytest.raises(IssuesUnavailable):
        await pipelines.history(PROJECT, "production", timeout_s=1.0)
    with pytest.raises(IssuesUnavailable, match="not to be asked again so soon"):
        await pipelines.history(PROJECT, "production", timeout_s=T)


async def test_an_ended_job_is_run_again_as_a_new_one_and_only_once(scene: Scene, pipelines: GitLabPipelines) -> None:
    deploy(scene, "a" * 40, "b" * 40)
    old = scene.project.jobs[0]
    again = await pipelines.retry(PROJECT, old.id, timeout_s=T)
    assert again.id > old.id
    assert again.name == "deploy"
    with pytest.raises(IssuesRefused, match="not retryable"):
        await pipelines.retry(PROJECT, old.id, timeout_s=T)
    newest, *_ = await pipelines.jobs(PROJECT, old.pipeline.id, timeout_s=T)
    me, _ = await pipelines.me(PROJECT, timeout_s=T)
    assert (newest.id, newest.user_id) == (again.id, me)


async def test_the_projects_own_rules_are_read(scene: Scene, pipelines: GitLabPipelines) -> None:
    rules = await pipelines.rules(PROJECT, timeout_s=T)
    assert (rules.against_rollback, rules.against_variables) == ("", "")
    scene.project.rollback_allowed, scene.project.variables_role = False, "no_one_allowed"
    rules = await pipelines.rules(PROJECT, timeout_s=T)
    assert "allows no rollback" in rules.against_rollback
    assert "no_one_allowed" in rules.against_variables
    deploy(scene, "a" * 40, "b" * 40)
    with pytest.raises(IssuesRefused):
        await pipelines.retry(PROJECT, scene.project.jobs[0].id, timeout_s=T)
    with pytest.raises(IssuesRefused, match="Insufficient permissions"):
        await pipelines.run(PROJECT, "main", {"A": "b"}, timeout_s=T)


async def test_a_manual_job_is_played(scene: Scene, pipelines: GitLabPipelines) -> None:
    job = scene.project.job(scene.project.pipeline("a" * 40), "renew-certificate", manual=True)
    assert (await pipelines.job(PROJECT, job.id, timeout_s=T)).status == "manual"
    assert (await pipelines.play(PROJECT, job.id, timeout_s=T)).status == "success"


async def test_a_job_that_is_not_manual_is_not_playable(scene: Scene, pipelines: GitLabPipelines) -> None:
    job = scene.project.job(scene.project.pipeline("a" * 40), "build")
    with pytest.raises(IssuesRefused, match="Unplayable"):
        await pipelines.play(PROJECT, job.id, timeout_s=T)


async def test_a_pipeline_is_started_with_variables_and_found_as_ours(scene: Scene, pipelines: GitLabPipelines) -> None:
    scene.project.commit("a" * 40, "first")
    scene.project.pipeline("a" * 40, user=scene.gitlab.person("alice"))
    started = await pipelines.run(PROJECT, "main", {"TARGET": "payments"}, timeout_s=T)
    _, name = await pipelines.me(PROJECT, timeout_s=T)
    [ours] = await pipelines.pipelines(PROJECT, "main", by=name, timeout_s=T)
    assert ours.id == started.id
    assert scene.project.pipelines[-1].variables == [{"key": "TARGET", "value": "payments"}]
    with pytest.raises(IssuesRefused, match="Reference not found"):
        await pipelines.run(PROJECT, "nowhere", {}, timeout_s=T)


async def test_the_end_of_a_jobs_log_is_read(scene: Scene, pipelines: GitLabPipelines) -> None:
    job = scene.project.job(scene.project.pipeline("a" * 40), "build")
    job.trace = "section_start:1560896352:my\r\x1b[0K" + "x" * 5000 + "\nERROR: the end"
    assert (await pipelines.last_lines(PROJECT, job.id, timeout_s=T)).endswith("ERROR: the end")
    assert len(await pipelines.last_lines(PROJECT, job.id, timeout_s=T)) <= 2000


async def test_a_lost_answer_to_a_write_is_unknown_and_never_repeated(scene: Scene, pipelines: GitLabPipelines) -> None:
    deploy(scene, "a" * 40, "b" * 40)
    scene.gitlab.faults.fail(502, path="*/retry", times=5)
    with pytest.raises(OutcomeUnknown):
        await pipelines.retry(PROJECT, scene.project.jobs[0].id, timeout_s=T)
    await scene.server.stop()
    with pytest.raises(IssuesUnavailable):  # it was never sent
        await pipelines.retry(PROJECT, scene.project.jobs[0].id, timeout_s=T)
    assert len(scene.project.jobs) == 2


async def test_a_token_of_another_project_sees_nothing_here(scene: Scene) -> None:
    other = GitLabPipelines(scene.settings(token="glpat-issues"))
    with pytest.raises(IssuesRefused, match="404"):
        await other.history(PROJECT, None, timeout_s=T)
    await other.aclose()


async def test_a_reporter_may_look_and_not_act(scene: Scene, pipelines: GitLabPipelines) -> None:
    from sreops.sandbox.gitlab.token import Token

    deploy(scene, "a" * 40, "b" * 40)
    scene.project.token = Token(TOKEN, ("api",), 20)
    assert await pipelines.history(PROJECT, None, timeout_s=T)
    with pytest.raises(IssuesRefused, match="403"):
        await pipelines.retry(PROJECT, scene.project.jobs[0].id, timeout_s=T)


def test_only_what_the_settings_list_is_allowed() -> None:
    told = {"url": "https://gitlab.example.com", "token": "t", "actions": [ALLOWED]}
    pipelines = GitLabPipelines(GitLabSettings.model_validate(told))
    assert pipelines.refusal("rollback_deployment", PROJECT, environment="production") == ""
    assert "does not list environment 'staging'" in pipelines.refusal(
        "rollback_deployment", PROJECT, environment="staging"
    )
    assert "no entry for project" in pipelines.refusal("play_job", "shop/other", ref="main", job="renew-x")
    assert "does not list" in pipelines.refusal("play_job", PROJECT, ref="main", job="deploy")
    nothing = {**told, "actions": [{"project": PROJECT, "token": TOKEN}]}
    refused = GitLabPipelines(GitLabSettings.model_validate(nothing)).refusal("run_pipeline", PROJECT, ref="main")
    assert "does not list run_pipeline" in refused


def test_the_setting_is_a_json_list(monkeypatch: pytest.MonkeyPatch) -> None:
    from sreops.settings import load_settings

    monkeypatch.setenv("SREOPS_GITLAB__ACTIONS", json.dumps([ALLOWED]))
    [read] = load_settings(_env_file=None).gitlab.actions
    assert (read.project, read.actions[0], read.environments) == (PROJECT, "rollback_deployment", ("prod*",))
    assert TOKEN not in repr(read)


async def test_the_sandbox_refuses_what_gitlab_refuses(scene: Scene) -> None:
    deploy(scene, "a" * 40, "b" * 40)
    at = f"{scene.server.url}/api/v4/projects/{PROJECT.replace('/', '%2F')}"
    async with httpx.AsyncClient(headers={"PRIVATE-TOKEN": TOKEN}) as client:
        oldest = (await client.get(f"{at}/deployments")).json()
        assert [one["sha"][0] for one in oldest] == ["a", "b"]  # oldest first, unless told
        assert (await client.get(f"{at}/deployments?status=done")).status_code == 400
        assert (await client.get(f"{at}/deployments?finished_after=2026-01-01T00:00:00Z")).status_code == 400
        assert (await client.get(f"{at}/environments?search=pr")).status_code == 400
        assert (await client.get(f"{at}/repository/compare?from={'a' * 40}")).status_code == 400
        assert (await client.post(f"{at}/pipeline", json={})).status_code == 400
        assert (await client.delete(f"{at}/jobs/1")).status_code == 405
        assert (await client.get(f"{at}/nothing")).status_code == 404
    async with httpx.AsyncClient() as nobody:
        assert (await nobody.get(f"{at}/deployments")).status_code == 404


async def test_check_says_what_each_projects_token_may_do(scene: Scene, pipelines: GitLabPipelines) -> None:
    now = WallClock().now()
    well = await pipelines.health(now, timeout_s=T)
    assert (well.status, well.cure) == ("up", "")
    assert f"project {PROJECT}: rollback_deployment, play_job, run_pipeline" in well.detail
    scene.project.rollback_allowed = False
    scene.project.variables_role = "no_one_allowed"
    held = await pipelines.health(now, timeout_s=T)
    assert held.status == "up"
    assert "allows no rollback" in held.detail
    assert "set pipeline variables" in held.detail
    scene.project.token = replace(scene.project.token, access_level=20)
    low = await pipelines.health(now, timeout_s=T)
    assert (low.status, low.cure) == ("down", "give it the role Developer")
    assert "level 20" in low.detail
    scene.project.token = replace(scene.project.token, access_level=30, scopes=("read_api",))
    narrow = await pipelines.health(now, timeout_s=T)
    assert (narrow.status, "scope api" in narrow.cure) == ("down", True)


async def test_check_tells_a_token_that_does_not_reach_its_project(scene: Scene) -> None:
    for changed in ({"token": "glpat-of-another"}, {"project": "shop/nowhere"}):
        pipelines = GitLabPipelines(scene.settings(**changed))
        found = await pipelines.health(WallClock().now(), timeout_s=T)
        await pipelines.aclose()
        assert found.status == "down", changed
        assert found.cure, changed
