"""API tokens of persons and services."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.records import audit
from sreops.adapters.store.sessions import ACCESS
from sreops.adapters.store.tables import api_tokens
from sreops.domain.records.api_token import ApiToken
from sreops.domain.records.person import Role
from sreops.domain.records.record import Action
from sreops.errors import DecisionConflict, NotFound

_BY_KEY = Prepared(select(api_tokens).where(api_tokens.c.key == bindparam("of_key")))


class SqlApiTokens(SqlPart):
    """Giving and taking tokens."""

    async def add_api_token(self, key: str, token: ApiToken) -> None:
        """Keep a token, audited; raises DecisionConflict where a valid one of that account has its name."""

        def add(connection: Connection) -> None:
            same = select(api_tokens).where(api_tokens.c.account == token.account, api_tokens.c.name == token.name)
            if any(_token(row).valid(token.created_at) for row in connection.execute(same)):
                raise DecisionConflict(f"there is a valid API token {token.name!r} already: revoke it, or name another")
            connection.execute(insert(api_tokens).values(key=key, **asdict(token) | {"role": token.role.value}))
            self._audit(connection, "create_api_token", token, token.created_by, token.created_at)

        await self._db.write(add)

    async def api_token(self, key: str, *, now: datetime) -> ApiToken | None:
        """Return the token where it is valid."""
        row = await self._db.read(lambda connection: _BY_KEY.first(connection, of_key=key))
        token = None if row is None else _token(row)
        return token if token is not None and token.valid(now) else None

    async def api_tokens(self) -> Sequence[ApiToken]:
        """Return all, newest first; also those that have expired or were revoked."""
        newest = select(api_tokens).order_by(api_tokens.c.created_at.desc(), api_tokens.c.token_id)
        return await self._db.read(lambda connection: [_token(row) for row in connection.execute(newest)])

    async def revoke_api_token(self, token_id: str, *, by: str, now: datetime) -> ApiToken:
        """End a token, audited; raises NotFound. One that has ended already stays as it ended."""

        def revoke(connection: Connection) -> ApiToken:
            row = connection.execute(select(api_tokens).where(api_tokens.c.token_id == token_id)).first()
            if row is None:
                raise NotFound(f"there is no API token {token_id!r}")
            token = _token(row)
            if token.revoked_at is not None:
                return token
            connection.execute(update(api_tokens).where(api_tokens.c.token_id == token_id).values(revoked_at=now))
            self._audit(connection, "revoke_api_token", token, by, now)
            return replace(token, revoked_at=now)

        return await self._db.write(revoke)

    def _audit(self, connection: Connection, verb: str, token: ApiToken, by: str, now: datetime) -> None:
        detail = f"{token.token_id}, role {token.role}, until {token.expires_at.isoformat()}"
        action = Action(action=verb, phase="decision", target=token.signature, by=by, detail=detail)
        audit(connection, ACCESS, action, now, self._audit_key)


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        row.token_id,
        row.name,
        row.account,
        Role(row.role),
        row.created_by,
        row.created_at,
        row.expires_at,
        row.revoked_at,
    )
