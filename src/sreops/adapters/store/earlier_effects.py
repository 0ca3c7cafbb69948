"""What was done before: for a subject, to a target, on a host, in a project; limits and cooldowns count it."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, bindparam, func, or_, select

from sreops.adapters.store.breaker import touched
from sreops.adapters.store.columns import PlainText, micros, moment
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.tables import effects, incidents
from sreops.domain.remediation.target_identity import Namesake, may_be_one

_HOUR_US = 3600 * 1_000_000
_MOST = 200

_NOT_OF_EPISODE = ~and_(effects.c.incident_id == bindparam("of_incident"), effects.c.episode == bindparam("of_episode"))
_FOR_A_NAME = Prepared(
    select(effects.c.effect_id, effects.c.intent_at, incidents.c.standing, incidents.c.subject, incidents.c.target)
    .join(incidents, incidents.c.id == effects.c.incident_id)
    .where(effects.c.service == bindparam("of_service"), _NOT_OF_EPISODE)
    .order_by(effects.c.intent_at.desc())
    .limit(_MOST)
)
_PLACE = bindparam("of_place", type_=PlainText())
_IN_A_PLACE = Prepared(
    select(func.count().label("lately")).where(
        effects.c.intent_at > bindparam("since"),
        or_(
            effects.c.standing == _PLACE,
            func.substr(effects.c.standing, 1, func.length(_PLACE) + 1) == _PLACE.concat("/"),
        ),
        _NOT_OF_EPISODE,
    )
)


class Earlier(NamedTuple):
    """When the newest effect was, and how many there were in the last hour."""

    newest: datetime | None
    lately: int


def namesake_of(incident: Row[Any]) -> Namesake:
    """Return what tells an incident's subject from its namesakes; nothing of one that 0.1 has opened."""
    scope: Mapping[str, str] = (incident.subject or {}).get("scope") or {}
    seen: Mapping[str, str] = (incident.target or {}).get("scope") or {}
    return Namesake(incident.standing or "", {**seen, **scope})


def earlier_effects(
    connection: Connection,
    incident: Row[Any],
    episode: int,
    services: Collection[str],
    names: Collection[str],
    standings: Collection[str],
    now: datetime,
) -> Earlier:
    """Return what was done to these targets or for these subjects, except by this episode.

    For a namesake of another scope, or whose target the engine knows as another, nothing was done for this one.
    """
    own = {"of_incident": incident.id, "of_episode": episode}
    mine, since = namesake_of(incident), moment(micros(now) - _HOUR_US)
    found: dict[str, datetime] = {}
    for service in services:
        named = _FOR_A_NAME.all(connection, of_service=service, **own)
        mine_of_name = {row.effect_id: row.intent_at for row in named if may_be_one(mine, namesake_of(row))}
        if not mine_of_name and len(named) == _MOST:  # what was done before those is not known
            mine_of_name = {named[-1].effect_id: named[-1].intent_at}
        found |= mine_of_name
    to = {f"name_{number}": name for number, name in enumerate(sorted(names))}
    to |= {f"standing_{number}": standing for number, standing in enumerate(sorted(standings))}
    newest, lately = _done_to(len(names), len(standings))
    [to_target] = newest.all(connection, **own, **to)
    times = [at for at in (to_target.newest, *found.values()) if at is not None]
    # what was done both for the subject and to the target is counted once
    counted = {row.effect_id for row in lately.all(connection, since=since, **own, **to)}
    counted |= {effect_id for effect_id, at in found.items() if at > since}
    return Earlier(max(times, default=None), len(counted))


def acts_in(connection: Connection, places: Iterable[str], now: datetime, *, but: tuple[str, int]) -> dict[str, int]:
    """Count the effects of the last hour on each of these hosts and projects, but those of one episode."""
    since = moment(micros(now) - _HOUR_US)
    found = {}
    for place in places:
        [row] = _IN_A_PLACE.all(connection, of_place=place, since=since, of_incident=but[0], of_episode=but[1])
        found[place] = int(row.lately)
    return found


@cache
def _done_to(names: int, standings: int) -> tuple[Prepared, Prepared]:
    """Return the queries of what was done to so many names and standing identities: its newest, and those lately."""
    done = and_(touched(names, standings), _NOT_OF_EPISODE)
    newest = select(func.max(effects.c.intent_at).label("newest")).where(done)
    lately = select(effects.c.effect_id).where(done, effects.c.intent_at > bindparam("since"))
    return Prepared(newest), Prepared(lately)
