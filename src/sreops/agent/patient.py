"""The patient: the containers that a name means within its scope, and which of them is ill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sreops.agent.context import Tools
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.subject import Subject
from sreops.domain.alerts.subject_labels import SubjectKind
from sreops.domain.evidence.changes import LATELY_S
from sreops.domain.evidence.engine_events import MOST_EVENTS, ails
from sreops.domain.evidence.evidence import ContainerEvent, ContainerState, Window
from sreops.domain.incidents.incident import Incident
from sreops.domain.incidents.target import KnownTarget
from sreops.domain.remediation.target_identity import full_names, names_of, scope_of, standing_identity
from sreops.errors import EngineRefused, EngineUnavailable
from sreops.telemetry import log

EVENTS_UNSEEN: Final = "agent.events_unseen"


@dataclass(frozen=True)
class Patient:
    """Containers of one name, those that are ill first; ``illnesses`` says by id what is wrong with each."""

    states: Sequence[ContainerState] = ()
    illnesses: Mapping[str, str] = field(default_factory=dict)

    @property
    def targets(self) -> frozenset[str]:
        """The standing identities that the name means: more than one, and a person must choose."""
        return frozenset(standing_identity(state) for state in self.states)

    @property
    def one(self) -> ContainerState | None:
        """The only container, or of the replicas of one target the only one that is ill."""
        if len(self.states) == 1:
            return self.states[0]
        ill = [state for state in self.states if state.id in self.illnesses]
        return ill[0] if len(ill) == 1 and len(self.targets) == 1 else None


async def find_patient(
    tools: Tools, name: str, scope: Mapping[str, str], now: datetime, *, exact: bool = False
) -> Patient:
    """Ask the engine whom a name means; raises EngineUnavailable, EngineRefused."""
    if tools.containers is None:
        return Patient()
    timeout_s = tools.settings.docker.timeout_s
    states = await tools.containers.matching(name, scope, exact=exact, timeout_s=timeout_s)
    events = await _lately(tools, states, now) if len(states) > 1 else ()
    illnesses = {state.id: why for state in states if (why := ails(state, events))}
    return Patient(sorted(states, key=lambda state: state.id not in illnesses), illnesses)


def subject_of(event: AlertEvent, incident: Incident) -> Subject:
    """Return who is unwell, with all that the incident's alerts say to tell it from its namesakes."""
    return event.subject.joined_by(incident.subject)


async def subjects_patient(tools: Tools, subject: Subject, now: datetime) -> Patient:
    """Ask the engine for the containers of an alert's subject."""
    exact = subject.kind is SubjectKind.container
    return await find_patient(tools, subject.name, subject.scope, now, exact=exact)


async def known_target(tools: Tools, subject: Subject, patient: Patient) -> KnownTarget | None:
    """Return what the engine says the target is, with every name that means it alone; None where it is no one target.

    The bare name of a service is one of them only where no other project has a service of this name.
    """
    if tools.containers is None or len(patient.targets) != 1:
        return None
    [standing], first = patient.targets, patient.states[0]
    names = frozenset(name for state in patient.states for name in full_names(state))
    shared = names_of(first) - names
    scope = {key: value for key, value in subject.scope.items() if key == "host"}
    for name in sorted(shared):
        found = await tools.containers.matching(name, scope, timeout_s=tools.settings.docker.timeout_s)
        if {standing_identity(container) for container in found} == {standing}:
            names |= {name}
    engine = {"host": first.engine} if first.engine else {}
    return KnownTarget(standing=standing, names=names, scope=scope_of(first) | engine)


async def _lately(tools: Tools, states: Sequence[ContainerState], now: datetime) -> Sequence[ContainerEvent]:
    """Return the events of replicas: which one died is told by them, where a restart has wiped its state."""
    assert tools.containers is not None
    found: list[ContainerEvent] = []
    for engine in dict.fromkeys(state.engine for state in states):
        names = [state.name for state in states if state.engine == engine]
        window = Window(start=now - timedelta(seconds=LATELY_S), end=now)
        try:
            answer = await tools.containers.events(
                names, window, limit=MOST_EVENTS, timeout_s=tools.settings.docker.timeout_s, engine=engine
            )
        except (EngineRefused, EngineUnavailable) as exc:  # a proxy may not show events: states tell a part of it
            log.warning(EVENTS_UNSEEN, error=str(exc))
        else:
            found += answer.events
    return found
