"""One effect per target: what is looked at in the transaction that writes an intent, so that no second one begins."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, select

from sreops.adapters.store.automation import pause_state_of
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.earlier_effects import acts_in, earlier_effects
from sreops.adapters.store.leases import incident_row
from sreops.adapters.store.tables import effects, incidents
from sreops.domain.incidents.incident import Effect
from sreops.domain.remediation.places import places_of, too_many
from sreops.domain.remediation.policy import PolicyLimits
from sreops.domain.remediation.target_identity import Touched, concerns, same_project
from sreops.errors import EffectBlocked

_NONE = ("", 0)  # no episode: its own earlier steps count as well
_ACTING = Prepared(
    select(
        incidents.c.id, incidents.c.service, effects.c.service.label("touched"), effects.c.target, effects.c.standing
    )
    .join(effects, and_(effects.c.incident_id == incidents.c.id, effects.c.episode == incidents.c.episode))
    .where(incidents.c.ended_at.is_(None), incidents.c.id != bindparam("but"))
)


def refuse_second_effect(
    connection: Connection,
    effect: Effect,
    limits: PolicyLimits,
    now: datetime,
    cooldown_s: float,
    doubted_resolve_at: datetime | None,
) -> None:
    """Raise EffectBlocked where another effect is under way on this target, or what policy decided by has changed.

    One target is one by its standing identity and by every name, whatever its incidents call it.
    """
    pause = pause_state_of(connection)
    if pause["paused"]:
        raise EffectBlocked([why_paused(pause)])
    incident = incident_row(connection, effect.incident_id)
    if incident.ended_at is not None:
        raise EffectBlocked([f"the incident has ended as {incident.status}"])
    if incident.all_resolved_at is not None and incident.all_resolved_at != doubted_resolve_at:
        raise EffectBlocked([f"resolved: no alert of the incident fires since {incident.all_resolved_at.isoformat()}"])
    acting = acting_elsewhere(connection, effect.incident_id)
    subjects, standings = {effect.service, incident.service}, {effect.standing} - {""}
    names = {*subjects, effect.target, str(effect.snapshot.get("name") or effect.target)}
    busy = [
        (other, touched)
        for other, touched in acting
        if concerns(subjects, names, standings, touched) or same_project(effect.standing, touched.standing)
    ]
    if busy:
        other, touched = min(busy)
        raise EffectBlocked([f"incident {other} is remediating {touched.target} now"], wait=True)
    earlier = earlier_effects(connection, incident, effect.episode, subjects, names, standings, now)
    if earlier.newest is not None and (now - earlier.newest).total_seconds() < cooldown_s:
        raise EffectBlocked([f"{effect.target} was remediated at {earlier.newest.isoformat()}: it cools down"])
    places = [place.identity for place in places_of(effect.standing)]
    if crowded := too_many([effect.standing], acts_in(connection, places, now, but=_NONE), limits.acts_in):
        raise EffectBlocked(crowded)
    running = len({other for other, _ in acting})
    if running >= limits.max_concurrent_effects:
        raise EffectBlocked(
            [f"{running} remediations run at once, the most that is allowed is {limits.max_concurrent_effects}"],
            wait=True,
        )


def acting_elsewhere(connection: Connection, but: str) -> list[tuple[str, Touched]]:
    """Return the other incidents between their first intent and their end, with what they touch and for whom.

    An open incident with an effect in its running episode is one, whatever its status says: the intent is
    committed before the status may be.
    """
    found = []
    for row in _ACTING.all(connection, but=but):
        found += [(row.id, Touched(of, row.target, row.standing)) for of in dict.fromkeys((row.service, row.touched))]
    return found


def why_paused(pause: Mapping[str, object]) -> str:
    """Say by whom automation was paused, and why."""
    why = f": {pause['reason']}" if pause["reason"] else ""
    return f"automation was paused by {pause['by'] or 'somebody'}{why}"
