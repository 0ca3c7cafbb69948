"""``/api/me``, ``/api/tokens``, ``/account``: who is signed in, API tokens of people and services, ending sessions."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sreops.domain.records.api_token import (
    DEFAULT_DAYS,
    MAX_DAYS,
    NAME,
    ApiToken,
    key_of,
    new_secret,
    why_not_create,
    why_not_revoke,
)
from sreops.domain.records.person import Person, ProvenBy, Role
from sreops.errors import DecisionConflict, NotFound
from sreops.telemetry import log
from sreops.web.access import Access
from sreops.web.answers import Refusal, answer, read_form, read_json, validated
from sreops.web.context import WebContext
from sreops.web.pages import Pages

CREATED: Final = "api_token.created"
REVOKED: Final = "api_token.revoked"
SESSIONS_ENDED: Final = "sessions.ended"


class TokenBody(BaseModel):
    """A token that is wanted: ``person``, the asker's own, or ``service``."""

    name: Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
    role: Role = Role.viewer
    kind: Literal["person", "service"] = "person"
    days: int = Field(DEFAULT_DAYS, ge=1, le=MAX_DAYS)


class AccountBody(BaseModel):
    """Whose sessions end; empty: the asker's own."""

    account: Annotated[str, StringConstraints(max_length=200)] = ""


def token_routes(context: WebContext, access: Access, pages: Pages) -> list[Route]:
    """Return the routes; making and taking tokens needs the role operator, others' the role admin."""
    tokens = _Tokens(context, pages)
    gets = {"/api/me": tokens.me, "/api/tokens": tokens.listed, "/account": tokens.page}
    posts = {
        "/api/tokens": tokens.create,
        "/api/tokens/{token_id}/revoke": tokens.revoke,
        "/api/sessions/end": tokens.end_sessions,
        "/account/tokens": tokens.create_by_form,
        "/account/tokens/{token_id}/revoke": tokens.revoke_by_form,
        "/account/sessions/end": tokens.end_sessions_by_form,
    }
    looks = {"/api/sessions/end", "/account/sessions/end"}  # whoever may look may sign himself out
    return [
        *(Route(path, access.guard(endpoint), methods=["GET"]) for path, endpoint in gets.items()),
        *(
            Route(path, access.guard(endpoint, needs=Role.viewer if path in looks else Role.operator), methods=["POST"])
            for path, endpoint in posts.items()
        ),
    ]


def token_json(token: ApiToken) -> dict[str, Any]:
    """Return a token as the API shows it, without what opens anything."""
    return {
        "id": token.token_id,
        "name": token.name,
        "account": token.account or None,
        "role": token.role.value,
        "created_by": token.created_by,
        "created_at": token.created_at.isoformat(),
        "expires_at": token.expires_at.isoformat(),
        "revoked_at": token.revoked_at.isoformat() if token.revoked_at else None,
    }


class _Tokens:
    def __init__(self, context: WebContext, pages: Pages) -> None:
        self._context = context
        self._store = context.store
        self._pages = pages

    async def me(self, request: Request) -> Response:
        person = _asker(request)
        told = {"account": person.account or None, "role": person.role.value, "proven_by": person.proven_by.value}
        return answer(told)

    async def listed(self, request: Request) -> Response:
        return answer({"items": [token_json(token) for token in await self._visible(_asker(request))]})

    async def create(self, request: Request) -> Response:
        body = await read_json(
            request, TokenBody, example='{"name": "…", "role": "viewer", "kind": "person", "days": 30}'
        )
        token, secret = await self._create(_asker(request), body)
        return answer({**token_json(token), "token": secret}, 201)

    async def revoke(self, request: Request) -> Response:
        return answer(token_json(await self._revoke(request)))

    async def end_sessions(self, request: Request) -> Response:
        body = await read_json(request, AccountBody, example='{"account": "…"}')
        return answer({"ended": await self._end_sessions(_asker(request), body.account)})

    # the page

    async def page(self, request: Request) -> Response:
        return await self._show(request)

    async def create_by_form(self, request: Request) -> Response:
        body = validated(TokenBody, await read_form(request), "correct the named field")
        try:
            _, secret = await self._create(_asker(request), body)
        except (Refusal, DecisionConflict) as exc:
            return await self._show(request, exc.status if isinstance(exc, Refusal) else 409, problem=str(exc))
        return await self._show(request, secret=secret)

    async def revoke_by_form(self, request: Request) -> Response:
        await self._revoke(request)
        return RedirectResponse("/account", HTTPStatus.SEE_OTHER)

    async def end_sessions_by_form(self, request: Request) -> Response:
        await self._end_sessions(_asker(request), "")
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)

    async def _show(self, request: Request, status: int = 200, problem: str = "", secret: str = "") -> Response:
        person = _asker(request)
        roles = [role for role in Role if person.role.may(role)]
        tokens = await self._visible(person)
        now = self._context.clock.now()
        kinds = [
            kind
            for kind in ("person", "service")
            if person.role.may(Role.operator) and why_not_create(person, Role.viewer, service=kind == "service") is None
        ]
        return await self._pages.account(
            request,
            status,
            tokens=tokens,
            revocable={
                token.token_id for token in tokens if token.valid(now) and why_not_revoke(person, token) is None
            },
            roles=[role.value for role in roles],
            kinds=kinds,
            max_days=MAX_DAYS,
            default_days=DEFAULT_DAYS,
            problem=problem,
            secret=secret,
        )

    # what both do

    async def _visible(self, person: Person) -> Sequence[ApiToken]:
        """Return the asker's own; all of them to an admin, those of services to the shared token."""
        tokens = await self._store.api_tokens()
        return [token for token in tokens if why_not_revoke(person, token) is None]

    async def _create(self, person: Person, body: TokenBody) -> tuple[ApiToken, str]:
        service = body.kind == "service"
        why = why_not_create(person, body.role, service=service)
        if why is not None:
            raise Refusal(403, why)
        secret = new_secret()
        now = self._context.clock.now()
        token = ApiToken(
            token_id=secrets.token_hex(6),
            name=body.name,
            account="" if service else person.account,
            role=body.role,
            created_by=person.account or person.proven_by.value,
            created_at=now,
            expires_at=now + timedelta(days=body.days),
        )
        await self._store.add_api_token(key_of(secret), token)
        log.info(CREATED, token=token.token_id, name=token.name, role=token.role.value, by=token.created_by)
        return token, secret

    async def _revoke(self, request: Request) -> ApiToken:
        person = _asker(request)
        token_id = request.path_params["token_id"]
        token = next((token for token in await self._store.api_tokens() if token.token_id == token_id), None)
        if token is None:
            raise NotFound(f"there is no API token {token_id[:50]!r}")
        why = why_not_revoke(person, token)
        if why is not None:
            raise Refusal(403, why)
        by = person.account or person.proven_by.value
        log.info(REVOKED, token=token.token_id, name=token.name, by=by)
        return await self._store.revoke_api_token(token_id, by=by, now=self._context.clock.now())

    async def _end_sessions(self, person: Person, account: str) -> int:
        wanted = account or person.account
        if not wanted:
            raise Refusal(422, "account: missing, and the shared token is nobody's", 'send {"account": "…"}')
        if wanted != person.account and not (person.role.may(Role.admin) and person.proven_by is not ProvenBy.nothing):
            raise Refusal(403, "somebody else's sessions are ended by somebody with the role admin")
        by = person.account or person.proven_by.value
        ended = await self._store.end_sessions_of(wanted, by=by, now=self._context.clock.now())
        log.info(SESSIONS_ENDED, account=wanted, count=ended, by=by)
        return ended


def _asker(request: Request) -> Person:
    person: Person = request.state.person
    return person
