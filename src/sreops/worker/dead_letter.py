"""Dead letters: what could not be processed, with the error, the stack's last frame and the original bytes.

All of it lives on one topic, ``sre-dead-letter``, so that it is kept wherever the event log is: a letter is the
original record with headers that tell why; a second record of the same id with ``requeued-at`` says that it was
put back. A letter that was written twice (a crash came in between) has one id, and is one letter. One that was put
back while a worker reads may be dead again before that is noted, so the note names the place of the letter it means.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sreops.domain.alerts.routing import DEAD_LETTER, REQUEUED_HEADER
from sreops.errors import PayloadRejected
from sreops.ports import LogRecord, StoredRecord

ACTION: Final = "dead_letter"
"""The audited action that stands for a letter; its copy on the topics brings the letter itself."""

ID, ERROR, FRAME, BYTES = "dead-letter-id", "error", "frame", "original-bytes"
REQUEUED_AT, PLACE = "requeued-at", "requeued-from"
TOPIC, PARTITION, OFFSET, EVENT, INCIDENT = (
    "origin-topic", "origin-partition", "origin-offset", "event-id", "incident-id",
)  # fmt: skip
_OURS = frozenset(
    {ID, ERROR, FRAME, BYTES, REQUEUED_AT, PLACE, TOPIC, PARTITION, OFFSET, EVENT, INCIDENT, REQUEUED_HEADER}
)
_ERROR_CHARS = 500
_CUT_VALUE_BYTES = 100_000
_CUT_KEY_CHARS = 500


@dataclass(frozen=True)
class Letter:
    """One dead letter as it is listed; ``cut`` ones have lost bytes and can't be put back."""

    id: str
    record: StoredRecord
    error: str
    frame: str
    origin: str
    requeued_at: str | None = None

    @property
    def place(self) -> str:
        """Where on its topic it stands; the newest of an id stands for all."""
        return f"{self.record.partition}:{self.record.offset}"

    @property
    def cut(self) -> bool:
        """Whether the original was too large to be kept whole."""
        return _header(self.record, BYTES) is not None


def unreadable(record: StoredRecord, error: str, frame: str = "") -> LogRecord:
    """Return the letter of a record that does not parse; one that was put back keeps its id."""
    again = _header(record, REQUEUED_HEADER)
    return _letter(
        record,
        record.topic,
        **{
            ID: again or f"{record.topic}:{record.partition}:{record.offset}",
            ERROR: error,
            FRAME: frame,
            PARTITION: str(record.partition),
            OFFSET: str(record.offset),
        },
    )


def of_event(record: LogRecord, event_id: str, *, error: str, frame: str, incident_id: str | None = None) -> LogRecord:
    """Return the letter of an event that trips what comes after parsing; ``record`` is how it stands on its topic."""
    told = {ID: event_id, ERROR: error, FRAME: frame, EVENT: event_id}
    return _letter(record, record.topic, **told, **({INCIDENT: incident_id} if incident_id else {}))


def _letter(record: LogRecord, origin: str, **told: str) -> LogRecord:
    told[TOPIC] = origin
    ours = tuple((name, text[:_ERROR_CHARS].encode("utf-8", "replace")) for name, text in told.items() if text)
    return LogRecord(DEAD_LETTER, record.key, record.value, (*_theirs(record), *ours))


def _theirs(record: LogRecord) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in record.headers if name not in _OURS)


def cut(letter: LogRecord) -> LogRecord:
    """Return a letter that fits into the log where the original with its headers does not; it says so."""
    told = tuple((name, value) for name, value in letter.headers if name in _OURS)
    return replace(
        letter,
        key=letter.key[:_CUT_KEY_CHARS],
        value=letter.value[:_CUT_VALUE_BYTES],
        headers=((BYTES, str(len(letter.value)).encode()), *told),
    )


def last_frame(exc: BaseException) -> str:
    """Name the frame that raised; a formatted traceback would read source files on the event loop."""
    trace = exc.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{code.co_qualname} ({code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno})"


def action_data(event_id: str, *, error: str, frame: str) -> dict[str, Any]:
    """Return what the audited action of a letter carries; the event itself stays in the store."""
    return {"event_id": event_id, "error": error[:_ERROR_CHARS], "frame": frame}


# --- listing and putting back ---------------------------------------------------------------------


def letters(records: Iterable[StoredRecord]) -> list[Letter]:
    """Return the letters of the topic's records, oldest first; one that died again after it was put back is dead."""
    found: dict[str, Letter] = {}
    for record in records:
        letter_id = _header(record, ID) or f"{record.topic}:{record.partition}:{record.offset}"
        if (at := _header(record, REQUEUED_AT)) is not None:
            letter = found.get(letter_id)
            if letter is not None and (_header(record, PLACE) or letter.place) == letter.place:
                found[letter_id] = replace(letter, requeued_at=at)
            continue
        found.pop(letter_id, None)  # the newest of an id is the one that counts, at its own place
        found[letter_id] = Letter(
            id=letter_id,
            record=record,
            error=_header(record, ERROR) or "",
            frame=_header(record, FRAME) or "",
            origin=_header(record, TOPIC) or "",
        )
    return list(found.values())


def put_back(letter: Letter) -> LogRecord:
    """Return the original record for its own topic; raises PayloadRejected where it can't be had any more.

    The header makes the inbox take its event again on purpose, though its id is known.
    """
    if letter.cut:
        size = _header(letter.record, BYTES)
        raise PayloadRejected(422, f"{letter.id}: only the beginning of its {size} bytes was kept")
    if not letter.origin:
        raise PayloadRejected(422, f"{letter.id}: it does not say which topic it came from")
    headers = (*_theirs(letter.record), (REQUEUED_HEADER, letter.id.encode()))
    return LogRecord(letter.origin, letter.record.key, letter.record.value, headers)


def mark_put_back(letters: Sequence[Letter], now: datetime) -> list[LogRecord]:
    """Return the records that let a later listing show these as put back."""
    at = now.isoformat(timespec="seconds").encode()
    return [
        LogRecord(
            DEAD_LETTER,
            letter.record.key,
            b"",
            ((ID, letter.id.encode()), (REQUEUED_AT, at), (PLACE, letter.place.encode())),
        )
        for letter in letters
    ]


def _header(record: LogRecord, name: str) -> str | None:
    for key, value in record.headers:
        if key == name:
            return value.decode("utf-8", "replace")
    return None
