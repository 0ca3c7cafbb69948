"""One entry of a payload's list of alerts becomes an event; what is wrong with it becomes a warning of the event."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from sreops.domain.alerts.alert import AlertStatus, Severity, Tier
from sreops.domain.alerts.event_record import NewEvent
from sreops.domain.alerts.fields import (
    MapLimits,
    Notes,
    json_text,
    numbers,
    text_of,
    texts,
    timestamp,
    web_url,
)
from sreops.domain.alerts.label_reading import LabelReader
from sreops.domain.alerts.payload import Frame, ReadingRules, status_of
from sreops.domain.alerts.routing import not_worked_on
from sreops.domain.alerts.severity import SEVERITY_NAMES, read_severity

_ANNOTATIONS: Final = MapLimits(max_count=64, max_name_chars=256, max_value_chars=16_384, max_bytes=256 * 1024)
_ANNOTATIONS_FIRST: Final = frozenset({*SEVERITY_NAMES, "grafana_state_reason", "summary", "description"})
_MAX_FINGERPRINT_CHARS: Final = 128
_TEST_TOLD: Final = "Grafana's test, which has arrived and opens no incident"
_HUMAN_ONLY_TOLD: Final = "skipped: tier human_only, so people alone work on it"


class AlertReader:
    """Reads alerts by one set of rules, and keeps what the label sets said that come again and again."""

    def __init__(self, rules: ReadingRules) -> None:
        self._rules = rules
        self._labels = LabelReader(rules)

    def read(self, raw: object, frame: Frame, mint: Callable[[], str]) -> NewEvent | str | None:
        """Return the event, a reason for rejecting the alert, or None for one that is skipped."""
        if not isinstance(raw, dict):
            return "is not an object"
        notes = Notes()
        status = _status(raw, frame, notes)
        if status is None:
            return "status: missing or unreadable, and the payload has none either"
        said = self._labels.read(raw.get("labels"), frame.alertname)
        notes.take(said.notes)
        fingerprint = _fingerprint(raw.get("fingerprint"), said.sent, notes)
        if fingerprint is None:
            return "fingerprint and labels: both missing, so nothing identifies the alert"
        is_test = frame.is_test or (frame.source == "grafana" and said.labels.get("alertname") == "TestAlert")
        if is_test and not self._rules.take_test_alerts:
            frame.told[_TEST_TOLD] += 1
            return None
        if said.tier is Tier.human_only:
            frame.told[_HUMAN_ONLY_TOLD] += 1
            return None
        for words in said.told:
            frame.told[words] += 1
        subject = said.subject
        if not subject.name:  # not one name for all that have none: strangers would become one incident
            notes.add("service", "no label and no alertname names it, the fingerprint taken")
            subject = subject.model_copy(update={"name": fingerprint})
        _, annotations = texts(raw.get("annotations"), "annotations", _ANNOTATIONS, _ANNOTATIONS_FIRST, notes)
        starts_at, ends_at = _times(raw, status, frame.received_at, notes)
        severity = self._severity(said.labels, annotations, frame, notes)
        if status is AlertStatus.firing and (why := not_worked_on(said.tier, severity, self._rules.work_on)):
            frame.told[f"recorded and not worked on: {why.words}"] += 1
        if frame.truncated:
            notes.add("truncatedAlerts", f"the sender left out {frame.truncated} alerts of this group")
        fields = {
            "schema": 1,
            "event_id": mint(),
            "source": frame.source,
            "fingerprint": fingerprint,
            "status": status.value,
            "labels": said.labels,
            "annotations": annotations,
            "startsAt": starts_at,
            "endsAt": ends_at,
            "generatorURL": web_url(raw.get("generatorURL"), "generatorURL", notes),
            "received_at": frame.received_at,
            "agent_action": said.agent_action,
            "runbook_id": said.runbook_id,
            "escalate_threshold": said.escalate_threshold,
            "tier": said.tier.value,
            "severity": severity.value,
            "service": subject.name,
            "subject": subject,
            "values": numbers(raw.get("values"), "values", notes),
            "group_key": frame.group_key,
            "dashboardURL": web_url(raw.get("dashboardURL"), "dashboardURL", notes),
            "panelURL": web_url(raw.get("panelURL"), "panelURL", notes),
            "silenceURL": web_url(raw.get("silenceURL"), "silenceURL", notes),
            "warnings": notes.lines(),  # last: the fields before it note what is wrong with them
        }
        return NewEvent(status, said.tier, severity, subject.name, fields)

    def _severity(
        self, labels: Mapping[str, str], annotations: Mapping[str, str], frame: Frame, notes: Notes
    ) -> Severity:
        severity, note, told = read_severity(labels, annotations, self._rules.default_severity)
        if note:
            notes.add("labels.severity", note)
        if told:
            frame.told[told] += 1
        return severity


def _status(raw: dict[str, object], frame: Frame, notes: Notes) -> AlertStatus | None:
    own = status_of(raw.get("status"))
    if own is None and frame.status is not None:
        notes.add("status", "missing or unreadable, the payload's taken")
    return own or frame.status


def _fingerprint(value: object, labels: Mapping[str, str], notes: Notes) -> str | None:
    text = (text_of(value) or "").strip()
    if text and len(text) <= _MAX_FINGERPRINT_CHARS:
        return text
    if not text and not labels:
        return None
    notes.add("fingerprint", "over-long, hashed" if text else "missing, derived from the labels")
    return hashlib.sha256(json_text(text or dict(labels)).encode()).hexdigest()[:32]


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
