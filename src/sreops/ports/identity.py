"""Who somebody is, told by a provider outside."""

from dataclasses import dataclass
from typing import Protocol

from sreops.ports.health import Health


@dataclass(frozen=True)
class Departure:
    """Where a browser is sent to sign in, and what must come back or be shown again when it returns."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Identity:
    """Who the provider says has signed in; ``account`` is shown and signed with, ``groups`` give the role."""

    account: str
    groups: tuple[str, ...]


class IdentityProvider(Protocol):
    """An OpenID Connect provider."""

    async def depart(self, redirect_uri: str) -> Departure:
        """Begin a sign-in; raises IdentityUnavailable."""
        ...

    async def arrive(self, *, code: str, redirect_uri: str, nonce: str, verifier: str, issuer: str | None) -> Identity:
        """Turn the code that a browser came back with into who it is.

        ``issuer`` is the callback's ``iss`` where it had one (RFC 9207). Raises SignInRefused where anything of the
        provider's answer can't be believed, IdentityUnavailable where there is none.
        """
        ...

    async def health(self) -> Health:
        """Ask for the provider's metadata (bounded)."""
        ...
