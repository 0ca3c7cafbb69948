"""One topic's part of the spool, as the process counts it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sreops.ports import LogRecord


@dataclass
class Lane:
    """One topic's part of the spool, as counted here; the file is what counts after a restart."""

    topic: str
    records: int = 0  # in the file, or on their way into it
    size_bytes: int = 0
    arriving: int = 0  # appends under way
    oldest_at: datetime | None = None
    filling: bool = False  # said so in the log
    flowing: bool = False  # the log took the last batch
    read_of: int = 0  # the opening of the file that the last read was of
    removed_to: tuple[int, int] | None = None  # (opening of the file, offset): forwarded, but not deleted yet
    under_way: "dict[asyncio.Future[None], None]" = field(default_factory=dict)  # appends to the log, as they came
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    handed_over: "asyncio.Future[bool] | None" = None  # True: empty, go directly; False: go to the spool

    async def turn_of(self, turn: "asyncio.Future[None]") -> None:
        """Return when no append to the log that came before this one is under way: each has a deadline."""
        while (first := next(iter(self.under_way))) is not turn:
            await asyncio.wait({first})

    def settle(self, empty: bool) -> None:
        """Tell those who wait for the hand-over how it went."""
        handed_over, self.handed_over = self.handed_over, None
        if handed_over is not None and not handed_over.done():
            handed_over.set_result(empty)

    def add(self, records: Sequence[LogRecord]) -> None:
        """Count records that are about to be written."""
        if not self.records:
            self.oldest_at = datetime.now(UTC)
            self.flowing = False  # of an earlier outage
        self.records += len(records)
        self.size_bytes += sum(record.size_bytes for record in records)

    def subtract(self, records: Sequence[LogRecord]) -> None:
        """Count records off that were forwarded, or not taken."""
        self.records = max(0, self.records - len(records))
        self.size_bytes = max(0, self.size_bytes - sum(record.size_bytes for record in records))
        if not self.records:
            self.size_bytes, self.oldest_at = 0, None
