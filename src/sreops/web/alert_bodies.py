"""Reading the bodies of ``POST /alerts``: within time and bytes, and strangers apart from known senders.

A signature covers the body, so that of a sender who names the header must be read before anything is proven. What
strangers send so has room of its own, in which the oldest goes first: a body that is meant takes milliseconds.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from starlette.requests import ClientDisconnect, Request

from sreops.errors import PayloadRejected
from sreops.web.connections import is_known

BODY_TIMEOUT_S: Final = 10.0
"""Seconds for the whole body to arrive: Grafana gives up after 30, so an answer must still reach it."""

STRANGERS: Final = 256
"""Bodies without proof that are read at once."""
STRANGERS_BYTES: Final = 64 * 1024 * 1024
"""Of those bodies together; more than one body may have, whatever the setting says."""


class _Reading:
    def __init__(self, timeout: asyncio.Timeout, *, known: bool) -> None:
        self.timeout = timeout
        self.known = known  # an earlier request on its connection was accepted
        self.size = 0
        self.pushed_out = False


class AlertBodies:
    """Reads bodies of at most ``max_body_bytes``."""

    def __init__(self, max_body_bytes: int) -> None:
        self._limit = max_body_bytes
        self._strangers_bytes = max(STRANGERS_BYTES, 2 * max_body_bytes)
        self._readings: OrderedDict[_Reading, None] = OrderedDict()  # of strangers, oldest first
        self._bytes = 0

    async def read(self, request: Request, *, proven: bool) -> bytes:
        """Return the body; raises PayloadRejected (413, 400, or 503 where it came late or had to make room)."""
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > self._limit):
            raise self._too_large()
        chunks: list[bytes] = []
        reading: _Reading | None = None
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S) as timeout:
                reading = _Reading(timeout, known=is_known(request.scope))
                if not proven:
                    self._readings[reading] = None
                    self._make_room()
                async for chunk in request.stream():
                    reading.size += len(chunk)
                    if reading in self._readings:
                        self._bytes += len(chunk)
                        self._make_room()
                    if reading.size > self._limit:
                        raise self._too_large()
                    chunks.append(chunk)
        except TimeoutError as exc:
            if reading is not None and reading.pushed_out:
                raise PayloadRejected(503, "too many bodies without proof are being read") from exc
            # not 408: Alertmanager repeats a 5xx and drops what got a 4xx
            raise PayloadRejected(503, f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from exc
        except ClientDisconnect as exc:
            raise PayloadRejected(400, "the sender hung up before the body was complete") from exc
        finally:
            if reading is not None and reading in self._readings:
                self._forget(reading)
        return b"".join(chunks)

    def _too_large(self) -> PayloadRejected:
        return PayloadRejected(413, f"the body is over {self._limit} bytes (SREOPS_WEBHOOK__MAX_BODY_BYTES)")

    def _make_room(self) -> None:
        while len(self._readings) > STRANGERS or self._bytes > self._strangers_bytes:
            # who was heard before on this connection goes last
            oldest = next((reading for reading in self._readings if not reading.known), None) or next(
                iter(self._readings)
            )
            self._forget(oldest)
            if not oldest.timeout.expired():
                oldest.pushed_out = True
                oldest.timeout.reschedule(0.0)  # in the past: a TimeoutError as soon as the loop gets to it

    def _forget(self, reading: _Reading) -> None:
        del self._readings[reading]
        self._bytes -= reading.size
