"""``GET /events``: thoughts and actions as Server-Sent Events, with ids that resume exactly."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sreops.domain.records.record import Record, RecordKind
from sreops.errors import StoreUnavailable
from sreops.telemetry import STREAM_CLIENTS, log
from sreops.web.access import Access
from sreops.web.answers import RETRY_AFTER_S, Refusal, json_text
from sreops.web.context import WebContext
from sreops.web.feed import Feed, Subscriber

READER_DROPPED: Final = "stream.reader_dropped"
STREAM_BROKEN: Final = "stream.store_unavailable"

RETRY_MS: Final = 2000
"""How long a browser waits before it connects again."""
PING_S: Final = 15
SEND_TIMEOUT_S: Final = 10.0
"""A reader that takes nothing for so long is dropped; it resumes by its last id."""
MAX_STREAMS: Final = 200
LET_IN_FOR: Final = timedelta(seconds=5)
"""How long after it was last looked at a reader is told more without being asked again who he is."""

_PAGE = 200
_MAX_SEQ = 2**63 - 1


def stream_routes(context: WebContext, access: Access) -> list[Route]:
    """Return the route of the event stream, behind the token where one is set."""
    stream = _Stream(context, access)
    return [Route("/events", access.guard(stream.events), methods=["GET"])]


def read_event_id(request: Request) -> int | None:
    """Return the last id that the reader has seen: its header, else ``?last_event_id=``; None where it has none.

    What is no id of ours counts as none: a reader that sends rubbish sees what happens from now on.
    """
    for given in (request.headers.get("last-event-id"), request.query_params.get("last_event_id")):
        if given and given.isascii() and given.isdigit() and len(given) < 20 and int(given) <= _MAX_SEQ:
            return int(given)
    return None


class _Stream:
    def __init__(self, context: WebContext, access: Access) -> None:
        self._access = access
        self._clock = context.clock
        self._store = context.store
        self._stopping = context.stopping
        self._feed = Feed(context.store, context.stopping)
        self._open = 0

    async def events(self, request: Request) -> Response:
        kind = request.query_params.get("kind") or None
        if kind is not None and kind not in set(RecordKind):
            raise Refusal(422, f"kind={kind[:50]!r} is unknown", f"use {' or '.join(RecordKind)}")
        later = {"Retry-After": str(RETRY_AFTER_S)}
        if self._stopping.is_set():
            raise Refusal(503, "sreops is shutting down", "connect again", later)
        if self._open >= MAX_STREAMS:
            raise Refusal(503, f"{self._open} event streams are open already", "close one, or wait", later)
        after = read_event_id(request)
        newest = await self._store.records(limit=1, newest=True)
        last = newest[-1].seq if newest else 0
        # An id from the future is of another database (restored, replaced): nothing of it can be resumed.
        after = last if after is None else min(after, last)
        incident_id = request.query_params.get("incident_id") or None
        told = self._tell(request, after, incident_id, kind)
        return _Response(told, ping=PING_S, send_timeout=SEND_TIMEOUT_S)

    async def _tell(
        self, request: Request, after: int, incident_id: str | None, kind: str | None
    ) -> AsyncIterator[ServerSentEvent]:
        """Subscribe first and read what was missed second, so that nothing falls in between; then drop doubles."""
        self._open += 1
        STREAM_CLIENTS.inc()
        let_in_at = self._clock.now()
        try:
            async with self._feed.subscribe(incident_id, kind) as subscriber:
                yield ServerSentEvent(comment="sreops", retry=RETRY_MS)
                async for record in self._records(after, incident_id, kind, subscriber):
                    if self._clock.now() - let_in_at >= LET_IN_FOR:  # a session may have ended meanwhile
                        if not await self._access.allows(request):
                            return
                        let_in_at = self._clock.now()
                    yield ServerSentEvent(json_text(record.public()), event=record.kind.value, id=str(record.seq))
                if subscriber.overrun:
                    log.info(READER_DROPPED, why="its queue was full")
        except StoreUnavailable as exc:
            log.warning(STREAM_BROKEN, error=str(exc))  # the stream ends, and its reader comes again
        finally:
            self._open -= 1
            STREAM_CLIENTS.dec()

    async def _records(
        self, after: int, incident_id: str | None, kind: str | None, subscriber: Subscriber
    ) -> AsyncIterator[Record]:
        last = after
        while not self._stopping.is_set():
            page = await self._store.records(after=last, incident_id=incident_id, kind=kind, limit=_PAGE)
            for record in page:
                yield record
                last = record.seq
            if len(page) < _PAGE:
                break
        async for record in subscriber.records():
            if record.seq > last:
                yield record
                last = record.seq


class _Response(EventSourceResponse):
    """A stream whose stuck reader is a line in the log, not a traceback."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the reader leaves, is stuck, or the process stops."""
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info(READER_DROPPED, why=f"it took nothing for {SEND_TIMEOUT_S:g} s")
