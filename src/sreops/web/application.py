"""The web application: all routes of the process, and what every one of them has in common."""

from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sreops.errors import DecisionConflict, NotFound, PayloadRejected, SreopsError, Unavailable
from sreops.telemetry import log
from sreops.web.access import Access
from sreops.web.alerts import AlertsContext, alerts_routes
from sreops.web.answers import RETRY_AFTER_S, Refusal, refused
from sreops.web.api import api_routes
from sreops.web.context import WebContext
from sreops.web.health import Checks, health_routes
from sreops.web.listings import listing_routes
from sreops.web.openapi import openapi_routes
from sreops.web.pages import Pages
from sreops.web.people import people_routes
from sreops.web.security import SecurityHeaders
from sreops.web.sign_in import sign_in_routes
from sreops.web.stream import stream_routes
from sreops.web.tokens import token_routes
from sreops.web.wrong_credentials import WrongCredentials

REQUEST_FAILED: Final = "web.request_failed"


def build_web(context: WebContext) -> Starlette:
    """Return the ASGI application; ``/alerts`` is there only with the role ``bridge``."""
    guesses = WrongCredentials(pause=context.pause)
    access = Access(context.settings, context.clock, context.store, guesses)
    checks = Checks(context)
    pages = Pages(context, access, checks)
    routes: list[Route] = [
        *health_routes(context, access, checks),
        *stream_routes(context, access),
        *api_routes(context, access),
        *token_routes(context, access, pages),
        *people_routes(context, access),
        *openapi_routes(context, access),
        *sign_in_routes(context, access, pages),
        *listing_routes(context, access, pages),
        *pages.routes(),
    ]
    if "bridge" in context.settings.roles:
        bridge = AlertsContext(
            event_log=context.event_log,
            settings=context.settings,
            clock=context.clock,
            guesses=guesses,
            last=context.last_webhook,
        )
        routes = [*alerts_routes(bridge), *routes]

    async def failed(request: Request, exc: Exception) -> Response:
        refusal = _refusal_of(exc)
        if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error(REQUEST_FAILED, path=request.url.path, status=refusal.status, error=str(exc))
        if not _wants_page(request):
            return refused(refusal)
        return pages.sign_in(request) if refusal.status == HTTPStatus.UNAUTHORIZED else pages.error(request, refusal)

    app = Starlette(
        routes=routes,
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={Refusal: failed, SreopsError: failed, HTTPException: failed, Exception: failed},
    )
    # A redirect would go to a URL made from the Host header, and turn some clients' POST into a GET.
    app.router.redirect_slashes = False
    return app


def _wants_page(request: Request) -> bool:
    path = request.url.path
    return "text/html" in request.headers.get("accept", "") and not path.startswith(("/api/", "/events", "/alerts"))


def _refusal_of(exc: Exception) -> Refusal:
    """Return what to answer for an error: status, words, cure."""
    text = str(exc)
    if isinstance(exc, Refusal):
        return exc
    if isinstance(exc, HTTPException):
        return _of_framework(exc)
    if isinstance(exc, NotFound):
        return Refusal(404, text, "GET /api/incidents lists the incidents that there are")
    if isinstance(exc, DecisionConflict):
        return Refusal(409, text, "GET /api/incidents/{id} shows where it stands now")
    if isinstance(exc, PayloadRejected):
        return Refusal(exc.status, text, "correct the named value")
    if isinstance(exc, Unavailable) and exc.retryable:
        wait_s = max(1, round(exc.retry_after_s or RETRY_AFTER_S))
        return Refusal(503, text, "try again shortly; /health says what is away", {"Retry-After": str(wait_s)})
    if isinstance(exc, Unavailable):
        return Refusal(503, text, "see the message; asking again does not help")
    if isinstance(exc, SreopsError):
        return Refusal(500, text, "see the log of sreops")
    return Refusal(500, "sreops failed on this request", "see its log; if it happens again, report it")


def _of_framework(exc: HTTPException) -> Refusal:
    if exc.status_code == HTTPStatus.NOT_FOUND:
        return Refusal(404, "there is nothing at this address", "see the interfaces in the README")
    if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (exc.headers or {}).get("Allow", "")
        return Refusal(405, "this address does not take this method", f"use {allowed}", exc.headers)
    return Refusal(exc.status_code, exc.detail, "", exc.headers)
