"""The webhook: a payload of Grafana ("1") or Alertmanager ("4") becomes events. Pure; nothing in it is trusted.

A redelivery finds its incident by fingerprint and startsAt, so both are derived where they are missing: the
fingerprint from the labels (the same labels give the same one), startsAt from endsAt, else from the time of
reception. The last is not the same twice; ``domain/incidents/correlation.py`` knows such events by ``startsAt ==
received_at`` and finds their incident by fingerprint.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
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
from sreops.domain.alerts.routing import WORK_ON, not_worked_on, tier_of
from sreops.domain.alerts.severity import SEVERITY_NAMES, read_severity
from sreops.domain.alerts.subject import SERVICE_LABELS, Subject, SubjectKind, subject_of
from sreops.domain.alerts.subject_labels import OUTRIGHT
from sreops.domain.text.unicode import whole
from sreops.errors import PayloadRejected, RecordUnreadable

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
_MAX_KEY_BYTES = 2000  # PostgreSQL indexes no more than 2,704; what the bridge takes is far shorter
_KEYS = ("event_id", "fingerprint", "service")
_MAX_GROUP_KEY_CHARS = 4096
_LOWERED = (
    "tier autonomous, read as supervised, because POST /alerts has no credentials and anybody could have sent it: "
    "set SREOPS_WEBHOOK__TOKEN (or SREOPS_WEBHOOK__ANONYMOUS_AUTONOMOUS=true)"
)
_TEST_GROUP_KEY = '{alertname="TestAlert"'
_TEST_NAME = re.compile(r"[^{}]+-[0-9a-f]{8,32}-[0-9]{10,13}")  # NAME-FINGERPRINT-UNIXTIME, of Grafana since about 10.3
_TEST_TOLD = "Grafana's test, which has arrived and opens no incident"
_HUMAN_ONLY_TOLD = "skipped: tier human_only, so people alone work on it"
_MAX_REJECTED = 1000  # listed in the answer: a body of five million commas is refused in a few words too
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
class ReadingRules:
    """How a payload is read: what is taken where it says nothing, and who may ask for what."""

    default_tier: Tier = Tier.supervised
    default_severity: Severity = Severity.warning
    service_labels: Sequence[str] = ()  # replaces SERVICE_LABELS
    work_on: Collection[Severity] = WORK_ON  # only for what the sender is told: the worker decides
    take_test_alerts: bool = False
    may_be_autonomous: bool = True  # False: nothing proves who sends, so the tier autonomous is read as supervised


@dataclass(frozen=True)
class _Frame:
    """What the alerts of one payload share."""

    source: str
    status: AlertStatus | None
    group_key: str
    alertname: str
    is_test: bool
    truncated: int
    received_at: datetime
    rules: ReadingRules
    service_labels: Sequence[str]
    told: Counter[str]  # notes for the answer, with how many alerts each is about


class Webhook:
    """One payload, read a few alerts at a time: thousands of them must not hold up the other senders.

    Raises PayloadRejected (422 naming the field) for what is no webhook, and nothing else, whatever the payload.
    """

    def __init__(
        self, payload: object, *, received_at: datetime, mint: Callable[[], str], rules: ReadingRules = ReadingRules()
    ) -> None:
        self._alerts = _alerts_of(payload)
        assert isinstance(payload, dict)
        self._frame = _frame(payload, utc(received_at), rules)
        self._mint = mint
        self._next = 0
        self._unlisted = 0
        self.source = self._frame.source
        self.truncated = self._frame.truncated
        self.skipped = 0
        self.rejected: list[Rejected] = []

    def read(self, count: int) -> list[AlertEvent]:
        """Return the events of the next ``count`` alerts; the others among them are counted here."""
        events = []
        for index in range(self._next, min(self._next + count, len(self._alerts))):
            outcome = _read_alert(self._alerts[index], self._frame, self._mint)
            if outcome is None:
                self.skipped += 1
            elif isinstance(outcome, str):
                if len(self.rejected) < _MAX_REJECTED:
                    self.rejected.append(Rejected(index, outcome))
                else:
                    self._unlisted += 1
            else:
                events.append(outcome)
        self._next += count
        return events

    @property
    def done(self) -> bool:
        """Whether all alerts have been read."""
        return self._next >= len(self._alerts)

    @property
    def refused(self) -> int:
        """How many of those read so far were rejected."""
        return len(self.rejected) + self._unlisted

    def notes(self) -> tuple[str, ...]:
        """Return what the sender should know, each with how many alerts it is about."""
        lines = [f"{count} of {len(self._alerts)} alerts: {what}" for what, count in self._frame.told.items()]
        if self._frame.truncated:
            lines.append(_truncated_told(self._frame.truncated))
        if self._unlisted:
            lines.append(f"{self._unlisted} further alerts were rejected and are not listed")
        return tuple(lines)


def parse_webhook(
    payload: object, *, received_at: datetime, mint: Callable[[], str], rules: ReadingRules = ReadingRules()
) -> ParsedWebhook:
    """Turn a decoded JSON body into events at once; ``mint`` makes the event ids.

    Field by field as Grafana's and Alertmanager's documentation describe it: a bad one becomes a warning on its
    event. Skipped are alerts of tier ``human_only`` and Grafana's test. Rejected are entries that nothing identifies
    and those that have no status. Raises PayloadRejected, and nothing else, whatever the payload.
    """
    webhook = Webhook(payload, received_at=received_at, mint=mint, rules=rules)
    events: list[AlertEvent] = []
    while not webhook.done:
        events += webhook.read(1000)
    return ParsedWebhook(tuple(events), webhook.skipped, tuple(webhook.rejected), webhook.notes())


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
    return alerts


def _frame(payload: dict[str, object], received_at: datetime, rules: ReadingRules) -> _Frame:
    group_key = whole(key) if isinstance(key := payload.get("groupKey"), str) else ""
    # Alertmanager has none of these fields; partial bodies in Grafana's shape often lack the version
    grafana = payload.get("version") == "1" or any(name in payload for name in ("orgId", "state"))
    left_out = payload.get("truncatedAlerts")
    return _Frame(
        source="grafana" if grafana else "alertmanager",
        status=_status_of(payload.get("status")) or _status_of(payload.get("state")),
        group_key=shorten(group_key, _MAX_GROUP_KEY_CHARS),
        alertname=_shared_alertname(payload),
        is_test=grafana and (group_key.startswith(_TEST_GROUP_KEY) or _TEST_NAME.fullmatch(group_key) is not None),
        truncated=left_out if isinstance(left_out, int) and not isinstance(left_out, bool) and left_out > 0 else 0,
        received_at=received_at,
        rules=rules,
        service_labels=tuple(rules.service_labels) or SERVICE_LABELS,
        told=Counter(),
    )


def _truncated_told(count: int) -> str:
    return f"truncatedAlerts: the sender left out {count} alerts of this group, so what they say is not known here"


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
    is_test = frame.is_test or (frame.source == "grafana" and labels.get("alertname") == "TestAlert")
    if is_test and not frame.rules.take_test_alerts:
        frame.told[_TEST_TOLD] += 1
        return None
    tier = _tier(labels, frame, notes)
    if tier is Tier.human_only:
        frame.told[_HUMAN_ONLY_TOLD] += 1
        return None
    all_annotations = text_map(raw.get("annotations"), "annotations", notes)
    annotations = bounded(all_annotations, "annotations", _ANNOTATIONS, _ANNOTATIONS_FIRST, notes)
    starts_at, ends_at = _times(raw, status, frame.received_at, notes)
    threshold = labels.get("escalate_threshold", "").strip()
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
            "escalate_threshold": fraction(threshold, "labels.escalate_threshold", DEFAULT_THRESHOLD, notes)
            if threshold
            else DEFAULT_THRESHOLD,
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
        notes.add("labels.tier", f"unknown, read as {frame.rules.default_tier.value}")
    tier = tier or frame.rules.default_tier
    if tier is Tier.autonomous and not frame.rules.may_be_autonomous:
        notes.add("tier", "autonomous, read as supervised: it was sent without credentials")
        frame.told[_LOWERED] += 1
        return Tier.supervised
    return tier


def _severity(labels: dict[str, str], annotations: dict[str, str], frame: _Frame, notes: Notes) -> Severity:
    severity, told = read_severity(labels, annotations, frame.rules.default_severity)
    for words in told:
        notes.add("labels.severity", words)
        if "SREOPS_DEFAULT_SEVERITY" in words:
            frame.told[f"no severity that is understood, read as {severity.value} (SREOPS_DEFAULT_SEVERITY)"] += 1
    return severity


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
