"""Grafana's webhook, as its contact point sends it (reference: grafana/alerting receivers/webhook/v1)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ZERO_TIME = "0001-01-01T00:00:00Z"


@dataclass(slots=True)
class FiredAlert:
    """One alert instance of one episode; ``ends_at`` is None while it fires."""

    labels: Mapping[str, str]
    starts_at: datetime
    annotations: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, float] | None = None
    ends_at: datetime | None = None

    @property
    def rule_uid(self) -> str:
        """The uid of its rule, the same for every instance of the rule."""
        return hashlib.sha256(self.labels.get("alertname", "").encode()).hexdigest()[:14]

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits over all labels and the hidden uid, so nobody can compute it from what is seen."""
        hidden = {**self.labels, "__alert_rule_uid__": self.rule_uid}
        return hashlib.sha256(json.dumps(sorted(hidden.items())).encode()).hexdigest()[:16]

    @property
    def status(self) -> str:
        """``firing`` or ``resolved``."""
        return "firing" if self.ends_at is None else "resolved"

    def shown(self, external_url: str) -> dict[str, Any]:
        """Return it as an entry of ``alerts``."""
        return {
            "status": self.status,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "startsAt": _stamp(self.starts_at),
            "endsAt": ZERO_TIME if self.ends_at is None else _stamp(self.ends_at),
            "generatorURL": f"{external_url}alerting/grafana/{self.rule_uid}/view?orgId=1",
            "fingerprint": self.fingerprint,
            "silenceURL": f"{external_url}alerting/silence/new?alertmanager=grafana&matcher=__alert_rule_uid__%3D"
            f"{self.rule_uid}&orgId=1",
            "dashboardURL": "",
            "panelURL": "",
            "ruleUID": self.rule_uid,
            "values": None if self.values is None else dict(self.values),
            "valueString": "",
            "orgId": 1,
        }


def _stamp(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def _common(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *rest = maps
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in rest)}


def body(
    alerts: Sequence[FiredAlert], *, receiver: str = "sreops", external_url: str = "http://localhost:3000/"
) -> bytes:
    """Return the webhook's body for a group of alerts, at least one."""
    firing = [alert for alert in alerts if alert.ends_at is None]
    name = alerts[0].labels.get("alertname", "")
    title = f"[FIRING:{len(firing)}] {name}" if firing else f"[RESOLVED] {name}"
    group = {"alertname": name}
    message = {
        "receiver": receiver,
        "status": "firing" if firing else "resolved",
        "alerts": [alert.shown(external_url) for alert in alerts],
        "groupLabels": group,
        "commonLabels": _common([alert.labels for alert in alerts]),
        "commonAnnotations": _common([alert.annotations for alert in alerts]),
        "externalURL": external_url,
        "appVersion": "13.0.1",
        "version": "1",
        "groupKey": f"{{}}:{{alertname={json.dumps(name)}}}",
        "truncatedAlerts": 0,
        "orgId": 1,
        "title": title,
        "state": "alerting" if firing else "ok",
        "message": f"**{title}**",
    }
    return json.dumps(message).encode()


def signature(secret: str, content: bytes, timestamp: int | None = None) -> str:
    """Return Grafana's HMAC over a body, or over ``timestamp:body`` where a timestamp header is configured."""
    mac = hmac.new(secret.encode(), digestmod="sha256")
    if timestamp is not None:
        mac.update(f"{timestamp}:".encode())
    mac.update(content)
    return mac.hexdigest()
