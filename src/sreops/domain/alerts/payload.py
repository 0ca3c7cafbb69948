"""What the alerts of one payload share, who sent it, its status and group; and the rules that payloads are read by."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sreops.domain.alerts.alert import AlertStatus, Severity, Tier
from sreops.domain.alerts.fields import (
    shorten,
)
from sreops.domain.alerts.routing import WORK_ON
from sreops.domain.text.unicode import whole
from sreops.errors import PayloadRejected

_MAX_GROUP_KEY_CHARS = 4096
_MAX_COUNT = 10**9
_TEST_GROUP_KEY = '{alertname="TestAlert"'
# NAME-FINGERPRINT-UNIXTIME, of Grafana since about 10.3; whatever the name, no other key ends so: they end in a brace
_TEST_NAME = re.compile(r".+-[0-9a-f]{8,32}-[0-9]{10,13}", re.DOTALL)
_STATUS = {
    "firing": AlertStatus.firing,
    "alerting": AlertStatus.firing,  # `state`, the legacy mirror of `status`
    "resolved": AlertStatus.resolved,
    "ok": AlertStatus.resolved,
}


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
class Frame:
    """What the alerts of one payload share."""

    source: str
    status: AlertStatus | None
    group_key: str
    alertname: str
    is_test: bool
    truncated: int
    received_at: datetime
    told: Counter[str]  # notes for the answer, with how many alerts each is about


def alerts_of(payload: object) -> list[object]:
    """Return the payload's alerts, none of them read yet; raises PayloadRejected for what is no webhook."""
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


def frame_of(payload: dict[str, object], received_at: datetime) -> Frame:
    """Return what the payload says of all its alerts."""
    group_key = whole(key) if isinstance(key := payload.get("groupKey"), str) else ""
    # Alertmanager has none of these fields; partial bodies in Grafana's shape often lack the version
    grafana = payload.get("version") == "1" or any(name in payload for name in ("orgId", "state"))
    return Frame(
        source="grafana" if grafana else "alertmanager",
        status=status_of(payload.get("status")) or status_of(payload.get("state")),
        group_key=shorten(group_key, _MAX_GROUP_KEY_CHARS),
        alertname=_shared_alertname(payload),
        is_test=grafana and (group_key.startswith(_TEST_GROUP_KEY) or _TEST_NAME.fullmatch(group_key) is not None),
        truncated=_count(payload.get("truncatedAlerts")),
        received_at=received_at,
        told=Counter(),
    )


def _count(value: object) -> int:
    """Return a number of alerts; what is none, or more than a body can hold by far, is no count."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_COUNT else 0


def truncated_told(count: int) -> str:
    """Say how many alerts the sender has left out."""
    return f"truncatedAlerts: the sender left out {count} alerts of this group, so what they say is not known here"


def _shared_alertname(payload: dict[str, object]) -> str:
    for field in ("commonLabels", "groupLabels"):
        labels = payload.get(field)
        name = labels.get("alertname") if isinstance(labels, dict) else None
        if isinstance(name, str) and name.strip():
            return whole(name).strip()
    return ""


def status_of(value: object) -> AlertStatus | None:
    """Return the status that a word means, in any case of letters; None where it means none."""
    if not isinstance(value, str):
        return None
    return _STATUS.get(value) or _STATUS.get(value.strip().lower())
