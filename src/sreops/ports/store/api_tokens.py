"""API tokens of persons and services."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sreops.domain.records.api_token import ApiToken


class ApiTokenStore(Protocol):
    """A ``key`` is a hash of the token."""

    async def add_api_token(self, key: str, token: ApiToken) -> None:
        """Keep a token, audited; raises DecisionConflict where a valid one of that account has its name."""
        ...

    async def api_token(self, key: str, *, now: datetime) -> ApiToken | None:
        """Return the token where it is valid."""
        ...

    async def api_tokens(self) -> Sequence[ApiToken]:
        """Return all, newest first; also those that have expired or were revoked."""
        ...

    async def revoke_api_token(self, token_id: str, *, by: str, now: datetime) -> ApiToken:
        """End a token, audited; raises NotFound. One that has ended already stays as it ended."""
        ...
