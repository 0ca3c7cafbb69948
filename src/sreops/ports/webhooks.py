"""Webhooks that runbooks may call."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class WebhookFacts:
    """A webhook as people may see it; ``shown_url`` is without its query.

    ``idempotent``: a repeat with the same key does nothing more.
    """

    name: str
    shown_url: str
    idempotent: bool


@dataclass(frozen=True)
class WebhookAnswer:
    """A whole answer: its status, and the beginning of its body on one line, as it came (hostile)."""

    status: int
    excerpt: str


class Webhooks(Protocol):
    """The webhooks of the settings."""

    def known(self, name: str) -> WebhookFacts | None:
        """Return the webhook of this name; None where the settings have none."""
        ...

    async def call(self, name: str, body: bytes, *, key: str, timeout_s: float) -> WebhookAnswer:
        """POST ``body`` (JSON) once, signed, with ``key`` as Idempotency-Key; no redirect is followed.

        Raises WebhookUnavailable where the request was surely not sent, OutcomeUnknown where no answer came to one
        that may have been.
        """
        ...
