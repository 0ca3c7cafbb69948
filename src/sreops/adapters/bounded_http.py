"""Bounds on answers that somebody else's code reads (the model's SDK, MCP's): a hook for its HTTP client.

Both read bodies whole, and know no limit. The hook runs when the head of an answer is there: it refuses an encoding
that was not asked for, and puts a counter before the body.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2

from sreops.adapters.answers import ENCODING_ASKED, MAX_ERROR_BYTES, Turns, encoding_fault

HEADERS = {"Accept-Encoding": ENCODING_ASKED}
"""What such a client sends with every request."""
MAX_EVENT_BYTES = 1024 * 1024
MAX_EVENT_LINES = 200
"""Of one server-sent event; readers copy what they have of it with every further line."""

Hooks = dict[str, list[Callable[..., Awaitable[None]]]]


class AnswerTooLong(httpx2.StreamError):
    """A body, or one event of a stream, is longer than is read."""


def hooks(max_bytes: int, *, max_plain_bytes: int | None = None, max_values: int | None = None) -> Hooks:
    """Return ``event_hooks``: at most ``max_bytes`` of a stream of events, and of another body ``max_plain_bytes``.

    With ``max_values``, a body or an event with more JSON values than that is refused (what opens or parts values is
    counted, in texts too): a reader that checks them one by one holds up the loop, and no thread helps, for it keeps
    the interpreter's lock meanwhile.
    """

    async def bound(response: httpx2.Response) -> None:
        fault = encoding_fault(response.headers)
        if fault is not None:
            raise httpx2.DecodingError(fault, request=response.request)
        streams = "event-stream" in response.headers.get("content-type", "").lower()
        most = max_bytes if streams or max_plain_bytes is None else max_plain_bytes
        if response.status_code >= 300:
            most = min(most, MAX_ERROR_BYTES)
        body = response.stream
        if not isinstance(body, httpx2.AsyncByteStream):
            raise httpx2.DecodingError("the answer has no body to read", request=response.request)
        response.stream = _Counted(body, most, of_events=streams, max_values=max_values)

    return {"response": [bound]}


class _Counted(httpx2.AsyncByteStream):
    def __init__(
        self, body: httpx2.AsyncByteStream, max_bytes: int, *, of_events: bool, max_values: int | None
    ) -> None:
        self._body = body
        self._max_bytes = max_bytes
        self._of_events = of_events
        self._max_values = max_values

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = values = 0
        event, turns = _EventSize(), Turns()
        async for chunk in self._body:
            read += len(chunk)
            if read > self._max_bytes:
                raise AnswerTooLong(f"the answer is longer than {self._max_bytes} bytes")
            if self._max_values is not None:
                values += sum(chunk.count(mark) for mark in (b",", b"{", b"["))
                if values > self._max_values:
                    raise AnswerTooLong(f"the answer has more than {self._max_values} values")
            if self._of_events:
                event.grow(chunk)
            yield chunk
            await turns.give()

    async def aclose(self) -> None:
        await self._body.aclose()


class _EventSize:
    """How much of the present event has come."""

    def __init__(self) -> None:
        self._bytes = 0
        self._lines = 0
        self._after_line = b""

    def grow(self, chunk: bytes) -> None:
        """Count a chunk; an event ends with an empty line, which may come in two chunks."""
        text = self._after_line + chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._after_line = b"\n" if text.endswith(b"\n") else b""
        for number, part in enumerate(text.split(b"\n\n")):
            if number:
                self._bytes, self._lines = 0, 0
            self._bytes += len(part)
            self._lines += part.count(b"\n")
            if self._bytes > MAX_EVENT_BYTES or self._lines > MAX_EVENT_LINES:
                raise AnswerTooLong("one event of the answer is longer than is read")
