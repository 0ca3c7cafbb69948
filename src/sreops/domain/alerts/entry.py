"""One entry of a payload's list of alerts becomes an event; what is wrong with it becomes a warning of the event."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.fields import (
    MapLimits,
    Notes,
    fraction,
    json_text,
    numbers,
    shorten,
    text_of,
    texts,
    timestamp,
    web_url,
)
from sreops.domain.alerts.payload import Frame, status_of
from sreops.domain.alerts.routing import not_worked_on, tier_of
from sreops.domain.alerts.severity import AT_MOST_WARNING, SEVERITY_NAMES, read_severity
from sreops.domain.alerts.subject import SERVICE_LABELS, Subject, SubjectKind, subject_of
from sreops.domain.alerts.subject_labels import OUTRIGHT

DEFAULT_THRESHOLD: Final = 0.7
# An event must stay below Kafka's default of 1 MiB a record: the two budgets and the short fields are half of it.
_LABELS = MapLimits(max_count=128, max_name_chars=256, max_value_chars=4096, max_bytes=128 * 1024)
_ANNOTATIONS = MapLimits(max_count=64, max_name_chars=256, max_value_chars=16_384, max_bytes=256 * 1024)
_LABELS_FIRST = frozenset(
    {
        *SERVICE_LABELS,
        OUTRIGHT,
        *SEVERITY_NAMES,
        "alertname",
        "tier",
        "agent_action",
        "runbook_id",
        "escalate_threshold",
    }
)
_ANNOTATIONS_FIRST = frozenset({*SEVERITY_NAMES, "grafana_state_reason", "summary", "description"})
_MAX_FINGERPRINT_CHARS = 128
_MAX_NAME_CHARS = 256
_LOWERED = (
    "tier autonomous, read as supervised, because POST /alerts has no credentials and anybody could have sent it: "
    "set SREOPS_WEBHOOK__TOKEN (or SREOPS_WEBHOOK__ANONYMOUS_AUTONOMOUS=true)"
)
_TEST_TOLD = "Grafana's test, which has arrived and opens no incident"
_HUMAN_ONLY_TOLD = "skipped: tier human_only, so people alone work on it"


def read_alert(raw: object, frame: Frame, mint: Callable[[], str]) -> AlertEvent | str | None:
    """Return the event, a reason for rejecting the alert, or None for one that is skipped."""
    if not isinstance(raw, dict):
        return "is not an object"
    notes = Notes()
    status = _status(raw, frame, notes)
    if status is None:
        return "status: missing or unreadable, and the payload has none either"
    all_labels, labels = texts(raw.get("labels"), "labels", _LABELS, _LABELS_FIRST, notes)
    fingerprint = _fingerprint(raw.get("fingerprint"), all_labels, notes)
    if fingerprint is None:
        return "fingerprint and labels: both missing, so nothing identifies the alert"
    is_test = frame.is_test or (frame.source == "grafana" and labels.get("alertname") == "TestAlert")
    if is_test and not frame.rules.take_test_alerts:
        frame.told[_TEST_TOLD] += 1
        return None
    tier = _tier(labels, frame, notes)
    if tier is Tier.human_only:
        frame.told[_HUMAN_ONLY_TOLD] += 1
        return None
    _, annotations = texts(raw.get("annotations"), "annotations", _ANNOTATIONS, _ANNOTATIONS_FIRST, notes)
    starts_at, ends_at = _times(raw, status, frame.received_at, notes)
    subject = _subject(labels, frame, fingerprint, notes)
    severity = _severity(labels, annotations, frame, notes)
    if status is AlertStatus.firing and (why := not_worked_on(tier, severity, frame.rules.work_on)):
        frame.told[f"recorded and not worked on: {why.words}"] += 1
    if frame.truncated:
        notes.add("truncatedAlerts", f"the sender left out {frame.truncated} alerts of this group")
    return AlertEvent.model_validate(
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
            "escalate_threshold": _threshold(labels, frame, notes),
            "tier": tier,
            "severity": severity,
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


def _status(raw: dict[str, object], frame: Frame, notes: Notes) -> AlertStatus | None:
    own = status_of(raw.get("status"))
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


def _tier(labels: dict[str, str], frame: Frame, notes: Notes) -> Tier:
    text = labels.get("tier", "").strip()
    tier = tier_of(text) if text else None
    if text and tier is None:
        default = frame.rules.default_tier.value
        notes.add("labels.tier", f"unknown, read as {default}")
        frame.told[f"a label tier that is none that is known, read as {default} (SREOPS_DEFAULT_TIER)"] += 1
    tier = tier or frame.rules.default_tier
    if tier is Tier.autonomous and not frame.rules.may_be_autonomous:
        notes.add("tier", "autonomous, read as supervised: it was sent without credentials")
        frame.told[_LOWERED] += 1
        return Tier.supervised
    return tier


def _severity(labels: dict[str, str], annotations: dict[str, str], frame: Frame, notes: Notes) -> Severity:
    severity, told = read_severity(labels, annotations, frame.rules.default_severity)
    for words in told:
        notes.add("labels.severity", words)
        if "SREOPS_DEFAULT_SEVERITY" in words:
            frame.told[f"no severity that is understood, read as {severity.value} (SREOPS_DEFAULT_SEVERITY)"] += 1
        elif words.endswith(AT_MOST_WARNING):
            frame.told[f"severity {words}"] += 1
    return severity


def _threshold(labels: dict[str, str], frame: Frame, notes: Notes) -> float:
    text = labels.get("escalate_threshold", "").strip()
    if not text:
        return DEFAULT_THRESHOLD
    number = fraction(text, "labels.escalate_threshold", notes)
    if number is None:
        frame.told[f"a label escalate_threshold that is no number from 0 to 1, {DEFAULT_THRESHOLD} taken"] += 1
    return DEFAULT_THRESHOLD if number is None else number


def _subject(labels: dict[str, str], frame: Frame, fingerprint: str, notes: Notes) -> Subject:
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
