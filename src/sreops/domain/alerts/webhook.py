"""The webhook: a payload of Grafana ("1") or Alertmanager ("4") becomes events. Pure; nothing in it is trusted.

A redelivery finds its incident by fingerprint and startsAt, so both are derived where they are missing: the
fingerprint from the labels (the same labels give the same one), startsAt from endsAt, else from the time of
reception. The last is not the same twice; ``domain/incidents/correlation.py`` knows such events by ``startsAt ==
received_at`` and finds their incident by fingerprint.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier, utc
from sreops.domain.alerts.fields import (
    MapLimits,
    Notes,
    bounded,
    fraction,
    json_text,
    numbers,
    shorten,
    text_map,
    text_of,
    timestamp,
    web_url,
)
from sreops.domain.alerts.routing import severity_of, tier_of
from sreops.domain.alerts.subject import SERVICE_LABELS, Subject, SubjectKind, subject_of
from sreops.domain.alerts.subject_labels import OUTRIGHT
from sreops.domain.text.unicode import whole
from sreops.errors import PayloadRejected, RecordUnreadable

DEFAULT_THRESHOLD: Final = 0.7

# An event must stay below Kafka's default of 1 MiB a record: the two budgets and the short fields are half of it.
_LABELS = MapLimits(max_count=128, max_name_chars=256, max_value_chars=4096, max_bytes=128 * 1024)
_ANNOTATIONS = MapLimits(max_count=64, max_name_chars=256, max_value_chars=16_384, max_bytes=256 * 1024)
_LABELS_FIRST = frozenset(
    {*SERVICE_LABELS, OUTRIGHT, "alertname", "severity", "tier", "agent_action", "runbook_id", "escalate_threshold"}
)
_ANNOTATIONS_FIRST = frozenset({"grafana_state_reason", "summary", "description"})
_MAX_ENTRIES = 50_000  # beyond it not even one line of refusal each is affordable
_MAX_FINGERPRINT_CHARS = 128
_MAX_NAME_CHARS = 256
_MAX_KEY_BYTES = 2000  # PostgreSQL indexes no more than 2,704; what the bridge takes is far shorter
_KEYS = ("event_id", "fingerprint", "service")
_MAX_GROUP_KEY_CHARS = 4096
_LOWERED = (
    "tier autonomous, read as supervised, because POST /alerts has no credentials and anybody could have sent it: "
    "set SREOPS_WEBHOOK__TOKEN (or SREOPS_WEBHOOK__ANONYMOUS_AUTONOMOUS=true)"
)
_TEST_GROUP_KEY = '{alertname="TestAlert", instance="Grafana"}'
_STATUS = {
    "firing": AlertStatus.firing,
    "alerting": AlertStatus.firing,  # `state`, the legacy mirror of `status`
    "resolved": AlertStatus.resolved,
    "ok": AlertStatus.resolved,
}


@dataclass(frozen=True)
class Rejected:
    """An alert of an accepted payload that could not be taken, by its position."""

    index: int
    reason: str


@dataclass(frozen=True)
class ParsedWebhook:
    """What a payload held: every one of its alerts is in exactly one of the three.

    ``notes`` says in words, for the answer, what a newcomer would wonder about.
    """

    events: tuple[AlertEvent, ...]
    skipped: int
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...] = ()

    @property
    def queued(self) -> int:
        """How many events fire."""
        return sum(event.status is AlertStatus.firing for event in self.events)

    @property
    def resolved(self) -> int:
        """How many events are resolves."""
        return len(self.events) - self.queued


@dataclass(frozen=True)
class _Frame:
    """What the alerts of one payload share."""

    source: str
    status: AlertStatus | None
    group_key: str
    alertname: str
    is_test: bool
    received_at: datetime
    default_tier: Tier
    take_test_alerts: bool
    service_labels: Sequence[str]
    may_be_autonomous: bool
    told: Counter[str]  # notes for the answer, with how many alerts each is about


def parse_webhook(
    payload: object,
    *,
    received_at: datetime,
    mint: Callable[[], str],
    default_tier: Tier = Tier.supervised,
    take_test_alerts: bool = False,
    max_alerts: int = 2000,
    service_labels: Sequence[str] = (),
    may_be_autonomous: bool = True,
) -> ParsedWebhook:
    """Turn a decoded JSON body into events; ``mint`` makes the event ids.

    Field by field as Grafana's and Alertmanager's documentation describe it: a bad one becomes a warning on its
    event. Skipped are alerts of tier ``human_only`` and Grafana's TestAlert. Rejected are entries that nothing
    identifies, that have no status, and those beyond ``max_alerts``. ``service_labels`` replaces SERVICE_LABELS.
    Raises PayloadRejected (422 naming the field; 413 for an absurd number of entries), and nothing else, whatever
    the payload. Where ``may_be_autonomous`` is false, because nothing proves who sends, the tier autonomous is read
    as supervised, with a warning and a note.
    """
    alerts = _alerts_of(payload)
    assert isinstance(payload, dict)
    order = tuple(service_labels) or SERVICE_LABELS
    frame = _frame(payload, utc(received_at), default_tier, take_test_alerts, order, may_be_autonomous)
    events: list[AlertEvent] = []
    rejected: list[Rejected] = []
    skipped = 0
    for index, raw in enumerate(alerts):
        if index >= max_alerts:
            rejected.append(Rejected(index, f"one payload may hold {max_alerts} alerts"))
            continue
        outcome = _read_alert(raw, frame, mint)
        if outcome is None:
            skipped += 1
        elif isinstance(outcome, str):
            rejected.append(Rejected(index, outcome))
        else:
            events.append(outcome)
    notes = tuple(f"{count} of {len(alerts)} alerts: {what}" for what, count in frame.told.items())
    return ParsedWebhook(tuple(events), skipped, tuple(rejected), notes)


def _alerts_of(payload: object) -> list[object]:
    if not isinstance(payload, dict):
        raise PayloadRejected(422, "body: must be a JSON object as Grafana or Alertmanager sends it")
    if "alerts" not in payload:
        if "ruleName" in payload or "evalMatches" in payload:
            raise PayloadRejected(
                422,
                "alerts: missing. This is a body of Grafana's legacy dashboard alerting (ruleName, evalMatches), "
                "which has no list of alerts: send it from a webhook contact point of Grafana's unified alerting",
            )
        raise PayloadRejected(422, "alerts: missing, so this is no webhook payload of Grafana or Alertmanager")
    alerts = payload["alerts"]
    if not isinstance(alerts, list):
        raise PayloadRejected(422, "alerts: must be a list")
    if len(alerts) > _MAX_ENTRIES:
        raise PayloadRejected(413, f"alerts: {len(alerts)} entries, at most {_MAX_ENTRIES}: limit them at the sender")
    return alerts


def _frame(
    payload: dict[str, object],
    received_at: datetime,
    default_tier: Tier,
    take_test_alerts: bool,
    service_labels: Sequence[str],
    may_be_autonomous: bool,
) -> _Frame:
    group_key = whole(key) if isinstance(key := payload.get("groupKey"), str) else ""
    # Alertmanager has none of these fields; partial bodies in Grafana's shape often lack the version
    grafana = payload.get("version") == "1" or any(name in payload for name in ("orgId", "state"))
    return _Frame(
        source="grafana" if grafana else "alertmanager",
        status=_status_of(payload.get("status")) or _status_of(payload.get("state")),
        group_key=shorten(group_key, _MAX_GROUP_KEY_CHARS),
        alertname=_shared_alertname(payload),
        is_test=group_key.startswith(_TEST_GROUP_KEY),
        received_at=received_at,
        default_tier=default_tier,
        take_test_alerts=take_test_alerts,
        service_labels=service_labels,
        may_be_autonomous=may_be_autonomous,
        told=Counter(),
    )


def _shared_alertname(payload: dict[str, object]) -> str:
    for field in ("commonLabels", "groupLabels"):
        labels = payload.get(field)
        name = labels.get("alertname") if isinstance(labels, dict) else None
        if isinstance(name, str) and name.strip():
            return whole(name).strip()
    return ""


def _status_of(value: object) -> AlertStatus | None:
    if not isinstance(value, str):
        return None
    return _STATUS.get(value) or _STATUS.get(value.strip().lower())


def _read_alert(raw: object, frame: _Frame, mint: Callable[[], str]) -> AlertEvent | str | None:
    """Return the event, a reason for rejecting the alert, or None for one that is skipped."""
    if not isinstance(raw, dict):
        return "is not an object"
    notes = Notes()
    status = _status(raw, frame, notes)
    if status is None:
        return "status: missing or unreadable, and the payload has none either"
    all_labels = text_map(raw.get("labels"), "labels", notes)
    fingerprint = _fingerprint(raw.get("fingerprint"), all_labels, notes)
    if fingerprint is None:
        return "fingerprint and labels: both missing, so nothing identifies the alert"
    labels = bounded(all_labels, "labels", _LABELS, _LABELS_FIRST, notes)
    is_test = frame.is_test or (labels.get("alertname") == "TestAlert" and labels.get("instance") == "Grafana")
    if is_test and not frame.take_test_alerts:
        return None
    tier = _tier(labels, frame, notes)
    if tier is Tier.human_only:
        return None
    all_annotations = text_map(raw.get("annotations"), "annotations", notes)
    annotations = bounded(all_annotations, "annotations", _ANNOTATIONS, _ANNOTATIONS_FIRST, notes)
    starts_at, ends_at = _times(raw, status, frame.received_at, notes)
    threshold = labels.get("escalate_threshold", "").strip()
    subject = _subject(labels, frame, fingerprint, notes)
    return AlertEvent.trusted(
        {
            "schema_version": 1,
            "event_id": mint(),
            "source": frame.source,
            "fingerprint": fingerprint,
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "generator_url": web_url(raw.get("generatorURL"), "generatorURL", notes),
            "received_at": frame.received_at,
            "agent_action": shorten(labels.get("agent_action", "").strip().lower(), _MAX_NAME_CHARS) or "investigate",
            "runbook_id": shorten(labels.get("runbook_id", "").strip(), _MAX_NAME_CHARS) or None,
            "escalate_threshold": fraction(threshold, "labels.escalate_threshold", DEFAULT_THRESHOLD, notes)
            if threshold
            else DEFAULT_THRESHOLD,
            "tier": tier,
            "severity": _severity(labels, annotations, notes),
            "service": subject.name,
            "subject": subject,
            "values": numbers(raw.get("values"), "values", notes),
            "group_key": frame.group_key,
            "dashboard_url": web_url(raw.get("dashboardURL"), "dashboardURL", notes),
            "panel_url": web_url(raw.get("panelURL"), "panelURL", notes),
            "silence_url": web_url(raw.get("silenceURL"), "silenceURL", notes),
            "warnings": notes.lines(),  # last: the fields before it note what is wrong with them
        }
    )


def _status(raw: dict[str, object], frame: _Frame, notes: Notes) -> AlertStatus | None:
    own = _status_of(raw.get("status"))
    if own is None and frame.status is not None:
        notes.add("status", "missing or unreadable, the payload's taken")
    return own or frame.status


def _fingerprint(value: object, labels: dict[str, str], notes: Notes) -> str | None:
    text = (text_of(value) or "").strip()
    if text and len(text) <= _MAX_FINGERPRINT_CHARS:
        return text
    if not text and not labels:
        return None
    notes.add("fingerprint", "over-long, hashed" if text else "missing, derived from the labels")
    return hashlib.sha256(json_text(text or labels).encode()).hexdigest()[:32]


def _tier(labels: dict[str, str], frame: _Frame, notes: Notes) -> Tier:
    text = labels.get("tier", "").strip()
    tier = tier_of(text) if text else None
    if text and tier is None:
        notes.add("labels.tier", f"unknown, read as {frame.default_tier.value}")
    tier = tier or frame.default_tier
    if tier is Tier.autonomous and not frame.may_be_autonomous:
        notes.add("tier", "autonomous, read as supervised: it was sent without credentials")
        frame.told[_LOWERED] += 1
        return Tier.supervised
    return tier


def _severity(labels: dict[str, str], annotations: dict[str, str], notes: Notes) -> Severity:
    text = labels.get("severity", "").strip()
    if not text and (text := annotations.get("severity", "").strip()):
        notes.add("labels.severity", "missing, the annotation's taken")
    severity = severity_of(text) if text else None
    if severity is None:
        notes.add("labels.severity", "unknown, read as info" if text else "missing, read as info")
    return severity or Severity.info


def _subject(labels: dict[str, str], frame: _Frame, fingerprint: str, notes: Notes) -> Subject:
    alertname = labels.get("alertname", "").strip() or frame.alertname
    # not one name for all that have none: strangers would become one incident
    subject = subject_of(labels, alertname or fingerprint, frame.service_labels)
    if subject.kind is SubjectKind.rule and not labels.get("alertname", "").strip():
        taken = "the group's alertname" if alertname else "the fingerprint"
        notes.add("service", f"no label and no alertname names it, {taken} taken")
    return subject


def _times(
    raw: dict[str, object], status: AlertStatus, received_at: datetime, notes: Notes
) -> tuple[datetime, datetime | None]:
    starts_at = timestamp(raw.get("startsAt"), "startsAt", received_at=received_at, notes=notes)
    ends_at = None
    if status is AlertStatus.resolved:  # while an alert fires, its end is a placeholder or a time-out ahead
        ends_at = timestamp(raw.get("endsAt"), "endsAt", received_at=received_at, notes=notes)
    if starts_at is None:
        notes.add("startsAt", "missing, endsAt taken" if ends_at else "missing, the time of reception taken")
        starts_at = ends_at or received_at
    return starts_at, ends_at


def event_json(event: AlertEvent) -> bytes:
    """Return the event as it stands on a topic: UTF-8 JSON, schema 1."""
    written: bytes = AlertEvent.__pydantic_serializer__.to_json(event, by_alias=True)  # no text between
    return written


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
