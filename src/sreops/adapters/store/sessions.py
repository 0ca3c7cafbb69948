"""Who has signed in, and who is about to."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from sreops.adapters.store.leases import Part
from sreops.adapters.store.prepared import Prepared
from sreops.adapters.store.tables import sessions, sign_ins
from sreops.domain.records.person import PendingSignIn, Person, ProvenBy, Role, Session

MAX_PENDING = 10_000
"""Browsers on their way to the provider; anybody may set out, so the oldest go."""

_SESSION = Prepared(select(sessions).where(sessions.c.key == bindparam("of_key")))


class Sessions(Part):
    """Sessions of browsers."""

    async def begin_session(self, key: str, session: Session) -> None:
        """Keep a session; those that have expired go."""

        def begin(connection: Connection) -> None:
            connection.execute(delete(sessions).where(sessions.c.expires_at <= session.began_at))
            connection.execute(
                insert(sessions).values(
                    key=key,
                    account=session.person.account,
                    role=session.person.role.value,
                    proven_by=session.person.proven_by.value,
                    made_with=session.made_with,
                    began_at=session.began_at,
                    expires_at=session.expires_at,
                )
            )

        await self._db.write(begin)

    async def session(self, key: str, *, now: datetime) -> Session | None:
        """Return a session that has neither expired nor been ended."""
        row = await self._db.read(lambda connection: _SESSION.first(connection, of_key=key))
        if row is None or row.expires_at <= now:
            return None
        person = Person(row.account, Role(row.role), ProvenBy(row.proven_by))
        return Session(person, row.made_with, row.began_at, row.expires_at)

    async def end_session(self, key: str) -> None:
        """End a session, on all replicas; harmless where there is none."""
        await self._db.write(lambda connection: connection.execute(delete(sessions).where(sessions.c.key == key)))

    async def end_sessions_of(self, account: str) -> int:
        """End all sessions of an account; return how many there were."""
        ended = delete(sessions).where(sessions.c.account == account)
        return await self._db.write(lambda connection: connection.execute(ended).rowcount)

    async def begin_sign_in(self, pending: PendingSignIn, *, now: datetime) -> None:
        """Keep what a browser was sent to the provider with; those that have expired go."""

        def begin(connection: Connection) -> None:
            connection.execute(delete(sign_ins).where(sign_ins.c.expires_at <= now))
            if connection.execute(select(func.count()).select_from(sign_ins)).scalar_one() >= MAX_PENDING:
                oldest = select(sign_ins.c.state).order_by(sign_ins.c.expires_at).limit(1)
                connection.execute(delete(sign_ins).where(sign_ins.c.state.in_(oldest)))
            connection.execute(
                insert(sign_ins).values(
                    state=pending.state,
                    browser=pending.browser,
                    nonce=pending.nonce,
                    verifier=pending.verifier,
                    target=pending.target,
                    expires_at=pending.expires_at,
                )
            )

        await self._db.write(begin)

    async def take_sign_in(self, state: str, *, now: datetime) -> PendingSignIn | None:
        """Return it and forget it: it serves once."""

        def take(connection: Connection) -> PendingSignIn | None:
            row = connection.execute(select(sign_ins).where(sign_ins.c.state == state)).first()
            if row is None:
                return None
            connection.execute(delete(sign_ins).where(sign_ins.c.state == state))
            if row.expires_at <= now:
                return None
            return PendingSignIn(row.state, row.browser, row.nonce, row.verifier, row.target, row.expires_at)

        return await self._db.write(take)
