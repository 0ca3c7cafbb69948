"""``POST /alerts``: the bridge. It answers 202 only when every event of the request is durable in the event log."""

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sreops.domain.alerts.alert import AlertStatus
from sreops.domain.alerts.entry import AlertReader
from sreops.domain.alerts.event_record import SCHEMA_HEADER, NewEvent
from sreops.domain.alerts.routing import route
from sreops.domain.alerts.webhook import Webhook
from sreops.errors import EventLogRefused, EventLogUnavailable, PayloadRejected
from sreops.ports import Clock, EventLog, LogRecord
from sreops.settings import Settings
from sreops.telemetry import ALERTS, ALERTS_TRUNCATED, REQUESTS_REFUSED, log
from sreops.web.alert_bodies import AlertBodies
from sreops.web.connections import tell_accepted
from sreops.web.credentials import WebhookCredentials
from sreops.web.last_webhook import LastWebhook, WebhookSeen
from sreops.web.origin import asked_by_own_page, asked_name, is_loopback, name_of_url
from sreops.web.tally import Tally
from sreops.web.wrong_credentials import WrongCredentials

ALERTS_ACCEPTED: Final = "alerts.accepted"
ALERTS_REFUSED: Final = "alerts.refused"
ALERT_REJECTED: Final = "alerts.alert_rejected"

ALERTS_AT_ONCE: Final = 200
"""Alerts that are read and appended before others' requests go on: a few hundredths of a second."""

_LOGGED_REJECTIONS: Final = 5
_LARGE_BYTES: Final = 256 * 1024
_COUNTED: Final = {outcome: ALERTS.labels(outcome=outcome) for outcome in ("queued", "resolved", "skipped", "rejected")}
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def _random_ids() -> Iterator[str]:
    """Yield version 4 UUIDs, with one read of the system's randomness for many."""
    while True:
        pool = os.urandom(256 * 16).hex()
        for start in range(0, len(pool), 32):
            one = pool[start : start + 32]  # uuid.UUID takes several times as long to say the same
            yield f"{one[:8]}-{one[8:12]}-4{one[13:16]}-{_VARIANT[one[16]]}{one[17:20]}-{one[20:]}"


_new_event_id: Final = _random_ids().__next__
_wall: Final = partial(datetime.now, UTC)


@dataclass(frozen=True)
class AlertsContext:
    """What the bridge works with; ``mint`` makes event ids.

    ``wall`` is the system's clock. After that was set back to the right time, ``clock`` is ahead of it for a while:
    a signature may be right by either of them, since senders drop an alert that gets a 401.
    """

    event_log: EventLog
    settings: Settings
    clock: Clock
    last: LastWebhook = field(default_factory=LastWebhook)
    mint: Callable[[], str] = _new_event_id
    wall: Callable[[], datetime] = _wall
    guesses: WrongCredentials = field(default_factory=WrongCredentials)


class _Refusal(Exception):
    """A request that is not taken: status, words for the sender's log, headers."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers
        super().__init__(message)


@dataclass(frozen=True)
class _Taken:
    """A webhook whose events are all durable."""

    webhook: Webhook
    queued: int
    resolved: int

    @property
    def source(self) -> str:
        return self.webhook.source

    def in_words(self) -> str:
        counts = {
            "firing taken": self.queued,
            "resolved taken": self.resolved,
            "skipped": self.webhook.skipped,
            "rejected": self.webhook.refused,
        }
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no alerts in it"
        return "; ".join((told, *self.webhook.notes()))


def alerts_routes(context: AlertsContext) -> list[Route]:
    """Return the routes of the bridge.

    With and without the final slash, since Go's client turns a redirected POST into a bodyless GET, and PUT
    because Grafana's contact point can be set to it.
    """
    bridge = _Bridge(context)
    return [Route(path, bridge.answer, methods=["POST", "PUT"]) for path in ("/alerts", "/alerts/")]


def to_records(events: Iterable[NewEvent], traceparent: str | None) -> list[LogRecord]:
    """Return events as records of their topics, keyed by service so that a service's events keep their order."""
    headers: tuple[tuple[str, bytes], ...] = (SCHEMA_HEADER,)
    if traceparent is not None:
        headers += (("traceparent", traceparent.encode()),)
    return [LogRecord(route(event.tier, event.severity), event.service, event.json(), headers) for event in events]


def read_traceparent(headers: Mapping[str, str]) -> str | None:
    """Return the request's trace context where it is valid by W3C Trace Context, else None."""
    given = headers.get("traceparent", "").strip()
    return given if _TRACEPARENT.fullmatch(given) else None


def _decoded(body: bytes) -> Any:
    """Decode JSON; what pydantic's parser, a third of json's time, does not take, json may: lone surrogates, UTF-16."""
    with contextlib.suppress(ValueError):
        return from_json(body, cache_strings="keys")
    try:
        return json.loads(body)
    except RecursionError as exc:
        raise _Refusal(400, "the body is nested too deeply to be a webhook") from exc
    except ValueError as exc:  # bad JSON, bad UTF-8, an integer of thousands of digits
        raise _Refusal(400, f"the body is not JSON: {exc}") from exc


class _Bridge:
    """The endpoint and the count of requests in flight."""

    def __init__(self, context: AlertsContext) -> None:
        self._context = context
        self._webhook = context.settings.webhook
        self._credentials = WebhookCredentials(self._webhook)
        may_be_autonomous = self._credentials.required or self._webhook.anonymous_autonomous
        self._reader = AlertReader(context.settings.reading_rules(may_be_autonomous=may_be_autonomous))
        self._any_host = context.settings.allow_anonymous
        self._names = {context.settings.host.lower(), name_of_url(context.settings.public_url or "")} - {""}
        self._in_flight = 0
        self._bodies = AlertBodies(self._webhook.max_body_bytes)
        self._accepted_tally = Tally(ALERTS_ACCEPTED, log.info)
        self._refused_tally = Tally(ALERTS_REFUSED, log.warning)

    async def answer(self, request: Request) -> Response:
        at, sender = self._context.clock.now(), request.client.host if request.client else "an unknown sender"
        try:
            taken = await self._take(request)
        except _Refusal as refusal:
            ALERTS.labels(outcome="refused").inc()
            REQUESTS_REFUSED.labels(status=str(refusal.status)).inc()
            self._refused_tally.add({"requests": 1}, status=refusal.status, reason=str(refusal))
            self._context.last.note(WebhookSeen(at, sender, refusal.status, str(refusal)))
            body = {"status": "refused", "error": str(refusal)}
            return JSONResponse(body, status_code=refusal.status, headers=refusal.headers)
        self._context.last.note(WebhookSeen(at, f"{taken.source} at {sender}", 202, taken.in_words()))
        return self._accepted(taken)

    async def _take(self, request: Request) -> "_Taken":
        """Read, prove, keep. Only what is proven, or needs no proof and is complete, counts as in flight."""
        if self._in_flight >= self._webhook.max_in_flight:
            raise self._later(f"{self._in_flight} requests are in flight already")
        if not self._credentials.required:
            self._check_sender(request)
        proven = self._credentials.accept_authorization(request.headers)
        if not proven and self._credentials.required and not self._credentials.may_sign(request.headers):
            raise await self._unauthorized(request)
        if proven:
            with self._slot():
                return await self._keep(request, await self._read(request, proven=True))
        body = await self._read(request, proven=False)
        if self._credentials.required:
            clocks = (self._context.clock.now(), self._context.wall())
            if not await self._signed(request, body, clocks):
                raise await self._unauthorized(request)
        with self._slot():
            return await self._keep(request, body)

    async def _signed(self, request: Request, body: bytes, clocks: tuple[datetime, ...]) -> bool:
        verify = partial(self._credentials.accept_signature, request.headers, body, *clocks)
        # a stranger may send millions of bytes, and the loop is everybody's
        return await asyncio.to_thread(verify) if len(body) > _LARGE_BYTES else verify()

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if self._in_flight >= self._webhook.max_in_flight:
            raise self._later(f"{self._in_flight} requests are in flight already")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def _read(self, request: Request, *, proven: bool) -> bytes:
        try:
            return await self._bodies.read(request, proven=proven)
        except PayloadRejected as exc:
            if exc.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise self._later(str(exc)) from exc
            raise _Refusal(exc.status, str(exc)) from exc

    async def _keep(self, request: Request, body: bytes) -> "_Taken":
        try:
            webhook = Webhook(
                _decoded(body),
                received_at=self._context.clock.now(),
                mint=self._context.mint,
                reader=self._reader,
            )
        except PayloadRejected as exc:
            raise _Refusal(exc.status, str(exc)) from exc
        tell_accepted(request.scope)
        queued = resolved = 0
        traceparent = read_traceparent(request.headers)
        while not webhook.done:
            events = webhook.read(ALERTS_AT_ONCE)
            firing = sum(event.status is AlertStatus.firing for event in events)
            queued, resolved = queued + firing, resolved + len(events) - firing
            if records := to_records(events, traceparent):
                await self._append(records)
            if not webhook.done:
                await asyncio.sleep(0)  # the next few hundred alerts of one sender wait for everybody else's
        return _Taken(webhook, queued, resolved)

    async def _append(self, records: Sequence[LogRecord]) -> None:
        try:
            await self._context.event_log.append(records, timeout_s=self._context.settings.ack_timeout_s)
        except EventLogUnavailable as exc:
            raise self._later(f"{len(records)} events could not be made durable: {exc}") from exc
        except EventLogRefused as exc:  # not expected: parsing keeps events far below the limit
            raise _Refusal(413, f"the event log takes none of {len(records)} events: {exc}") from exc

    def _check_sender(self, request: Request) -> None:
        """Raise _Refusal(403) for what a page in somebody's browser could send us; only where nothing else proves who.

        A plain form of any page may post text/plain to 127.0.0.1, and a page whose name is made to point here (DNS
        rebinding) may post anything: but by that name.
        """
        name = asked_name(request)
        if not (self._any_host or name in self._names or is_loopback(name)):
            raise _Refusal(
                403,
                f"POST /alerts has no credentials and answers to this machine's own names only, not {name[:100]!r}: "
                "set SREOPS_WEBHOOK__TOKEN and send it, or set SREOPS_PUBLIC_URL to the address that senders use",
            )
        if asked_by_own_page(request) is False:
            raise _Refusal(403, "this was sent by a page of another site, and POST /alerts has no credentials")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise _Refusal(
                403,
                f"POST /alerts has no credentials and takes application/json only, not {kind[:100]!r}: "
                "set SREOPS_WEBHOOK__TOKEN and send it, or send Content-Type: application/json",
            )

    def _accepted(self, taken: "_Taken") -> Response:
        webhook = taken.webhook
        counts = {"queued": taken.queued, "resolved": taken.resolved, "skipped": webhook.skipped}
        for outcome, count in (*counts.items(), ("rejected", webhook.refused)):
            if count:
                _COUNTED[outcome].inc(count)
        if webhook.truncated:
            ALERTS_TRUNCATED.inc(webhook.truncated)
        for one in webhook.rejected[:_LOGGED_REJECTIONS]:
            log.warning(ALERT_REJECTED, index=one.index, reason=one.reason)
        self._accepted_tally.add({"requests": 1, **counts, "rejected": webhook.refused})
        rejected = [{"index": one.index, "reason": one.reason} for one in webhook.rejected]
        body = {"status": "accepted", **counts, "rejected": rejected, "notes": list(webhook.notes())}
        return JSONResponse(body, status_code=202)

    async def _unauthorized(self, request: Request) -> _Refusal:
        if self._credentials.shown(request.headers):
            await self._context.guesses.wrong("alerts", request)
        told = f"no valid credentials: send {self._credentials.cure}"
        return _Refusal(401, told, {"WWW-Authenticate": self._credentials.challenge})

    def _later(self, message: str) -> _Refusal:
        return _Refusal(503, message, {"Retry-After": str(self._webhook.retry_after_s)})
