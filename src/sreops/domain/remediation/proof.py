"""The second kind of proof: what besides log text bears out a cause, by our own rules, before sreops acts alone. Pure.

Anyone can write a log line, and whoever reads one can be talked into a restart. So a cause counts as proven only where
the engine's state or events, a series, or a health check say the same: of the target itself, and of the life that it
lives now. What it died of before counts where that death led to the present start.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.causes.analysis import Category
from sreops.domain.causes.change_signs import change_signs
from sreops.domain.causes.event_signs import event_signs
from sreops.domain.causes.neighbour_signs import neighbour_signs
from sreops.domain.causes.state_signs import StateSign, container_signs, metric_signs
from sreops.domain.evidence.evidence import ContainerEvent, Evidence, EvidenceKind
from sreops.domain.text.redaction import one_line

ABNORMAL = 0.6
"""The strength from which a sign is taken for abnormal: below it are values that healthy services have as well."""
NEIGHBOUR_ILL = 0.55
"""The strength from which a sign of a called service says that it is not well."""
_BEARS_OUT: dict[Category, frozenset[Category]] = {
    # a process whose allocations fail, or that is stuck, does not answer its health check
    Category.out_of_memory: frozenset({Category.memory_leak, Category.unhealthy}),
    Category.memory_leak: frozenset({Category.out_of_memory}),
    Category.deadlock: frozenset({Category.unhealthy}),
    Category.connection_pool_exhausted: frozenset({Category.unhealthy}),
    Category.process_exited: frozenset({Category.out_of_memory, Category.crash_loop}),
    Category.crash_loop: frozenset({Category.out_of_memory, Category.process_exited}),
    Category.cpu_saturation: frozenset({Category.traffic_overload}),
    Category.traffic_overload: frozenset({Category.cpu_saturation}),
}
"""For each cause, the other categories whose signs also support it."""
_COUNT_DEATHS = frozenset({"restarts", "oom_kills"})
"""Signals that count over a time, in which an earlier life of the target may lie."""


class ProofKind(StrEnum):
    """What sort of thing bears a cause out; log text is none of them, nor is what the alert says."""

    engine = "engine"  # its state or events
    health = "health check"
    series = "series"
    change = "change"


class Proof(BaseModel):
    """One sign that bears out a cause, and of what kind it is."""

    model_config = ConfigDict(frozen=True)
    kind: ProofKind
    what: str

    @property
    def told(self) -> str:
        """The proof as a part of a sentence."""
        return f"{self.what} ({self.kind.value})"


class Suspected(BaseModel):
    """A target as the proof is looked for: its names, when it last started, and what the engine says of it now.

    ``state`` and ``events`` are evidence made of the engine's answers of this moment (None: it has no container, as
    a Swarm service). ``restart_count`` is how often its restart policy has started it since somebody did.
    """

    model_config = ConfigDict(frozen=True)
    names: frozenset[str]
    started_at: AwareDatetime | None = None
    restart_count: int = 0
    state: Evidence | None = None
    events: Evidence | None = None
    led_here: Evidence | None = None
    """Only those of the events that led to the present start (``led_to_the_present_start``)."""


def led_to_the_present_start(events: Sequence[ContainerEvent]) -> tuple[ContainerEvent, ...]:
    """Return the events since somebody last stopped, restarted or made the container, oldest first.

    What it did before that says nothing about what runs now: whoever started it anew may have mended it.
    """
    asked, kept = False, 0
    for place, one in enumerate(events):
        if one.action == "kill":
            asked = True
        elif one.action == "die":
            kept, asked = (place + 1 if asked else kept), False
        elif one.action in ("create", "destroy"):
            kept, asked = place + 1, False
        elif one.action == "start":
            asked = False
    return tuple(events[kept:])


def proofs(
    cause: Category, target: Suspected, evidence: Sequence[Evidence], *, now: datetime, max_age_s: float
) -> tuple[Proof, ...]:
    """Return what bears out the cause besides log text; ``evidence`` is the incident's, of which only series count.

    A series counts where it is selected by a name of the target, whole, and ends after the target's last start, at
    most ``max_age_s`` ago.
    """
    fitting = _BEARS_OUT.get(cause, frozenset()) | {cause}
    if cause in (Category.unknown, Category.false_alarm):
        return ()
    series = [item for item in evidence if _is_of(item, target, now, max_age_s)]
    signs = [sign for sign in _signs(target, series) if sign.category in fitting and sign.strength >= ABNORMAL]
    found = [Proof(kind=_kind(sign), what=sign.name) for sign in signs]
    return tuple(dict.fromkeys(found))


def change_proofs(cause: Category, evidence: Sequence[Evidence]) -> tuple[Proof, ...]:
    """Return the deployment that the trouble began right after: what bears out that a rollback helps, and nothing else.

    The sign is of our own rules, and when a job ran is GitLab's own word.
    """
    if cause is not Category.bad_deploy:
        return ()
    return tuple(Proof(kind=ProofKind.change, what=sign.name) for sign in change_signs(evidence))


def points_elsewhere(evidence: Sequence[Evidence], own: Collection[str]) -> tuple[str, ...]:
    """Return what says that the trouble lies with another service, of which the alerted one shows the symptom.

    That is a service it calls that is not well or has died lately, and a ranking of all services that is sure of
    another one. ``own`` are the names of the alerted service and of the targets.
    """
    told = [sign.name for sign in neighbour_signs(evidence) if sign.strength >= NEIGHBOUR_ILL]
    for item in evidence:
        first = item.data.get("first") if item.kind is EvidenceKind.suspects else None
        if isinstance(first, str) and item.data.get("abstained") is False and first not in own:
            told.append(f"of all services {one_line(first, 80)} changed most")
    return tuple(dict.fromkeys(told))


def _signs(target: Suspected, series: Sequence[Evidence]) -> Iterator[StateSign]:
    state = [target.state] if target.state is not None else []
    events = [target.events] if target.events is not None else []
    led_here = [target.led_here] if target.led_here is not None else []
    yield from container_signs([*state, *events, *series])  # all events: they tell an end that was asked for
    yield from event_signs([*state, *led_here])
    yield from metric_signs([*state, *series])


def _kind(sign: StateSign) -> ProofKind:
    if sign.source == "metric":
        return ProofKind.series
    return ProofKind.health if sign.category is Category.unhealthy else ProofKind.engine


def _is_of(item: Evidence, target: Suspected, now: datetime, max_age_s: float) -> bool:
    """Whether it is a series of this target and of its present life."""
    if item.kind is not EvidenceKind.metric or item.partial:
        return False
    labels, points = item.data.get("labels"), item.data.get("points")
    if not isinstance(labels, dict) or not target.names & set(map(str, labels.values())):
        return False
    last_s = points[-1][0] if isinstance(points, list) and points else None
    if not isinstance(last_s, int | float) or not -max_age_s <= now.timestamp() - last_s <= max_age_s:
        return False
    if target.started_at is None:
        return True
    if last_s < target.started_at.timestamp():
        return False
    return item.data.get("signal") not in _COUNT_DEATHS or target.restart_count > 0
