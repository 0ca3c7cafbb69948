"""What Grafana's own alerting shows: alerts as an alertmanager, rules as a Prometheus, though not quite."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sreops.sandbox.told import Told

_ZERO_TIME = "0001-01-01T00:00:00Z"


@dataclass
class GrafanaAlert:
    """An alert instance as Grafana's own alertmanager holds it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    state: str = "active"
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    receiver: str = "sreops"
    generator_url: str = ""
    fingerprint: str = ""

    def shown(self) -> dict[str, Any]:
        """Return the alert as alertmanager's API v2 (`gettableAlert`)."""
        return {
            "annotations": dict(self.annotations),
            "endsAt": _stamp(self.ends_at),
            "fingerprint": self.fingerprint,
            "receivers": [{"name": self.receiver}],
            "startsAt": _stamp(self.starts_at),
            "status": {
                "inhibitedBy": list(self.inhibited_by),
                "silencedBy": list(self.silenced_by),
                "state": self.state,
            },
            "updatedAt": _stamp(self.updated_at),
            "generatorURL": self.generator_url,
            "labels": dict(self.labels),
        }

    def matches(self, matcher: str) -> bool:
        """Return whether the alert passes a filter of the form `name="value"`."""
        name, separator, value = matcher.partition("=")
        if not separator or name.endswith(("!", "~")) or value.startswith("~"):
            raise Told(400, {"message": f'this sandbox knows filters of the form name="value" only, not {matcher!r}'})
        return self.labels.get(name.strip(), "") == value.strip().strip('"')


@dataclass
class GrafanaSilence:
    """A silence of Grafana's own alertmanager, on labels that are equal to these."""

    labels: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    comment: str = "under repair"

    def shown(self, now: datetime) -> dict[str, Any]:
        """Return it as alertmanager's API v2 (`gettableSilence`)."""
        state = "expired" if now >= self.ends_at else "active" if now >= self.starts_at else "pending"
        return {
            "id": "d1b6a1e4-0000-4000-8000-000000000001",
            "status": {"state": state},
            "updatedAt": _stamp(self.starts_at),
            "comment": self.comment,
            "createdBy": "sre",
            "startsAt": _stamp(self.starts_at),
            "endsAt": _stamp(self.ends_at),
            "matchers": [
                {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in self.labels.items()
            ],
        }


@dataclass(frozen=True)
class GrafanaRule:
    """An alert rule; `health` is ok, error, nodata or unknown; `normal` are its instances that do not fire."""

    name: str
    query: str = ""
    folder: str = "sreops"
    group: str = "default"
    health: str = "ok"
    pending: Sequence[Mapping[str, str]] = ()
    normal: Sequence[Mapping[str, str]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def shown(self, alerts: Sequence[GrafanaAlert], now: datetime) -> dict[str, Any]:
        """Return the rule as `/api/prometheus/grafana/api/v1/rules` does.

        The rule's state is Prometheus' (firing, pending, inactive), but its alerts' states are Grafana's
        (Alerting, Pending, Normal …), and what does not fire is listed too (grafana/grafana#52453).
        """
        firing = [alert for alert in alerts if alert.labels.get("alertname") == self.name]
        instances = [
            *(_instance(alert.labels, alert.annotations, "Alerting", _stamp(alert.starts_at)) for alert in firing),
            *(_instance(labels, {}, "Pending", _stamp(now)) for labels in self.pending),
            *(_instance(labels, {}, "Normal", _ZERO_TIME) for labels in self.normal),
        ]
        return {
            "state": "firing" if firing else "pending" if self.pending else "inactive",
            "name": self.name,
            "query": self.query,
            "duration": 60,
            "alerts": instances,
            "labels": dict(self.labels),
            "health": self.health,
            "type": "alerting",
            "lastEvaluation": _stamp(now),
            "evaluationTime": 0.002,
            "isPaused": False,
        }


def rules_shown(rules: Sequence[GrafanaRule], alerts: Sequence[GrafanaAlert], now: datetime) -> dict[str, Any]:
    """Return all rules by folder and group."""
    places = dict.fromkeys((rule.folder, rule.group) for rule in rules)
    groups = [
        {
            "name": group,
            "file": folder,
            "rules": [rule.shown(alerts, now) for rule in rules if (rule.folder, rule.group) == (folder, group)],
            "interval": 10,
            "lastEvaluation": _stamp(now),
            "evaluationTime": 0.002,
        }
        for folder, group in places
    ]
    return {"status": "success", "data": {"groups": groups}}


def _instance(labels: Mapping[str, str], annotations: Mapping[str, str], state: str, since: str) -> dict[str, Any]:
    return {
        "labels": dict(labels), "annotations": dict(annotations), "state": state, "activeAt": since, "value": "1e+00",
    }  # fmt: skip


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
