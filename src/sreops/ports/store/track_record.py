"""What each runbook has done."""

from collections.abc import Sequence
from typing import Protocol

from sreops.domain.records.track_record import TrackRecord


class TrackRecordStore(Protocol):
    """The record of runbooks."""

    async def track_records(self) -> Sequence[TrackRecord]:
        """Return what each runbook has done on each service, the last used first."""
        ...
