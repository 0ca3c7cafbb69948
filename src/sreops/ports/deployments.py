"""Deployments, jobs and pipelines of GitLab's projects: read, and within the settings acted upon."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.evidence.deployments import Brought, DeclaredPlace, Deployment
from sreops.ports.health import Health


class Deployments(Protocol):
    """What was deployed where; reads only."""

    @property
    def url(self) -> str:
        """GitLab's address."""
        ...

    @property
    def declared(self) -> Sequence[DeclaredPlace]:
        """The declared map of projects and services."""
        ...

    async def history(self, project: str, environment: str | None, *, timeout_s: float) -> Sequence[Deployment]:
        """Return the newest deployments, newest first. Raises IssuesUnavailable, IssuesRefused."""
        ...

    async def brought(self, before: Deployment | None, deployment: Deployment, *, timeout_s: float) -> Brought:
        """Return what came with a deployment since the one before it; cached, since neither changes."""
        ...


class Job(BaseModel):
    """A job as GitLab shows it; ``user_id`` is who ran it."""

    model_config = ConfigDict(frozen=True)
    id: int
    name: str
    status: str
    pipeline_id: int | None = None
    user_id: int | None = None
    url: str = ""


class Pipeline(BaseModel):
    """A pipeline as GitLab shows it."""

    model_config = ConfigDict(frozen=True)
    id: int
    ref: str
    status: str
    source: str = ""
    created_at: AwareDatetime | None = None
    url: str = ""


class Rules(BaseModel):
    """A project's own rules, as far as they forbid what we might do; each empty where nothing does."""

    model_config = ConfigDict(frozen=True)
    against_rollback: str = ""
    against_variables: str = ""


class Pipelines(Protocol):
    """Acting on GitLab. All raise IssuesUnavailable and IssuesRefused; what writes, OutcomeUnknown besides."""

    def refusal(self, action: str, project: str, **of: str) -> str:
        """Say why the settings do not allow it (``ref``, ``environment``, ``job``), or nothing."""
        ...

    async def health(self, now: datetime, *, timeout_s: float) -> Health:
        """Say whether each project of the settings lets its token act, and what its own rules forbid."""
        ...

    async def me(self, project: str, *, timeout_s: float) -> tuple[int, str]:
        """Return our own user's id and name."""
        ...

    async def rules(self, project: str, *, timeout_s: float) -> Rules:
        """Return the project's own rules."""
        ...

    async def deployments(self, project: str, environment: str, *, timeout_s: float) -> Sequence[Deployment]:
        """Return the newest deployments to an environment, newest first, past any cache."""
        ...

    async def job(self, project: str, job_id: int, *, timeout_s: float) -> Job:
        """Return a job."""
        ...

    async def jobs(self, project: str, pipeline_id: int, *, timeout_s: float) -> Sequence[Job]:
        """Return all jobs of a pipeline, those that were run again too, newest first."""
        ...

    async def pipelines(self, project: str, ref: str, *, by: str = "", timeout_s: float) -> Sequence[Pipeline]:
        """Return a ref's newest pipelines, newest first; ``by``: only those that this user started by the API."""
        ...

    async def pipeline(self, project: str, pipeline_id: int, *, timeout_s: float) -> Pipeline:
        """Return a pipeline."""
        ...

    async def last_lines(self, project: str, job_id: int, *, timeout_s: float) -> str:
        """Return the end of a job's log, as it came (hostile); empty where there is none."""
        ...

    async def retry(self, project: str, job_id: int, *, timeout_s: float) -> Job:
        """Run an ended job again: a new job."""
        ...

    async def play(self, project: str, job_id: int, *, timeout_s: float) -> Job:
        """Start a manual job that has not run."""
        ...

    async def run(self, project: str, ref: str, variables: Mapping[str, str], *, timeout_s: float) -> Pipeline:
        """Start a pipeline."""
        ...
