"""What changed lately: containers made or started anew, and what people noted (deployments). Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.evidence.evidence import ContainerState, Evidence, EvidenceKind, Window
from sreops.domain.text.redaction import Redactor, clean, one_line
from sreops.domain.text.spans import span

LATELY_S = 3600.0
"""How long before an alert a change is still told."""
_MOST = 10
_OF_A_CHANGE = re.compile(
    r"deploy|releas|roll(?:out|back|ed)|version|config|chang|migrat|flag|upgrade|maintenance", re.I
)


class NotedChange(BaseModel):
    """A change that somebody or something noted, such as a deployment; its text is untrusted."""

    model_config = ConfigDict(frozen=True)
    at: AwareDatetime
    text: str
    tags: tuple[str, ...] = ()


def lately(alert_at: datetime, now: datetime) -> Window:
    """Return the time in which a change may have to do with the alert."""
    return Window(start=alert_at - timedelta(seconds=LATELY_S), end=max(now, alert_at))


def is_of_change(note: NotedChange) -> bool:
    """Whether a note tells of a change: by its tags, or by its text where it has none."""
    return bool(_OF_A_CHANGE.search(" ".join(note.tags)[:2000] or note.text[:500]))


def noted_changes(
    notes: Sequence[NotedChange], services: Sequence[str], alert_at: datetime, query: str, redactor: Redactor
) -> Evidence:
    """Tell of noted changes: those that name one of the services first, then the ones closest to the alert.

    ``services``: the alerted one first; ``data``'s ``own`` are those that name it.
    """
    wanted = [note for note in notes if is_of_change(note)]
    wanted.sort(key=lambda note: (not _names(note, services), abs((note.at - alert_at).total_seconds())))
    lines = [f"{when(note.at, alert_at)}: {_shown(note)}" for note in wanted[:_MOST]]
    if not wanted:
        finding = "no deployment or other change is noted in the hour before the alert"
    else:
        mine = sum(_names(note, services) for note in wanted)
        who = f", {mine} of them of this service or its neighbours" if mine else ""
        finding = f"{len(wanted)} noted change{'s' if len(wanted) > 1 else ''}{who}; {lines[0]}"
    own = [
        redactor.redact(f"{when(note.at, alert_at)}: {one_line(note.text, 160)}")
        for note in wanted[:_MOST]
        if _names(note, services[:1])
    ]
    return Evidence(
        id="", kind=EvidenceKind.change, source="grafana", query=query,
        finding=redactor.redact(one_line(finding, 400)),
        text=redactor.redact(clean("\n".join(lines))), data={"noted": len(wanted), "own": own},
    )  # fmt: skip


def container_changes(states: Sequence[tuple[str, ContainerState]], alert_at: datetime, redactor: Redactor) -> Evidence:
    """Tell which of the containers were made (from which image) or started anew in the hour before the alert, or since.

    ``states`` are (service, state), the alerted one first; ``data``'s ``own`` says that it was made anew before.
    """
    found: list[tuple[float, str]] = []
    own: list[str] = []
    for place, (service, state) in enumerate(states):
        name = one_line(service, 80)
        for at, what in (
            (state.created_at, f"was created from image {one_line(state.image, 160)}"),
            (state.started_at, "was started"),
        ):
            if at is not None and (alert_at - at).total_seconds() <= LATELY_S:
                told = f"{name} {what} {when(at, alert_at)}"
                found.append((abs((at - alert_at).total_seconds()), told))
                if place == 0 and at == state.created_at and at <= alert_at:
                    own.append(redactor.redact(f"{when(at, alert_at)}: {what}"))
    lines = [line for _, line in sorted(found)[:_MOST]]
    whose = ", ".join(one_line(service, 80) for service, _ in states)
    finding = "; ".join(lines[:3]) or f"no container of {whose} was created or started in the hour before the alert"
    return Evidence(
        id="", kind=EvidenceKind.change, source="docker", finding=redactor.redact(one_line(finding, 400)),
        text=redactor.redact("\n".join(lines)), data={"changes": len(found), "own": own[:1]},
    )  # fmt: skip


def _names(note: NotedChange, services: Sequence[str]) -> bool:
    words = set(re.split(r"[^\w.-]+", f"{note.text[:2000]} {' '.join(note.tags)[:2000]}"))
    return any(service in words for service in services)


def _shown(note: NotedChange) -> str:
    tags = f" [{one_line(', '.join(note.tags), 120)}]" if note.tags else ""
    return f"{one_line(note.text, 300)}{tags}"


def when(at: datetime, alert_at: datetime) -> str:
    """Say how long before or after the alert that was, and at what time."""
    return f"{from_alert((alert_at - at).total_seconds())} (at {at.astimezone(UTC):%H:%M:%S} UTC)"


def from_alert(before_s: float) -> str:
    """Say how long before the alert, or after it, something was."""
    return f"{span(abs(before_s))} {'before' if before_s >= 0 else 'after'} the alert"
