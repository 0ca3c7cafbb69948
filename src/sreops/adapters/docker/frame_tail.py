"""The end of a stream of frames, however long it is: what a command said last.

Frames as in ``log_frames``. Of each stream only the last bytes are kept, so that a command that writes for hours costs
no more than one that writes a line.
"""

from sreops.domain.text.unicode import whole

KEPT_BYTES = 4_096
_MOST_LINES = 20
_HEAD_BYTES = 8


class FrameTail:
    """Takes a stream apart piece by piece, wherever the pieces begin."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0
        self._said = bytearray()

    def take(self, piece: bytes) -> None:
        """Take the next bytes of the stream."""
        at = 0
        while at < len(piece):
            if self._left:
                part = piece[at : at + self._left]
                self._said += part
                del self._said[:-KEPT_BYTES]
                self._left -= len(part)
                at += len(part)
                continue
            part = piece[at : at + _HEAD_BYTES - len(self._head)]
            self._head += part
            at += len(part)
            if len(self._head) == _HEAD_BYTES:
                self._left = int.from_bytes(self._head[4:], "big")
                self._head.clear()

    def lines(self) -> tuple[str, ...]:
        """Return the last lines of both streams, in the order in which they came."""
        text = whole(bytes(self._said).decode("utf-8", "replace"))
        return tuple(line.rstrip("\r") for line in text.split("\n") if line.strip())[-_MOST_LINES:]
