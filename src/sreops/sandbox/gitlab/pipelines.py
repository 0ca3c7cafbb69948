"""A project's code and its CI: commits, pipelines, jobs, environments and deployments, with GitLab's own rules.

Time is the clock's: a job that was started ends ``runs_s`` later, at the next look (``tick``), by doing its script.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sreops.sandbox.clock import Clock
from sreops.sandbox.gitlab.records import User
from sreops.sandbox.gitlab.token import Token
from sreops.sandbox.told import Told

ENDED = ("success", "failed", "canceled", "skipped")
RETRYABLE = ("success", "failed", "canceled", "canceling")
ROLES = {"developer": 30, "maintainer": 40, "owner": 50, "no_one_allowed": 1000}

Script = Callable[["Job"], bool]
"""What a job does at its end; whether it went well."""


def well(_: "Job") -> bool:
    """A script that does nothing, well."""
    return True


@dataclass
class Commit:
    """A commit; ``files`` are the paths that it changes."""

    sha: str
    title: str
    author_name: str
    created_at: datetime
    files: Sequence[str] = ()
    merge_request: "MergeRequest | None" = None


@dataclass
class MergeRequest:
    """A merged merge request; its author is an account."""

    id: int
    iid: int
    title: str
    author: User
    merged_at: datetime


@dataclass
class Pipeline:
    """One pipeline; its status follows its jobs."""

    id: int
    ref: str
    sha: str
    source: str
    user: User
    created_at: datetime
    variables: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Job:
    """One job; ``environment``: it deploys there. ``manual``: somebody has to play it."""

    id: int
    name: str
    pipeline: Pipeline
    user: User
    created_at: datetime
    script: Script
    runs_s: float
    manual: bool = False
    environment: str = ""
    status: str = "pending"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    retried: bool = False
    trace: str = ""
    variables: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Deployment:
    """A deployment; ``job`` None: somebody reported it by the API, and there is nothing to run again."""

    id: int
    iid: int
    environment: str
    ref: str
    sha: str
    user: User
    created_at: datetime
    job: Job | None
    reported: str = "success"

    @property
    def status(self) -> str:
        """The job's status in a deployment's words."""
        if self.job is None:
            return self.reported
        told = {"pending": "created", "manual": "blocked", "canceling": "running"}
        return told.get(self.job.status, self.job.status)


@dataclass
class Release:
    """A release."""

    tag: str
    name: str
    released_at: datetime
    sha: str
    author: User


class Project:
    """One project with code and CI, and the token that reaches it and no other."""

    def __init__(
        self, number: int, path: str, token: Token, clock: Clock, user: User, new_id: Callable[[], int]
    ) -> None:
        self.number, self.path, self.token, self.user = number, path, token, user
        self.clock, self.new_id = clock, new_id
        self.commits: list[Commit] = []
        self.merge_requests: list[MergeRequest] = []
        self.pipelines: list[Pipeline] = []
        self.jobs: list[Job] = []
        self.deployments: list[Deployment] = []
        self.environments: dict[str, int] = {}
        self.releases: list[Release] = []
        self.branches = {"main"}
        self.stages: dict[str, Callable[[Project, Pipeline], None]] = {}
        self.forward_only, self.rollback_allowed = True, True
        self.variables_role = "developer"

    def commit(
        self, sha: str, title: str, author: str = "Alice", files: Sequence[str] = (), *, by: User | None = None
    ) -> Commit:
        """Let somebody push a commit; ``by``: the author of the merge request that brought it."""
        now = self.clock.now()
        request = None
        if by is not None:
            request = MergeRequest(self.new_id(), len(self.merge_requests) + 1, title, by, now)
            self.merge_requests.append(request)
        made = Commit(sha, title, author, now, tuple(files), request)
        self.commits.append(made)
        return made

    def pipeline(self, sha: str, *, ref: str = "main", source: str = "push", user: User | None = None) -> Pipeline:
        """Start a pipeline of no jobs yet."""
        made = Pipeline(self.new_id(), ref, sha, source, user or self.user, self.clock.now())
        self.pipelines.append(made)
        return made

    def job(
        self,
        pipeline: Pipeline,
        name: str,
        script: Script = well,
        *,
        runs_s: float = 0.0,
        manual: bool = False,
        environment: str = "",
        user: User | None = None,
    ) -> Job:
        """Add a job, which runs at once unless it is manual."""
        made = Job(
            self.new_id(), name, pipeline, user or pipeline.user, self.clock.now(), script, runs_s, manual, environment
        )
        self.jobs.append(made)
        if manual:
            made.status = "manual"
        else:
            self._start(made)
        return made

    def deploy(
        self, sha: str, environment: str = "production", script: Script = well, *, runs_s: float = 0.0,
        user: User | None = None,
    ) -> Deployment:  # fmt: skip
        """Deploy a commit by a pipeline's job named ``deploy``."""
        self.job(self.pipeline(sha, user=user), "deploy", script, runs_s=runs_s, environment=environment, user=user)
        self.tick()
        return self.deployments[-1]

    def report(self, sha: str, environment: str = "production") -> Deployment:
        """Note a deployment by the API: it has no job."""
        return self._deployment(sha, "main", environment, None, self.user)

    def tick(self) -> None:
        """End the jobs whose time has come."""
        now = self.clock.now()
        for job in list(self.jobs):
            if job.status == "running" and job.started_at and now >= job.started_at + timedelta(seconds=job.runs_s):
                job.status = "success" if job.script(job) else "failed"
                job.finished_at = now

    def retry(self, job: Job, user: User) -> Job:
        """Run a job again: a new job; raises Told as GitLab refuses it."""
        self.tick()
        if job.status not in RETRYABLE or job.retried:
            raise Told(403, {"message": "403 Forbidden - Job is not retryable"})
        self._check_forward(job)
        job.retried = True
        again = Job(
            self.new_id(), job.name, job.pipeline, user, self.clock.now(), job.script, job.runs_s, job.manual,
            job.environment,
        )  # fmt: skip
        self.jobs.append(again)
        self._start(again)
        return again

    def play(self, job: Job, user: User, variables: list[dict[str, str]]) -> Job:
        """Play a manual job; a finished one is run again behind the scenes, and the old one is shown."""
        self.tick()
        if not job.manual or not (job.status == "manual" or (job.status in RETRYABLE and not job.retried)):
            raise Told(400, {"message": "400 Bad request - Unplayable Job"})
        if variables:
            self.check_variables()
        if job.status != "manual":
            self.retry(job, user)
            return job
        self._check_forward(job)
        job.user, job.variables = user, variables
        self._start(job)
        return job

    def check_variables(self) -> None:
        """Raise Told where the token's role may set no variables."""
        if self.token.access_level < ROLES[self.variables_role]:
            told = {"message": {"base": ["Insufficient permissions to set pipeline variables"]}}
            raise Told(400, told)

    def status_of(self, pipeline: Pipeline) -> str:
        """Return a pipeline's status: of the jobs that were not run again since."""
        jobs = [job for job in self.jobs if job.pipeline is pipeline and not job.retried]
        states = {job.status for job in jobs}
        for status in ("running", "failed", "canceled", "manual", "pending"):
            if status in states:
                return status
        return "success" if jobs else "created"

    def _start(self, job: Job) -> None:
        job.status, job.started_at = "running", self.clock.now()
        if job.environment:
            self._deployment(job.pipeline.sha, job.pipeline.ref, job.environment, job, job.user)
        self.tick()

    def _deployment(self, sha: str, ref: str, environment: str, job: Job | None, user: User) -> Deployment:
        self.environments.setdefault(environment, self.new_id())
        number = len(self.deployments) + 1
        made = Deployment(self.new_id(), number, environment, ref, sha, user, self.clock.now(), job)
        self.deployments.append(made)
        return made

    def _check_forward(self, job: Job) -> None:
        """Hold what deploys something older than what runs, as GitLab's forward-deployment guard does."""
        if not job.environment or not self.forward_only:
            return
        done = [
            deployment
            for deployment in self.deployments
            if deployment.environment == job.environment and deployment.status == "success"
        ]
        if not done or done[-1].job is None or done[-1].sha == job.pipeline.sha or done[-1].job.id < job.id:
            return
        if job.status not in ENDED or not self.rollback_allowed:
            raise Told(403, {"message": "403 Forbidden"})
