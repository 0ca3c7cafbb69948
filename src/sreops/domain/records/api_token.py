"""API tokens of a person or a service: named, expiring, revocable; of the token itself only a hash is kept."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sreops.domain.records.person import Person, ProvenBy, Role

MAX_DAYS: Final = 366
DEFAULT_DAYS: Final = 30
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

_PREFIX = "sreops_"
_SHAPE: Final = re.compile(_PREFIX + r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class ApiToken:
    """A token as it is kept; ``account`` is the person whose it is, "" a service's own."""

    token_id: str
    name: str
    account: str
    role: Role
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    @property
    def signature(self) -> str:
        """What a decision by it is signed with."""
        return f"{self.account}, token {self.name}" if self.account else f"service {self.name}"

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything now."""
        return self.revoked_at is None and now < self.expires_at


def new_secret() -> str:
    """Return a new token: 256 random bits behind a prefix by which leaked ones are found."""
    return _PREFIX + secrets.token_urlsafe(32)


def key_of(secret: str) -> str:
    """Return what the store knows a random secret by."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def looks_own(text: str) -> bool:
    """Say whether a text has the shape of a token of ours."""
    return _SHAPE.fullmatch(text) is not None


def why_not_create(person: Person, role: Role, *, service: bool) -> str | None:
    """Return why somebody may not make such a token, None where he may."""
    if person.proven_by is ProvenBy.own:
        return "an API token makes no further ones: sign in, or use `sreops tokens create`"
    if person.proven_by is ProvenBy.nothing:
        return "nothing asks for a token here: set SREOPS_API_TOKEN or SREOPS_OIDC__ISSUER first"
    if not person.role.may(role):
        return f"your role is {person.role}: a token of yours can't have the role {role}"
    if service and person.proven_by is ProvenBy.oidc and not person.role.may(Role.admin):
        return "a service's token is made by somebody with the role admin"
    if not service and not person.account:
        return "the shared token is nobody's: make it a service's token"
    return None


def why_not_revoke(person: Person, token: ApiToken) -> str | None:
    """Return why somebody may not end a token, None where he may."""
    if person.role.may(Role.admin):
        return None
    if person.proven_by is ProvenBy.shared and not token.account:
        return None
    if person.account and token.account == person.account:
        return None
    return "somebody else's token is ended by somebody with the role admin"
