"""What the container engine has on record of the service and its neighbours: events, and the images behind the tags."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sreops.agent.evidence.question import Question, history_of
from sreops.agent.patient import Patient, subjects_patient
from sreops.domain.alerts.subject import SubjectKind
from sreops.domain.evidence import engine_events, findings
from sreops.domain.evidence.changes import lately
from sreops.domain.evidence.evidence import ContainerEvents, ContainerState, Evidence
from sreops.domain.evidence.identity import engine_name
from sreops.domain.evidence.neighbours import Neighbour
from sreops.domain.remediation.target_identity import standing_identity
from sreops.errors import EngineRefused

MOST_REPLICAS = 10
"""Of a service's containers, those that are ill first."""


@dataclass(frozen=True)
class OwnContainers:
    """What the engine knows of the subject: its container, of replicas the one that is ill, and all of them.

    ``state`` is None where the name may mean several targets: of namesakes nobody is taken by accident.
    """

    state: ContainerState | None = None
    patient: Patient = field(default_factory=Patient)

    @property
    def states(self) -> Sequence[ContainerState]:
        """All containers that the name means, those that are ill first."""
        return self.patient.states


async def own_containers(question: Question) -> OwnContainers:
    """Return the subject's containers; none without an engine, and where it knows none (a host is no container)."""
    name = engine_name(question.event)
    if question.tools.containers is None or not name:
        return OwnContainers()
    subject = question.event.subject.joined_by(question.incident.subject)
    patient = await subjects_patient(question.tools, subject.model_copy(update={"name": name}), question.now)
    if len(patient.targets) != 1:
        return OwnContainers(patient=patient)
    return OwnContainers(patient.one or patient.states[0], patient)


def container_evidence(question: Question, own: OwnContainers) -> Sequence[Evidence]:
    """Tell how the engine sees the subject; of a host or a probed target it has nothing to tell, which is no gap."""
    service = question.event.service
    if own.state is not None:
        others = [state for state in own.states if state.id != own.state.id]
        shown = (own.state, *others)[:MOST_REPLICAS]
        return [findings.container(state, question.now, question.redactor) for state in shown]
    if question.event.subject.kind in (SubjectKind.host, SubjectKind.target):
        return []
    if question.tools.containers is None:
        health = (question.tools.missing or {}).get("docker")
        return [findings.gap("docker", "not configured", health.cure if health else "")]
    if own.states:
        names = ", ".join(f"{state.name} ({standing_identity(state)})" for state in own.states[:MOST_REPLICAS])
        cure = "label alerts with Compose project, Swarm stack or host"
        return [findings.gap("docker", f"{service} may mean any of {names}", cure)]
    return [findings.gap("docker", f"no container is named {service}", "label alerts with `container`")]


async def engine_events_of(
    question: Question, own: OwnContainers, neighbours: Sequence[Neighbour]
) -> Sequence[Evidence]:
    """Return the events of the service's container, and those of neighbours that tell something.

    One question for all: a container that is gone is asked about by the service's name, for its end is told still.
    """
    containers, state = question.tools.containers, own.state
    name = state.name if state is not None else engine_name(question.event)
    if containers is None or not name:
        return []
    replicas = [other.name for other in own.states if other.name != name] if state is not None else []
    near = {
        neighbour.state.name: neighbour
        for neighbour in neighbours
        if neighbour.state is not None and neighbour.state.name != name
    }
    answer = await containers.events(
        [name, *replicas, *near],
        lately(question.alert_at, question.now),
        limit=engine_events.MOST_EVENTS,
        timeout_s=question.tools.settings.docker.timeout_s,
        engine=state.engine if state is not None else None,
    )
    service, alert_at, redactor = question.event.service, question.alert_at, question.redactor
    items = [engine_events.engine_events(service, _of(answer, name), alert_at, redactor)]
    for replica in replicas:
        item = engine_events.engine_events(replica, _of(answer, replica), alert_at, redactor)
        items += [item] if engine_events.is_telling(item) else []
    for near_name, neighbour in near.items():
        item = engine_events.engine_events(
            neighbour.service, _of(answer, near_name), alert_at, redactor, role=neighbour.role.value
        )
        if engine_events.is_telling(item):
            items.append(item)
    return items


def _of(answer: ContainerEvents, name: str) -> ContainerEvents:
    return answer.model_copy(update={"events": tuple(event for event in answer.events if event.name == name)})


async def images_of(question: Question, state: ContainerState | None) -> Sequence[Evidence]:
    """Compare the service's image with what its tag means now, and its making with that of an earlier incident."""
    containers = question.tools.containers
    if containers is None or state is None:
        return []
    tagged, why = None, ""
    try:
        tagged = await containers.image(
            state.image, engine=state.engine, timeout_s=question.tools.settings.docker.timeout_s
        )
    except EngineRefused as exc:
        why = str(exc)  # a proxy in front of the engine that shows no images: what the container says is told still
    earlier = engine_events.earlier_of(await history_of(question), state.name)
    return [
        engine_events.image_changes(
            question.event.service, state, tagged, earlier, question.alert_at, question.redactor, why_unseen=why
        )
    ]
