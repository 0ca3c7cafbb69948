"""What the container engine has on record of the service and its neighbours: events, and the images behind the tags."""

from collections.abc import Sequence

from sreops.agent.evidence.scope import Scene
from sreops.domain.evidence import engine_events
from sreops.domain.evidence.changes import lately
from sreops.domain.evidence.evidence import ContainerEvents, Evidence
from sreops.errors import EngineRefused


async def engine_events_of(scene: Scene) -> Sequence[Evidence]:
    """Return the events of the service's container, and those of neighbours that tell something.

    One question for all: a container that is gone is asked about by the service's name, for its end is told still.
    """
    containers = scene.tools.containers
    if containers is None:
        return []
    own = scene.own.name if scene.own is not None else scene.event.service
    replicas = [one.name for one in scene.patient.states if one.name != own] if scene.own is not None else []
    near = {one.state.name: one for one in scene.neighbours if one.state is not None and one.state.name != own}
    told = await containers.events(
        [own, *replicas, *near],
        lately(scene.alert_at, scene.now),
        limit=engine_events.MOST_EVENTS,
        timeout_s=scene.tools.settings.docker.timeout_s,
        engine=scene.own.engine if scene.own is not None else None,
    )
    items = [engine_events.engine_events(scene.event.service, _of(told, own), scene.alert_at, scene.redactor)]
    for name in replicas:
        item = engine_events.engine_events(name, _of(told, name), scene.alert_at, scene.redactor)
        items += [item] if engine_events.is_telling(item) else []
    for name, neighbour in near.items():
        item = engine_events.engine_events(
            neighbour.service, _of(told, name), scene.alert_at, scene.redactor, role=neighbour.role.value
        )
        if engine_events.is_telling(item):
            items.append(item)
    return items


def _of(told: ContainerEvents, name: str) -> ContainerEvents:
    return told.model_copy(update={"events": tuple(one for one in told.events if one.name == name)})


async def images_of(scene: Scene) -> Sequence[Evidence]:
    """Compare the service's image with what its tag means now, and its making with that of an earlier incident."""
    containers, state = scene.tools.containers, scene.own
    if containers is None or state is None:
        return []
    tagged, why = None, ""
    try:
        tagged = await containers.image(
            state.image, engine=state.engine, timeout_s=scene.tools.settings.docker.timeout_s
        )
    except EngineRefused as exc:
        why = str(exc)  # a proxy in front of the engine that shows no images: what the container says is told still
    earlier = engine_events.earlier_of(await scene.history(), state.name)
    return [
        engine_events.image_changes(
            scene.event.service, state, tagged, earlier, scene.alert_at, scene.redactor, why_unseen=why
        )
    ]
