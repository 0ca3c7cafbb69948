"""Who decides: an account as it was proven, and what its role lets it do."""

from collections.abc import Collection, Mapping
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


def role_of(groups: Collection[str], roles: Mapping[str, Role]) -> Role | None:
    """Return the highest role that any of the groups gives, by its whole name; None where none does."""
    given = {roles[group] for group in groups if group in roles}
    return max(given, key=list(Role).index, default=None)


class ProvenBy(StrEnum):
    """How an account was proven."""

    nothing = "nothing"  # no token is set: whoever reaches it may
    shared = "shared token"  # SREOPS_API_TOKEN: one operator, whoever holds it
    own = "api token"  # a token of a person's or service's own
    oidc = "oidc"


_SAYS = "shared token, says "


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
        claimed = claimed.removeprefix(_SAYS)  # signed already, on the way to a confirmation
        return f"{_SAYS}{claimed}" if self.proven_by is ProvenBy.shared and claimed else claimed


@dataclass(frozen=True)
class Session:
    """A browser that has signed in; ``made_with`` is a mark of the credential, whose change ends the session."""

    person: Person
    made_with: str
    began_at: datetime
    expires_at: datetime
