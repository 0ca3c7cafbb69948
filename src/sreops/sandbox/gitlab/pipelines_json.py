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


def deployment_json(project: Project, deployment: Deployment, request: Request) -> dict[str, Any]:
    """Show a deployment."""
    environment = {"id": project.environments[deployment.environment], "name": deployment.environment}
    return {
        "id": deployment.id, "iid": deployment.iid, "ref": deployment.ref, "sha": deployment.sha,
        "status": deployment.status,
        "created_at": stamp(deployment.created_at), "updated_at": stamp(deployment.created_at),
        "user": user_json(deployment.user, server_of(request)), "environment": environment,
        "deployable": job_json(project, deployment.job, request) if deployment.job else None,
    }  # fmt: skip


def pipeline_json(project: Project, pipeline: Pipeline, request: Request, *, whole: bool = False) -> dict[str, Any]:
    """Show a pipeline; a list shows nobody who started it."""
    shown = {
        "id": pipeline.id, "project_id": project.number, "ref": pipeline.ref, "sha": pipeline.sha,
        "source": pipeline.source, "status": project.status_of(pipeline),
        "created_at": stamp(pipeline.created_at), "updated_at": stamp(pipeline.created_at),
        "web_url": f"{page_of_project(request, project)}/-/pipelines/{pipeline.id}",
    }  # fmt: skip
    return shown | {"user": user_json(pipeline.user, server_of(request))} if whole else shown


def job_json(project: Project, job: Job, request: Request) -> dict[str, Any]:
    """Show a job; whether it was run again is not told."""
    shown = {
        "id": job.id, "name": job.name, "stage": "deploy", "status": job.status, "ref": job.pipeline.ref,
        "allow_failure": False, "created_at": stamp(job.created_at),
        "started_at": stamp(job.started_at) if job.started_at else None,
        "finished_at": stamp(job.finished_at) if job.finished_at else None,
        "user": user_json(job.user, server_of(request)),
        "commit": {"id": job.pipeline.sha},
        "pipeline": {
            "id": job.pipeline.id, "sha": job.pipeline.sha, "ref": job.pipeline.ref,
            "status": project.status_of(job.pipeline),
        },
        "web_url": f"{page_of_project(request, project)}/-/jobs/{job.id}", "artifacts": [],
    }  # fmt: skip
    return shown | ({"failure_reason": "script_failure"} if job.status == "failed" else {})


def request_json(project: Project, merge_request: MergeRequest, request: Request) -> dict[str, Any]:
    """Show a merge request."""
    return {
        "id": merge_request.id, "iid": merge_request.iid, "title": merge_request.title,
        "state": "merged", "merged_at": stamp(merge_request.merged_at),
        "author": user_json(merge_request.author, server_of(request)),
        "web_url": f"{page_of_project(request, project)}/-/merge_requests/{merge_request.iid}",
    }  # fmt: skip
