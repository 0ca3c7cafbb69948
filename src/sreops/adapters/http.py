"""The room for HTTP: one client per dependency, with a deadline, a byte cap, few retries, and text before JSON."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import stamina
from pydantic import SecretStr

from sreops.adapters.answers import (
    ENCODING_ASKED,
    MAX_ERROR_BYTES,
    Turns,
    encoding_fault,
    is_dense,
    read_aside,
    read_json,
)
from sreops.adapters.trust import DIRECT, handshake_cure
from sreops.domain.text.unicode import whole
from sreops.domain.text.urls import without_userinfo
from sreops.errors import Unavailable
from sreops.telemetry import ADAPTER_ERRORS, ADAPTER_SECONDS, log

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
ANSWER_REFUSED: Final = "adapter.request_failed"
_SHOWN_CHARS = 300


@dataclass(frozen=True)
class HttpAnswer:
    """A whole answer as text.

    ``cut`` says that it was longer than the byte cap and the rest was not read, or that it may hold more values than
    are read.
    """

    status: int
    text: str
    headers: Mapping[str, str]
    cut: bool = False

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after_s(self) -> float | None:
        """The wait that the other side asked for in seconds (the date form is not read)."""
        text = self.headers.get("retry-after", "").strip()
        return min(float(text), 3600.0) if text.isascii() and text.isdigit() else None

    @property
    def shown(self) -> str:
        """The beginning of the body on one printable line, for error messages."""
        flat = " ".join("".join(c if c.isprintable() else " " for c in self.text[: _SHOWN_CHARS * 2]).split())
        return flat[:_SHOWN_CHARS] if flat else "an empty body"

    def json(self) -> Any:
        """Parse the body; raises ValueError where it is not JSON (HTML, half an answer, nested beyond reason)."""
        if self.cut:
            raise ValueError("the body was cut: it is too long")
        return read_json(self.text)

    async def parsed(self) -> Any:
        """Parse the body like ``json``, off the loop where it is large."""
        return await read_aside(len(self.text), self.json)


class _Retried(Exception):
    """An answer whose status says that asking again may help."""

    def __init__(self, answer: HttpAnswer) -> None:
        self.answer = answer
        super().__init__(f"status {answer.status}")


def _may_retry(exc: Exception) -> bool | float:
    if isinstance(exc, _Retried):
        wanted_s = exc.answer.retry_after_s
        return True if wanted_s is None else wanted_s
    # A read timeout has spent the deadline; what never connected or broke off may work at once.
    return isinstance(exc, httpx.TransportError) and not isinstance(
        exc, httpx.ReadTimeout | httpx.UnsupportedProtocol | httpx.LocalProtocolError
    )


class HttpRoom:
    """A client for one dependency.

    ``adapter`` names it in metrics and messages; ``unavailable`` is the error class that is raised where nothing
    usable came back. Redirects are never followed (they would carry credentials elsewhere), the environment's
    proxies are used, but not for this machine. Statuses are the caller's to judge: every complete answer is returned.
    """

    def __init__(
        self,
        adapter: str,
        base_url: str,
        *,
        unavailable: type[Unavailable],
        token: SecretStr | None = None,
        username: str = "",
        password: SecretStr | None = None,
        headers: Mapping[str, str] | None = None,
        max_response_bytes: int = 8 * 1024 * 1024,
        attempts: int = 3,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._adapter = adapter
        self.base_url = base_url.rstrip("/")
        self._unavailable = unavailable
        self._max_response_bytes = max_response_bytes
        self._attempts = attempts
        sent = {"Accept-Encoding": ENCODING_ASKED, "User-Agent": "sreops", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token.get_secret_value()}"
        self._client = httpx.AsyncClient(
            headers=sent,
            auth=httpx.BasicAuth(username, password.get_secret_value() if password else "") if username else None,
            follow_redirects=False,
            verify=trust or True,
            transport=transport,
            mounts=dict.fromkeys(DIRECT),  # else by the proxies of the environment
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=20),
        )

    @property
    def shown_url(self) -> str:
        """The base URL without credentials that somebody may have put into it."""
        return without_userinfo(self.base_url)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        params: list[tuple[str, str]] | None = None,
        form: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        retry: bool = True,
    ) -> HttpAnswer:
        """Ask and return the answer, whatever its status; raises the room's ``unavailable`` where none came in time.

        Connection errors and 429, 502, 503, 504 are tried again a few times within ``timeout_s``; set ``retry``
        False where asking twice could do something twice. ``body`` is sent as JSON.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._tried(method, path, params, form, body, timeout_s=timeout_s, retry=retry)
        except TimeoutError as exc:
            raise self._failed(method, path, f"no answer within {timeout_s:.3g} s", exc) from exc
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
            raise self._failed(method, path, _reason(exc), exc) from exc
        except UnicodeError as exc:  # a host name that IDNA cannot encode
            raise self._failed(method, path, f"the URL is not usable: {exc}", exc) from exc
        finally:
            ADAPTER_SECONDS.labels(self._adapter).observe(time.monotonic() - began)

    async def _tried(
        self,
        method: str,
        path: str,
        params: list[tuple[str, str]] | None,
        form: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        *,
        timeout_s: float,
        retry: bool,
    ) -> HttpAnswer:
        deadline = time.monotonic() + timeout_s
        attempts = stamina.retry_context(
            on=_may_retry,
            attempts=self._attempts if retry else 1,
            timeout=timeout_s,
            wait_initial=0.1,
            wait_max=2.0,
            wait_jitter=0.2,
        )
        try:
            async for attempt in attempts:
                with attempt:
                    answer = await self._once(method, path, params, form, body, deadline - time.monotonic())
                    # a wait that outlasts the deadline is the caller's to know, not ours to sleep through
                    in_time = (answer.retry_after_s or 0.0) < deadline - time.monotonic()
                    if retry and in_time and answer.status in RETRIED_STATUSES:
                        raise _Retried(answer)
                    return answer
        except _Retried as exc:
            return exc.answer
        raise AssertionError("stamina ended without an attempt")  # pragma: no cover - it re-raises the last error

    async def _once(
        self,
        method: str,
        path: str,
        params: list[tuple[str, str]] | None,
        form: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        left_s: float,
    ) -> HttpAnswer:
        request = self._client.build_request(
            method,
            self.base_url + path,
            params=tuple(params or ()),
            data=form,
            json=body,
            timeout=httpx.Timeout(max(0.01, left_s)),
        )
        response = await self._client.send(request, stream=True)
        most_bytes = self._max_response_bytes
        if response.status_code >= 300:
            most_bytes = min(most_bytes, MAX_ERROR_BYTES)
        received, turns = bytearray(), Turns()
        try:
            fault = encoding_fault(response.headers)
            if fault is not None:
                raise httpx.DecodingError(fault, request=request)
            async for chunk in response.aiter_bytes():  # not encoded: that was looked at
                received += chunk
                if len(received) > most_bytes:
                    break
                await turns.give()
        finally:
            await response.aclose()
        cut = len(received) > most_bytes
        text = whole(received[:most_bytes].decode("utf-8", "replace"))
        headers = {name.lower(): whole(value) for name, value in response.headers.items()}
        return HttpAnswer(response.status_code, text, headers, cut or is_dense(text))

    def _failed(self, method: str, path: str, why: str, exc: Exception) -> Unavailable:
        ADAPTER_ERRORS.labels(self._adapter, type(exc).__name__).inc()
        log.warning(ANSWER_REFUSED, adapter=self._adapter, path=path, error=type(exc).__name__, detail=why)
        cure = handshake_cure(exc)
        told = f"{self._adapter}: {method} {self.shown_url}{path}: {why}" + (f"; {cure}" if cure else "")
        return self._unavailable(told, cure=cure)

    def unavailable(self, path: str, answer: HttpAnswer, why: str) -> Unavailable:
        """Make (and count) the error for an answer that came but cannot be used."""
        ADAPTER_ERRORS.labels(self._adapter, f"status_{answer.status}" if not answer.ok else "unreadable").inc()
        message = f"{self._adapter}: {self.shown_url}{path}: {why} (status {answer.status}: {answer.shown})"
        return self._unavailable(message, retry_after_s=answer.retry_after_s)


def _reason(exc: Exception) -> str:
    if isinstance(exc, httpx.ProxyError):
        return f"the proxy of HTTP_PROXY or HTTPS_PROXY did not let it through ({exc}); NO_PROXY names who needs none"
    if isinstance(exc, httpx.ConnectError):
        return f"cannot connect ({exc})"
    if isinstance(exc, httpx.DecodingError):
        return str(exc)
    if isinstance(exc, httpx.RemoteProtocolError):
        return f"the answer broke off or was not HTTP ({exc})"
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
