"""consume_event: normalise what correlation found into the graph's state."""

from collections.abc import Sequence

from sreops.agent.state import STATE_SCHEMA, State
from sreops.agent.visit import Visit, escalated
from sreops.domain.alert import AlertEvent, AlertStatus
from sreops.domain.correlation import Disposition
from sreops.domain.incident import Reason


def primary(events: list[AlertEvent], episode_events: list[AlertEvent]) -> AlertEvent:
    """Return the alert that opened the episode: the first firing one of it, else the first of all."""
    firing = [event for event in episode_events if event.status is AlertStatus.firing]
    return (firing or episode_events or events)[0]


def put_back(pairs: Sequence[tuple[AlertEvent, str]]) -> AlertEvent | None:
    """Return the event with which a person began the running episode, or None where it began by itself."""
    began = [(event, how) for event, how in pairs if how in (Disposition.open, Disposition.refire, Disposition.requeue)]
    return began[-1][0] if began and began[-1][1] == Disposition.requeue else None


async def consume_event(visit: Visit) -> State:
    """Read the incident's events; an episode after the first is a refire, which goes to a person.

    Where a person has put its event back from the dead letter, it is worked on as if for the first time.
    """
    pairs = await visit.tools.store.events(visit.incident.id)
    events = [event for event, _ in pairs]
    mine = [event for event in events if event.received_at >= visit.incident.episode_at]
    again = put_back(pairs)
    if visit.incident.episode == 1:
        mine = events
    event = again or primary(events, mine)
    state = State(
        schema_version=STATE_SCHEMA,
        event=event.model_dump(mode="json"),
        alert_count=len({other.fingerprint for other in [event, *mine]}),
        put_back=again is not None,
        step=0,
        looks=[],
        outcome=None,
    )
    visit.think(
        f"{event.alertname} fires on {event.service} since {event.starts_at:%H:%M:%S} UTC "
        f"({event.severity.value}, tier {event.tier.value})",
        warnings=list(event.warnings),
    )
    if visit.incident.episode > 1 and again is None:
        state["outcome"] = escalated(
            Reason.refired,
            "it fires again after the incident was closed as resolved; it is not remediated a second time",
        )
    await visit.write()
    return state
