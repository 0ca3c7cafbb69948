"""consume_event: normalise what correlation found into the graph's state."""

from sreops.agent.state import STATE_SCHEMA, State
from sreops.agent.visit import Visit, escalated
from sreops.domain.alert import AlertEvent, AlertStatus
from sreops.domain.incident import Reason


def primary(events: list[AlertEvent], episode_events: list[AlertEvent]) -> AlertEvent:
    """Return the alert that opened the episode: the first firing one of it, else the first of all."""
    firing = [event for event in episode_events if event.status is AlertStatus.firing]
    return (firing or episode_events or events)[0]


async def consume_event(visit: Visit) -> State:
    """Read the incident's events; an episode after the first is a refire, which goes to a person."""
    pairs = await visit.tools.store.events(visit.incident.id)
    events = [event for event, _ in pairs]
    mine = [event for event in events if event.received_at >= visit.incident.episode_at]
    if visit.incident.episode == 1:
        mine = events
    event = primary(events, mine)
    state = State(
        schema_version=STATE_SCHEMA,
        event=event.model_dump(mode="json"),
        alert_count=len({other.fingerprint for other in mine}),
        step=0,
        looks=[],
        outcome=None,
    )
    visit.think(
        f"{event.alertname} fires on {event.service} since {event.starts_at:%H:%M:%S} UTC "
        f"({event.severity.value}, tier {event.tier.value})",
        warnings=list(event.warnings),
    )
    if visit.incident.episode > 1:
        state["outcome"] = escalated(
            Reason.refired,
            "it fires again after the incident was closed as resolved; it is not remediated a second time",
        )
    await visit.write()
    return state
