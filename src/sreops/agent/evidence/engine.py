"""What the container engine has on record of the service and its neighbours: events, and the images behind the tags."""

from collections.abc import Sequence

from sreops.agent.evidence.question import Question, history_of
from sreops.domain.alerts.subject import SubjectKind
from sreops.domain.evidence import engine_events, findings
from sreops.domain.evidence.changes import lately
from sreops.domain.evidence.evidence import ContainerEvents, ContainerState, Evidence
from sreops.domain.evidence.identity import engine_name
from sreops.domain.evidence.neighbours import Neighbour
from sreops.errors import EngineRefused


async def own_container(question: Question) -> ContainerState | None:
    """Return the subject's container; None without an engine, and where it knows none (a host is no container)."""
    containers, name = question.tools.containers, engine_name(question.event)
    if containers is None or not name:
        return None
    return await containers.find(name, timeout_s=question.tools.settings.docker.timeout_s)


def container_evidence(question: Question, state: ContainerState | None) -> Sequence[Evidence]:
    """Tell how the engine sees the subject; of a host or a probed target it has nothing to tell, which is no gap."""
    if state is not None:
        return [findings.container(state, question.now, question.redactor)]
    if question.event.subject.kind in (SubjectKind.host, SubjectKind.target):
        return []
    if question.tools.containers is None:
        health = (question.tools.missing or {}).get("docker")
        return [findings.gap("docker", "not configured", health.cure if health else "")]
    return [findings.gap("docker", f"no container is named {question.event.service}", "label alerts with `container`")]


async def engine_events_of(
    question: Question, state: ContainerState | None, neighbours: Sequence[Neighbour]
) -> Sequence[Evidence]:
    """Return the events of the service's container, and those of neighbours that tell something.

    One question for all: a container that is gone is asked about by the service's name, for its end is told still.
    """
    containers = question.tools.containers
    own = state.name if state is not None else engine_name(question.event)
    if containers is None or not own:
        return []
    near = {one.state.name: one for one in neighbours if one.state is not None and one.state.name != own}
    told = await containers.events(
        [own, *near],
        lately(question.alert_at, question.now),
        limit=engine_events.MOST_EVENTS,
        timeout_s=question.tools.settings.docker.timeout_s,
    )
    service, alert_at, redactor = question.event.service, question.alert_at, question.redactor
    items = [engine_events.engine_events(service, _of(told, own), alert_at, redactor)]
    for name, neighbour in near.items():
        item = engine_events.engine_events(
            neighbour.service, _of(told, name), alert_at, redactor, role=neighbour.role.value
        )
        if engine_events.is_telling(item):
            items.append(item)
    return items


def _of(told: ContainerEvents, name: str) -> ContainerEvents:
    return told.model_copy(update={"events": tuple(one for one in told.events if one.name == name)})


async def images_of(question: Question, state: ContainerState | None) -> Sequence[Evidence]:
    """Compare the service's image with what its tag means now, and its making with that of an earlier incident."""
    containers = question.tools.containers
    if containers is None or state is None:
        return []
    tagged, why = None, ""
    try:
        tagged = await containers.image(state.image, timeout_s=question.tools.settings.docker.timeout_s)
    except EngineRefused as exc:
        why = str(exc)  # a proxy in front of the engine that shows no images: what the container says is told still
    earlier = engine_events.earlier_of(await history_of(question), state.name)
    return [
        engine_events.image_changes(
            question.event.service, state, tagged, earlier, question.alert_at, question.redactor, why_unseen=why
        )
    ]
