"""Killed around what is done outside the engine: GitLab's jobs and pipelines, and webhooks. Never twice, never wrong.

At each of them sreops is killed before the request arrives, after it was acted upon and before the answer, and while
what it began still runs; GitLab is the strict sandbox's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from crash.databases import Sqlite
from crash.lineage import Lineage
from crash.world import Gate, World, payload
from servers.waiting import eventually
from sreops.sandbox.gitlab.pipelines import Job, Pipeline, Project
from sreops.sandbox.server import Server as SandboxServer

pytestmark = pytest.mark.timeout(600)

When = Literal["before", "after", "while it runs"]
MOMENTS: tuple[When, ...] = ("before", "after", "while it runs")
RUNS_S = 2.5
STEPS = {
    "rollback_deployment": "{project: PROJECT, environment: production}",
    "play_job": "{project: PROJECT, ref: main, job: renew}",
    "run_pipeline": '{project: PROJECT, ref: main, variables: {TARGET: "{{ service }}"}}',
    "call_webhook": '{name: PROJECT, body: {on: "{{ service }}"}}',
}
ACTS = ("/retry", "/play", "/pipeline", "/hook")


class ActsOnly(Gate):
    """A gate that sees only the requests that act."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith(ACTS):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@dataclass
class Elsewhere:
    """A world whose services are mended by what is done elsewhere, and who counts how often that was."""

    world: World
    gate: ActsOnly
    hooks: ActsOnly
    broken: dict[str, float]
    projects: dict[str, Project] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """The webhook's calls: its key, and the service."""

    def mend(self, service: str) -> Callable[[Job], bool]:
        """Return a job's script that mends a service."""

        def script(job: Job) -> bool:
            self.broken[service] = 0.0
            return True

        return script


def elsewhere(tmp_path: Path) -> Elsewhere:
    broken: dict[str, float] = {}
    world = World(tmp_path, broken=lambda: dict(broken))
    gate = ActsOnly(world.gitlab.app)
    calls: list[tuple[str, str]] = []

    async def hook(request: Request) -> Response:
        service = (await request.json())["on"]
        calls.append((request.headers["idempotency-key"], service))
        broken[service] = 0.0
        return JSONResponse({"job": len(calls)}, 202)

    hooks = ActsOnly(Starlette(routes=[Route("/hook", hook, methods=["POST"])]))
    world._servers["gitlab"] = SandboxServer(gate)  # the tests' own world
    world._servers["hooks"] = SandboxServer(hooks)
    return Elsewhere(world, gate, hooks, broken, calls=calls)


def prepare(there: Elsewhere, action: str, name: str) -> None:
    """Make a broken service of this name, and what mends it in a project of its own."""
    there.world.add(name)
    there.broken[name] = 1.0
    project = there.projects[name] = there.world.gitlab.add_project(f"shop/{name}", f"glpat-{name}")
    mend = there.mend(name)
    project.commit("a" * 40, "first")
    if action == "rollback_deployment":
        project.deploy("a" * 40, script=mend)
        there.broken[name] = 1.0
        project.commit("b" * 40, "second")
        project.deploy("b" * 40)
        for job in project.jobs:
            job.runs_s = RUNS_S
    elif action == "play_job":
        project.job(project.pipeline("a" * 40), "renew", mend, manual=True, runs_s=RUNS_S)
    elif action == "run_pipeline":

        def begin(of: Project, pipeline: Pipeline) -> None:
            of.job(pipeline, "mend", mend, runs_s=RUNS_S)

        project.stages["mend"] = begin


def settings(there: Elsewhere, names: list[str], action: str, *, idempotent: bool) -> dict[str, str]:
    runbooks = ["version: 1", "runbooks:"]
    for name in names:
        target = name if action == "call_webhook" else f"shop/{name}"
        runbooks.append(
            f"  - id: mend-{name}\n    when: {{}}\n    autonomy: supervised\n    cooldown_s: 0\n    steps:\n"
            f"      - {{action: {action}, params: {STEPS[action].replace('PROJECT', target)}, timeout_s: 15}}\n"
            "    verify:\n"
            '      - {promql: \'max by (name) (service_broken{name="{{ service }}"})\', condition: "< 0.5"}'
        )
    (there.world.directory / "runbooks.yaml").write_text("\n".join(runbooks))
    actions = ["rollback_deployment", "play_job", "run_pipeline"]
    allowed = [
        {"project": f"shop/{name}", "token": f"glpat-{name}", "actions": actions, "refs": ["*"],
         "environments": ["*"], "jobs": ["*"]}
        for name in names
    ]  # fmt: skip
    url = there.world._servers["hooks"].url
    webhooks = [{"name": name, "url": f"{url}/hook", "idempotent": idempotent} for name in names]
    return {
        "SREOPS_GITLAB__ACTIONS": json.dumps(allowed),
        "SREOPS_ACTIONS__WEBHOOKS": json.dumps(webhooks),
        "SREOPS_GITLAB__TIMEOUT_S": "2",
    }


def done(there: Elsewhere, action: str, name: str) -> int:
    """How often it was done."""
    project = there.projects[name]
    if action == "rollback_deployment":
        return len(project.deployments) - 2
    if action == "play_job":
        return sum(job.status != "manual" for job in project.jobs)
    if action == "run_pipeline":
        return sum(one.source == "api" for one in project.pipelines)
    return len({key for key, service in there.calls if service == name})


async def approved(lineage: Lineage, name: str) -> None:
    """Send the alert, and approve the plan."""
    async with httpx.AsyncClient(timeout=30) as client:
        body = payload(name, 1, runbook_id=f"mend-{name}")
        answer = await client.post(f"{lineage.sreops.url}/alerts", json=body)
        assert answer.status_code == 202, answer.text

        async def waiting() -> dict[str, Any] | None:
            found = (await client.get(f"{lineage.sreops.url}/api/incidents", params={"service": name})).json()["items"]
            return found[0] if found and found[0]["status"] == "awaiting_approval" else None

        plan = await eventually(waiting, 40, every_s=0.2, what=f"{name} to wait for an approval")
        assert plan is not None
        told = {"by": "tester", "reason": "because", "plan_hash": plan["plan_hash"]}
        answer = await client.post(f"{lineage.sreops.url}/api/incidents/{plan['id']}/approve", json=told)
        assert answer.status_code == 200, answer.text


async def killed(lineage: Lineage, gate: Gate, there: Elsewhere, action: str, name: str, when: When) -> dict[str, Any]:
    """Kill sreops at the moment, start it again, and return the incident at its end."""
    dead = asyncio.Event()

    async def kill() -> None:
        await asyncio.to_thread(lineage.sreops.kill)
        dead.set()

    then: Callable[[], Awaitable[None]] | None = kill if when != "while it runs" else None
    gate.rearm(1, "before" if when == "before" else "after", then)
    await approved(lineage, name)
    if when == "while it runs":
        await eventually(lambda: done(there, action, name) == 1, 20, every_s=0.05, what="it to be begun")
        await kill()
    await asyncio.wait_for(dead.wait(), 30)
    gate.rearm()
    await lineage.start()
    ended = await eventually(
        lambda: asyncio.to_thread(lineage.sreops.ended_incident_of, name), 120, every_s=0.2, what=f"{name} to end"
    )
    assert ended is not None
    return dict(ended)


@pytest.mark.parametrize("action", ["rollback_deployment", "play_job", "run_pipeline"])
async def test_killed_around_an_act_on_gitlab_it_is_done_once_at_most_and_settled_by_looking(
    tmp_path: Path, action: str
) -> None:
    there, names = elsewhere(tmp_path), [when.replace(" ", "-") for when in MOMENTS]
    async with there.world.serving():
        for name in names:
            prepare(there, action, name)
        own = settings(there, names, action, idempotent=False)
        async with Lineage(there.world, "elsewhere", Sqlite(), own).opened() as lineage:
            for when, name in zip(MOMENTS, names, strict=True):
                ended = await killed(lineage, there.gate, there, action, name, when)
                outcomes = [effect["outcome"] for effect in ended["effects"]]
                if when == "before":
                    assert (ended["reason"], outcomes) == ("outcome_unknown", ["unknown"]), ended
                    assert done(there, action, name) == 0
                else:
                    assert (ended["resolution"], outcomes) == ("fixed", ["succeeded"]), (when, ended)
                    assert done(there, action, name) == 1, when
            assert await lineage.audit() == ""


@pytest.mark.parametrize("idempotent", [False, True])
async def test_killed_around_a_webhook_it_is_called_again_only_where_a_repeat_is_taken(
    tmp_path: Path, idempotent: bool
) -> None:
    there, names, action = elsewhere(tmp_path), ["before", "after"], "call_webhook"
    async with there.world.serving():
        for name in names:
            prepare(there, action, name)
        own = settings(there, names, action, idempotent=idempotent)
        async with Lineage(there.world, "hooks", Sqlite(), own).opened() as lineage:
            for when, name in zip(MOMENTS[:2], names, strict=True):
                ended = await killed(lineage, there.hooks, there, action, name, when)
                outcomes = [effect["outcome"] for effect in ended["effects"]]
                calls = [key for key, service in there.calls if service == name]
                if idempotent:
                    assert (ended["resolution"], outcomes) == ("fixed", ["succeeded"]), (when, ended)
                    assert (len(calls), len(set(calls))) == ((1, 1) if when == "before" else (2, 1))
                else:
                    assert (ended["reason"], outcomes) == ("outcome_unknown", ["unknown"]), (when, ended)
                    assert len(calls) == (0 if when == "before" else 1)
            assert await lineage.audit() == ""
