"""HTTP checks that runbooks name: one GET, its status, and nothing of what it says."""

import asyncio
import ssl
import time
from typing import Final

import httpx

from sreops.adapters.forgetful_client import forgetful_client
from sreops.errors import QueryRefused
from sreops.telemetry import ADAPTER_ERRORS, ADAPTER_SECONDS, log

PROBE_UNANSWERED: Final = "probe.unanswered"


class HttpProber:
    """Implements ports.Prober: no redirects, no cookies, no body is read."""

    def __init__(
        self, *, trust: ssl.SSLContext | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._client = forgetful_client(trust, transport)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def status(self, url: str, *, timeout_s: float) -> int | None:
        """GET without following redirects; the status, or None where nothing answered in time.

        Raises QueryRefused where the URL is none that can be asked: only http and https are.
        """
        try:
            parsed = httpx.URL(url)
            usable = parsed.scheme in ("http", "https") and parsed.host and (parsed.port or 80) <= 65535
        except (httpx.InvalidURL, TypeError, ValueError) as exc:
            raise QueryRefused(f"http_check: {url[:200]!r} is not a URL: {exc}") from exc
        if not usable:
            raise QueryRefused(f"http_check: {url[:200]!r}: write http://… or https://… with a host")
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                # only the head of the answer is read: a body without end costs nothing
                async with self._client.stream("GET", parsed, timeout=timeout_s) as answer:
                    return answer.status_code
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, UnicodeError, TimeoutError) as exc:
            ADAPTER_ERRORS.labels("prober", type(exc).__name__).inc()
            log.info(PROBE_UNANSWERED, url=url[:200], error=type(exc).__name__, detail=str(exc)[:300])
            return None
        finally:
            ADAPTER_SECONDS.labels("prober").observe(time.monotonic() - began)
