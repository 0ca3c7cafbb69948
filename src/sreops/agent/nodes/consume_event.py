"""consume_event: normalise what correlation found into the graph's state."""

from collections.abc import Sequence

from sreops.agent.state import STATE_SCHEMA, Outcome, State
from sreops.agent.visit import Visit, escalated
from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.incidents.correlation import Disposition
from sreops.domain.incidents.incident import Reason, storm_of
from sreops.domain.incidents.storms import in_words

Pairs = Sequence[tuple[AlertEvent, str]]
_BEGIN = frozenset(disposition for disposition in Disposition if disposition.starts_graph)


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


def joined(pairs: Pairs, began_by: str | None) -> AlertEvent | None:
    """Return the event whose joining began the running episode, or the newest that still fires where it is over."""
    event = next((event for event, _ in pairs if event.event_id == began_by), None)
    if event is None:
        return None
    newest = {event.fingerprint: event for event, _ in pairs}
    if newest[event.fingerprint].status is AlertStatus.firing:
        return event
    firing = [event for event in newest.values() if event.status is AlertStatus.firing]
    return firing[-1] if firing else event


def _comes_back(visit: Visit) -> Outcome | None:
    """Return the end of an episode that a refire began, where it is not to be analysed like a new one."""
    incident = visit.incident
    flapping = incident.joins.flapping if incident.joins else None
    if any(effect.episode < incident.episode for effect in incident.effects):
        why = "it fires again after something was done for it; it is not remediated a second time"
        return escalated(Reason.refired, f"{why}; {flapping.in_words}" if flapping else why)
    if flapping is not None:
        return escalated(Reason.refired, f"{flapping.in_words}; it recovers by itself each time, and fires again")
    return None


async def consume_event(visit: Visit) -> State:
    """Read the incident's events; a refire after an effect, and one of an alert that flaps, goes to a person.

    Any other refire is analysed like a new alert. Where a person has put its event back from the dead letter, or
    given the incident back, it is worked on as if for the first time; and so where somebody's joining began it.
    """
    pairs = await visit.pairs()
    mine = [event for event, _ in of_episode(pairs)]
    again = put_back(pairs)
    joins = visit.incident.joins
    newcomer = joined(pairs, joins.began_by if joins else None)
    event = newcomer or again or primary(pairs)
    state = State(
        schema_version=STATE_SCHEMA,
        event=event.model_dump(mode="json"),
        alert_count=len({other.fingerprint for other in [event, *mine]}),
        put_back=again is not None and newcomer is None,
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
            f"too many incidents at once: alerts that share {in_words(storm.shared)} are gathered here, "
            "and none of them is analysed or remediated by itself",
        )
    elif newcomer is not None:
        visit.think(f"Analysed again because of who joined: {joins.began_why if joins else ''}")
    elif visit.incident.episode > 1 and again is None and visit.incident.rerun_by is None:
        state["outcome"] = _comes_back(visit)
    decision = visit.incident.decision or {}
    # how the alert was read, and what its sender left out: the account says so
    await visit.write({"decision": {**decision, "warnings": list(event.warnings)}} if event.warnings else None)
    return state
