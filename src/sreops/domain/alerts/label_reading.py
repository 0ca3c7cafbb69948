"""What an alert's labels say by themselves: who is unwell, how far sreops may go, what its sender asks for. Pure.

A firing alert comes again every few minutes with the same labels: what small label sets said is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sreops.domain.alerts.alert import Tier
from sreops.domain.alerts.fields import MapLimits, Notes, fraction, plain_texts, shorten, texts
from sreops.domain.alerts.payload import ReadingRules
from sreops.domain.alerts.routing import tier_of
from sreops.domain.alerts.severity import SEVERITY_NAMES
from sreops.domain.alerts.subject import SERVICE_LABELS, Subject, subject_of
from sreops.domain.alerts.subject_labels import OUTRIGHT

DEFAULT_THRESHOLD: Final = 0.7
# An event must stay below Kafka's default of 1 MiB a record: the budgets of labels and annotations, and the short
# fields, are half of it.
_LIMITS: Final = MapLimits(max_count=128, max_name_chars=256, max_value_chars=4096, max_bytes=128 * 1024)
_FIRST: Final = frozenset(
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
_MAX_ASKED_CHARS: Final = 256
_KEPT_SETS: Final = 4096
_KEPT: Final = MapLimits(max_count=32, max_name_chars=256, max_value_chars=1024, max_bytes=8192)
"""Of a label set that is kept, so that all of them together stay within some forty megabytes."""
_LOWERED: Final = (
    "tier autonomous, read as supervised, because POST /alerts has no credentials and anybody could have sent it: "
    "set SREOPS_WEBHOOK__TOKEN (or SREOPS_WEBHOOK__ANONYMOUS_AUTONOMOUS=true)"
)


@dataclass(frozen=True, slots=True)
class LabelReading:
    """What one alert's labels say.

    ``sent`` are all that could be read, ``labels`` those that fit an event. The subject has no name where neither they
    nor the group give one. ``notes`` are for the event, ``told`` for the sender.
    """

    sent: Mapping[str, str]
    labels: dict[str, str]
    tier: Tier
    subject: Subject
    agent_action: str
    runbook_id: str | None
    escalate_threshold: float
    notes: Notes
    told: tuple[str, ...]


class LabelReader:
    """Reads labels by one set of rules."""

    def __init__(self, rules: ReadingRules) -> None:
        self._rules = rules
        self._order = tuple(rules.service_labels) or SERVICE_LABELS
        self._kept: dict[tuple[object, ...], LabelReading] = {}

    def read(self, labels: object, group_alertname: str) -> LabelReading:
        """Return what the labels of an alert say, whatever they are; the group's alertname stands in for their own."""
        if not plain_texts(labels, _KEPT) or len(group_alertname) > _KEPT.max_name_chars:
            return self._read(labels, group_alertname)
        said = (group_alertname, *labels, *labels.values())
        kept = self._kept.get(said)
        if kept is None:
            if len(self._kept) == _KEPT_SETS:
                del self._kept[next(iter(self._kept))]
            kept = self._kept[said] = self._read(labels, group_alertname)
        return kept

    def _read(self, value: object, group_alertname: str) -> LabelReading:
        notes, told = Notes(), list[str]()
        sent, labels = texts(value, "labels", _LIMITS, _FIRST, notes)
        return LabelReading(
            sent=sent,
            labels=labels,
            tier=self._tier(labels, notes, told),
            subject=self._subject(labels, group_alertname, notes),
            agent_action=shorten(labels.get("agent_action", "").strip().lower(), _MAX_ASKED_CHARS) or "investigate",
            runbook_id=shorten(labels.get("runbook_id", "").strip(), _MAX_ASKED_CHARS) or None,
            escalate_threshold=_threshold(labels, notes, told),
            notes=notes,  # last, as what was told: the fields before them note what is wrong with them
            told=tuple(told),
        )

    def _tier(self, labels: Mapping[str, str], notes: Notes, told: list[str]) -> Tier:
        text = labels.get("tier", "").strip()
        tier = tier_of(text) if text else None
        if text and tier is None:
            default = self._rules.default_tier.value
            notes.add("labels.tier", f"unknown, read as {default}")
            told.append(f"a label tier that is none that is known, read as {default} (SREOPS_DEFAULT_TIER)")
        tier = tier or self._rules.default_tier
        if tier is Tier.autonomous and not self._rules.may_be_autonomous:
            notes.add("tier", "autonomous, read as supervised: it was sent without credentials")
            told.append(_LOWERED)
            return Tier.supervised
        return tier

    def _subject(self, labels: Mapping[str, str], group_alertname: str, notes: Notes) -> Subject:
        subject = subject_of(labels, labels.get("alertname", "").strip(), self._order)
        if subject.name or not group_alertname:
            return subject
        notes.add("service", "no label and no alertname names it, the group's alertname taken")
        return subject_of(labels, group_alertname, self._order)


def _threshold(labels: Mapping[str, str], notes: Notes, told: list[str]) -> float:
    text = labels.get("escalate_threshold", "").strip()
    if not text:
        return DEFAULT_THRESHOLD
    number = fraction(text, "labels.escalate_threshold", notes)
    if number is None:
        told.append(f"a label escalate_threshold that is no number from 0 to 1, {DEFAULT_THRESHOLD} taken")
    return DEFAULT_THRESHOLD if number is None else number
