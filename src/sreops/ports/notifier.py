"""Sending messages to people."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sreops.domain.records.channel import ChannelRule
from sreops.domain.records.message import Message
from sreops.ports.health import Health


@dataclass(frozen=True)
class Channel:
    """Where messages go: ``name`` is stable and holds no secret, ``label`` is for people."""

    name: str
    label: str
    service: str
    rule: ChannelRule


class SendState(StrEnum):
    """What is known of a sending."""

    sent = "sent"
    failed = "failed"
    unknown = "unknown"  # it may have arrived: the sending was killed while it was at it
    running = "running"  # begun by a process before this one, and still at it
    not_begun = "not_begun"  # nothing was sent, as far as this machine knows


@dataclass(frozen=True)
class Sending:
    """How a sending ended; ``why`` holds no secret."""

    state: SendState
    why: str = ""


class Notifier(Protocol):
    """Sends to the channels of the settings; one sending may hold several messages. Raises nothing of its own."""

    @property
    def channels(self) -> Sequence[Channel]:
        """All channels, in the order of the settings."""
        ...

    async def send(
        self, channel: str, messages: Sequence[Message], *, attempt_id: str, digest: bool, maybe_again: bool
    ) -> Sending:
        """Send one message, or several as one; bounded in time.

        ``maybe_again``: it may have arrived before. What becomes of it is kept under ``attempt_id``, so that a
        process that comes after a crash can ask; cancelled, it goes on by itself.
        """
        ...

    async def settle(self, attempt_id: str) -> Sending:
        """Say what became of a sending that some process of this data directory began."""
        ...

    async def forget(self, attempt_id: str) -> None:
        """Delete what is kept of a sending: the store has its outcome."""
        ...

    async def health(self) -> Health:
        """Look whether every channel's URL is understood and, where that can be told, its host reachable."""
        ...
