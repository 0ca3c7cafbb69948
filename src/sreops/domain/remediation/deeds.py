"""What other people did to a target, by the engine's events and the target's present life. Pure.

Docker Engine (tried on 20.10 and 28): a stop that was asked for has a ``kill`` before its ``die``; a restart by the
restart policy has none. A start that was asked for begins a life whose RestartCount is 0.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.evidence.evidence import ContainerEvent, ContainerState
from sreops.domain.remediation.meanwhile import Hand, Life, started_by_somebody_else

SAME_S = 5.0
"""Within this time one deed is told twice: by its events, and by the present life or a later look."""


class DeedKind(StrEnum):
    """What was done."""

    started = "started"  # a restart too
    stopped = "stopped"
    replaced = "replaced"  # made anew
    removed = "removed"


class Deed(BaseModel):
    """One thing that somebody did to a target."""

    model_config = ConfigDict(frozen=True)
    at: AwareDatetime
    target: str
    what: DeedKind


def deeds_of(
    target: str,
    events: Sequence[ContainerEvent],
    present: ContainerState | None,
    since: datetime,
    ours: Sequence[Hand] = (),
) -> tuple[Deed, ...]:
    """Return what was done to a target after ``since``, oldest first, without what we did ourselves.

    The engine forgets events soon: the present life tells of the last start after that. ``events`` ascend in time.
    """
    found = _told(target, [one for one in events if one.at > since])
    if present is not None and (deed := _of_life(target, present, since, tuple(ours))) is not None:
        near = timedelta(seconds=SAME_S)
        found += [] if any(abs(deed.at - one.at) <= near for one in found) else [deed]
    foreign = [one for one in found if not any(hand.since <= one.at <= hand.until for hand in ours)]
    return tuple(sorted(foreign, key=lambda deed: deed.at))


def _told(target: str, events: Sequence[ContainerEvent]) -> list[Deed]:
    deeds: list[Deed] = []
    asked: set[str] = set()
    stopped: dict[str, datetime] = {}
    made: set[str] = set()
    removed: datetime | None = None

    def did(what: DeedKind, at: datetime) -> None:
        deeds.append(Deed(at=at, target=target, what=what))

    for one in events:
        if one.action == "kill":
            asked.add(one.container_id)
        elif one.action == "die" and one.container_id in asked:
            stopped[one.container_id] = one.at
        elif one.action == "create":
            made.add(one.container_id)
        elif one.action == "destroy":
            removed = one.at
            stopped.pop(one.container_id, None)
        elif one.action == "start":
            # Compose makes the new one under another name, and gives it this one once the old one is gone
            if one.container_id in made or removed is not None:
                made.discard(one.container_id)
                did(DeedKind.replaced, one.at)
                removed = None
            elif one.container_id in stopped:
                did(DeedKind.started, one.at)
            stopped.pop(one.container_id, None)
            asked.discard(one.container_id)
    for at in stopped.values():
        did(DeedKind.stopped, at)
    if removed is not None:
        did(DeedKind.removed, removed)
    return deeds


def _of_life(target: str, present: ContainerState, since: datetime, ours: tuple[Hand, ...]) -> Deed | None:
    if not present.running or present.started_at is None:
        return None
    life = Life(started_at=present.started_at, restart_count=present.restart_count)
    if present.created_at is not None and present.created_at > since:
        # its restart policy may have started it since: that it was made is somebody's deed all the same
        at = present.started_at if present.restart_count == 0 else present.created_at
        return Deed(at=at, target=target, what=DeedKind.replaced)
    started_at = started_by_somebody_else(life, since, ours)
    return None if started_at is None else Deed(at=started_at, target=target, what=DeedKind.started)
