"""Who may: who asks, as a bearer token or a session proves it, and from which site a change may come."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from sreops.domain.records.api_token import key_of, looks_own
from sreops.domain.records.person import Person, ProvenBy, Role, Session
from sreops.errors import SreopsError
from sreops.ports import Clock, IncidentStore
from sreops.settings import Settings
from sreops.web.answers import Refusal
from sreops.web.connections import tell_accepted
from sreops.web.origin import asked_by_own_page, asked_name, is_loopback
from sreops.web.wrong_credentials import WINDOW_S, WrongCredentials

SESSION_COOKIE: Final = "sreops_session"
SESSION_TTL: Final = timedelta(hours=12)

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_NOBODY = Person("", Role.admin, ProvenBy.nothing)

ASKED_BY: ContextVar[Person | None] = ContextVar("asked_by", default=None)
"""Who asks, for what is drawn for every page; what is decided is signed from ``request.state.person``."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Access:
    """Decides over every request but those to ``/alerts``, which has its own credentials."""

    def __init__(
        self, settings: Settings, clock: Clock, store: IncidentStore, guesses: WrongCredentials | None = None
    ) -> None:
        token = settings.api_token.get_secret_value().encode() if settings.api_token else b""
        self._token = token
        oidc = settings.oidc
        self.by_oidc = oidc.issuer is not None
        # where people can say who they are, the token that they share only looks
        self._shared = Person("", Role.viewer if self.by_oidc else Role.operator, ProvenBy.shared)
        # of which token a session was made: never the token itself, and a new token ends the sessions of the old one
        self._mark = hmac.new(token, b"sreops session 1", hashlib.sha256).hexdigest()[:32] if token else ""
        # and of which provider and roles: who loses a role by the settings has it no longer
        told = json.dumps([oidc.issuer, oidc.client_id, oidc.claim, sorted(oidc.roles.items())])
        self._oidc_mark = "oidc " + hashlib.sha256(told.encode()).hexdigest()[:32] if self.by_oidc else ""
        self._oidc_ttl = timedelta(seconds=oidc.session_s)
        self._clock = clock
        self._store = store
        self._guesses = guesses or WrongCredentials()
        self._any_host = self.needs_proof or settings.allow_anonymous
        self._host = settings.host

    @property
    def needs_proof(self) -> bool:
        """Whether it matters who asks: an API token is set, or a provider."""
        return self.by_token or self.by_oidc

    @property
    def by_token(self) -> bool:
        """Whether an API token is set."""
        return bool(self._token)

    def guard(self, endpoint: Endpoint, needs: Role | None = None) -> Endpoint:
        """Return the endpoint behind :meth:`check`; the person is in ``request.state.person``."""

        async def guarded(request: Request) -> Response:
            request.state.person = await self.check(request, needs)
            ASKED_BY.set(request.state.person)
            return await endpoint(request)

        return guarded

    async def check(self, request: Request, needs: Role | None = None) -> Person:
        """Return who asks, who has the role that this ``needs``: operator for a change, viewer for a look.

        Raises Refusal: 401 without proof (429 after too many wrong ones), 403 for a change that another site asks for
        or that the role does not allow. Raises StoreUnavailable where a session can't be looked up.
        """
        self._check_host(request)
        by_bearer = await self._bearer(request)
        person = by_bearer or await self._by_session(request) or (None if self.needs_proof else _NOBODY)
        if person is None:
            raise Refusal(
                401,
                "nobody has signed in, and there is no valid API token",
                "send `Authorization: Bearer <token>`, or sign in at /",
                {"WWW-Authenticate": 'Bearer realm="sreops"'},
            )
        if by_bearer is None:
            self.check_same_origin(request)
        needed = needs or (Role.viewer if request.method in _SAFE_METHODS else Role.operator)
        if not person.role.may(needed):
            raise Refusal(403, f"{_called(person)} may only look", f"this takes the role {needed}")
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
        if scheme.lower() != "bearer" or not self.needs_proof:
            return None
        shown = given.strip()
        if self._is_token(shown.encode("latin-1", "replace")):
            return self._shared
        if looks_own(shown):  # others are not worth a look into the store
            found = await self._store.api_token(key_of(shown), now=self._clock.now())
            if found is not None:
                return Person(found.signature, found.role, ProvenBy.own)
        await self.wrong("api", request)
        return None

    def _is_token(self, given: bytes) -> bool:
        return hmac.compare_digest(given, self._token) and self.by_token

    async def wrong(self, where: str, request: Request) -> None:
        """Take note of a wrong credential; raises Refusal(429), after a while, where there were too many."""
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
            return await self._begin(self._shared, self._mark, SESSION_TTL)
        await self.wrong("sign_in", request)
        return None

    async def begin_oidc_session(self, account: str, role: Role) -> str:
        """Return a session's cookie for whom the provider has named."""
        return await self._begin(Person(account, role, ProvenBy.oidc), self._oidc_mark, self._oidc_ttl)

    async def _begin(self, person: Person, made_with: str, ttl: timedelta) -> str:
        cookie = secrets.token_urlsafe(32)
        now = self._clock.now()
        await self._store.begin_session(key_of(cookie), Session(person, made_with, now, now + ttl))
        return cookie

    async def sign_out(self, request: Request) -> None:
        """End the session of this request in the store, so that a copy of its cookie is worth nothing anywhere."""
        if cookie := request.cookies.get(SESSION_COOKIE):
            await self._store.end_session(key_of(cookie))

    async def _by_session(self, request: Request) -> Person | None:
        cookie = request.cookies.get(SESSION_COOKIE, "")
        if not self.needs_proof or not cookie:
            return None
        session = await self._store.session(key_of(cookie), now=self._clock.now())
        if session is None:
            return None
        if self.by_token and session.made_with == self._mark:
            return self._shared  # with the role that it has now
        return session.person if self.by_oidc and session.made_with == self._oidc_mark else None


def _called(person: Person) -> str:
    return f"{person.account} (role {person.role})" if person.account else f"the {person.proven_by} here"
