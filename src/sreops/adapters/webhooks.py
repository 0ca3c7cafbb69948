"""Webhooks of SREOPS_ACTIONS__WEBHOOKS: one POST, signed, and the beginning of its answer."""

import asyncio
import contextlib
import hashlib
import hmac
import ssl
import time
from collections.abc import Sequence

import httpx

from sreops.adapters.answers import encoding_fault
from sreops.adapters.forgetful_client import forgetful_client
from sreops.adapters.trust import handshake_cure
from sreops.domain.text.unicode import whole
from sreops.errors import OutcomeUnknown, WebhookUnavailable
from sreops.ports.webhooks import WebhookAnswer, WebhookFacts
from sreops.settings import Webhook
from sreops.telemetry import ADAPTER_ERRORS, ADAPTER_SECONDS

SIGNATURE_HEADER = "X-Sreops-Signature"
MAX_ANSWER_BYTES = 4096
_BODY_TIMEOUT_S = 2.0
_NEVER_SENT = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)  # fmt: skip


class HttpWebhooks:
    """Implements ports.Webhooks: no redirects, no cookies, no repeats of its own."""

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        *,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._webhooks = {webhook.name: webhook for webhook in webhooks}
        self._client = forgetful_client(trust, transport)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def known(self, name: str) -> WebhookFacts | None:
        """Return the webhook of this name; None where the settings have none."""
        webhook = self._webhooks.get(name)
        return None if webhook is None else WebhookFacts(webhook.name, _shown(webhook), webhook.idempotent)

    async def call(self, name: str, body: bytes, *, key: str, timeout_s: float) -> WebhookAnswer:
        """POST once; see the port."""
        webhook = self._webhooks.get(name)
        if webhook is None:
            raise WebhookUnavailable(f"webhook {name[:80]!r} is not in SREOPS_ACTIONS__WEBHOOKS")
        told, began = f"webhook {name}: POST {_shown(webhook)}", time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._post(webhook, body, key, timeout_s)
        except _NEVER_SENT as exc:
            ADAPTER_ERRORS.labels("webhook", type(exc).__name__).inc()
            cure = handshake_cure(exc)
            raise WebhookUnavailable(f"{told}: cannot connect ({exc})" + (f"; {cure}" if cure else "")) from exc
        except TimeoutError as exc:
            ADAPTER_ERRORS.labels("webhook", "TimeoutError").inc()
            raise OutcomeUnknown(f"{told}: no answer within {timeout_s:.3g} s") from exc
        except (httpx.HTTPError, httpx.StreamError) as exc:
            ADAPTER_ERRORS.labels("webhook", type(exc).__name__).inc()
            raise OutcomeUnknown(f"{told}: {type(exc).__name__}: {exc}") from exc
        finally:
            ADAPTER_SECONDS.labels("webhook").observe(time.monotonic() - began)

    async def _post(self, webhook: Webhook, body: bytes, key: str, timeout_s: float) -> WebhookAnswer:
        headers = {name: value.get_secret_value() for name, value in webhook.headers.items()}
        headers |= {"Content-Type": "application/json", "Idempotency-Key": key}
        if webhook.secret is not None:
            headers[SIGNATURE_HEADER] = signature(body, webhook.secret.get_secret_value())
        async with self._client.stream("POST", webhook.url, content=body, headers=headers, timeout=timeout_s) as answer:
            return WebhookAnswer(answer.status_code, await _beginning(answer))


async def _beginning(answer: httpx.Response) -> str:
    """Read the beginning of a body; the status alone decides, so what breaks off here changes nothing."""
    if encoding_fault(answer.headers) is not None:
        return ""
    read = bytearray()
    with contextlib.suppress(httpx.HTTPError, httpx.StreamError, TimeoutError):
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for chunk in answer.aiter_bytes():
                read += chunk
                if len(read) >= MAX_ANSWER_BYTES:
                    break
    return whole(bytes(read[:MAX_ANSWER_BYTES]).decode("utf-8", "replace"))


def signature(body: bytes, secret: str) -> str:
    """Return the value of X-Sreops-Signature: ``sha256=`` and the HMAC-SHA256 of the body in hex."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _shown(webhook: Webhook) -> str:
    return webhook.url.partition("?")[0]
