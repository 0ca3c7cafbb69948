"""Deployments and what they brought: read from GitLab, told as evidence, the likeliest first. Pure.

All texts (titles, names, paths, refs) are somebody's, and untrusted like log lines.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.evidence.changes import LATELY_S, when
from sreops.domain.evidence.evidence import ContainerState, Evidence, EvidenceKind
from sreops.domain.evidence.suspected_change import LATE_S, SuspectedChange, Suspicion
from sreops.domain.text.patterns import PatternInvalid, glob_matches
from sreops.domain.text.redaction import Redactor, clean, one_line

SOURCE_LABEL = "org.opencontainers.image.source"
REVISION_LABEL = "org.opencontainers.image.revision"
_COMPOSE_PROJECT = "com.docker.compose.project"
SETTLE_S = 300.0
"""A deployment is noted some time after its first instances run: an onset shortly before it may still be its own."""
_PROJECT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.][A-Za-z0-9_.-]*)+")
_MOST_COMMITS = 8
_MOST_FILES = 12
_ENDED_WELL = "success"


class Deployment(BaseModel):
    """One deployment as GitLab tells it; ``began``: when its job did; ``at``: when that ended, else when it was made.

    ``job_id`` None: it was reported by the API, and there is nothing to run again. ``status`` is its job's, where it
    has one: the deployment's own follows without a transaction.
    """

    model_config = ConfigDict(frozen=True)
    id: int
    project: str
    environment: str
    ref: str = ""
    sha: str
    status: str
    at: AwareDatetime
    began: AwareDatetime | None = None
    by: str = ""
    url: str = ""
    job_id: int | None = None
    job_name: str = ""
    pipeline_id: int | None = None

    @property
    def well(self) -> bool:
        """Whether it was successful."""
        return self.status == _ENDED_WELL


class BroughtCommit(BaseModel):
    """A commit that a deployment brought; ``author`` is free text."""

    model_config = ConfigDict(frozen=True)
    sha: str
    title: str
    author: str = ""


class BroughtRequest(BaseModel):
    """A merge request that a deployment brought; ``author`` is an account."""

    model_config = ConfigDict(frozen=True)
    iid: int
    title: str
    author: str = ""
    url: str = ""


class Brought(BaseModel):
    """What a deployment brought since the one before it; ``back``: it went back to something older."""

    model_config = ConfigDict(frozen=True)
    commits: tuple[BroughtCommit, ...] = ()
    files: tuple[str, ...] = ()
    requests: tuple[BroughtRequest, ...] = ()
    release: str = ""
    back: bool = False


class Place(BaseModel):
    """Where a subject is deployed: a project, its environment (None: any), what runs, and how that is known."""

    model_config = ConfigDict(frozen=True)
    project: str
    environment: str | None = None
    revision: str = ""
    why: str = ""


class DeclaredPlace(BaseModel):
    """An entry of the declared map: which services a project's environment holds (globs)."""

    model_config = ConfigDict(frozen=True)
    project: str
    environment: str = ""
    services: tuple[str, ...] = ()


def place_of(
    service: str,
    scope: Mapping[str, str],
    state: ContainerState | None,
    declared: Sequence[DeclaredPlace],
    gitlab_url: str,
) -> Place | None:
    """Return where a subject is deployed: by the declared map, else by its image's labels, else by a project's name.

    ``scope``'s environment, where the alert says one, narrows what an image's label or a name says.
    """
    labels = state.labels if state is not None else {}
    revision = labels.get(REVISION_LABEL, "").strip()
    environment = scope.get("environment")
    names = [service, *(labels[key] for key in (_COMPOSE_PROJECT,) if labels.get(key))]
    for entry in declared:
        if any(_matches(glob, service) for glob in entry.services):
            return Place(
                project=entry.project, environment=entry.environment or environment, revision=revision,
                why="SREOPS_GITLAB__DEPLOYMENTS",
            )  # fmt: skip
    source = labels.get(SOURCE_LABEL, "").strip().removesuffix(".git").rstrip("/")
    root = gitlab_url.rstrip("/") + "/"
    project = source.removeprefix(root) if gitlab_url and source.startswith(root) else ""
    if _PROJECT.fullmatch(project):
        why = f"the image's label {SOURCE_LABEL}"
        return Place(project=project, environment=environment, revision=revision, why=why)
    for entry in declared:
        if not entry.services and entry.project.rsplit("/", 1)[-1] in names:
            return Place(
                project=entry.project, environment=entry.environment or environment, revision=revision,
                why="the project's name",
            )  # fmt: skip
    return None


def _matches(glob: str, name: str) -> bool:
    try:
        return glob_matches(glob, name)
    except PatternInvalid:
        return False


def deployments_lately(history: Sequence[Deployment], alert_at: datetime, now: datetime) -> Sequence[Deployment]:
    """Return those that may have to do with the alert, the likeliest first: before the onset, and close to it."""
    found = [
        deployment for deployment in history
        if deployment.well and (alert_at - deployment.at).total_seconds() <= LATELY_S
        and deployment.at <= max(now, alert_at)
    ]  # fmt: skip
    return sorted(
        found, key=lambda deployment: (_after_s(deployment, alert_at) > SETTLE_S, abs(_after_s(deployment, alert_at)))
    )


def change_of(deployment: Deployment, service: str) -> SuspectedChange:
    """Return a deployment as a change of a service, from when its job began."""
    return SuspectedChange(
        at=deployment.began or deployment.at, service=service, text=deployment.sha[:8], key=str(deployment.id)
    )


def came_after_deployments(history: Sequence[Deployment], but: Deployment, earlier: Sequence[datetime]) -> bool:
    """Whether one of the service's earlier incidents began right after another deployment to this environment."""
    others = [
        deployment
        for deployment in history
        if deployment.well and deployment.id != but.id and deployment.environment == but.environment
    ]
    return any(
        0 <= (at - (deployment.began or deployment.at)).total_seconds() <= LATE_S
        for at in earlier
        for deployment in others
    )


def _after_s(deployment: Deployment, alert_at: datetime) -> float:
    return (deployment.at - alert_at).total_seconds()


def deployment_evidence(
    place: Place,
    deployment: Deployment,
    brought: Brought,
    alert_at: datetime,
    redactor: Redactor,
    *,
    way_back: str,
    suspicion: Suspicion | None = None,
    seen_before: bool = False,
) -> Evidence:
    """Tell one deployment: when, of what, by whom, what it touches, and the way back from it.

    ``suspicion``: the trouble began right after it; ``seen_before``: as this alert did after earlier ones.
    """
    who = brought.requests[0].author if len(brought.requests) == 1 else deployment.by
    titles = [request.title for request in brought.requests] or [commit.title for commit in brought.commits]
    what = f": {one_line(titles[0], 120)}" if titles else ""
    more = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
    verb = "was rolled back" if brought.back else "was deployed"
    finding = (
        f"{one_line(deployment.sha[:8], 8)} of {one_line(deployment.project, 100)} {verb} "
        f"to {one_line(deployment.environment, 60)} {when(deployment.at, alert_at)}{_by(who)}{what}{more}"
    )
    if suspicion is not None:
        again = "; this alert came after an earlier deployment as well" if seen_before else ""
        finding = f"{finding}; {suspicion.told}{again}"
    lines = [f"deployment {deployment.id}, ref {one_line(deployment.ref, 80)}, known by {place.why}"]
    if brought.release:
        lines.append(f"release {one_line(brought.release, 80)}")
    lines += [
        f"!{request.iid} {one_line(request.title, 160)}{_by(request.author)}"
        for request in brought.requests[:_MOST_COMMITS]
    ]
    lines += [
        f"{one_line(commit.sha[:8], 8)} {one_line(commit.title, 160)}{_by(commit.author)}"
        for commit in brought.commits[:_MOST_COMMITS]
    ]
    if brought.files:
        shown = ", ".join(one_line(path, 120) for path in brought.files[:_MOST_FILES])
        lines.append(f"files: {shown}" + (f" and {len(brought.files) - _MOST_FILES} more"
                                          if len(brought.files) > _MOST_FILES else ""))  # fmt: skip
    lines.append(f"way back: {way_back}")
    before_s = -_after_s(deployment, alert_at)
    return Evidence(
        id="", kind=EvidenceKind.change, source="gitlab", query=f"deployments of {place.project}", url=deployment.url,
        finding=redactor.redact(one_line(finding, 400)), text=redactor.redact(clean("\n".join(lines))),
        data={
            "deployment": deployment.id, "project": deployment.project, "environment": deployment.environment,
            "sha": deployment.sha, "at": deployment.at.astimezone(UTC).isoformat(), "before_s": before_s,
            "by": redactor.redact(one_line(who, 100)),
            "back": brought.back, "way_back": redactor.redact(one_line(way_back, 200)),
        }
        | (
            {"suspected": {"told": suspicion.told, "close": suspicion.close, "seen_before": seen_before}}
            if suspicion is not None
            else {}
        ),
    )  # fmt: skip


def no_deployment(place: Place, looked: int) -> Evidence:
    """Tell that nothing was deployed there lately."""
    where = one_line(f"{place.project} {place.environment or ''}", 160)
    seen = f"of {looked} deployments none is" if looked else "no deployment is known"
    return Evidence(
        id="", kind=EvidenceKind.change, source="gitlab", query=f"deployments of {place.project}",
        finding=f"{where}: {seen} of the hour before the alert", data={"deployments": looked},
    )  # fmt: skip


def _by(name: str) -> str:
    return f" by {one_line(name, 80)}" if name.strip() else ""
