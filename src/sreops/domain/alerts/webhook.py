"""The webhook: a payload of Grafana ("1") or Alertmanager ("4") becomes events. Pure; nothing in it is trusted.

A redelivery finds its incident by fingerprint and startsAt, so both are derived where they are missing: the
fingerprint from the labels (the same labels give the same one), startsAt from endsAt, else from the time of
reception. The last is not the same twice; ``domain/incidents/correlation.py`` knows such events by ``startsAt ==
received_at`` and finds their incident by fingerprint.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, utc
from sreops.domain.alerts.entry import AlertReader
from sreops.domain.alerts.event_record import NewEvent, read_event
from sreops.domain.alerts.payload import ReadingRules, alerts_of, frame_of, truncated_told

_RULES = ReadingRules()
_MAX_REJECTED = 1000  # listed in the answer: a body of five million commas is refused in a few words too


@dataclass(frozen=True)
class Rejected:
    """An alert of an accepted payload that could not be taken, by its position."""

    index: int
    reason: str


@dataclass(frozen=True)
class ParsedWebhook:
    """What a payload held: every one of its alerts is in exactly one of the three.

    ``notes`` says in words, for the answer, what a newcomer would wonder about.
    """

    events: tuple[AlertEvent, ...]
    skipped: int
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...] = ()

    @property
    def queued(self) -> int:
        """How many events fire."""
        return sum(event.status is AlertStatus.firing for event in self.events)

    @property
    def resolved(self) -> int:
        """How many events are resolves."""
        return len(self.events) - self.queued


class Webhook:
    """One payload, read a few alerts at a time: thousands of them must not hold up the other senders.

    Raises PayloadRejected (422 naming the field) for what is no webhook, and nothing else, whatever the payload.
    """

    def __init__(self, payload: object, *, received_at: datetime, mint: Callable[[], str], reader: AlertReader) -> None:
        self._alerts = alerts_of(payload)
        assert isinstance(payload, dict)
        self._frame = frame_of(payload, utc(received_at))
        self._reader = reader
        self._mint = mint
        self._next = 0
        self._unlisted = 0
        self.source = self._frame.source
        self.truncated = self._frame.truncated
        self.skipped = 0
        self.rejected: list[Rejected] = []

    def read(self, count: int) -> list[NewEvent]:
        """Return the events of the next ``count`` alerts; the others among them are counted here."""
        events = []
        for index in range(self._next, min(self._next + count, len(self._alerts))):
            outcome = self._reader.read(self._alerts[index], self._frame, self._mint)
            if outcome is None:
                self.skipped += 1
            elif isinstance(outcome, str):
                if len(self.rejected) < _MAX_REJECTED:
                    self.rejected.append(Rejected(index, outcome))
                else:
                    self._unlisted += 1
            else:
                events.append(outcome)
        self._next += count
        return events

    @property
    def done(self) -> bool:
        """Whether all alerts have been read."""
        return self._next >= len(self._alerts)

    @property
    def refused(self) -> int:
        """How many of those read so far were rejected."""
        return len(self.rejected) + self._unlisted

    def notes(self) -> tuple[str, ...]:
        """Return what the sender should know, each with how many alerts it is about."""
        lines = [f"{count} of {len(self._alerts)} alerts: {what}" for what, count in self._frame.told.items()]
        if self._frame.truncated:
            lines.append(truncated_told(self._frame.truncated))
        if self._unlisted:
            lines.append(f"{self._unlisted} further alerts were rejected and are not listed")
        return tuple(lines)


def parse_webhook(
    payload: object, *, received_at: datetime, mint: Callable[[], str], rules: ReadingRules = _RULES
) -> ParsedWebhook:
    """Turn a decoded JSON body into events at once; ``mint`` makes the event ids.

    Field by field as Grafana's and Alertmanager's documentation describe it: a bad one becomes a warning on its
    event. Skipped are alerts of tier ``human_only`` and Grafana's test. Rejected are entries that nothing identifies
    and those that have no status. Raises PayloadRejected, and nothing else, whatever the payload.
    """
    webhook = Webhook(payload, received_at=received_at, mint=mint, reader=AlertReader(rules))
    events: list[AlertEvent] = []
    while not webhook.done:
        events += (read_event(event.json()) for event in webhook.read(1000))
    return ParsedWebhook(tuple(events), webhook.skipped, tuple(webhook.rejected), webhook.notes())
