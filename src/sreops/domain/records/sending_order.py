"""Which deliveries are sent together, and which first. Pure."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

MANY = 5
"""More than so many that wait for one channel go as one message: nobody reads fifty at three in the morning."""
MOST_TOGETHER = 100


class Waiting(Protocol):
    """What is looked at of a delivery."""

    @property
    def incident_id(self) -> str:
        """Whose incident it tells of."""
        ...

    @property
    def channel(self) -> str:
        """Where to."""
        ...

    @property
    def digest(self) -> bool:
        """Whether it goes with others of its hour."""
        ...

    @property
    def due_at(self) -> datetime:
        """Not before."""
        ...

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        ...

    @property
    def maybe_again(self) -> bool:
        """Whether it may have arrived already."""
        ...

    @property
    def claimed_by(self) -> str | None:
        """Who is sending it."""
        ...


_D = TypeVar("_D", bound=Waiting)


@dataclass(frozen=True)
class Batch:
    """What goes to a channel as one message."""

    channel: str
    positions: tuple[int, ...]  # in what was given
    digest: bool


def next_batches(waiting: Sequence[_D], now: datetime, busy: Collection[str]) -> list[Batch]:
    """Return the next sending of each channel that is not ``busy``; ``waiting`` is in the order it was planned.

    What is told of one incident keeps its order. What was tried least goes first, so that a message that a receiver
    never takes holds up no other.
    """
    by_channel: dict[str, list[int]] = defaultdict(list)
    for position, delivery in enumerate(waiting):
        if delivery.channel not in busy:
            by_channel[delivery.channel].append(position)
    batches = []
    for channel, positions in by_channel.items():
        batch = _of_channel(channel, positions, waiting, now)
        if batch is not None:
            batches.append(batch)
    return batches


def _of_channel(channel: str, positions: Sequence[int], waiting: Sequence[_D], now: datetime) -> Batch | None:
    singles = [position for position in positions if not waiting[position].digest]
    held: set[str] = set()
    free = []
    for position in singles:
        delivery = waiting[position]
        if delivery.claimed_by is not None or delivery.due_at > now:
            if not delivery.maybe_again:  # that one is only a reminder, and holds up no news
                held.add(delivery.incident_id)
        elif delivery.incident_id not in held:
            free.append(position)
    if len(free) > MANY:
        return Batch(channel, tuple(free[:MOST_TOGETHER]), digest=False)
    if free:
        firsts = {waiting[position].incident_id: position for position in reversed(free)}
        first = min(firsts.values(), key=lambda position: (waiting[position].attempts, position))
        return Batch(channel, (first,), digest=False)
    due = [
        position
        for position in positions
        if waiting[position].digest and waiting[position].claimed_by is None and waiting[position].due_at <= now
    ]
    return Batch(channel, tuple(due[:MOST_TOGETHER]), digest=True) if due else None
