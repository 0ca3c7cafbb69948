"""What remediation is asked at one visit: read only, so that no module of it can write or pass data on by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sreops.agent.context import Tools
from sreops.agent.state import State
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.incidents.incident import Effect, Incident
from sreops.domain.runbooks.runbook import Plan, PlannedStep

_SHARE_OF_A_RUN = 0.8


@dataclass(frozen=True)
class Request:
    """Which step of which plan for which incident, with which tools, and what earlier visits have left."""

    tools: Tools
    incident: Incident
    event: AlertEvent  # that opened the episode
    plan: Plan
    index: int = 0  # of the step
    approved: bool = False
    asked_at: datetime | None = None  # when the plan was put to a person
    proof: tuple[str, ...] = ()  # what bore the cause out besides log text when the plan began to act
    step_began: datetime | None = None  # when the step was first visited
    acted: bool = False  # an effect of the plan has ended before
    waited_for: str = ""  # the timer that the visit before has left
    answer_lost: str = ""  # what became of the answer to this step's request

    @property
    def step(self) -> PlannedStep:
        """The step that is asked about."""
        return self.plan.steps[self.index]

    @property
    def begun(self) -> bool:
        """Whether an effect of this episode stands in the ledger."""
        return any(effect.episode == self.incident.episode for effect in self.incident.effects)

    @property
    def effect(self) -> Effect | None:
        """The step's own effect, where an earlier visit has begun it."""
        mine = [
            effect
            for effect in self.incident.effects
            if effect.episode == self.incident.episode and effect.step == self.index
        ]
        return mine[-1] if mine else None

    @property
    def longest_request_s(self) -> float:
        """How long one request may take, for this run to end in time; what takes longer is found by looking."""
        return _SHARE_OF_A_RUN * self.tools.settings.worker.max_run_s

    def now(self) -> datetime:
        """Aware UTC."""
        return self.tools.clock.now()

    def intent(self, index: int, step: PlannedStep, snapshot: Mapping[str, Any], standing: str) -> Effect:
        """Return an effect as it stands in the ledger before it is done: of this step, now, without an outcome.

        ``standing`` is its target's standing identity; by the ``snapshot`` a crash can be settled.
        """
        return Effect(
            effect_id=f"{self.incident.id}:{self.incident.episode}:{index}",
            incident_id=self.incident.id,
            episode=self.incident.episode,
            step=index,
            action=step.action.value,
            target=step.target,
            service=self.incident.service,
            runbook_id=self.plan.runbook_id,
            snapshot=dict(snapshot),
            intent_at=self.now(),
            standing=standing,
        )

    def redact(self, text: str) -> str:
        """Mask as the incident's evidence is masked."""
        return self.tools.redactors.of(self.incident.id).redact(text)


def request_of(tools: Tools, incident: Incident, event: AlertEvent, plan: Plan, state: State) -> Request:
    """Return what is asked at a visit whose node was given this state."""
    return Request(
        tools=tools,
        incident=incident,
        event=event,
        plan=plan,
        index=state.get("step", 0),
        approved=state.get("approval") == "approved",
        asked_at=_time(state.get("asked_at")),
        proof=tuple(state.get("proof", ())),
        step_began=_time(state.get("step_began")),
        acted=bool(state.get("acted_at")),
        waited_for=state.get("wait_timer", ""),
        answer_lost=state.get("answer_lost", ""),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
