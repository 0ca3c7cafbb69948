"""The one access token of the sandbox's GitLab, and what REST lets its bearer do."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from starlette.requests import Request

from sreops.sandbox.gitlab.records import stamp
from sreops.sandbox.told import Told


def shown_by(request: Request) -> str | None:
    """Return the token that a request shows, in either of the two ways; None where it shows none."""
    private = request.headers.get("private-token")
    if private is not None:
        return private
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else None


@dataclass(frozen=True)
class Token:
    """What `personal_access_tokens/self` tells of the token."""

    value: str
    scopes: tuple[str, ...] = ("api",)
    access_level: int = 30
    expires_at: date | None = None

    def admit(self, request: Request, *, of_project: bool) -> None:
        """Raise Told where the request shows no token, another one, or one that may not do this."""
        given = shown_by(request)
        if given is None:
            # Who is nobody learns nothing of a private project, not even that it is there.
            if of_project and request.method == "GET":
                raise Told(404, {"message": "404 Project Not Found"})
            raise Told(401, {"message": "401 Unauthorized"})
        if given != self.value:
            if "private-token" in request.headers:
                raise Told(401, {"message": "401 Unauthorized"})
            told = "Token was revoked. You have to re-authorize from the user."
            raise Told(401, {"error": "invalid_token", "error_description": told})
        needed = ("api",) if request.method != "GET" else ("api", "read_api")
        if not set(needed) & set(self.scopes):
            raise Told(
                403,
                {
                    "error": "insufficient_scope",
                    "error_description": "The request requires higher privileges than provided by the access token.",
                    "scope": "api",
                },
            )

    def shown(self, user_id: int, now: datetime) -> dict[str, Any]:
        """Return what its bearer is told of it."""
        return {
            "id": 92,
            "name": "sreops",
            "revoked": False,
            "created_at": "2026-10-01T08:00:00.000Z",
            "description": None,
            "scopes": list(self.scopes),
            "user_id": user_id,
            "last_used_at": stamp(now),
            "active": True,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }
