"""A target's life: is it there, up and well, since when, and has it died since a moment. Pure.

A look sees one moment, and a crash loop is up at many of them. What happened between two looks is told by the
engine: another id or StartedAt, a RestartCount that grew, an exit among its events. Times of the engine are compared
with times of the engine only, since its clock may differ from ours.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.evidence.evidence import ContainerEvent, ContainerState, ServiceState


class Vital(StrEnum):
    """How a target was at one look, in one word."""

    healthy = "healthy"  # runs, and its health check passes
    running = "running"  # runs, and has no health check
    done = "done"  # a job that has ended well
    stopped = "stopped"  # by our own effect, and meant to stay so
    starting = "starting"  # runs, and its health check has not answered yet
    unseen = "unseen"  # the engine could not be asked, or not for one target
    unhealthy = "unhealthy"
    down = "down"
    gone = "gone"  # the engine has had it, and has it no more

    @property
    def dead(self) -> bool:
        """Whether it is not up at all."""
        return self in (Vital.down, Vital.gone)


WORST_FIRST = (
    Vital.gone, Vital.down, Vital.unhealthy, Vital.unseen, Vital.starting, Vital.running, Vital.healthy, Vital.done,
    Vital.stopped,
)  # fmt: skip


_REPLACING = ("updating", "rollback_started")
"""What Swarm says of a service while it replaces its tasks: that none runs for a moment is no end of it."""
_TASK = "com.docker.swarm.task.id"


class Pulse(BaseModel):
    """A target as one look found it; ``died_at`` and ``ill_at`` are of the engine's events, ascending.

    ``ill_at`` holds when it turned unhealthy and when it turned well again: the last of them ends a time of illness.
    ``detail`` says more, for people: the exit code of one that is down, why one could not be seen.
    """

    model_config = ConfigDict(frozen=True)
    target: str
    vital: Vital
    id: str = ""
    started_at: AwareDatetime | None = None
    restart_count: int = 0
    detail: str = ""
    died_at: tuple[AwareDatetime, ...] = ()
    ill_at: tuple[AwareDatetime, ...] = ()

    @property
    def told(self) -> str:
        """The target and how it is, as the end of a sentence."""
        return f"{self.target} is {self.vital.value}" + (f" ({self.detail})" if self.detail else "")


class Prospect(StrEnum):
    """What may be said of a target's life over a time."""

    lives = "lives"
    settling = "settling"  # lives, not yet for long enough
    unclear = "unclear"  # may still turn out either way
    dead = "dead"  # not up now; whether it comes back is open
    died = "died"  # has died or was started anew since: this can't be undone


class LifeVerdict(BaseModel):
    """A verdict on a target's life, why, and (``settling``) when to look again."""

    model_config = ConfigDict(frozen=True)
    prospect: Prospect
    why: str
    again_at: AwareDatetime | None = None


Pulses = Sequence[tuple[datetime, Pulse]]


def pulse_of(
    target: str, seen: ContainerState | ServiceState | None, events: Sequence[ContainerEvent] = ()
) -> Pulse | None:
    """Read a target's pulse from what the engine shows; None where the engine has no such target.

    ``events`` are the engine's, of this target, oldest first; without them a stop by request is not told from an end
    by itself, and only StartedAt and RestartCount tell of deaths.
    """
    if seen is None:
        return None
    if isinstance(seen, ServiceState):
        return Pulse(
            target=target, vital=_vital_of_service(seen), id=seen.id,
            detail=f"{seen.running} of {seen.replicas} replicas run", died_at=seen.failed_at,
        )  # fmt: skip
    own = [event for event in events if event.container_id == seen.id]
    vital = _vital_of_container(seen, stopped=_stopped_by_request(own))
    return Pulse(
        target=target, vital=vital, id=seen.id, started_at=seen.started_at, restart_count=seen.restart_count,
        detail=_detail(seen) if vital.dead else "",
        died_at=tuple(one.at for one in own if one.action == "die"),
        ill_at=_ill_at(own),
    )  # fmt: skip


def unseen(target: str, why: str) -> Pulse:
    """Return the pulse of a target that could not be looked at."""
    return Pulse(target=target, vital=Vital.unseen, detail=why)


def as_stopped(pulse: Pulse) -> Pulse:
    """Return the pulse of a target that a plan stops on purpose: that it does not run is no death of it."""
    at_rest = pulse.vital in (Vital.down, Vital.done)
    return pulse.model_copy(update={"vital": Vital.stopped}) if at_rest else pulse


def gone(target: str) -> Pulse:
    """Return the pulse of a target that the engine has had and has no more."""
    return Pulse(target=target, vital=Vital.gone, detail="it was removed from the engine")


def _vital_of_service(seen: ServiceState) -> Vital:
    if not seen.running and seen.update not in _REPLACING:
        return Vital.down
    return Vital.running if seen.running >= seen.replicas else Vital.starting


def _vital_of_container(seen: ContainerState, *, stopped: bool) -> Vital:
    if seen.running and seen.status not in ("restarting", "paused", "dead"):
        return Vital(seen.health) if seen.health in ("healthy", "unhealthy", "starting") else Vital.running
    if seen.status == "created" and not seen.exit_code and _TASK in seen.labels:
        return Vital.starting  # Swarm makes a task's container a moment before it starts it
    ended_well = seen.exit_code == 0 and not seen.oom_killed and seen.status == "exited" and not stopped
    # what is meant to run for ever, or is asked for its health, is no job, however orderly it ends
    job = seen.restart_policy not in ("always", "unless-stopped") and seen.health is None
    return Vital.done if ended_well and job and seen.started_at is not None else Vital.down


def _ill_at(events: Sequence[ContainerEvent]) -> tuple[datetime, ...]:
    """Return each time its health changed, from the first unhealthy on: unhealthy, and well again."""
    turns, ill = [], False
    for event in events:
        if event.action == "health_status: unhealthy" or (ill and event.action == "health_status: healthy"):
            turns.append(event.at)
            ill = event.action.endswith("unhealthy")
        elif event.action == "start":
            ill = False
    return tuple(turns)


def _stopped_by_request(events: Sequence[ContainerEvent]) -> bool:
    """Whether its last end was asked for: the engine writes a ``kill`` before it."""
    asked = stopped = False
    for event in events:
        if event.action == "kill":
            asked = True
        elif event.action == "die":
            stopped, asked = asked, False
        elif event.action == "start":
            asked = stopped = False
    return stopped


def _detail(seen: ContainerState) -> str:
    parts = [seen.status]
    if seen.oom_killed:
        parts.append("OOM-killed")
    if seen.exit_code is not None and seen.status != "paused":
        parts.append(f"exit code {seen.exit_code}")
    if seen.restart_count:
        parts.append(f"restarted {seen.restart_count} times by the engine")
    return ", ".join(parts)


def worst(pulses: Sequence[Pulse]) -> Pulse | None:
    """Return the pulse of the one that is worst off, or None where there is none."""
    return min(pulses, key=lambda pulse: WORST_FIRST.index(pulse.vital), default=None)


def since_effect(pulses: Pulses, *, settle_s: float, now: datetime) -> LifeVerdict:
    """Judge a target's life since an effect on it; the first pulse is as the effect left it, ascending in time.

    It lives where nothing tells of a death or a start since, over ``settle_s`` without a break up to the last look.
    """
    seen = [(at, pulse) for at, pulse in pulses if pulse.vital is not Vital.unseen]
    if not pulses or not seen:
        why = pulses[-1][1].told if pulses else "the target was not looked at since the effect"
        return LifeVerdict(prospect=Prospect.unclear, why=why)
    (first_at, first), last = seen[0], pulses[-1][1]
    if death := next((why for _, pulse in seen if (why := _died(first, pulse))), None):
        return LifeVerdict(prospect=Prospect.died, why=death)
    if last.vital in (Vital.unhealthy, Vital.unseen, Vital.starting):
        return LifeVerdict(prospect=Prospect.unclear, why=last.told)
    since = max([first_at, *(at for at, pulse in seen if pulse.vital is Vital.unhealthy)])
    return _over(last, [since, *last.ill_at], settle_s=settle_s, now=now, of="the effect")


def since_resolve(pulse: Pulse, resolved_at: datetime, *, settle_s: float, now: datetime) -> LifeVerdict:
    """Judge a target's life since its alerts were resolved: up for ``settle_s`` after that and its own last start."""
    if pulse.vital is Vital.done:
        return LifeVerdict(prospect=Prospect.lives, why=f"{pulse.target} has ended well")
    if pulse.vital.dead:
        return LifeVerdict(prospect=Prospect.dead, why=pulse.told)
    if pulse.vital in (Vital.unhealthy, Vital.unseen, Vital.starting):
        return LifeVerdict(prospect=Prospect.unclear, why=pulse.told)
    # a death whose start is newer is told by that start; one without (of a Swarm task) by itself
    began = [at for at in (pulse.started_at, *pulse.died_at, *pulse.ill_at) if at is not None]
    return _over(pulse, [resolved_at, *began], settle_s=settle_s, now=now, of="the resolve and its last start")


def _over(last: Pulse, began: Sequence[datetime], *, settle_s: float, now: datetime, of: str) -> LifeVerdict:
    until = max(began) + timedelta(seconds=settle_s)
    if now < until:
        why = f"{last.told}, not yet for {settle_s:g} s since {of}"
        return LifeVerdict(prospect=Prospect.settling, why=why, again_at=until)
    return LifeVerdict(prospect=Prospect.lives, why=f"{last.told}, for {settle_s:g} s since {of}")


def _died(first: Pulse, later: Pulse) -> str:
    """Say how it has died or was started anew since the first pulse after the effect, or nothing."""
    if later.vital.dead:
        return f"{later.told} since the effect"
    if later.id != first.id:
        return f"{later.target} was replaced by another container since the effect"
    # a start that is asked for sets it to 0, and a stop leaves it as it was
    if later.restart_count > (first.restart_count if first.vital is Vital.stopped else 0):
        times = f"{later.restart_count} times " if later.restart_count > 1 else ""
        return f"{later.target} died and was restarted {times}by the engine since the effect"
    if later.started_at != first.started_at:
        return f"{later.target} was started anew since the effect"
    fresh = set(later.died_at) - set(first.died_at)
    deaths = [at for at in fresh if first.started_at is None or at > first.started_at]
    if deaths and later.vital not in (Vital.done, Vital.stopped):
        return f"{later.target} died at {max(deaths):%H:%M:%S} UTC, since the effect"
    return ""
