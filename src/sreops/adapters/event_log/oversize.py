"""The one limit on a record's size, the same for every event log, so that what one takes the other takes too."""

from collections.abc import Iterable

from sreops.errors import EventLogRefused
from sreops.ports import MAX_RECORD_BYTES, LogRecord


def refuse_oversize(records: Iterable[LogRecord]) -> None:
    """Raise EventLogRefused for the first record that is larger than MAX_RECORD_BYTES."""
    for record in records:
        if record.size_bytes > MAX_RECORD_BYTES:
            raise EventLogRefused(
                f"a record for {record.topic} (key {record.key!r:.80}) has about {record.size_bytes} bytes; the event "
                f"log takes {MAX_RECORD_BYTES}: shorten it"
            )
