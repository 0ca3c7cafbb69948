"""What the container engine did and saw lately, as evidence: deaths, kills, starts, and the image behind the tag. Pure.

The state of a container is of now, and a restart wipes it (`RestartCount`, `OOMKilled`); its events stay told.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sreops.domain.evidence.changes import LATELY_S, when
from sreops.domain.evidence.evidence import (
    ContainerEvent,
    ContainerEvents,
    ContainerState,
    Evidence,
    EvidenceKind,
    ImageState,
)
from sreops.domain.incidents.incident import Incident
from sreops.domain.text.redaction import Redactor, clean, one_line

MOST_EVENTS = 200
"""How many events are asked for: what is told is a count and a timeline, and an engine remembers few."""
_LINES = 40
_ID_CHARS = 12


@dataclass
class _Course:
    """What the events come to: deaths by itself and by request, told apart by the kill before them."""

    crashes: Counter[int | None] = field(default_factory=Counter)
    asked: int = 0
    starts: int = 0
    ooms: int = 0
    unhealthy: int = 0
    made: int = 0
    removed: int = 0
    down_by_request: bool = False


def _course(events: Sequence[ContainerEvent]) -> _Course:
    course, killed = _Course(), set()
    for event in events:
        action = event.action
        if action == "kill":
            killed.add(event.container_id)
        elif action == "die":
            by_request = event.container_id in killed
            course.asked += by_request
            course.crashes[event.exit_code] += not by_request
            course.down_by_request = by_request
        elif action == "start":
            killed.discard(event.container_id)
            course.starts, course.down_by_request = course.starts + 1, False
        course.ooms += action == "oom"
        course.made += action == "create"
        course.removed += action == "destroy"
        course.unhealthy += action == "health_status: unhealthy"
    course.crashes += Counter()  # drops the zeros
    return course


def engine_events(
    service: str, told: ContainerEvents, alert_at: datetime, redactor: Redactor, *, role: str = ""
) -> Evidence:
    """Tell what the engine did to a service's container and saw of it; ``role`` is what a neighbour is to the alert's.

    A death that nobody asked for is told apart from a stop: the engine writes a ``kill`` before the latter.
    """
    course, name = _course(told.events), one_line(service, 80)
    parts = [*_deaths(course)]
    parts += [f"{what} {_often(number)}" for number, what in (
        (course.ooms, "was OOM-killed"), (course.asked, "was stopped by request"), (course.starts, "was started"),
        (course.made, "was created"), (course.removed, "was removed"), (course.unhealthy, "turned unhealthy"),
    ) if number]  # fmt: skip
    if not told.events:
        finding = f"{name}: the engine tells of no event lately (it remembers a few hundred, of all containers)"
    elif not parts:
        finding = f"{name}: the engine tells of nothing bad; last: {_line(told.events[-1], alert_at)}"
    else:
        finding = f"{name}, by the engine's events: {', '.join(parts)}; last: {_line(told.events[-1], alert_at)}"
    lines = [_line(event, alert_at) for event in told.events[-_LINES:]]
    return Evidence(
        id="", kind=EvidenceKind.events, source="docker", query=told.query,
        finding=redactor.redact(one_line(finding, 500)), text=redactor.redact(clean("\n".join(lines))),
        partial=told.partial,
        data={
            "service": service, "role": role, "events": len(told.events), "crashes": course.crashes.total(),
            "exit_codes": {str(code): count for code, count in course.crashes.items()}, "ooms": course.ooms,
            "stopped": course.asked, "starts": course.starts, "unhealthy": course.unhealthy,
            "down_by_request": course.down_by_request,
        },
    )  # fmt: skip


def ails(state: ContainerState, told: Sequence[ContainerEvent] = ()) -> str:
    """Say what is wrong with a container, or nothing: by its state now, and by its deaths among the events told."""
    if not state.running or state.status in ("restarting", "paused", "dead"):
        code = f" with exit code {state.exit_code}" if state.exit_code is not None and not state.running else ""
        return f"it is {one_line(state.status, 20)}{code}" + (", OOM-killed" if state.oom_killed else "")
    if state.health == "unhealthy":
        return "it is unhealthy"
    course = _course([event for event in told if event.container_id == state.id])
    if course.ooms or state.oom_killed:
        return "it was OOM-killed"
    return f"it died by itself {_often(course.crashes.total())}" if course.crashes else ""


def is_telling(item: Evidence) -> bool:
    """Whether a neighbour's events are worth a piece of evidence of their own."""
    return any(item.data.get(name) for name in ("crashes", "ooms", "stopped", "unhealthy"))


def _deaths(course: _Course) -> list[str]:
    if not course.crashes:
        return []
    named = [
        (count, f"exit code {'unknown' if code is None else code}") for code, count in course.crashes.most_common(3)
    ]
    told = ", ".join(f"{count} with {code}" for count, code in named) if len(named) > 1 else f"with {named[0][1]}"
    return [f"died by itself {_often(course.crashes.total())} ({told})"]


def _line(event: ContainerEvent, alert_at: datetime) -> str:
    what = event.action
    if event.action == "die" and event.exit_code is not None:
        what = f"die (exit code {event.exit_code})"
    elif event.action == "kill" and event.signal is not None:
        what = f"kill (signal {event.signal})"
    elif event.action == "create":
        what = f"create (from image {one_line(event.image, 160)})"
    return f"{what} {when(event.at, alert_at)}"


def _often(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


# --- the image and the configuration


@dataclass(frozen=True)
class Earlier:
    """How a container was at an earlier incident; what is not known is empty."""

    at: datetime
    image: str
    image_id: str
    config: str


def earlier_of(incidents: Sequence[Incident], name: str) -> Earlier | None:
    """Return how the container of this name was when an effect on it was last written to the ledger."""
    effects = [effect for incident in incidents for effect in incident.effects if effect.snapshot.get("name") == name]
    for effect in sorted(effects, key=lambda effect: effect.intent_at, reverse=True):
        image_id, config = effect.snapshot.get("image_id"), effect.snapshot.get("config")
        if isinstance(image_id, str) and image_id and isinstance(config, str):
            return Earlier(effect.intent_at, str(effect.snapshot.get("image", "")), image_id, config)
    return None


def image_changes(
    service: str,
    state: ContainerState,
    tagged: ImageState | None,
    earlier: Earlier | None,
    alert_at: datetime,
    redactor: Redactor,
    *,
    why_unseen: str = "",
) -> Evidence:
    """Tell whether the container runs what its tag means now, and whether it is made as it was at an earlier incident.

    ``tagged`` is None where the engine has no such image any more, or where it was not to be asked (``why_unseen``).
    """
    name, image = one_line(service, 80), one_line(state.image, 160)
    changed = {"tag_moved": False, "image": False}
    parts = []
    if why_unseen:
        parts.append(f"what the tag means now is not known: {one_line(why_unseen, 160)}")
    elif tagged is None:
        parts.append("the engine has no image under that tag any more")
    elif tagged.id == state.image_id:
        parts.append("which is what the tag means now")
    else:
        built = f", built {when(tagged.created_at, alert_at)}" if tagged.created_at is not None else ""
        parts.append(f"but the tag now means another image ({_short(tagged.id)}{built}): a restart keeps the old one")
        changed["tag_moved"] = True
    config_changed = False
    if earlier is not None:
        changed["image"] = earlier.image_id != state.image_id
        config_changed = bool(earlier.config and state.config) and earlier.config != state.config
        parts.append(_since(earlier, image_changed=changed["image"], config_changed=config_changed))
    lately = state.created_at is not None and (alert_at - state.created_at).total_seconds() <= LATELY_S
    return Evidence(
        id="", kind=EvidenceKind.change, source="docker", query=f"docker image inspect {image}",
        finding=redactor.redact(one_line(f"{name} runs {image} ({_short(state.image_id)}), {'; '.join(parts)}", 500)),
        data={**changed, "config": config_changed, "created_lately": lately, "image_id": state.image_id},
        partial=bool(why_unseen),
    )  # fmt: skip


def _since(earlier: Earlier, *, image_changed: bool, config_changed: bool) -> str:
    at = f"{earlier.at:%Y-%m-%d %H:%M} UTC"
    if not image_changed and not config_changed:
        return f"image and configuration are those of {at}, when sreops last acted on it"
    what = " and ".join(
        word for word, changed in (("image", image_changed), ("configuration", config_changed)) if changed
    )
    was = f" (then {one_line(earlier.image, 120)}, {_short(earlier.image_id)})" if image_changed else ""
    return f"another {what} than at {at}, when sreops last acted on it{was}"


def _short(image_id: str) -> str:
    return one_line(image_id.removeprefix("sha256:"), 80)[:_ID_CHARS] or "image unknown"
