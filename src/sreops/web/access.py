"""Who may: who asks, as a bearer token or a session proves it, and from which site a change may come."""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from sreops.domain.records.person import Person, ProvenBy, Role, Session
from sreops.errors import SreopsError
from sreops.ports import Clock
from sreops.ports.store.sessions import Sessions
from sreops.settings import Settings
from sreops.web.answers import Refusal
from sreops.web.connections import tell_accepted
from sreops.web.guesses import WINDOW_S, Guesses
from sreops.web.origin import asked_by_own_page, asked_name, is_loopback

SESSION_COOKIE: Final = "sreops_session"
SESSION_TTL: Final = timedelta(hours=12)

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_NOBODY = Person("", Role.admin, ProvenBy.nothing)

Endpoint = Callable[[Request], Awaitable[Response]]


class Access:
    """Decides over every request but those to ``/alerts``, which has its own credentials."""

    def __init__(self, settings: Settings, clock: Clock, store: Sessions, guesses: Guesses | None = None) -> None:
        token = settings.api_token.get_secret_value().encode() if settings.api_token else b""
        self._token = token
        self._shared = Person("", Role.operator, ProvenBy.shared)
        # of which token a session was made: never the token itself, and a new token ends the sessions of the old one
        self._mark = hmac.new(token, b"sreops session 1", hashlib.sha256).hexdigest()[:32] if token else ""
        self._clock = clock
        self._store = store
        self._guesses = guesses or Guesses()
        self._any_host = bool(token) or settings.allow_anonymous
        self._host = settings.host

    @property
    def needs_token(self) -> bool:
        """Whether an API token is set."""
        return bool(self._token)

    def guard(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint behind :meth:`check`; the person is in ``request.state.person``."""

        async def guarded(request: Request) -> Response:
            request.state.person = await self.check(request)
            return await endpoint(request)

        return guarded

    async def check(self, request: Request) -> Person:
        """Return who asks.

        Raises Refusal: 401 without proof (429 after too many wrong ones), 403 for a change that another site asks for
        or that the role does not allow. Raises StoreUnavailable where a session can't be looked up.
        """
        self._check_host(request)
        by_bearer = await self._bearer(request)
        person = by_bearer or await self._by_session(request) or (None if self.needs_token else _NOBODY)
        if person is None:
            raise Refusal(
                401,
                "no valid API token",
                "send `Authorization: Bearer <SREOPS_API_TOKEN>`, or sign in at /",
                {"WWW-Authenticate": 'Bearer realm="sreops"'},
            )
        if by_bearer is None:
            self.check_same_origin(request)
        needed = Role.viewer if request.method in _SAFE_METHODS else Role.operator
        if not person.role.may(needed):
            raise Refusal(403, f"the role {person.role} may only look", "ask somebody with the role operator")
        tell_accepted(request.scope)
        return person

    async def allows(self, request: Request) -> bool:
        """Say whether :meth:`check` would pass."""
        try:
            await self.check(request)
        except (Refusal, SreopsError):
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

    async def _bearer(self, request: Request) -> Person | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.needs_token:
            return None
        if self._is_token(given.strip().encode("latin-1", "replace")):
            return self._shared
        await self._wrong("api", request)
        return None

    def _is_token(self, given: bytes) -> bool:
        return hmac.compare_digest(given, self._token) and self.needs_token

    async def _wrong(self, where: str, request: Request) -> None:
        if await self._guesses.wrong(where, request):
            wait_s = str(int(WINDOW_S))
            told = "too many wrong credentials from this address"
            raise Refusal(429, told, "a right one is accepted at any time", {"Retry-After": wait_s})

    # sessions

    async def sign_in(self, given: str, request: Request) -> str | None:
        """Return a session's cookie for the right token, None for a wrong one; raises Refusal(429) after too many.

        Only wrong ones are slowed: whoever guesses must not lock out those who share an address with him.
        """
        if self._is_token(given.strip().encode()):
            return await self.begin_session(self._shared, self._mark)
        await self._wrong("sign_in", request)
        return None

    async def begin_session(self, person: Person, made_with: str) -> str:
        """Keep a session in the store; return the cookie that opens it."""
        cookie = secrets.token_urlsafe(32)
        now = self._clock.now()
        await self._store.begin_session(key_of(cookie), Session(person, made_with, now, now + SESSION_TTL))
        return cookie

    async def sign_out(self, request: Request) -> None:
        """End the session of this request in the store, so that a copy of its cookie is worth nothing anywhere."""
        if cookie := request.cookies.get(SESSION_COOKIE):
            await self._store.end_session(key_of(cookie))

    async def _by_session(self, request: Request) -> Person | None:
        cookie = request.cookies.get(SESSION_COOKIE, "")
        if not self.needs_token or not cookie:
            return None
        session = await self._store.session(key_of(cookie), now=self._clock.now())
        if session is None or session.made_with != self._mark:
            return None
        return session.person


def key_of(secret: str) -> str:
    """Return what the store knows a random secret by."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
