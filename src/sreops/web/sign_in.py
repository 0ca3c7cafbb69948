"""Signing in to the page: the token is shown once, and a random cookie stands for it from then on."""

import re
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sreops.telemetry import log
from sreops.web.access import SESSION_COOKIE, SESSION_TTL, Access
from sreops.web.answers import Refusal, read_form
from sreops.web.pages import Pages

SIGNED_IN: Final = "sign_in.succeeded"

_OUR_PAGE: Final = re.compile(r"/(incidents/[A-Za-z0-9-]+)?")


def sign_in_routes(access: Access, pages: Pages) -> list[Route]:
    """Return the routes that begin and end a session."""

    async def show(request: Request) -> Response:
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)

    async def sign_in(request: Request) -> Response:
        access.check_same_origin(request)  # or another site could sign somebody in as somebody else
        form = await read_form(request)
        address = request.client.host if request.client else ""
        try:
            session = await access.sign_in(form.get("token", ""), request)
        except Refusal as refusal:
            return pages.sign_in(request, problem=f"{refusal}: {refusal.cure}", refusal=refusal)
        target = after_sign_in(form.get("next", ""))
        if session is None:
            return pages.sign_in(request, problem="This is not the API token.", target=target)
        log.info(SIGNED_IN, address=address)
        response = RedirectResponse(target, HTTPStatus.SEE_OTHER)
        response.set_cookie(
            SESSION_COOKIE,
            session,
            max_age=int(SESSION_TTL.total_seconds()),
            httponly=True,
            samesite="strict",
            # TLS ends in a proxy before us; what the browser itself used is in its Origin
            secure=request.headers.get("origin", "").startswith("https://") or request.url.scheme == "https",
        )
        return response

    async def sign_out(request: Request) -> Response:
        access.check_same_origin(request)
        await access.sign_out(request)
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
        return response

    return [
        Route("/sign-in", show, methods=["GET"]),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
    ]


def after_sign_in(wanted: str) -> str:
    """Return where to go: one of our own pages, else the first one; never another site."""
    return wanted if _OUR_PAGE.fullmatch(wanted) else "/"
