"""Acting on GitLab: a deployment rolled back, a job played, a pipeline run; followed to their ends by looking."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeVar

from sreops.agent.context import Tools
from sreops.agent.remediation.request import Request
from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.remediation.ci import of_status, one_of_ours
from sreops.domain.remediation.effects import Settled
from sreops.domain.remediation.policy import TargetFacts
from sreops.domain.remediation.rollback import BUSY, way_back
from sreops.domain.remediation.target_identity import deployment_identity
from sreops.domain.runbooks.runbook import PlannedStep, StepAction
from sreops.domain.text.redaction import clean, one_line
from sreops.errors import IssuesRefused, SreopsError
from sreops.ports import Pipelines
from sreops.ports.deployments import Job

_LATE_CLOCK_S = 60.0
_SAID_CHARS = 300
_T = TypeVar("_T")
_ROLLBACKS = frozenset({StepAction.rollback_deployment.value, "rollback_service"})


class _OnGitLab:
    """What the three have in common: the settings allow it, and a project is one target at a time."""

    by: Mapping[str, str] = MappingProxyType({})
    """What the settings list it by: the settings' word and the step's parameter."""

    async def facts(self, tools: Tools, step: PlannedStep) -> TargetFacts:
        """Return the target as policy sees it: what SREOPS_GITLAB__ACTIONS lists is allowed, and nothing else is."""
        if tools.pipelines is None:
            return TargetFacts(name=step.target, found=False, refused="SREOPS_GITLAB__URL is not set")
        refused = tools.pipelines.refusal(
            step.action.value, _project(step), **{word: str(step.params[name]) for word, name in self.by.items()}
        )
        if refused:
            return TargetFacts(name=step.target, found=False, refused=refused)
        return TargetFacts(name=step.target, found=True, listed=True, standing=self.standing(step))

    def standing(self, step: PlannedStep) -> str:
        """Return the standing identity."""
        return deployment_identity(_project(step), str(step.params.get("environment", "")))

    async def _gitlab(self, request: Request) -> Pipelines:
        refused = (await self.facts(request.tools, request.step)).refused
        if refused or request.tools.pipelines is None:
            raise IssuesRefused(refused)
        return request.tools.pipelines


class RollbackDeployment(_OnGitLab):
    """An errand: the job of the last good deployment, again."""

    by = MappingProxyType({"environment": "environment"})

    async def before(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        """Find the way back; raises IssuesRefused where there is none that sreops may take."""
        gitlab, timeout_s = await self._gitlab(request), _timeout_s(request)
        step = request.step
        project, environment = _project(step), str(step.params["environment"])
        if any(
            effect.action in _ROLLBACKS and effect.outcome is not EffectOutcome.failed
            for effect in request.incident.effects
        ):
            raise IssuesRefused("this incident was rolled back once already: a person decides")
        if against := (await gitlab.rules(project, timeout_s=timeout_s)).against_rollback:
            raise IssuesRefused(against)
        way = way_back(await gitlab.deployments(project, environment, timeout_s=timeout_s))
        if way.to is None or way.current is None or way.to.job_id is None or way.to.pipeline_id is None:
            raise IssuesRefused(f"no way back: {way.why}")
        jobs = await gitlab.jobs(project, way.to.pipeline_id, timeout_s=timeout_s)
        same = [job for job in jobs if job.name == way.to.job_name]
        if not same or same[0].status in BUSY:
            raise IssuesRefused(f"job {way.to.job_name} of pipeline {way.to.pipeline_id} is gone or under way")
        me, _ = await gitlab.me(project, timeout_s=timeout_s)
        return self.standing(step), {
            "project": project, "environment": environment, "pipeline_id": way.to.pipeline_id,
            "job_name": way.to.job_name, "job_id": same[0].id, "newest_job_id": same[0].id, "user_id": me,
            "from_sha": way.current.sha, "to_sha": way.to.sha, "deployment_id": way.current.id,
        }  # fmt: skip

    async def send(self, request: Request, effect: Effect) -> Settled:
        """Run the job again; only one that was not run again since can be."""
        gitlab = await self._gitlab(request)
        job = await gitlab.retry(_project(request.step), effect.snapshot["job_id"], timeout_s=_timeout_s(request))
        back = f"job {job.id} takes {effect.snapshot['environment']} from {effect.snapshot['from_sha'][:8]} back to "
        return Settled.later(f"{back}{effect.snapshot['to_sha'][:8]}: {job.url}", _soon(request))

    async def look(self, request: Request, effect: Effect) -> Settled:
        """Look for the job of the same name, ours and newer than the snapshot."""
        gitlab, snapshot = await self._gitlab(request), effect.snapshot
        jobs = await gitlab.jobs(_project(request.step), snapshot["pipeline_id"], timeout_s=_timeout_s(request))
        ours = [
            job
            for job in jobs
            if job.name == snapshot["job_name"]
            and job.id > snapshot["newest_job_id"]
            and job.user_id == snapshot["user_id"]
        ]
        found = _ours(request, effect, ours, "job")
        return found if isinstance(found, Settled) else await _job_settled(request, gitlab, effect, found)


class PlayJob(_OnGitLab):
    """An errand: a manual job, played."""

    by = MappingProxyType({"ref": "ref", "job": "job"})

    async def before(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        """Find the job that waits; raises IssuesRefused where none does."""
        gitlab, timeout_s = await self._gitlab(request), _timeout_s(request)
        step = request.step
        project, name = _project(step), str(step.params["job"])
        for pipeline in (await gitlab.pipelines(project, str(step.params["ref"]), timeout_s=timeout_s))[:5]:
            jobs = [job for job in await gitlab.jobs(project, pipeline.id, timeout_s=timeout_s) if job.name == name]
            if not jobs:
                continue
            if jobs[0].status != "manual":
                raise IssuesRefused(f"job {name} of pipeline {pipeline.id} is {jobs[0].status}, and does not wait")
            me, _ = await gitlab.me(project, timeout_s=timeout_s)
            return self.standing(step), {
                "project": project, "job_id": jobs[0].id, "job_name": name, "pipeline_id": pipeline.id, "user_id": me,
            }  # fmt: skip
        raise IssuesRefused(f"none of the newest pipelines of {step.params['ref']} has a job {name}")

    async def send(self, request: Request, effect: Effect) -> Settled:
        """Play it, once."""
        gitlab = await self._gitlab(request)
        job = await gitlab.play(_project(request.step), effect.snapshot["job_id"], timeout_s=_timeout_s(request))
        return Settled.later(f"job {job.name} runs: {job.url}", _soon(request))

    async def look(self, request: Request, effect: Effect) -> Settled:
        """Look whether it still waits; one that ended is playable again, so it is never played twice."""
        gitlab, snapshot = await self._gitlab(request), effect.snapshot
        job = await gitlab.job(_project(request.step), snapshot["job_id"], timeout_s=_timeout_s(request))
        played = [] if job.status == "manual" else [job]
        found = _ours(request, effect, played, "job")
        if isinstance(found, Settled):
            return found
        if job.user_id != snapshot["user_id"]:
            return Settled.unknown(f"job {job.name} was played by somebody else meanwhile: {job.url}")
        return await _job_settled(request, gitlab, effect, job)


class RunPipeline(_OnGitLab):
    """An errand: a new pipeline."""

    by = MappingProxyType({"ref": "ref"})

    async def before(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        """Note the newest pipeline; raises IssuesRefused where the project forbids what is wanted."""
        gitlab, timeout_s = await self._gitlab(request), _timeout_s(request)
        step = request.step
        project, ref = _project(step), str(step.params["ref"])
        if step.params.get("variables"):
            rules = await gitlab.rules(project, timeout_s=timeout_s)
            if rules.against_variables:
                raise IssuesRefused(rules.against_variables)
        newest = await gitlab.pipelines(project, ref, timeout_s=timeout_s)
        me, name = await gitlab.me(project, timeout_s=timeout_s)
        return self.standing(step), {
            "project": project, "ref": ref, "newest_pipeline_id": newest[0].id if newest else 0, "user_id": me,
            "username": name,
        }  # fmt: skip

    async def send(self, request: Request, effect: Effect) -> Settled:
        """Start it, once."""
        gitlab = await self._gitlab(request)
        variables = {str(name): str(value) for name, value in (request.step.params.get("variables") or {}).items()}
        started = await gitlab.run(
            _project(request.step), effect.snapshot["ref"], variables, timeout_s=_timeout_s(request)
        )
        return Settled.later(f"pipeline {started.id} runs: {started.url}", _soon(request))

    async def look(self, request: Request, effect: Effect) -> Settled:
        """Look for the pipeline on that ref that we have started by the API since the intent."""
        gitlab, snapshot = await self._gitlab(request), effect.snapshot
        found = await gitlab.pipelines(
            _project(request.step), snapshot["ref"], by=snapshot["username"], timeout_s=_timeout_s(request)
        )
        since = effect.intent_at - timedelta(seconds=_LATE_CLOCK_S)
        ours = [
            pipeline
            for pipeline in found
            if pipeline.id > snapshot["newest_pipeline_id"]
            and (pipeline.created_at is None or pipeline.created_at >= since)
        ]
        pipeline = _ours(request, effect, ours, "pipeline")
        if isinstance(pipeline, Settled):
            return pipeline
        settled = _followed(request, effect, pipeline.status, f"pipeline {pipeline.id} ({pipeline.url})")
        if settled.outcome is not EffectOutcome.failed:
            return settled
        jobs = await gitlab.jobs(_project(request.step), pipeline.id, timeout_s=_timeout_s(request))
        failed = next((job for job in jobs if job.status == "failed"), None)
        return await _with_last_lines(request, gitlab, settled, failed) if failed else settled


async def _job_settled(request: Request, gitlab: Pipelines, effect: Effect, job: Job) -> Settled:
    settled = _followed(request, effect, job.status, f"job {job.name} ({job.url})")
    if settled.outcome is not EffectOutcome.failed:
        return settled
    return await _with_last_lines(request, gitlab, settled, job)


async def _with_last_lines(request: Request, gitlab: Pipelines, settled: Settled, job: Job) -> Settled:
    try:
        last_lines = await gitlab.last_lines(_project(request.step), job.id, timeout_s=_timeout_s(request))
    except SreopsError:
        return settled
    redacted = request.redact(clean(last_lines))
    lines = " / ".join(line.strip() for line in redacted.splitlines() if line.strip())
    told = f"{settled.why}; its last lines: {one_line(lines[-_SAID_CHARS:], _SAID_CHARS)}"
    return Settled.failed(told) if lines else settled


def _project(step: PlannedStep) -> str:
    return str(step.params["project"])


def _timeout_s(request: Request) -> float:
    return request.tools.settings.gitlab.timeout_s


def _poll_s(request: Request) -> float:
    return request.tools.settings.verify.poll_s


def _soon(request: Request) -> datetime:
    return request.now() + timedelta(seconds=min(2.0, _poll_s(request)))


def _ours(request: Request, effect: Effect, found: Sequence[_T], what: str) -> _T | Settled:
    """Return the one that our request has brought about, or what is to be said where there is not exactly one."""
    settings = request.tools.settings
    # until when a request whose answer was lost may still come true
    until = effect.intent_at + timedelta(seconds=settings.gitlab.timeout_s + settings.docker.settle_margin_s)
    return one_of_ours(found, what=what, now=request.now(), until=until, again_at=_soon(request))


def _followed(request: Request, effect: Effect, status: str, told: str) -> Settled:
    until = effect.intent_at + timedelta(seconds=request.step.timeout_s)
    return of_status(status, told, now=request.now(), until=until, poll_s=_poll_s(request))
