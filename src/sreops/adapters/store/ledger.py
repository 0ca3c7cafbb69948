"""The effects ledger: the intent before an effect, its outcome after, and what policy asks about both."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from sreops.adapters.store.automation import pause_state_of
from sreops.adapters.store.breaker import failures_in_a_row
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.earlier_effects import acts_in, earlier_effects
from sreops.adapters.store.leases import SqlPart, held, incident_row
from sreops.adapters.store.one_effect_per_target import acting_elsewhere, refuse_second_effect, why_paused
from sreops.adapters.store.records import audit
from sreops.adapters.store.rows import effect_of
from sreops.adapters.store.tables import effects
from sreops.adapters.store.track_record import fixes_in_a_row
from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.records.record import Action
from sreops.domain.remediation.places import places_of
from sreops.domain.remediation.policy import PolicyFacts, PolicyLimits
from sreops.domain.remediation.target_identity import concerns
from sreops.errors import NotFound
from sreops.ports import Lease

_ON_TARGET = Prepared(
    select(effects)
    .where(effects.c.standing == bindparam("of_standing"), effects.c.action == bindparam("of_action"))
    .order_by(effects.c.intent_at.desc())
    .limit(bindparam("most"))
)
_OF_STEP = Prepared(
    select(effects).where(
        effects.c.incident_id == bindparam("of_incident"),
        effects.c.episode == bindparam("of_episode"),
        effects.c.step == bindparam("of_step"),
    )
)
_MINE = and_(effects.c.effect_id == bindparam("of_effect"), effects.c.incident_id == bindparam("of_incident"))
_BY_ID, _INTENT, _OUTCOME = (
    Prepared(select(effects).where(_MINE)),
    Prepared(insert(effects)),
    Prepared(update(effects).where(_MINE)),
)


class Ledger(SqlPart):
    """Effects, and what policy asks about them."""

    async def begin_effect(
        self,
        lease: Lease,
        effect: Effect,
        limits: PolicyLimits,
        *,
        now: datetime,
        cooldown_s: float = 0.0,
        doubted_resolve_at: datetime | None = None,
    ) -> Effect:
        """Write the intent with its snapshot, and its audited action; return it as stored."""
        if (effect.incident_id, effect.episode) != (lease.incident_id, lease.episode):
            raise ValueError(f"effect {effect.effect_id} is not of the lease's incident and episode")

        def begin(connection: Connection) -> Effect:
            held(connection, lease)
            there = _effect_of_step(connection, effect)
            if there is not None:
                return effect_of(there)
            refuse_second_effect(connection, effect, limits, now, cooldown_s, doubted_resolve_at)
            values = effect.model_dump(mode="json", exclude={"outcome", "outcome_at"})
            values |= {"intent_at": effect.intent_at, "outcome": None, "outcome_at": None}
            _INTENT.run(connection, **values)
            stored = _stored(connection, effect.incident_id, effect.effect_id)
            data = {"snapshot": stored.snapshot, "runbook_id": stored.runbook_id, "standing": stored.standing}
            audit(connection, stored.incident_id, _action(stored, "intent", "", data), now, self._audit_key)
            return stored

        return await self._db.write(begin)

    async def end_effect(
        self, lease: Lease, effect_id: str, outcome: EffectOutcome, detail: str, *, now: datetime
    ) -> Effect:
        """Write the outcome once, and its audited action; a second outcome changes nothing."""

        def end(connection: Connection) -> Effect:
            held(connection, lease)
            there = _stored(connection, lease.incident_id, effect_id)
            if there.outcome is not None:
                return there
            values = {"outcome": outcome.value, "outcome_at": now, "detail": detail}
            _OUTCOME.run(connection, of_incident=lease.incident_id, of_effect=effect_id, **values)
            stored = _stored(connection, lease.incident_id, effect_id)
            told = _action(stored, "outcome", detail, {"outcome": outcome.value})
            audit(connection, stored.incident_id, told, now, self._audit_key)
            return stored

        return await self._db.write(end)

    async def effects(self, incident_id: str, episode: int) -> Sequence[Effect]:
        """Return the ledger of an episode, in order."""
        query = (
            select(effects)
            .where(effects.c.incident_id == incident_id, effects.c.episode == episode)
            .order_by(effects.c.step)
        )
        return await self._db.read(lambda connection: [effect_of(row) for row in connection.execute(query)])

    async def effects_on(self, standing: str, actions: Sequence[str], *, limit: int) -> Sequence[Effect]:
        """Return what of these actions was begun on a target, whoever's incident it was, the newest first."""

        def read(connection: Connection) -> list[Effect]:
            rows = [
                row
                for action in actions
                for row in _ON_TARGET.all(connection, of_standing=standing, of_action=action, most=limit)
            ]
            return [effect_of(row) for row in sorted(rows, key=lambda row: row.intent_at, reverse=True)[:limit]]

        return await self._db.read(read)

    async def policy_facts(
        self,
        incident_id: str,
        service: str,
        runbook_id: str,
        *,
        now: datetime,
        targets: Sequence[str] = (),
        standings: Sequence[str] = (),
    ) -> PolicyFacts:
        """Return recent automation facts; effects of this incident's running episode are not counted.

        What was done to a target counts for whoever would do it again: ten services that suffer from one database
        must not restart it ten times, whatever each of them calls it.
        """
        names = {service, *targets}

        def facts(connection: Connection) -> PolicyFacts:
            pause = pause_state_of(connection)
            incident = incident_row(connection, incident_id)
            earlier = earlier_effects(connection, incident, incident.episode, {service}, names, standings, now)
            places = {place.identity for standing in standings for place in places_of(standing)}
            acting = acting_elsewhere(connection, incident_id)
            return PolicyFacts(
                paused=pause["paused"],
                paused_why=why_paused(pause) if pause["paused"] else "",
                last_effect_at=earlier.newest,
                effects_last_hour=earlier.lately,
                acts_lately=acts_in(connection, places, now, but=(incident.id, incident.episode)),
                running_now=len({other for other, _ in acting}),
                service_busy=any(concerns({service}, names, standings, touched) for _, touched in acting),
                failures_in_a_row=failures_in_a_row(connection, service, runbook_id, names, standings),
                fixes_in_a_row=fixes_in_a_row(connection, service, runbook_id),
            )

        return await self._db.read(facts)


def _effect_of_step(connection: Connection, effect: Effect) -> Row[Any] | None:
    return _OF_STEP.first(connection, of_incident=effect.incident_id, of_episode=effect.episode, of_step=effect.step)


def _stored(connection: Connection, incident_id: str, effect_id: str) -> Effect:
    row = _BY_ID.first(connection, of_incident=incident_id, of_effect=effect_id)
    if row is None:
        raise NotFound(f"incident {incident_id} has no effect {effect_id!r}")
    return effect_of(row)


def _action(effect: Effect, phase: str, detail: str, data: Mapping[str, object]) -> Action:
    told = {"effect_id": effect.effect_id, "episode": effect.episode, "step": effect.step, **data}
    return Action(action=effect.action, phase=phase, target=effect.target, detail=detail, data=told)
