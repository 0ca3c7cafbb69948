"""What GitLab deployed lately: where the subject is deployed, what came, and whether the trouble began right after."""

from collections.abc import Sequence

from sreops.agent.evidence.question import Question, history_of
from sreops.domain.evidence.deployments import (
    Deployment,
    Place,
    came_after_deployments,
    change_of,
    deployment_evidence,
    deployments_lately,
    no_deployment,
    place_of,
)
from sreops.domain.evidence.evidence import ContainerState, Evidence, LogLines
from sreops.domain.evidence.suspected_change import Suspicion, onset_of, suspect
from sreops.domain.remediation.rollback import way_back
from sreops.ports import Deployments

_MOST = 3
"""Deployments that are looked into: three calls each, kept for ever after."""


async def deployments_of(question: Question, state: ContainerState | None, lines: LogLines) -> Sequence[Evidence]:
    """Tell the subject's deployments of the last hour, the suspected one first; nothing where it is not known where."""
    reader = question.tools.deployments
    if reader is None:
        return []
    service = question.event.service
    place = place_of(service, question.event.subject.scope, state, reader.declared, reader.url)
    if place is None:
        return []
    timeout_s = question.tools.settings.gitlab.timeout_s
    known = await reader.history(place.project, place.environment, timeout_s=timeout_s)
    environment = place.environment or _environment_of(known, place)
    history = [deployment for deployment in known if deployment.environment == environment]
    lately = deployments_lately(history, question.alert_at, question.now)
    if not lately:
        return [no_deployment(place, len(history))]
    onset = onset_of((line.at, line.text) for line in lines.lines)
    suspicion = suspect([change_of(deployment, service) for deployment in lately if _runs(deployment, place)], onset)
    first = suspicion.change.key if suspicion is not None else ""
    earlier = [incident.opened_at for incident in await history_of(question)]
    ordered = sorted(lately[:_MOST], key=lambda deployment: str(deployment.id) != first)
    return [
        await _told(reader, question, place, history, deployment, suspicion if str(deployment.id) == first else None,
                    came_after_deployments(history, deployment, earlier))
        for deployment in ordered
    ]  # fmt: skip


async def _told(
    reader: Deployments, question: Question, place: Place, history: Sequence[Deployment], deployment: Deployment,
    suspicion: Suspicion | None, seen_before: bool,
) -> Evidence:  # fmt: skip
    before = next((other for other in history if other.well and other.id < deployment.id), None)
    brought = await reader.brought(before, deployment, timeout_s=question.tools.settings.gitlab.timeout_s)
    return deployment_evidence(
        place, deployment, brought, question.alert_at, question.redactor,
        way_back=way_back(history).told, suspicion=suspicion, seen_before=seen_before,
    )  # fmt: skip


def _environment_of(history: Sequence[Deployment], place: Place) -> str | None:
    """Return the environment of what runs, by its revision, else of the newest deployment."""
    running = (deployment for deployment in history if place.revision and deployment.sha == place.revision)
    return next((deployment.environment for deployment in (*running, *history) if deployment.environment), None)


def _runs(deployment: Deployment, place: Place) -> bool:
    """Whether it may be what runs: the image says no other revision."""
    return not place.revision or place.revision == deployment.sha
