"""An event as it stands on a topic: JSON of schema 1, written and read again."""

from datetime import UTC
from typing import Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import to_json

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.fields import shorten
from sreops.domain.alerts.subject import SubjectKind, subject_of
from sreops.domain.text.unicode import whole
from sreops.errors import RecordUnreadable

SCHEMA_HEADER: Final = ("schema", b"1")
"""The header of a record that holds an event."""

_MAX_KEY_BYTES = 2000  # PostgreSQL indexes no more than 2,704; what the bridge takes is far shorter
_KEYS = ("event_id", "fingerprint", "service")


class NewEvent(NamedTuple):
    """An event that is to be written: ``fields`` as schema 1 has them, and of them what says to which topic it goes.

    The bridge only writes it: to make an AlertEvent of it and JSON of that took as long as all its reading.
    """

    status: AlertStatus
    tier: Tier
    severity: Severity
    service: str
    fields: dict[str, object]

    def json(self) -> bytes:
        """Return the event as it stands on a topic, the same as ``event_json`` of the event that is read from it."""
        return to_json(self.fields)


def event_json(event: AlertEvent) -> bytes:
    """Return the event as it stands on a topic: UTF-8 JSON, schema 1."""
    return event.model_dump_json(by_alias=True).encode()


def read_event(value: bytes) -> AlertEvent:
    """Read an event from a topic; raises RecordUnreadable with what is wrong where it is none of ours."""
    try:
        event = AlertEvent.model_validate_json(value)
        times = {
            "starts_at": event.starts_at.astimezone(UTC),
            "received_at": event.received_at.astimezone(UTC),
            "ends_at": None if event.ends_at is None else event.ends_at.astimezone(UTC),
        }
    except ValidationError as exc:
        faults = exc.errors(include_url=False, include_input=False, include_context=False)
        told = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'record'}: {fault['msg']}" for fault in faults[:5])
        raise RecordUnreadable(f"not an event of schema 1: {shorten(whole(told), 500)}") from exc
    except OverflowError as exc:
        raise RecordUnreadable("not an event of schema 1: a time lies outside the calendar") from exc
    if long := [name for name in _KEYS if len(getattr(event, name).encode("utf-8", "replace")) > _MAX_KEY_BYTES]:
        raise RecordUnreadable(f"not an event of schema 1: {', '.join(long)}: longer than {_MAX_KEY_BYTES} bytes")
    if not 0 <= event.escalate_threshold <= 1:  # nor NaN, below which no confidence is: it would never escalate
        raise RecordUnreadable("not an event of schema 1: escalate_threshold: not between 0 and 1")
    # a NUL stands in JSON as its escape only; an escaped backslash before u0000 is none, which the second look tells
    if b"\\u0000" in value and b"\\u0000" in event_json(event).replace(b"\\\\", b""):
        raise RecordUnreadable("not an event of schema 1: a text holds NUL, which no store of ours can keep")
    return event.model_copy(update=times | _as_we_read_it(event))


def _as_we_read_it(event: AlertEvent) -> dict[str, object]:
    """Return who is unwell by an event of an older sreops, which may have taken the exporter for the patient."""
    if "subject" in event.model_fields_set:
        return {}
    subject = subject_of(event.labels, event.alertname)
    return {} if subject.kind is SubjectKind.rule else {"service": subject.name, "subject": subject}
