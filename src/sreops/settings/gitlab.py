"""Settings of GitLab: where incidents are kept, what is deployed, and what runbooks may do there."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sreops.setting_values import GitLabProject, HttpUrl, Names, OptionalSecret


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


ApproverRole = Annotated[Literal["developer", "maintainer", "owner"] | None, BeforeValidator(_empty_is_none)]


class GitLabActions(BaseModel):
    """What runbooks may do in one project; globs, and where a list is empty nothing."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    project: GitLabProject  # group/name
    token: OptionalSecret = None  # of this project: role Developer, scope api; empty: SREOPS_GITLAB__TOKEN
    actions: tuple[Literal["rollback_deployment", "play_job", "run_pipeline"], ...] = ()
    refs: tuple[str, ...] = ()  # branches and tags that pipelines may be started on, and jobs played of
    environments: tuple[str, ...] = ()  # that may be rolled back
    jobs: tuple[str, ...] = ()  # that may be played


class GitLabDeployments(BaseModel):
    """Which services one project deploys, where the images' labels do not tell."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    project: GitLabProject  # group/name
    environment: str = ""  # empty: the alert's own, else any
    services: tuple[str, ...] = ()  # globs of subjects' names; empty: those called like the project
    token: OptionalSecret = None  # that may read it (read_api); empty: SREOPS_GITLAB__TOKEN


class GitLabSettings(BaseModel):
    """GitLab, where incidents are kept as issues."""

    url: HttpUrl = None  # https://gitlab.example.com; url, token and project, or incidents are kept locally
    token: OptionalSecret = None  # a project access token: role Developer, scope api
    project: str = ""  # group/name, or its number
    oncall_user: str = "platform-oncall"  # whom a handed-over incident is assigned to
    timeout_s: float = Field(10.0, gt=0)  # of one request
    labels: Names = ("sreops",)  # on every issue
    confidential: bool = False  # are issues made so that only members of the project see them?
    approvers: ApproverRole = None  # who may decide by a comment: developer, maintainer or owner; empty: nobody
    hear_every_s: float = Field(10.0, ge=0.2)  # between looks at what people did there
    deployments: tuple[GitLabDeployments, ...] = ()  # JSON list of {"project", "environment", "services", "token"}
    actions: tuple[GitLabActions, ...] = ()
    """JSON list of ``{"project", "token", "actions", "refs", "environments", "jobs"}``: what runbooks may do there."""
