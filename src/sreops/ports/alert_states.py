"""Where an alert's own state is asked."""

from typing import Protocol

from sreops.domain.alerts.alert import AlertEvent


class AlertStates(Protocol):
    """Where the alert's own state is asked: Prometheus' ALERTS, Grafana's alertmanager."""

    async def firing(self, event: AlertEvent, *, timeout_s: float) -> bool | None:
        """Say whether this very alert fires now; None where nobody who answers knows it."""
        ...
