"""Alerting rules as Prometheus evaluates them: pending for as long as they say, then firing, then gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sreops.sandbox.prometheus.series import STALE, SeriesStore
from sreops.sandbox.promql.engine import Engine
from sreops.sandbox.promql.operators import unnamed
from sreops.sandbox.promql.parser import parse
from sreops.sandbox.promql.tree import Kind, Node

AlertState = Literal["pending", "firing"]
_Key = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Alert:
    """One active alert."""

    labels: dict[str, str]
    annotations: Mapping[str, str]
    state: AlertState
    active_at: float
    value: float

    def shown(self) -> dict[str, Any]:
        """Return it as ``/api/v1/alerts`` lists it."""
        return {
            "labels": self.labels,
            "annotations": dict(self.annotations),
            "state": self.state,
            "activeAt": iso(self.active_at),
            "value": repr(self.value),
        }


@dataclass(slots=True)
class AlertRule:
    """One rule: an expression whose elements, once there for ``for_s`` seconds, are alerts."""

    alertname: str
    expr: str
    for_s: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    active: dict[_Key, Alert] = field(default_factory=dict)
    evaluated_at: float = 0.0
    failure: str = ""
    """Why its last evaluation failed."""
    _node: Node | None = None

    def evaluate(self, store: SeriesStore, at: float) -> None:
        """Move every alert of the rule on to ``at`` and record ``ALERTS``."""
        if self._node is None:
            self._node = parse(self.expr)
        engine = Engine(store)
        found: list[tuple[dict[str, str], float]]
        if self._node.kind is Kind.SCALAR:
            found = [({}, engine.scalar(self._node, at))]
        else:
            found = [(unnamed(point.labels), point.value) for point in engine.vector(self._node, at)]
        present: set[_Key] = set()
        for own, value in found:
            labels = {**own, **self.labels, "alertname": self.alertname}
            key = tuple(sorted(labels.items()))
            present.add(key)
            alert = self.active.get(key)
            if alert is None:
                alert = self.active[key] = Alert(labels, self.annotations, "pending", at, value)
            alert.value = value
            if alert.state == "pending" and at - alert.active_at >= self.for_s:
                record(store, alert, at, ended=True)
                alert.state = "firing"
            record(store, alert, at)
        for key in [key for key in self.active if key not in present]:
            record(store, self.active.pop(key), at, ended=True)
        self.evaluated_at = at

    def shown(self) -> dict[str, Any]:
        """Return it as ``/api/v1/rules`` lists it."""
        states = {alert.state for alert in self.active.values()}
        return {
            "state": "firing" if "firing" in states else "pending" if states else "inactive",
            "name": self.alertname,
            "query": self.expr,
            "duration": self.for_s,
            "keepFiringFor": 0,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "alerts": [alert.shown() for alert in self.active.values()],
            "health": "err" if self.failure else "ok",
            **({"lastError": self.failure} if self.failure else {}),
            "evaluationTime": 0.001,
            "lastEvaluation": iso(self.evaluated_at),
            "type": "alerting",
        }


def record(store: SeriesStore, alert: Alert, at: float, *, ended: bool = False) -> None:
    """Write an alert's ``ALERTS`` sample, or the stale marker that ends the series."""
    labels = {**alert.labels, "alertstate": alert.state}
    store.add("ALERTS", labels, at, STALE if ended else 1.0)


def iso(at: float) -> str:
    """Return unix seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
