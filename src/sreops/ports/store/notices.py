"""The outbox of what people are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sreops.domain.records.notice import Notice, NoticeKind


@dataclass(frozen=True)
class Delivery:
    """A notice on its way to one channel; ``message`` is how it was worded.

    ``attempt_id`` is the sending that it is a part of while ``claimed_by`` is set, else the last one.
    """

    seq: int
    notice_seq: int
    incident_id: str
    channel: str
    kind: NoticeKind
    digest: bool
    due_at: datetime
    told_at: datetime
    attempts: int
    attempt_id: str | None
    claimed_by: str | None
    claimed_until: datetime | None
    message: Mapping[str, Any]
    maybe_again: bool = False  # an attempt before may have arrived


@dataclass(frozen=True)
class Telling:
    """What became of a notice on one channel; without a channel ``quiet`` says why nobody is told, or it is to come."""

    notice: Notice
    quiet: str | None
    channel: str | None
    digest: bool
    due_at: datetime | None
    done_at: datetime | None
    outcome: str | None  # sent, given_up, dropped
    error: str | None
    attempts: int

    @property
    def reached(self) -> bool:
        """Whether it was sent, or is on its way."""
        return self.channel is not None and self.outcome in (None, "sent")


@dataclass(frozen=True)
class Overdue:
    """A channel that does not take what it is sent: how many wait, since when, and what it says."""

    channel: str
    count: int
    since: datetime
    error: str


class NoticeStore(Protocol):
    """What is put out with the state that it tells is worded once, and sent to each channel once."""

    async def unplanned_notices(self, limit: int = 100) -> Sequence[Notice]:
        """Return what is put out and was not given to its channels yet, in order."""
        ...

    async def plan_notice(
        self,
        seq: int,
        *,
        message: Mapping[str, Any] | None,
        quiet: str | None,
        channels: Sequence[tuple[str, bool, datetime]],
        now: datetime,
    ) -> bool:
        """Give a notice to its channels (name, whether as a part of a digest, when due), once; False: it was already.

        ``quiet`` says why nobody is told.
        """
        ...

    async def deliveries(self, incident_id: str) -> Sequence[Telling]:
        """Return who was told what of an incident, oldest first; a notice that nobody is told has one of no channel."""
        ...

    async def undone_deliveries(self) -> Sequence[Delivery]:
        """Return what is still to be sent, in the order in which it was planned."""
        ...

    async def claim_deliveries(
        self, seqs: Sequence[int], *, attempt_id: str, owner: str, now: datetime, lease_s: float
    ) -> bool:
        """Claim all of these for one sending, or none of them: where one is done, not due, or another's."""
        ...

    async def deliveries_sent(self, attempt_id: str, *, now: datetime) -> int:
        """Note that a sending has arrived; return how many deliveries it held."""
        ...

    async def deliveries_failed(
        self, attempt_id: str, *, error: str, retry_at: datetime | None, now: datetime, maybe_arrived: bool = False
    ) -> int:
        """Note that a sending did not arrive, for all we know: again at ``retry_at``, or (None) given up."""
        ...

    async def drop_deliveries(self, seqs: Sequence[int], *, why: str, now: datetime) -> None:
        """Send these no more."""
        ...

    async def move_deliveries(self, seqs: Sequence[int], channels: Sequence[str], *, why: str, now: datetime) -> None:
        """Give what was for a channel that is no more to these instead, unless they have the notice already."""
        ...

    async def overdue_deliveries(self, *, before: datetime) -> Sequence[Overdue]:
        """Count what should have been sent by then, by channel, with the last error."""
        ...
