"""Where people silence alerts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.silences import Silenced


class Silences(Protocol):
    """A system that people silence alerts in (Alertmanager, Grafana)."""

    @property
    def name(self) -> str:
        """How people call it."""
        ...

    async def silenced(self, events: Sequence[AlertEvent], *, now: datetime, timeout_s: float) -> Sequence[Silenced]:
        """Return which of these alerts are silenced there now; SilencesUnavailable, QueryRefused: it is not known."""
        ...
