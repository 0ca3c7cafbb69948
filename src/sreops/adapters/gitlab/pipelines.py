"""GitLab's deployments, jobs and pipelines over REST: read within bounds, and acted upon as the settings allow.

Facts: docs.gitlab.com, API: deployments, jobs, pipelines, repositories (compare), releases. Deployments are listed
oldest first unless told; neither a job nor a deployment says that it was run again; undeclared filters do nothing, so
what comes back is looked at again.
"""

import asyncio
import re
import ssl
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
from pydantic import SecretStr

from sreops.adapters.gitlab.access import acting_fault, token_shown
from sreops.adapters.gitlab.api import GitLabApi
from sreops.adapters.gitlab.shapes import (
    deployment_of,
    job_of,
    list_in,
    number_in,
    object_in,
    pipeline_of,
    rules_of,
    text_in,
)
from sreops.domain.evidence.deployments import Brought, BroughtCommit, BroughtRequest, DeclaredPlace, Deployment
from sreops.domain.text.patterns import glob_matches
from sreops.errors import IssuesRefused, IssuesUnavailable, OutcomeUnknown
from sreops.ports import Health
from sreops.ports.deployments import Job, Pipeline, Rules
from sreops.settings import GitLabActions, GitLabDeployments, GitLabSettings

MOST_DEPLOYMENTS = 50
_MOST_CACHED = 200
_FRESH_S = 15.0
_MOST_FILES = 100
_TAIL_CHARS = 2000
_SECTION = re.compile(r"section_(?:start|end):\d+:[^\r\n]*\r")


class GitLabPipelines:
    """Implements ports.Deployments and ports.Pipelines; each project by its own token, where it has one."""

    def __init__(
        self,
        settings: GitLabSettings,
        *,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._trust, self._transport = trust, transport
        self._apis: dict[str, GitLabApi] = {}
        self._brought: OrderedDict[tuple[str, int, int], Brought] = OrderedDict()
        self._lists: OrderedDict[tuple[str, str], tuple[float, Sequence[Deployment]]] = OrderedDict()
        self._not_before: dict[str, float] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        for api in self._apis.values():
            await api.aclose()

    @property
    def url(self) -> str:
        """GitLab's address."""
        return (self._settings.url or "").rstrip("/").removesuffix("/api/v4")

    @property
    def declared(self) -> Sequence[DeclaredPlace]:
        """The declared map, then the projects that may be acted upon."""
        mapped = [
            DeclaredPlace(project=deployment.project, environment=deployment.environment, services=deployment.services)
            for deployment in self._settings.deployments
        ]
        return [*mapped, *(DeclaredPlace(project=action.project) for action in self._settings.actions)]

    # --- reading -------------------------------------------------------------------------------------------------

    async def history(self, project: str, environment: str | None, *, timeout_s: float) -> Sequence[Deployment]:
        """Return the newest deployments, newest first; a list is believed for some seconds."""
        key, now = (project, environment or ""), time.monotonic()
        if key in self._lists and now - self._lists[key][0] < _FRESH_S:
            return self._lists[key][1]
        if now < self._not_before.get(project, 0.0):
            raise IssuesUnavailable(f"gitlab: {project}: it asked not to be asked again so soon")
        try:
            found = await self._deployments(project, environment, now + timeout_s)
        except IssuesUnavailable as exc:
            if exc.retry_after_s:
                self._not_before[project] = now + exc.retry_after_s
            raise
        self._lists[key] = (now, found)
        while len(self._lists) > _MOST_CACHED:
            self._lists.popitem(last=False)
        return found

    async def brought(self, before: Deployment | None, deployment: Deployment, *, timeout_s: float) -> Brought:
        """Return what came with a deployment: commits and files by comparison, its merge requests, its release."""
        key = (deployment.project, before.id if before else 0, deployment.id)
        if key in self._brought:
            return self._brought[key]
        api, deadline = self._api(deployment.project), time.monotonic() + timeout_s
        commits, files, back = await self._compared(api, before, deployment, deadline)
        requests = await self._optional(api, f"/deployments/{deployment.id}/merge_requests", deadline)
        releases = await self._optional(api, "/releases", deadline, [("per_page", "20")])
        made = Brought(
            commits=commits, files=files, back=back,
            requests=tuple(
                BroughtRequest(
                    iid=number_in(item.get("iid")) or 0, title=text_in(item.get("title")),
                    author=text_in(object_in(item.get("author")).get("username")), url=text_in(item.get("web_url")),
                )
                for item in requests
            ),
            release=next((text_in(item.get("tag_name")) for item in releases if _is_of(item, deployment.sha)), ""),
        )  # fmt: skip
        self._brought[key] = made
        while len(self._brought) > _MOST_CACHED:
            self._brought.popitem(last=False)
        return made

    async def _compared(
        self, api: GitLabApi, before: Deployment | None, deployment: Deployment, deadline: float
    ) -> tuple[tuple[BroughtCommit, ...], tuple[str, ...], bool]:
        if before is None or before.sha == deployment.sha:
            return (), (), False
        comparison = await self._compare(api, before.sha, deployment.sha, deadline)
        back = not comparison.get("commits")
        if back:  # nothing came: it may have gone back to something older
            comparison = await self._compare(api, deployment.sha, before.sha, deadline)
        commits = tuple(
            BroughtCommit(
                sha=text_in(item.get("id")), title=text_in(item.get("title")), author=text_in(item.get("author_name"))
            )
            for item in list_in(comparison.get("commits"))[::-1][:_MOST_FILES]
        )
        files = tuple(text_in(item.get("new_path")) for item in list_in(comparison.get("diffs"))[:_MOST_FILES])
        return commits, files, back

    async def _compare(self, api: GitLabApi, old: str, new: str, deadline: float) -> Mapping[str, Any]:
        try:
            return object_in(
                await api.get(f"{api.at_project}/repository/compare", deadline, [("from", old), ("to", new)])
            )
        except IssuesRefused:  # a commit that is not there any more, or code that the token may not read
            return {}

    async def _optional(
        self, api: GitLabApi, path: str, deadline: float, params: list[tuple[str, str]] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        try:
            return list_in(await api.get(f"{api.at_project}{path}", deadline, params))
        except IssuesRefused:
            return []

    async def _deployments(self, project: str, environment: str | None, deadline: float) -> Sequence[Deployment]:
        params = [("order_by", "id"), ("sort", "desc"), ("per_page", str(MOST_DEPLOYMENTS))]
        if environment:
            params.append(("environment", environment))
        api = self._api(project)
        items, _ = await api.page(f"{api.at_project}/deployments", deadline, params)
        read = [found for item in items if (found := deployment_of(project, item)) is not None]
        wanted = [deployment for deployment in read if not environment or deployment.environment == environment]
        return sorted(wanted, key=lambda deployment: -deployment.id)

    # --- acting --------------------------------------------------------------------------------------------------

    def refusal(self, action: str, project: str, **of: str) -> str:
        """Say why the settings do not allow it, or nothing."""
        entries = [entry for entry in self._settings.actions if entry.project.lower() == project.lower()]
        if not entries:
            return f"SREOPS_GITLAB__ACTIONS has no entry for project {project!r}"
        if not any(action in entry.actions for entry in entries):
            return f"SREOPS_GITLAB__ACTIONS does not list {action} for project {project!r}"
        if not any(action in entry.actions and _listed(entry, of) for entry in entries):
            told = ", ".join(f"{name} {value!r}" for name, value in of.items())
            return f"SREOPS_GITLAB__ACTIONS does not list {told} for {action} of project {project!r}"
        return ""

    async def health(self, now: datetime, *, timeout_s: float) -> Health:
        """Say whether each project that may be acted upon lets its token do that, and what its own rules forbid."""
        found = await asyncio.gather(*(self._acting(entry, now, timeout_s) for entry in self._settings.actions))
        down = [health for health in found if health.status == "down"]
        told = down or [health for health in found if health.cure] or found
        cures = dict.fromkeys(health.cure for health in told if health.cure)
        return Health("down" if down else "up", "; ".join(health.detail for health in told), "; ".join(cures))

    async def _acting(self, entry: GitLabActions, now: datetime, timeout_s: float) -> Health:
        api, deadline = self._api(entry.project), time.monotonic() + timeout_s
        detail = f"project {api.project}"
        try:
            token, shown = await token_shown(api, deadline), object_in(await api.get(api.at_project, deadline))
        except (IssuesRefused, IssuesUnavailable) as exc:
            cure = exc.cure or "correct the entry of SREOPS_GITLAB__ACTIONS, or wait for GitLab"
            return Health("down", str(exc), cure)
        if (fault := acting_fault(token, shown, now)) is not None:
            status, what, cure = fault
            return Health(status, f"{detail}: {what}", cure)
        rules = rules_of(shown)
        forbidden = [
            rule
            for action, rule in (
                ("rollback_deployment", rules.against_rollback), ("run_pipeline", rules.against_variables)
            )
            if rule and action in entry.actions
        ]  # fmt: skip
        if forbidden:
            return Health("up", f"{detail}: {'; '.join(forbidden)}", "change the project's CI/CD settings")
        return Health("up", f"{detail}: {', '.join(entry.actions) or 'no action is listed'}")

    async def me(self, project: str, *, timeout_s: float) -> tuple[int, str]:
        """Return our own user's id and name."""
        shown = object_in(await self._api(project).get("/api/v4/user", time.monotonic() + timeout_s))
        return number_in(shown.get("id")) or 0, text_in(shown.get("username"))

    async def rules(self, project: str, *, timeout_s: float) -> Rules:
        """Return the project's own rules."""
        api = self._api(project)
        return rules_of(object_in(await api.get(api.at_project, time.monotonic() + timeout_s)))

    async def deployments(self, project: str, environment: str, *, timeout_s: float) -> Sequence[Deployment]:
        """Return the newest deployments to an environment, past any cache."""
        return await self._deployments(project, environment, time.monotonic() + timeout_s)

    async def job(self, project: str, job_id: int, *, timeout_s: float) -> Job:
        """Return a job."""
        api = self._api(project)
        return job_of(object_in(await api.get(f"{api.at_project}/jobs/{job_id}", time.monotonic() + timeout_s)))

    async def jobs(self, project: str, pipeline_id: int, *, timeout_s: float) -> Sequence[Job]:
        """Return all jobs of a pipeline, newest first."""
        api = self._api(project)
        path = f"{api.at_project}/pipelines/{pipeline_id}/jobs"
        items, _ = await api.page(
            path, time.monotonic() + timeout_s, [("include_retried", "true"), ("per_page", "100")]
        )
        return sorted((job_of(item) for item in items), key=lambda job: -job.id)

    async def pipelines(self, project: str, ref: str, *, by: str = "", timeout_s: float) -> Sequence[Pipeline]:
        """Return a ref's newest pipelines, newest first."""
        api = self._api(project)
        params = [("ref", ref), ("order_by", "id"), ("sort", "desc"), ("per_page", "20")]
        if by:
            params += [("source", "api"), ("username", by)]
        items, _ = await api.page(f"{api.at_project}/pipelines", time.monotonic() + timeout_s, params)
        read = [pipeline_of(item) for item in items]
        return sorted(
            (pipeline for pipeline in read if pipeline.ref == ref and (not by or pipeline.source == "api")),
            key=lambda pipeline: -pipeline.id,
        )

    async def pipeline(self, project: str, pipeline_id: int, *, timeout_s: float) -> Pipeline:
        """Return a pipeline."""
        api = self._api(project)
        path = f"{api.at_project}/pipelines/{pipeline_id}"
        return pipeline_of(object_in(await api.get(path, time.monotonic() + timeout_s)))

    async def last_lines(self, project: str, job_id: int, *, timeout_s: float) -> str:
        """Return the end of a job's log; empty where there is none."""
        api = self._api(project)
        try:
            text = await api.text(f"{api.at_project}/jobs/{job_id}/trace", time.monotonic() + timeout_s)
        except (IssuesRefused, IssuesUnavailable):
            return ""
        return _SECTION.sub("", text)[-_TAIL_CHARS:]

    async def retry(self, project: str, job_id: int, *, timeout_s: float) -> Job:
        """Run an ended job again: a new job."""
        return job_of(await self._post(project, f"/jobs/{job_id}/retry", {}, timeout_s))

    async def play(self, project: str, job_id: int, *, timeout_s: float) -> Job:
        """Start a manual job that has not run."""
        return job_of(await self._post(project, f"/jobs/{job_id}/play", {}, timeout_s))

    async def run(self, project: str, ref: str, variables: Mapping[str, str], *, timeout_s: float) -> Pipeline:
        """Start a pipeline."""
        body: dict[str, Any] = {"ref": ref}
        if variables:
            body["variables"] = [{"key": name, "value": value} for name, value in variables.items()]
        return pipeline_of(await self._post(project, "/pipeline", body, timeout_s))

    async def _post(self, project: str, path: str, body: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        api = self._api(project)
        try:
            return await api.post(f"{api.at_project}{path}", time.monotonic() + timeout_s, body)
        except IssuesUnavailable as exc:
            if isinstance(exc.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                raise  # it was never sent
            raise OutcomeUnknown(str(exc)) from exc

    def _api(self, project: str) -> GitLabApi:
        if project not in self._apis:
            own = self._settings.model_copy(update={"project": project, "token": self._token(project)})
            self._apis[project] = GitLabApi(own, trust=self._trust, transport=self._transport)
        return self._apis[project]

    def _token(self, project: str) -> SecretStr | None:
        entries: list[GitLabActions | GitLabDeployments] = [*self._settings.actions, *self._settings.deployments]
        named = (
            entry.token for entry in entries if entry.project.lower() == project.lower() and entry.token is not None
        )
        return next(named, self._settings.token)


def _is_of(release: Mapping[str, Any], sha: str) -> bool:
    return object_in(release.get("commit")).get("id") == sha


def _listed(entry: GitLabActions, of: Mapping[str, str]) -> bool:
    allowed = {"ref": entry.refs, "environment": entry.environments, "job": entry.jobs}
    return all(any(glob_matches(glob, value) for glob in allowed[name]) for name, value in of.items())
