"""Signing in to the page: by the provider or with the token, and a random cookie stands for it from then on."""

import re
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sreops.domain.records.person import role_of
from sreops.errors import IdentityUnavailable, SignInRefused
from sreops.ports.identity import IdentityProvider
from sreops.telemetry import log
from sreops.web.access import SESSION_COOKIE, SESSION_TTL, Access
from sreops.web.answers import Refusal, read_form
from sreops.web.context import WebContext
from sreops.web.oidc_departure_cookie import DEPARTURE_COOKIE, DEPARTURE_TTL, DepartureCookies, Journey
from sreops.web.pages import Pages

SIGNED_IN: Final = "sign_in.succeeded"
SIGN_IN_REFUSED: Final = "sign_in.refused"
CALLBACK: Final = "/sign-in/callback"
"""What the provider is told to send browsers back to, after SREOPS_PUBLIC_URL."""

_OUR_PAGE: Final = re.compile(r"/(incidents/[A-Za-z0-9-]+)?")


def sign_in_routes(context: WebContext, access: Access, pages: Pages) -> list[Route]:
    """Return the routes that begin and end a session."""
    sign_in = _SignIn(context, access, pages)
    routes = [
        Route("/sign-in", sign_in.show, methods=["GET"]),
        Route("/sign-in", sign_in.by_token, methods=["POST"]),
        Route("/sign-out", sign_in.end, methods=["POST"]),
    ]
    if context.identity is not None and context.settings.oidc.client_secret is not None:
        secret = context.settings.oidc.client_secret.get_secret_value()
        travel = _Travel(sign_in, context.identity, DepartureCookies(secret.encode()))
        routes += [
            Route("/sign-in/oidc", travel.depart, methods=["GET"]),
            Route(CALLBACK, travel.arrive, methods=["GET"]),
        ]
    return routes


class _SignIn:
    def __init__(self, context: WebContext, access: Access, pages: Pages) -> None:
        self.context = context
        self.access = access
        self.pages = pages

    async def show(self, request: Request) -> Response:
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)

    async def by_token(self, request: Request) -> Response:
        self.access.check_same_origin(request)  # or another site could sign somebody in as somebody else
        form = await read_form(request)
        try:
            session = await self.access.sign_in(form.get("token", ""), request)
        except Refusal as refusal:
            return self.pages.sign_in(request, problem=f"{refusal}: {refusal.cure}", refusal=refusal)
        target = after_sign_in(form.get("next", ""))
        if session is None:
            return self.pages.sign_in(request, problem="This is not the API token.", target=target)
        log.info(SIGNED_IN, address=_address(request), by="shared token")
        response = RedirectResponse(target, HTTPStatus.SEE_OTHER)
        self.give(response, request, session, int(SESSION_TTL.total_seconds()))
        return response

    async def end(self, request: Request) -> Response:
        self.access.check_same_origin(request)
        await self.access.sign_out(request)
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
        return response

    def give(self, response: Response, request: Request, session: str, max_age_s: int) -> None:
        response.set_cookie(
            SESSION_COOKIE,
            session,
            max_age=max_age_s,
            httponly=True,
            samesite="strict",
            secure=self.over_tls(request),
        )

    def over_tls(self, request: Request) -> bool:
        # TLS ends in a proxy before us; what the browser itself used is in its Origin, else in what we were told
        return "https" in (
            request.headers.get("origin", "").partition(":")[0],
            request.url.scheme,
            (self.context.settings.public_url or "").partition(":")[0],
        )


class _Travel:
    """To the provider and back (OpenID Connect Core 3.1)."""

    def __init__(self, sign_in: _SignIn, identity: IdentityProvider, departures: DepartureCookies) -> None:
        self._sign_in = sign_in
        self._access = sign_in.access
        self._context = sign_in.context
        self._identity = identity
        self._departures = departures

    async def depart(self, request: Request) -> Response:
        target = after_sign_in(request.query_params.get("next", ""))
        try:
            departure = await self._identity.depart(self._redirect_uri(request))
        except IdentityUnavailable as exc:
            return self._problem(request, 503, f"The provider can't be reached now: {exc}")
        journey = Journey(departure.state, departure.nonce, departure.verifier, target)
        response = RedirectResponse(departure.url, HTTPStatus.SEE_OTHER)
        response.set_cookie(
            DEPARTURE_COOKIE,
            self._departures.pack(journey, self._context.clock.now()),
            max_age=int(DEPARTURE_TTL.total_seconds()),
            path="/sign-in",
            httponly=True,
            samesite="lax",  # strict would not come back with the browser
            secure=self._sign_in.over_tls(request),
        )
        return response

    async def arrive(self, request: Request) -> Response:
        query = request.query_params
        cookie = request.cookies.get(DEPARTURE_COOKIE, "")
        journey = self._departures.unpack(cookie, query.get("state", ""), self._context.clock.now())
        if journey is None:  # somebody else's link, an old one, or a second tab that set out later
            return self._problem(request, 400, "This sign-in was not begun in this browser, or took too long.")
        if "error" in query:
            told = f"{query['error'][:100]} {query.get('error_description', '')[:300]}"
            return self._problem(request, 403, f"The provider refused: {told}")
        try:
            found = await self._identity.arrive(
                code=query.get("code", "")[:4096],
                redirect_uri=self._redirect_uri(request),
                nonce=journey.nonce,
                verifier=journey.verifier,
                issuer=query.get("iss"),
            )
        except SignInRefused as exc:
            log.warning(SIGN_IN_REFUSED, address=_address(request), error=str(exc))
            return self._problem(request, 403, "The provider's answer could not be believed; the log says why.")
        except IdentityUnavailable as exc:
            return self._problem(request, 503, f"The provider can't be reached now: {exc}")
        role = role_of(found.groups, self._context.settings.oidc.roles)
        if role is None:
            log.warning(SIGN_IN_REFUSED, address=_address(request), account=found.account, error="no role")
            told = f"You are {found.account}, and none of your groups has a role here (SREOPS_OIDC__ROLES)."
            return self._problem(request, 403, told)
        log.info(SIGNED_IN, address=_address(request), by=found.account, role=role.value)
        session = await self._access.begin_oidc_session(found.account, role)
        # a page of ours, not a redirect: what follows a redirect from the provider comes without the strict cookie
        response = self._sign_in.pages.signed_in(journey.target)
        self._sign_in.give(response, request, session, int(self._context.settings.oidc.session_s))
        response.delete_cookie(DEPARTURE_COOKIE, path="/sign-in", httponly=True, samesite="lax")
        return response

    def _redirect_uri(self, request: Request) -> str:
        base = self._context.settings.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
        return base.rstrip("/") + CALLBACK

    def _problem(self, request: Request, status: int, told: str) -> Response:
        response = self._sign_in.pages.sign_in(request, problem=told, target="/", refusal=Refusal(status, told))
        response.delete_cookie(DEPARTURE_COOKIE, path="/sign-in", httponly=True, samesite="lax")
        return response


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def after_sign_in(wanted: str) -> str:
    """Return where to go: one of our own pages, else the first one; never another site."""
    return wanted if _OUR_PAGE.fullmatch(wanted) else "/"
