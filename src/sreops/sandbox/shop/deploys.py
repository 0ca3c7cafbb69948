"""How the shop deploys one of its services: a project in the sandbox's GitLab whose job ships a commit."""

from __future__ import annotations

from datetime import timedelta

from sreops.sandbox.gitlab import GitLab
from sreops.sandbox.gitlab.pipelines import Deployment, Job
from sreops.sandbox.shop.shop import Shop

TOKEN = "glpat-shop-recommendations"
ENVIRONMENT = "production"
SERVICE = "recommendations"
_GOOD = ("5f1c0a7e" * 5, "8b27d3f0" * 5)
BAD = "c4a90b16" * 5


class Deploys:
    """The project ``shop/recommendations``, deployed twice well days ago; ``deploy_bad`` is the third."""

    def __init__(self, gitlab: GitLab, shop: Shop) -> None:
        self._gitlab, self._shop = gitlab, shop
        self.project = gitlab.add_project(f"shop/{SERVICE}", TOKEN)
        for days, (sha, title) in zip((9, 2), zip(_GOOD, ("Cache popular items", "Tidy up"), strict=True), strict=True):
            self._commit(sha, title, "src/ranking.py", by="bob")
            made = self.project.deploy(sha, ENVIRONMENT, self._ship, user=gitlab.person("bob"))
            _long_ago(made, days)

    def deploy_bad(self, runs_s: float = 0.0) -> Deployment:
        """Let alice's merge request be deployed, which breaks the service."""
        self._commit(BAD, "Show prices in the customer's currency", "src/prices.py", by="alice")
        return self.project.deploy(BAD, ENVIRONMENT, self._ship, runs_s=runs_s, user=self._gitlab.person("alice"))

    @property
    def shipped(self) -> list[str]:
        """The commits that were deployed, in order."""
        return [deployment.sha for deployment in self.project.deployments if deployment.status == "success"]

    def _commit(self, sha: str, title: str, file: str, *, by: str) -> None:
        self.project.commit(sha, title, by.title(), [file], by=self._gitlab.person(by))

    def _ship(self, job: Job) -> bool:
        self._shop.cure(SERVICE)
        if job.pipeline.sha == BAD:
            self._shop.spoil(SERVICE)
        job.trace = f"$ ./deploy.sh {job.pipeline.sha[:8]}\nshipped"
        return True


def _long_ago(made: Deployment, days: int) -> None:
    apart = timedelta(days=days)
    made.created_at -= apart
    job = made.job
    if job is not None and job.started_at is not None and job.finished_at is not None:
        job.created_at, job.started_at, job.finished_at = (
            job.created_at - apart, job.started_at - apart, job.finished_at - apart,
        )  # fmt: skip
