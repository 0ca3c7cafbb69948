"""One request to the Messages API, by the SDK, with no retries of its own; no foreign error leaves this file.

Answers are streamed: a long one takes minutes, and only a stream tells one that is being written from one that hangs.
"""

import asyncio
import contextlib
import json
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic
import httpx2
from anthropic import AsyncAnthropic
from pydantic import SecretStr

from sreops.adapters.answers import Turns
from sreops.adapters.bounded_http import HEADERS, AnswerTooLong, hooks
from sreops.adapters.trust import DIRECT, handshake_cure
from sreops.domain.text.redaction import one_line
from sreops.domain.text.unicode import whole
from sreops.domain.text.urls import without_userinfo
from sreops.errors import AnalystRefused, AnalystUnavailable, SettingsInvalid, SreopsError
from sreops.settings import LLMSettings

BASE_URL = "https://api.anthropic.com"
_AGAIN_LATER = frozenset({408, 409, 429})
MOST_BYTES = 8_000_000
"""Of one stream of events; the longest answer that may be asked for takes about 3 MB."""
MOST_PLAIN_BYTES = 2_000_000
"""Of an answer that is no stream."""
_OUT_OF_ORDER = (TypeError, AttributeError, LookupError, AssertionError, RuntimeError)
"""What the SDK's own code stumbles over where a stream's events are not those of a message, in its order."""
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class Answered(AnalystUnavailable):
    """The API answered, with a status that may pass."""

    def __init__(self, message: str, *, status: int, retry_after_s: float | None) -> None:
        self.status = status
        super().__init__(message, retry_after_s=retry_after_s)


class TooLong(AnalystRefused):
    """The request was refused for its length: a shorter one may do."""


class Lost(AnalystUnavailable):
    """The request went out and its answer did not arrive: it may have been worked on, and paid for."""


class _Sdk(AsyncAnthropic):
    """The SDK's client without ANTHROPIC_CUSTOM_HEADERS, which could replace our key and the API's version."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._custom_headers = {}


class Api:
    """The SDK's client; nothing is taken from its own environment variables but proxies."""

    def __init__(self, settings: LLMSettings, api_key: SecretStr, trust: ssl.SSLContext | None = None) -> None:
        self._trust = trust
        key = api_key.get_secret_value().strip()
        if not key or not key.isascii() or not key.isprintable():
            raise SettingsInvalid(["SREOPS_LLM__API_KEY is empty or holds characters that no header can carry"])
        self._key = key
        self._settings = settings
        self._client: AsyncAnthropic | None = None
        self._building = asyncio.Lock()

    @property
    def shown(self) -> str:
        """What is asked, and where, for people."""
        return f"model {self._settings.model} at {without_userinfo(self._settings.base_url or BASE_URL)}"

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def _sdk(self) -> AsyncAnthropic:
        """Return the SDK's client, built once in a thread: it reads the CA certificates from disk."""
        async with self._building:
            if self._client is None:
                self._client = await asyncio.to_thread(self._built)
        return self._client

    def _built(self) -> AsyncAnthropic:
        return _Sdk(
            api_key=self._key,
            base_url=self._settings.base_url or BASE_URL,
            max_retries=0,  # ours are counted, and bounded
            timeout=self._settings.timeout_s,
            # evidence goes where the setting says, and nowhere that a proxy or gateway points to
            http_client=anthropic.DefaultAsyncHttpxClient(
                follow_redirects=False,
                verify=self._trust or True,
                mounts=dict.fromkeys(DIRECT),
                headers=HEADERS,
                event_hooks=hooks(MOST_BYTES, max_plain_bytes=MOST_PLAIN_BYTES),
            ),
        )

    async def message(self, request: dict[str, Any], *, timeout_s: float, silence_s: float) -> str:
        """Ask once; the whole message as JSON, or what came instead. Raises AnalystUnavailable or AnalystRefused.

        ``timeout_s`` is for all of it; ``silence_s`` how long nothing may arrive meanwhile.
        """
        async with self._translated(timeout_s, silence_s):
            client = await self._sdk()
            async with client.messages.stream(**request, timeout=silence_s) as stream:
                return await self._read(stream)

    async def _read(self, stream: anthropic.AsyncMessageStream[Any]) -> str:
        """Read to the end; raises Lost where the stream breaks off, which the SDK takes for an end."""
        response = stream.response
        if "event-stream" not in response.headers.get("content-type", ""):
            # a gateway that does not stream, or something else altogether: what it is shows when it is read
            return (await response.aread()).decode("utf-8", "replace")
        message = None
        turns = Turns()
        try:
            async for _ in stream:
                message = stream.current_message_snapshot if message is None else message
                await turns.give()
        except _OUT_OF_ORDER as exc:
            raise AnalystRefused(f"{self.shown} streamed what is no message: {one_line(repr(exc))}") from exc
        if message is None:
            return ""
        if message.stop_reason is None:
            raise Lost(f"{self.shown} broke its answer off: the stream ended before the message did")
        # its own to_json refuses half a character, which a stream that breaks a pair over two events leaves behind
        return whole(json.dumps(message.to_dict(mode="python"), ensure_ascii=False, default=str))

    async def model(self, name: str, *, timeout_s: float) -> Any:
        """Return what the API says about a model."""
        async with self._translated(timeout_s, timeout_s):
            client = (await self._sdk()).with_options(timeout=timeout_s)
            return await client.models.retrieve(name)

    @asynccontextmanager
    async def _translated(self, timeout_s: float, silence_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(timeout_s):
                yield
        # ValueError: the SDK refuses some requests by itself, and undecodable bodies.
        except (TimeoutError, anthropic.AnthropicError, httpx2.HTTPError, httpx2.StreamError, ValueError) as exc:
            raise self._meaning(exc, timeout_s, silence_s) from exc

    def _meaning(self, exc: Exception, timeout_s: float, silence_s: float) -> SreopsError:
        if isinstance(exc, TimeoutError):
            return Lost(f"{self.shown} did not answer within {round(timeout_s, 1):g} s")
        if isinstance(exc, anthropic.APIConnectionError):  # a time-out is one too
            return self._unconnected(exc, silence_s)
        if isinstance(exc, anthropic.APIStatusError):
            return self._status(exc)
        if isinstance(exc, AnswerTooLong):
            return AnalystRefused(f"{self.shown} sent too much: {exc}")
        if isinstance(exc, httpx2.TimeoutException):
            return Lost(f"{self.shown} fell silent for {round(silence_s, 1):g} s in its answer")
        if isinstance(exc, httpx2.HTTPError):  # the body broke off after the SDK had handed the response over
            return Lost(f"{self.shown} broke its answer off: {one_line(str(exc))}")
        return AnalystRefused(f"{self.shown} gave an answer that can't be read: {one_line(str(exc))}")

    def _unconnected(self, exc: anthropic.APIConnectionError, silence_s: float) -> SreopsError:
        cause = exc.__cause__
        if isinstance(cause, AnswerTooLong | httpx2.DecodingError):
            return AnalystRefused(f"{self.shown} gave an answer that is not read: {cause}")
        if isinstance(exc, anthropic.APITimeoutError):
            told = f"{self.shown} did not answer within {round(silence_s, 1):g} s"
        else:
            told = f"{self.shown} can't be reached: {one_line(str(cause or exc))}"
        cure = handshake_cure(cause)
        told += f"; {cure}" if cure else ""
        return (AnalystUnavailable if isinstance(cause, _NEVER_SENT) else Lost)(told, cure=cure)

    def _status(self, exc: anthropic.APIStatusError) -> SreopsError:
        message = f"{self.shown} answered {exc.status_code}: {one_line(exc.message)}"
        if exc.status_code < 300:  # an error in the middle of the stream: what was written is paid for
            return Lost(f"{self.shown} broke its answer off: {one_line(exc.message)}")
        if _worth_again(exc):
            return Answered(message, status=exc.status_code, retry_after_s=_retry_after_s(exc))
        return (TooLong if _too_long(exc) else AnalystRefused)(message, status=exc.status_code)


def _worth_again(exc: anthropic.APIStatusError) -> bool:
    """Say whether the same request may do later; the server's own word on it comes before the status."""
    told = exc.response.headers.get("x-should-retry", "").strip().lower()
    return told == "true" or (told != "false" and (exc.status_code in _AGAIN_LATER or exc.status_code >= 500))


def _too_long(exc: anthropic.APIStatusError) -> bool:
    """Say whether it is the length that was refused: by the API (400, or 413 beyond 32 MB) or a gateway before it."""
    return exc.status_code == 413 or (exc.status_code == 400 and "prompt is too long" in exc.message.lower())


def _retry_after_s(exc: anthropic.APIStatusError) -> float | None:
    """Return the wait that is asked for: ``retry-after-ms``, or ``retry-after`` in seconds or as a date (RFC 9110)."""
    headers = exc.response.headers
    wait_s = _number(headers.get("retry-after-ms", ""), per=1000.0)
    text = headers.get("retry-after", "").strip()
    if wait_s is None:
        wait_s = _number(text)
    if wait_s is None and text.endswith("GMT"):
        with contextlib.suppress(ValueError):
            wait_s = max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None if wait_s is None else min(wait_s, 3600.0)


def _number(text: str, per: float = 1.0) -> float | None:
    return float(text) / per if re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", text.strip(), re.ASCII) else None
