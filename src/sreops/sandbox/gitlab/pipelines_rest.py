"""REST v4 of projects with CI: environments, deployments, pipelines, jobs, comparisons, releases."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sreops.sandbox.gitlab import search
from sreops.sandbox.gitlab.parameters import FLAG, MOMENT, TEXT, Coercion, ParameterRefused, choice, coerce, read
from sreops.sandbox.gitlab.pipelines import Deployment, Job, Pipeline, Project
from sreops.sandbox.gitlab.pipelines_json import (
    deployment_json,
    job_json,
    page_of_project,
    pipeline_json,
    request_json,
    server_of,
)
from sreops.sandbox.gitlab.records import stamp, user_json
from sreops.sandbox.gitlab.token import shown_by
from sreops.sandbox.told import Told

DEVELOPER, MAINTAINER = 30, 40
_OWN_TOKEN = "/api/v4/personal_access_tokens/self"
_STATUSES = ("created", "running", "success", "failed", "canceled", "blocked")
_DEPLOYMENTS: dict[str, Coercion] = {
    **search.PAGES,
    "environment": TEXT,
    "status": choice(*_STATUSES),
    "order_by": choice("id", "iid", "created_at", "updated_at", "ref", "finished_at"),
    "sort": choice("asc", "desc"),
    "updated_after": MOMENT, "updated_before": MOMENT, "finished_after": MOMENT, "finished_before": MOMENT,
}  # fmt: skip
_PIPELINES: dict[str, Coercion] = {
    **search.PAGES,
    "ref": TEXT, "sha": TEXT, "status": TEXT, "source": TEXT, "username": TEXT, "scope": TEXT, "name": TEXT,
    "updated_after": MOMENT, "updated_before": MOMENT,
    "order_by": choice("id", "status", "ref", "updated_at", "user_id"), "sort": choice("asc", "desc"),
}  # fmt: skip

Params = dict[str, object]
Handler = Callable[[Project, Request, "re.Match[str]", Params], Response]


class PipelinesRest:
    """The endpoints below ``/projects/:id`` of projects with CI."""

    def __init__(self, projects: Mapping[str, Project]) -> None:
        self._projects = projects
        table: list[tuple[str, dict[str, Handler]]] = [
            ("", {"GET": _project}),
            ("/environments", {"GET": _environments}),
            (r"/environments/(?P<id>\d+)", {"GET": _environment}),
            ("/deployments", {"GET": _deployments}),
            (r"/deployments/(?P<id>\d+)", {"GET": _deployment}),
            (r"/deployments/(?P<id>\d+)/merge_requests", {"GET": _deployed_requests}),
            (r"/jobs/(?P<id>\d+)", {"GET": _job}),
            (r"/jobs/(?P<id>\d+)/trace", {"GET": _trace}),
            (r"/jobs/(?P<id>\d+)/(?P<act>retry|play|cancel)", {"POST": _act}),
            ("/pipeline", {"POST": _create_pipeline}),
            ("/pipelines", {"GET": _pipelines}),
            (r"/pipelines/(?P<id>\d+)", {"GET": _pipeline}),
            (r"/pipelines/(?P<id>\d+)/jobs", {"GET": _pipeline_jobs}),
            (r"/pipelines/(?P<id>\d+)/variables", {"GET": _pipeline_variables}),
            ("/repository/compare", {"GET": _compare}),
            (r"/repository/commits/(?P<sha>[^/]+)/merge_requests", {"GET": _commit_requests}),
            ("/releases", {"GET": _releases}),
        ]
        self._table = [(re.compile(rf"/api/v4/projects/(?P<project>[^/]+){path}"), done) for path, done in table]

    def has(self, request: Request) -> bool:
        """Whether the request is for one of the projects with CI."""
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        found = re.match(r"/api/v4/projects/([^/]+)", raw.decode("ascii", "replace"))
        return found is not None and self._of(unquote(found[1])) is not None

    def asks_who(self, request: Request) -> Project | None:
        """Return the project whose own token asks who or what it is."""
        if request.url.path not in ("/api/v4/user", _OWN_TOKEN):
            return None
        shown = shown_by(request)
        return next((project for project in self._projects.values() if project.token.value == shown), None)

    def _of(self, named: str) -> Project | None:
        return next(
            (
                project
                for project in self._projects.values()
                if named.lower() in (project.path.lower(), str(project.number))
            ),
            None,
        )

    def _route(self, path: str) -> tuple["re.Match[str]", dict[str, Handler]]:
        for pattern, handlers in self._table:
            if match := pattern.fullmatch(path):
                return match, handlers
        raise Told(404, {"error": "404 Not Found"})

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        if asking := self.asks_who(request):
            if request.url.path == _OWN_TOKEN:
                return JSONResponse(asking.token.shown(asking.user.id, asking.clock.now()))
            return JSONResponse(user_json(asking.user, server_of(request)) | {"bot": True})
        try:
            params = await read(request)
            match, handlers = self._route(raw.decode("ascii", "replace"))
            if request.method not in handlers:
                return JSONResponse({"error": "405 Not Allowed"}, 405, {"Allow": ", ".join(handlers)})
            project = self._of(unquote(match["project"]))
            assert project is not None
            _admit(project, request)
            project.tick()
            return handlers[request.method](project, request, match, params)
        except Told as early:
            return JSONResponse(early.body, early.status)
        except ParameterRefused as refused:
            return JSONResponse({"error": refused.message}, refused.status)


def _admit(project: Project, request: Request) -> None:
    try:
        project.token.admit(request, of_project=True)
    except Told as told:
        if told.status == 401 and "error" in told.body:  # a token of another project: what it may not see is not there
            raise Told(404, {"message": "404 Project Not Found"}) from told
        raise
    if request.method == "POST" and project.token.access_level < DEVELOPER:
        raise Told(403, {"message": "403 Forbidden"})


def _project(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    return JSONResponse(
        {
            "id": project.number, "path_with_namespace": project.path, "web_url": page_of_project(request, project),
            "default_branch": "main", "visibility": "private",
            "ci_forward_deployment_enabled": project.forward_only,
            "ci_forward_deployment_rollback_allowed": project.rollback_allowed,
            "ci_pipeline_variables_minimum_override_role": project.variables_role,
            "restrict_user_defined_variables": True,
            "permissions": {"project_access": {"access_level": project.token.access_level}, "group_access": None},
        }
    )  # fmt: skip


def _environments(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    asked = coerce(params, {**search.PAGES, "name": TEXT, "search": TEXT, "states": TEXT})
    if len(asked.get("search", "xxx")) < 3:
        raise ParameterRefused("search is too short (minimum is 3 characters)")
    found = [
        {"id": number, "name": name, "state": "available", "tier": "production"}
        for name, number in project.environments.items()
        if asked.get("name", name) == name and asked.get("search", "") in name
    ]
    shown, headers = search.page_of(found, asked, request)
    return JSONResponse(list(shown), headers=headers)


def _environment(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    name = next((name for name, number in project.environments.items() if number == int(match["id"])), None)
    if name is None:
        raise Told(404, {"message": "404 Environment Not Found"})
    done = [
        deployment
        for deployment in project.deployments
        if deployment.environment == name and deployment.status == "success"
    ]
    last = deployment_json(project, done[-1], request) if done else None
    return JSONResponse({"id": int(match["id"]), "name": name, "state": "available", "last_deployment": last})


def _deployments(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    asked = coerce(params, _DEPLOYMENTS)
    finished = {"finished_after", "finished_before"} & set(asked)
    if finished and (asked.get("order_by") != "finished_at" or asked.get("status") != "success"):
        raise Told(400, {"message": "400 Bad request - `finished_at` filter requires `finished_at` sort and status"})
    if finished and {"updated_after", "updated_before"} & set(asked):
        raise Told(400, {"message": "400 Bad request - `updated_at` and `finished_at` filters exclude each other"})
    found = [
        deployment
        for deployment in project.deployments
        if asked.get("environment", deployment.environment) == deployment.environment
        and asked.get("status", deployment.status) == deployment.status
    ]
    # oldest first, unless told
    found.sort(key=lambda deployment: deployment.id, reverse=asked.get("sort", "asc") == "desc")
    shown, headers = search.page_of(found, asked, request)
    return JSONResponse([deployment_json(project, deployment, request) for deployment in shown], headers=headers)


def _find_deployment(project: Project, match: "re.Match[str]") -> Deployment:
    found = next((deployment for deployment in project.deployments if deployment.id == int(match["id"])), None)
    if found is None:
        raise Told(404, {"message": "404 Deployment Not Found"})
    return found


def _deployment(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    return JSONResponse(deployment_json(project, _find_deployment(project, match), request))


def _deployed_requests(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    this = _find_deployment(project, match)
    before = [
        deployment
        for deployment in project.deployments
        if deployment.environment == this.environment and deployment.id < this.id
    ]
    between = _between(project, before[-1].sha if before else "", this.sha)
    return JSONResponse(
        [request_json(project, commit.merge_request, request) for commit in between if commit.merge_request]
    )


def _commit_requests(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    found = next((commit for commit in project.commits if commit.sha == match["sha"]), None)
    if found is None:
        raise Told(404, {"message": "404 Commit Not Found"})
    shown = [request_json(project, found.merge_request, request)] if found.merge_request else []
    return JSONResponse(shown)


def _between(project: Project, old: str, new: str) -> list[Any]:
    order = [commit.sha for commit in project.commits]
    if new not in order:
        return []
    start = order.index(old) + 1 if old in order else 0
    return project.commits[start : order.index(new) + 1]


def _compare(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    asked = coerce(params, {"from": TEXT, "to": TEXT, "straight": FLAG})
    if missing := [name for name in ("from", "to") if name not in asked]:
        raise ParameterRefused(", ".join(f"{name} is missing" for name in missing))
    known = {commit.sha for commit in project.commits}
    if asked["from"] not in known or asked["to"] not in known:
        raise Told(404, {"message": "404 Ref Not Found"})
    commits = _between(project, asked["from"], asked["to"])
    files = dict.fromkeys(path for commit in commits for path in commit.files)
    return JSONResponse(
        {
            "commits": [
                {"id": commit.sha, "short_id": commit.sha[:8], "title": commit.title, "author_name": commit.author_name,
                 "created_at": stamp(commit.created_at)}
                for commit in commits
            ],
            "diffs": [
                {"old_path": path, "new_path": path, "new_file": False, "deleted_file": False, "diff": ""}
                for path in files
            ],
            "compare_timeout": False, "compare_same_ref": asked["from"] == asked["to"],
        }
    )  # fmt: skip


def _releases(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    asked = coerce(
        params, {**search.PAGES, "order_by": choice("released_at", "created_at"), "sort": choice("asc", "desc")}
    )
    found = sorted(
        project.releases, key=lambda release: release.released_at, reverse=asked.get("sort", "desc") == "desc"
    )
    shown, headers = search.page_of(found, asked, request)
    return JSONResponse(
        [
            {"tag_name": release.tag, "name": release.name, "released_at": stamp(release.released_at),
             "commit": {"id": release.sha}, "author": user_json(release.author, server_of(request))}
            for release in shown
        ],
        headers=headers,
    )  # fmt: skip


def _find_job(project: Project, match: "re.Match[str]") -> Job:
    found = next((job for job in project.jobs if job.id == int(match["id"])), None)
    if found is None:
        raise Told(404, {"message": "404 Not found"})
    return found


def _job(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    return JSONResponse(job_json(project, _find_job(project, match), request))


def _trace(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    return PlainTextResponse(_find_job(project, match).trace)


def _act(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    job = _find_job(project, match)
    if match["act"] == "retry":
        return JSONResponse(job_json(project, project.retry(job, project.user), request), 201)
    if match["act"] == "play":
        variables = params.get("job_variables_attributes") or []
        if not isinstance(variables, list):
            raise ParameterRefused("job_variables_attributes is invalid")
        return JSONResponse(job_json(project, project.play(job, project.user, variables), request), 200)
    if job.status not in ("success", "failed", "canceled", "skipped"):
        job.status = "canceled"
    return JSONResponse(job_json(project, job, request), 201)


def _create_pipeline(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    asked = coerce(params, {"ref": TEXT})
    if "ref" not in asked:
        raise ParameterRefused("ref is missing")
    variables = params.get("variables") or []
    if not isinstance(variables, list) or not all(map(_is_variable, variables)):
        raise ParameterRefused("variables is invalid")
    if variables:
        project.check_variables()
    if asked["ref"] not in project.branches:
        raise Told(400, {"message": {"base": ["Reference not found"]}})
    sha = project.commits[-1].sha if project.commits else "0" * 40
    made = project.pipeline(sha, ref=asked["ref"], source="api")
    made.variables = variables
    for begin in project.stages.values():
        begin(project, made)
    return JSONResponse(pipeline_json(project, made, request), 201)


def _is_variable(variable: object) -> bool:
    return (
        isinstance(variable, dict) and isinstance(variable.get("key"), str) and isinstance(variable.get("value"), str)
    )


def _pipelines(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    asked = coerce(params, _PIPELINES)
    found = [
        pipeline
        for pipeline in project.pipelines
        if asked.get("ref", pipeline.ref) == pipeline.ref
        and asked.get("source", pipeline.source) == pipeline.source
        and asked.get("sha", pipeline.sha) == pipeline.sha
        and asked.get("username", pipeline.user.username) == pipeline.user.username
        and asked.get("status", project.status_of(pipeline)) == project.status_of(pipeline)
    ]
    found.sort(key=lambda pipeline: pipeline.id, reverse=asked.get("sort", "desc") == "desc")
    shown, headers = search.page_of(found, asked, request)
    return JSONResponse([pipeline_json(project, pipeline, request) for pipeline in shown], headers=headers)


def _find_pipeline(project: Project, match: "re.Match[str]") -> Pipeline:
    found = next((pipeline for pipeline in project.pipelines if pipeline.id == int(match["id"])), None)
    if found is None:
        raise Told(404, {"message": "404 Not found"})
    return found


def _pipeline(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    return JSONResponse(pipeline_json(project, _find_pipeline(project, match), request, whole=True))


def _pipeline_jobs(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    asked = coerce(params, {**search.PAGES, "include_retried": FLAG})
    pipeline = _find_pipeline(project, match)
    found = [
        job for job in project.jobs if job.pipeline is pipeline and (asked.get("include_retried") or not job.retried)
    ]
    found.sort(key=lambda job: job.id, reverse=True)
    shown, headers = search.page_of(found, asked, request)
    return JSONResponse([job_json(project, job, request) for job in shown], headers=headers)


def _pipeline_variables(project: Project, request: Request, match: "re.Match[str]", params: Params) -> Response:
    pipeline = _find_pipeline(project, match)
    if project.token.access_level < MAINTAINER and pipeline.user is not project.user:
        raise Told(403, {"message": "403 Forbidden"})
    return JSONResponse([{"variable_type": "env_var", **variable} for variable in pipeline.variables])
