"""Who decides: an account as it was proven, and what its role lets it do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What an account may do; each may also do what those before it may."""

    viewer = "viewer"  # looks
    operator = "operator"  # decides, switches automation
    admin = "admin"  # gives and takes other people's API tokens

    def may(self, needed: "Role") -> bool:
        """Whether this role suffices."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class ProvenBy(StrEnum):
    """How an account was proven."""

    nothing = "nothing"  # no token is set: whoever reaches it may
    shared = "shared token"  # SREOPS_API_TOKEN: one operator, whoever holds it
    own = "api token"  # a token of a person's or service's own
    oidc = "oidc"


@dataclass(frozen=True)
class Person:
    """An account with its role; ``account`` is "" where nothing says whose it is."""

    account: str
    role: Role
    proven_by: ProvenBy

    def signs(self, claimed: str) -> str:
        """Return what a decision is signed with: what was proven, and only where nothing was, what is claimed."""
        if self.account:
            return self.account
        return f"shared token, says {claimed}" if self.proven_by is ProvenBy.shared else claimed


@dataclass(frozen=True)
class Session:
    """A browser that has signed in; ``made_with`` is a mark of the credential, whose change ends the session."""

    person: Person
    made_with: str
    began_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class PendingSignIn:
    """A browser that was sent to the provider; ``browser`` is a hash of its cookie."""

    state: str
    browser: str
    nonce: str
    verifier: str
    target: str
    expires_at: datetime


@dataclass(frozen=True)
class ApiToken:
    """A token of a person or service, of which only a hash is kept; ``revoked_at``: no longer valid since."""

    token_id: str
    name: str
    account: str
    role: Role
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
