"""consume_event: normalise what correlation found into the graph's state."""

from collections.abc import Sequence

from sreops.agent.state import STATE_SCHEMA, State
from sreops.agent.visit import Visit, escalated
from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.incidents.correlation import Disposition
from sreops.domain.incidents.incident import Reason
from sreops.domain.incidents.storms import in_words, storm_of

Pairs = Sequence[tuple[AlertEvent, str]]
_BEGIN = frozenset(one for one in Disposition if one.starts_graph)


def of_episode(pairs: Pairs) -> Pairs:
    """Return the running episode's events, from the one that began it.

    By what correlation decided and not by time: an event is received before the episode that it begins.
    """
    began = [index for index, (_, how) in enumerate(pairs) if how in _BEGIN]
    return pairs[began[-1] :] if began else pairs


def primary(pairs: Pairs) -> AlertEvent:
    """Return the alert that opened the episode: the first firing one of it, else the first."""
    events = [event for event, _ in of_episode(pairs)]
    return next((event for event in events if event.status is AlertStatus.firing), events[0])


def put_back(pairs: Pairs) -> AlertEvent | None:
    """Return the event with which a person began the running episode, or None where it began by itself."""
    event, how = of_episode(pairs)[0]
    return event if how == Disposition.requeue else None


async def consume_event(visit: Visit) -> State:
    """Read the incident's events; an episode after the first is a refire, which goes to a person.

    Where a person has put its event back from the dead letter, or given the incident back, it is worked on as if for
    the first time.
    """
    pairs = await visit.pairs()
    mine = [event for event, _ in of_episode(pairs)]
    again = put_back(pairs)
    event = again or primary(pairs)
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
    if (storm := storm_of(visit.incident.decision)) is not None:
        state["outcome"] = escalated(
            Reason.storm,
            f"too many incidents at once: alerts that share {in_words(storm)} are gathered here, "
            "and none of them is analysed or remediated by itself",
        )
    elif visit.incident.episode > 1 and again is None and visit.incident.rerun_by is None:
        state["outcome"] = escalated(
            Reason.refired,
            "it fires again after the incident was closed as resolved; it is not remediated a second time",
        )
    decision = visit.incident.decision or {}
    # how the alert was read, and what its sender left out: the account says so
    await visit.write({"decision": {**decision, "warnings": list(event.warnings)}} if event.warnings else None)
    return state
