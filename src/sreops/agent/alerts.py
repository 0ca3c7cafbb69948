"""The alerts of an incident, as they are at one visit of a node."""

from collections.abc import Sequence
from dataclasses import dataclass

from sreops.domain.alerts.alert import AlertEvent, AlertStatus


@dataclass(frozen=True)
class Alerts:
    """The alert that opened the episode, and everything that was delivered to the incident, oldest first."""

    opening: AlertEvent
    delivered: Sequence[AlertEvent]

    @property
    def standing(self) -> Sequence[AlertEvent]:
        """The alert that opened the episode, then those that joined it and that nobody said are over."""
        newest = {event.fingerprint: event for event in self.delivered}
        newest.pop(self.opening.fingerprint, None)
        joined = [event for event in newest.values() if event.status is AlertStatus.firing]
        return [self.opening, *reversed(joined)]

    @property
    def latest(self) -> Sequence[AlertEvent]:
        """The newest delivery of each alert: of the one that opened the episode, of those that fire, of the others."""
        newest = {event.fingerprint: event for event in self.delivered}
        mine = newest.pop(self.opening.fingerprint, self.opening)
        return [mine, *sorted(newest.values(), key=lambda event: event.status is not AlertStatus.firing)]
