"""GitLab's JSON of deployments, jobs, pipelines and rules, read with care: any field may be missing or odd."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sreops.domain.evidence.deployments import Deployment
from sreops.errors import IssuesUnavailable
from sreops.ports.deployments import Job, Pipeline, Rules

_ROLES = {"developer": 30, "maintainer": 40, "owner": 50}


def deployment_of(project: str, item: Mapping[str, Any]) -> Deployment | None:
    """Read a deployment; None where it lacks what makes it one."""
    job = object_in(item.get("deployable"))
    at = _moment(job.get("finished_at")) or _moment(item.get("created_at"))
    number, sha = number_in(item.get("id")), text_in(item.get("sha"))
    if at is None or number is None or not sha:
        return None
    by = object_in(job.get("user")) or object_in(item.get("user"))
    return Deployment(
        id=number, project=project, environment=text_in(object_in(item.get("environment")).get("name")),
        ref=text_in(item.get("ref")), sha=sha, status=text_in(job.get("status") or item.get("status")), at=at,
        began=_moment(job.get("started_at")), by=text_in(by.get("username")), url=text_in(job.get("web_url")),
        job_id=number_in(job.get("id")), job_name=text_in(job.get("name")),
        pipeline_id=number_in(object_in(job.get("pipeline")).get("id")),
    )  # fmt: skip


def job_of(item: Mapping[str, Any]) -> Job:
    """Read a job; raises IssuesUnavailable where it has no id."""
    return Job(
        id=_needed(item.get("id")), name=text_in(item.get("name")), status=text_in(item.get("status")),
        pipeline_id=number_in(object_in(item.get("pipeline")).get("id")),
        user_id=number_in(object_in(item.get("user")).get("id")), url=text_in(item.get("web_url")),
    )  # fmt: skip


def pipeline_of(item: Mapping[str, Any]) -> Pipeline:
    """Read a pipeline; raises IssuesUnavailable where it has no id."""
    return Pipeline(
        id=_needed(item.get("id")), ref=text_in(item.get("ref")), status=text_in(item.get("status")),
        source=text_in(item.get("source")), created_at=_moment(item.get("created_at")),
        url=text_in(item.get("web_url")),
    )  # fmt: skip


def _needed(value: object) -> int:
    number = number_in(value)
    if number is None:
        raise IssuesUnavailable("gitlab: the answer shows no id: it is none of GitLab's")
    return number


def number_in(value: object) -> int | None:
    """Return a number, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text_in(value: object) -> str:
    """Return a text, cut to what anybody reads, else an empty one."""
    return value[:1000] if isinstance(value, str) else ""


def object_in(value: object) -> Mapping[str, Any]:
    """Return an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_in(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _moment(value: object) -> datetime | None:
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return read if read is not None and read.tzinfo is not None else None


def rules_of(shown: Mapping[str, Any]) -> Rules:
    """Return a project's own rules, as it shows them."""
    forward = shown.get("ci_forward_deployment_enabled") is True
    back = shown.get("ci_forward_deployment_rollback_allowed")
    grants = [object_in(permission).get("access_level") for permission in object_in(shown.get("permissions")).values()]
    level = max((grant for grant in grants if isinstance(grant, int)), default=None)
    role = text_in(shown.get("ci_pipeline_variables_minimum_override_role"))
    held = shown.get("restrict_user_defined_variables") is not False and role
    too_low = level is not None and level < _ROLES.get(role, 0)
    cure = "Settings, CI/CD, Variables: minimum role to use pipeline variables"
    return Rules(
        against_rollback="the project allows no rollback (ci_forward_deployment_rollback_allowed)"
        if forward and back is False
        else "",
        against_variables=f"the project lets {role} set pipeline variables, and not this token ({cure})"
        if held and (role == "no_one_allowed" or too_low)
        else "",
    )
