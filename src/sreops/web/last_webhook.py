"""The last webhooks of this process: a newcomer who presses Grafana's test button should see that it came."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

KEPT: Final = 50


@dataclass(frozen=True)
class WebhookSeen:
    """One request to ``/alerts``: when, from where, and what became of it."""

    at: datetime
    sender: str
    status: int
    outcome: str

    @property
    def taken(self) -> bool:
        """Whether it was accepted."""
        return self.status < 300


class LastWebhook:
    """The newest requests; and of them the last that was accepted, and the last that was refused after it."""

    def __init__(self) -> None:
        self._newest: deque[WebhookSeen] = deque(maxlen=KEPT)
        self._accepted: WebhookSeen | None = None
        self._refused: WebhookSeen | None = None

    def note(self, seen: WebhookSeen) -> None:
        """Keep it."""
        self._newest.appendleft(seen)
        if seen.taken:
            self._accepted, self._refused = seen, None
        else:
            self._refused = seen

    def all(self) -> list[WebhookSeen]:
        """Return at most two, the newest first."""
        return [seen for seen in (self._refused, self._accepted) if seen is not None]

    def newest(self) -> Sequence[WebhookSeen]:
        """Return at most KEPT, the newest first."""
        return tuple(self._newest)
