"""An incident's timeline for people: each deed once, with its true time. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.records.record import Record, RecordKind
from sreops.domain.text.redaction import one_line

MOST = 100
_TEXT = 240
_SHORT = 100
_ACTS = frozenset({"restart_container", "start_container", "stop_container", "scale_container", "rollback_service"})
_DECIDED = {
    "approve": "approved the plan",
    "reject": "rejected the plan",
    "acknowledge": "acknowledged",
    "close": "closed it",
    "rerun": "gave it back to sreops",
    "feedback": "judged the cause",
}


class TimelineEntry(BaseModel):
    """One line; ``tag`` is one of GitLab's predefined names, or empty."""

    model_config = ConfigDict(frozen=True)
    at: AwareDatetime
    text: str
    tag: str = ""


def timeline(events: Sequence[tuple[AlertEvent, str]], records: Sequence[Record]) -> list[TimelineEntry]:
    """Return what happened, oldest first; ``events`` with their dispositions, ``records`` thoughts and actions."""
    found = [*_of_alerts(events), *(entry for record in records if (entry := _of(record)) is not None)]
    return sorted(found, key=lambda entry: entry.at)[:MOST]


def _of_alerts(events: Sequence[tuple[AlertEvent, str]]) -> Iterator[TimelineEntry]:
    seen: set[tuple[str, str, datetime]] = set()
    for event, _ in events:
        name = one_line(event.alertname, _SHORT)
        fires = event.status is AlertStatus.firing
        at = event.starts_at if fires else event.ends_at or event.received_at
        if (event.fingerprint, event.status.value, at) in seen:  # a repeat
            continue
        first = fires and not seen
        seen.add((event.fingerprint, event.status.value, at))
        verb = "fires on" if fires else "was resolved on"
        words = f"{name} ({event.severity.value}) {verb} {one_line(event.service, _SHORT)}"
        yield TimelineEntry(at=at, text=words, tag="Start time" if first else "")


def _of(record: Record) -> TimelineEntry | None:
    body = record.body
    if record.kind is RecordKind.thought:
        if body.get("node") == "analyze_root_cause" and str(body.get("text", "")).startswith("Cause: "):
            return _entry(record.at, str(body["text"]), "Cause identified")
        return None
    action, phase = str(body.get("action", "")), str(body.get("phase", ""))
    by, detail, target = str(body.get("by", "sreops")), str(body.get("detail", "")), str(body.get("target", ""))
    suffix = f": {detail}" if detail else ""
    if phase == "decision" and action in _DECIDED:
        return _entry(record.at, f"{by} {_DECIDED[action]}{suffix}", "End time" if action == "close" else "")
    if action == "escalate":
        return _entry(record.at, f"sreops handed it over{suffix}")
    if action == "close":
        return _entry(record.at, f"sreops closed it{suffix}", "End time")
    if phase == "intent":
        return _entry(record.at, f"sreops begins: {action.replace('_', ' ')} {target}", "Response initiated")
    if phase == "outcome" and body.get("data", {}).get("outcome"):
        outcome = str(body["data"]["outcome"])
        words = f"{action.replace('_', ' ')} {target}: {outcome}{suffix}"
        return _entry(record.at, words, "Impact mitigated" if outcome == "succeeded" and action in _ACTS else "")
    return None


def _entry(at: datetime, text: str, tag: str = "") -> TimelineEntry:
    return TimelineEntry(at=at, text=one_line(text, _TEXT), tag=tag)
