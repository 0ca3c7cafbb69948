"""A container's log stream, taken apart: frames, then lines with their times. Pure.

Without a terminal the engine sends frames of ``[stream, 0, 0, 0, length (4 bytes, big endian)]`` and a payload;
with one it sends the bytes as they are.
"""

from collections.abc import Iterator
from datetime import datetime

from sreops.adapters.docker.states import moment
from sreops.domain.evidence.evidence import LogLine
from sreops.domain.text.unicode import whole

MAX_LINE_CHARS = 8_192
_STREAMS = {1: "stdout", 2: "stderr"}
_HEAD_BYTES = 8


def log_lines(raw: bytes, *, tty: bool, since: datetime, most: int) -> tuple[list[LogLine], bool]:
    """Return the lines, oldest first, the newest ``most`` of each stream, and whether the end was torn off in a frame.

    A line without a readable time takes that of the line before it (``since`` for the first).
    """
    torn = False
    texts: dict[str, bytearray] = {}
    if tty:
        texts["stdout"] = bytearray(raw)
    else:
        for stream, payload, whole in _frames(raw):
            torn = torn or not whole
            texts.setdefault(stream, bytearray()).extend(payload)
    lines = [line for stream, text in texts.items() for line in _dated(bytes(text), stream, since, most)]
    lines.sort(key=lambda line: line.at)  # stable: order within a stream holds
    return lines, torn


def _frames(raw: bytes) -> Iterator[tuple[str, bytes, bool]]:
    start = 0
    while start + _HEAD_BYTES <= len(raw):
        length = int.from_bytes(raw[start + 4 : start + _HEAD_BYTES], "big")
        payload = raw[start + _HEAD_BYTES : start + _HEAD_BYTES + length]
        yield _STREAMS.get(raw[start], "stdout"), payload, len(payload) == length
        start += _HEAD_BYTES + length
    if start < len(raw):
        yield "stdout", b"", False


def _dated(raw: bytes, stream: str, since: datetime, most: int) -> Iterator[LogLine]:
    at = since
    # what is before is neither split nor kept: an engine may send more than it was asked for
    lines = raw.rstrip(b"\n").rsplit(b"\n", most)
    for line in lines[-most:]:
        if not line.strip():
            continue
        stamp, _, rest = line.partition(b" ")
        found = moment(stamp.decode("ascii", "replace"))
        if found is not None:
            at = found
        kept = (rest if found is not None else line)[: 4 * MAX_LINE_CHARS]  # a character has four bytes at most
        text = whole(kept.decode("utf-8", "replace").rstrip("\r"))
        yield LogLine(at=at, text=text[:MAX_LINE_CHARS], labels={"stream": stream})
