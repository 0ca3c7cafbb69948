"""Following incidents whose plan was only told: what do people do about them? The engine forgets it soon."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sreops.agent.context import Tools
from sreops.agent.remediation.life import events_of
from sreops.agent.remediation.targets import find_target
from sreops.domain.evidence.evidence import ContainerState
from sreops.domain.incidents.incident import Incident, IncidentStatus, Reason
from sreops.domain.incidents.search import Search
from sreops.domain.records.hindsight import (
    NODE,
    SHOWS_AS,
    Afterwards,
    Told,
    afterwards_in,
    told_of,
)
from sreops.domain.records.record import RecordKind, Thought
from sreops.domain.remediation.deeds import SAME_S, Deed, deeds_of
from sreops.domain.remediation.meanwhile import Hand
from sreops.domain.remediation.target_identity import standing_identity
from sreops.domain.runbooks.runbook import Plan, PlannedStep, StepAction
from sreops.errors import NotFound, SreopsError
from sreops.telemetry import log

HINDSIGHT_FAILED: Final = "hindsight.look_failed"
HINDSIGHT_TARGET_UNSEEN: Final = "hindsight.target_unseen"
EVERY_S: Final = 20.0
TURN, TURN_S = "hindsight", 60.0
_ENDED: Final = "The incident whose plan was only told has ended"
_MOST: Final = 200
_MOST_KNOWN: Final = 5000
_RECORDS: Final = 500
_EFFECTS: Final = 20
_DISRUPTIVE: Final = tuple(action.value for action in StepAction if action.disruptive)


class Hindsight:
    """Looks every ``EVERY_S`` at what was handed over with a plan that was only told, until its alerts have ended."""

    def __init__(self, tools: Tools, *, shared: bool) -> None:
        self._tools = tools
        self._shared = shared
        self._owner = uuid.uuid4().hex
        self._open: set[str] = set()
        self._done: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """Look until cancelled; an engine or a store that is away is asked again."""
        while True:
            try:
                await self.look()
            except SreopsError as exc:
                log.warning(HINDSIGHT_FAILED, error=str(exc))
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Look once at all of them."""
        if self._tools.containers is None or not (self._open or self._may_be_told()):
            return
        store, now = self._tools.store, self._tools.clock.now()
        if self._shared and not await store.take_turn(TURN, self._owner, now=now, lease_s=TURN_S):
            return
        since = now - timedelta(seconds=self._tools.settings.correlation.escalated_window_s)
        handed_over, _ = await store.incidents(
            status=IncidentStatus.escalated.value, search=Search(since=since), limit=_MOST
        )
        denied = [incident for incident in handed_over if incident.reason is Reason.policy_denied]
        fresh = {incident.id for incident in denied if (incident.id, incident.episode) not in self._done}
        for incident_id in self._open | fresh:  # what a person has closed meanwhile is looked at a last time
            await self._follow(incident_id, now)

    def _may_be_told(self) -> bool:
        return self._tools.settings.dry_run or any(book.shadow for book in self._tools.runbooks)

    async def _follow(self, incident_id: str, now: datetime) -> None:
        store = self._tools.store
        self._open.discard(incident_id)
        try:
            incident = await store.incident(incident_id)
        except NotFound:  # it was too old to be kept
            return
        told = told_of(incident)
        if not incident.status.ended:  # a new episode is about it again
            return
        if told is None:
            self._be_done(incident)
            return
        records = await store.records(
            incident_id=incident.id, kind=RecordKind.thought.value, limit=_RECORDS, newest=True
        )
        before = afterwards_in(records, told)
        found = before if before.whole else await self._look_at(incident, told, before, now)
        if found != before:
            thought = Thought(node=NODE, text=_words(before, found), data=found.model_dump(mode="json"))
            await store.note_thought(incident.id, thought, now=now)
        if found.whole:
            self._be_done(incident)
        else:
            self._open.add(incident.id)

    def _be_done(self, incident: Incident) -> None:
        if len(self._done) >= _MOST_KNOWN:
            self._done.clear()
        self._done.add((incident.id, incident.episode))

    async def _look_at(self, incident: Incident, told: Told, before: Afterwards, now: datetime) -> Afterwards:
        deeds = list(before.deeds)
        unseen = False
        plan = Plan.model_validate((incident.decision or {})["plan"])
        for step in {step.target: step for step in plan.steps if step.action in SHOWS_AS}.values():
            try:
                fresh = await self._deeds(step, told.at)
            except SreopsError as exc:
                log.warning(HINDSIGHT_TARGET_UNSEEN, incident_id=incident.id, target=step.target, error=str(exc))
                unseen = True
                continue
            deeds += [deed for deed in fresh if not any(_is(deed, known) for known in deeds)]
        longest = timedelta(seconds=self._tools.settings.correlation.escalated_window_s)
        over = incident.cleared_at or incident.closed or now - told.at > longest
        deeds.sort(key=lambda deed: deed.at)
        return Afterwards(deeds=tuple(deeds), whole=bool(over) and not unseen)

    async def _deeds(self, step: PlannedStep, since: datetime) -> Sequence[Deed]:
        seen = await find_target(self._tools, step)
        present = seen if isinstance(seen, ContainerState) else None
        engine = seen.engine if seen is not None else None
        events = await events_of(self._tools, step.target, engine=engine)
        standing = standing_identity(seen) if seen is not None else step.standing
        margin = timedelta(seconds=self._tools.settings.docker.settle_margin_s)
        effects = await self._tools.store.effects_on(standing, _DISRUPTIVE, limit=_EFFECTS) if standing else ()
        ours = [
            Hand(since=effect.intent_at, until=(effect.outcome_at or self._tools.clock.now()) + margin)
            for effect in effects
        ]
        return deeds_of(step.target, events, present, since, ours)


def _is(deed: Deed, known: Deed) -> bool:
    """Whether two looks tell of one deed: the engine forgets its events, and tells then of the last start alone."""
    near = abs((deed.at - known.at).total_seconds()) <= SAME_S
    return near and (deed.target, deed.what) == (known.target, known.what)


def _words(before: Afterwards, found: Afterwards) -> str:
    fresh = [deed for deed in found.deeds if deed not in before.deeds]
    if not fresh:
        return f"{_ENDED}: {'that was all that was done' if found.deeds else 'nobody has touched its target'}"
    told = ", ".join(f"{deed.target} was {deed.what.value} at {deed.at:%H:%M:%S} UTC" for deed in fresh)
    return f"Done by somebody else since the plan that was only told: {told}"
