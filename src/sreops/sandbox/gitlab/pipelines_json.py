"""How the REST API shows deployments, pipelines, jobs and merge requests."""

from typing import Any

from starlette.requests import Request

from sreops.sandbox.gitlab.pipelines import Deployment, Job, MergeRequest, Pipeline, Project
from sreops.sandbox.gitlab.records import stamp, user_json


def server_of(request: Request) -> str:
    """Return the address under which the client reached us."""
    return f"{request.url.scheme}://{request.url.netloc}"


def page_of_project(request: Request, project: Project) -> str:
    """Return the project's page."""
    return f"{server_of(request)}/{project.path}"


def deployment_json(project: Project, one: Deployment, request: Request) -> dict[str, Any]:
    """Show a deployment."""
    environment = {"id": project.environments[one.environment], "name": one.environment}
    return {
        "id": one.id, "iid": one.iid, "ref": one.ref, "sha": one.sha, "status": one.status,
        "created_at": stamp(one.created_at), "updated_at": stamp(one.created_at),
        "user": user_json(one.user, server_of(request)), "environment": environment,
        "deployable": job_json(project, one.job, request) if one.job else None,
    }  # fmt: skip


def pipeline_json(project: Project, one: Pipeline, request: Request, *, whole: bool = False) -> dict[str, Any]:
    """Show a pipeline; a list shows nobody who started it."""
    shown = {
        "id": one.id, "project_id": project.number, "ref": one.ref, "sha": one.sha, "source": one.source,
        "status": project.status_of(one), "created_at": stamp(one.created_at), "updated_at": stamp(one.created_at),
        "web_url": f"{page_of_project(request, project)}/-/pipelines/{one.id}",
    }  # fmt: skip
    return shown | {"user": user_json(one.user, server_of(request))} if whole else shown


def job_json(project: Project, one: Job, request: Request) -> dict[str, Any]:
    """Show a job; whether it was run again is not told."""
    shown = {
        "id": one.id, "name": one.name, "stage": "deploy", "status": one.status, "ref": one.pipeline.ref,
        "allow_failure": False, "created_at": stamp(one.created_at),
        "started_at": stamp(one.started_at) if one.started_at else None,
        "finished_at": stamp(one.finished_at) if one.finished_at else None,
        "user": user_json(one.user, server_of(request)),
        "commit": {"id": one.pipeline.sha},
        "pipeline": {
            "id": one.pipeline.id, "sha": one.pipeline.sha, "ref": one.pipeline.ref,
            "status": project.status_of(one.pipeline),
        },
        "web_url": f"{page_of_project(request, project)}/-/jobs/{one.id}", "artifacts": [],
    }  # fmt: skip
    return shown | ({"failure_reason": "script_failure"} if one.status == "failed" else {})


def request_json(project: Project, one: MergeRequest, request: Request) -> dict[str, Any]:
    """Show a merge request."""
    return {
        "id": one.id, "iid": one.iid, "title": one.title, "state": "merged", "merged_at": stamp(one.merged_at),
        "author": user_json(one.author, server_of(request)),
        "web_url": f"{page_of_project(request, project)}/-/merge_requests/{one.iid}",
    }  # fmt: skip
