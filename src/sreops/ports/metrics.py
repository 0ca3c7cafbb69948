"""Where metrics and the states of alerts are queried."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import SeriesSet, Window
from sreops.domain.evidence.metric_selection import MetricSelector
from sreops.ports.health import Health

MOST_SERIES = 5000
"""Of one selector: enough to tell whose they are."""


class Metrics(Protocol):
    """Where metrics are queried (Prometheus). ``promql`` comes from runbooks or from our quoting functions."""

    async def instant(self, promql: str, *, at: datetime | None, timeout_s: float) -> SeriesSet:
        """Evaluate at one instant (None: now); each series has one point. A scalar is a series without labels."""
        ...

    async def range(self, promql: str, window: Window, *, step_s: float, timeout_s: float) -> SeriesSet:
        """Evaluate over a window."""
        ...

    async def label_names(self, *, timeout_s: float) -> frozenset[str]:
        """Return the label names that series have, those with dots too; kept for minutes."""
        ...

    async def names(self, matchers: Mapping[str, str], window: Window, *, timeout_s: float) -> Sequence[str]:
        """Return the metric names that have series with these labels, sorted."""
        ...

    async def series(
        self, selector: MetricSelector, window: Window, *, timeout_s: float
    ) -> Sequence[Mapping[str, str]]:
        """Return the labels of the series that a selector gives, their names too, at most ``MOST_SERIES``."""
        ...

    async def health(self) -> Health:
        """Say whether it answers."""
        ...


class AlertStates(Protocol):
    """Where the alert's own state is asked: Prometheus' ALERTS, Grafana's alertmanager."""

    async def firing(self, event: AlertEvent, *, timeout_s: float) -> bool | None:
        """Say whether this very alert fires now; None where nobody who answers knows it."""
        ...
