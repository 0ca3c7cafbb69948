"""Silences: which of them match an alert, as Alertmanager and Grafana match them. Pure.

Source: prometheus/alertmanager pkg/labels/matcher.go and api/v2: matchers are ANDed, regular expressions (RE2) cover
the whole value, an absent label is the empty text, an absent ``isEqual`` is true.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.text.patterns import PatternInvalid, pattern_covers

RULE_UID = "__alert_rule_uid__"
"""The hidden label by which Grafana's own silences name a rule."""
_GRAFANA_RULE = re.compile(r"/alerting/grafana/([A-Za-z0-9_-]{1,64})/view")


class Matcher(BaseModel):
    """One condition of a silence on a label."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    name: str
    value: str
    is_regex: bool = Field(False, alias="isRegex")
    is_equal: bool = Field(True, alias="isEqual")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether it holds for these labels; raises PatternInvalid where its pattern can't be read."""
        value = labels.get(self.name, "")
        met = pattern_covers(self.value, value) if self.is_regex else value == self.value
        return met is self.is_equal


class Silence(BaseModel):
    """A silence, and who set it; ``where`` is the system that has it."""

    model_config = ConfigDict(frozen=True)
    id: str
    matchers: tuple[Matcher, ...] = Field(min_length=1)
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    state: str = "active"
    created_by: str = ""
    comment: str = ""
    where: str = ""

    def holds(self, now: datetime) -> bool:
        """Say whether it holds now: one that was ended early is ``expired``, whatever its time says."""
        return self.state != "expired" and self.starts_at <= now < self.ends_at

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether it silences an alert of these labels; raises PatternInvalid."""
        return all(matcher.matches(labels) for matcher in self.matchers)


class Silenced(BaseModel):
    """An alert that is silenced, and by what, in words; ``sure`` False: a silence there can't be read."""

    model_config = ConfigDict(frozen=True)
    fingerprint: str
    why: str
    sure: bool = True


def labels_for_silences(event: AlertEvent) -> dict[str, str]:
    """Return the labels that silences match on: the alert's, and the hidden one of its rule in Grafana."""
    found = _GRAFANA_RULE.search(event.generator_url)
    hidden = {RULE_UID: found[1]} if found and event.source == "grafana" else {}
    return {**hidden, **event.labels}


def silenced(
    events: Sequence[AlertEvent], silences: Sequence[Silence], by_id: Mapping[str, Sequence[str]], now: datetime
) -> tuple[Silenced, ...]:
    """Return which of the alerts are silenced now.

    ``by_id`` has, by fingerprint, the ids of the silences that the system itself says silence an alert: those count
    though we may not see them, and though they match on labels that we do not have.
    """
    found = []
    named = {silence.id: silence for silence in silences}
    for event in events:
        labels = labels_for_silences(event)
        for silence in silences:
            try:
                if silence.holds(now) and silence.matches(labels):
                    found.append(Silenced(fingerprint=event.fingerprint, why=_told(event, silence)))
            except PatternInvalid as exc:
                why = f"silence {silence.id[:40]} of {silence.where} can't be read: {exc}"
                found.append(Silenced(fingerprint=event.fingerprint, why=why, sure=False))
        for identity in by_id.get(event.fingerprint, ()):
            known = named.get(identity)
            why = _told(event, known) if known else f"{event.alertname} is silenced ({identity[:40]})"
            found.append(Silenced(fingerprint=event.fingerprint, why=why))
    return tuple(dict.fromkeys(found))


def _told(event: AlertEvent, silence: Silence) -> str:
    who = f" by {' '.join(silence.created_by.split())[:60]}" if silence.created_by.strip() else ""
    why = f": {' '.join(silence.comment.split())[:120]}" if silence.comment.strip() else ""
    return f"{event.alertname} is silenced in {silence.where}{who} until {silence.ends_at:%Y-%m-%d %H:%M} UTC{why}"
