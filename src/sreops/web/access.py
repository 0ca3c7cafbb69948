"""Who may: the API token as a bearer token or as a signed session, and from which site a change may come."""

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from sreops.ports import Clock
from sreops.settings import Settings
from sreops.web.answers import Refusal
from sreops.web.origin import asked_by_own_page, asked_name, is_loopback

SESSION_COOKIE: Final = "sreops_session"
SESSION_TTL: Final = timedelta(hours=12)
MAX_FAILURES: Final = 10
"""Failed sign-ins of one address within FAILURE_WINDOW; further ones wait."""
FAILURE_WINDOW: Final = timedelta(minutes=1)

_MAX_ADDRESSES = 1000
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

Endpoint = Callable[[Request], Awaitable[Response]]


class Access:
    """Decides over every request but those to ``/alerts``, which has its own credentials."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        token = settings.api_token.get_secret_value().encode() if settings.api_token else b""
        self._token = token
        # The cookie is signed with a key of the token: it is never the token, and a new token ends every session.
        self._key = hmac.new(token, b"sreops session 1", hashlib.sha256).digest() if token else b""
        self._clock = clock
        self._any_host = bool(token) or settings.allow_anonymous
        self._host = settings.host
        self._signed_out: dict[str, datetime] = {}
        self._failures: dict[str, deque[datetime]] = {}

    @property
    def needs_token(self) -> bool:
        """Whether an API token is set."""
        return bool(self._token)

    def guard(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint behind :meth:`check`."""

        async def guarded(request: Request) -> Response:
            self.check(request)
            return await endpoint(request)

        return guarded

    def check(self, request: Request) -> None:
        """Raise Refusal: 401 without the token, 403 for a change that another site asks for."""
        self._check_host(request)
        by_bearer = self._bearer(request)
        if self.needs_token and not by_bearer and not self._session(request):
            raise Refusal(
                401,
                "no valid API token",
                "send `Authorization: Bearer <SREOPS_API_TOKEN>`, or sign in at /",
                {"WWW-Authenticate": 'Bearer realm="sreops"'},
            )
        if not by_bearer:
            self.check_same_origin(request)

    def allows(self, request: Request) -> bool:
        """Say whether :meth:`check` would pass."""
        try:
            self.check(request)
        except Refusal:
            return False
        return True

    def check_same_origin(self, request: Request) -> None:
        """Raise Refusal(403) where a browser says that another site's page sent this change.

        Who says nothing of it is no browser, and then there must be no cookie that a browser would have added.
        """
        if request.method in _SAFE_METHODS:
            return
        same = asked_by_own_page(request)
        if same is None:
            same = SESSION_COOKIE not in request.cookies
        if not same:
            raise Refusal(403, "this change was asked for by a page of another site", "use the page of sreops itself")

    def _check_host(self, request: Request) -> None:
        """Without a token the page is for this machine alone: a name that a stranger points here gets nothing.

        (DNS rebinding: to the browser such a page would be of the same origin.)
        """
        name = asked_name(request)
        if self._any_host or name in ("", self._host.lower()) or is_loopback(name):
            return
        raise Refusal(
            403,
            f"sreops has no API token and answers to this machine's own names only, not to {name[:100]!r}",
            "open http://localhost:<port>/, or set SREOPS_API_TOKEN",
        )

    def _bearer(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(given.strip().encode("latin-1", "replace"))

    def _is_token(self, given: bytes) -> bool:
        return hmac.compare_digest(given, self._token) and self.needs_token

    # sessions

    def sign_in(self, given: str, address: str) -> str | None:
        """Return a session for the right token, None for a wrong one; raises Refusal(429) after too many."""
        now = self._clock.now()
        failures = self._failures.get(address)
        while failures and failures[0] <= now - FAILURE_WINDOW:
            failures.popleft()
        if failures and len(failures) >= MAX_FAILURES:
            wait_s = int(FAILURE_WINDOW.total_seconds())
            raise Refusal(429, "too many failed sign-ins", f"wait {wait_s} s", {"Retry-After": str(wait_s)})
        if self._is_token(given.strip().encode()):
            self._failures.pop(address, None)
            return self._mint(now)
        if failures is None:
            if len(self._failures) >= _MAX_ADDRESSES:
                self._failures.pop(next(iter(self._failures)))
            failures = self._failures.setdefault(address, deque(maxlen=MAX_FAILURES))
        failures.append(now)
        return None

    def sign_out(self, request: Request) -> None:
        """End the session of this request, so that a copy of its cookie is worth nothing."""
        now = self._clock.now()
        self._signed_out = {mac: until for mac, until in self._signed_out.items() if until > now}
        if self._session(request):
            self._signed_out[request.cookies[SESSION_COOKIE]] = now + SESSION_TTL

    def _mint(self, now: datetime) -> str:
        claim = f"{int((now + SESSION_TTL).timestamp())}.{secrets.token_urlsafe(12)}"
        return f"{claim}.{self._sign(claim)}"

    def _sign(self, claim: str) -> str:
        return hmac.new(self._key, claim.encode(), hashlib.sha256).hexdigest()

    def _session(self, request: Request) -> bool:
        given = request.cookies.get(SESSION_COOKIE, "")
        claim, _, mac = given.rpartition(".")
        if not self.needs_token or not given.isascii() or not hmac.compare_digest(mac, self._sign(claim)):
            return False
        until = claim.partition(".")[0]  # ours, since the signature holds
        return int(until) > self._clock.now().timestamp() and given not in self._signed_out
