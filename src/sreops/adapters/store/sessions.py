"""Who has signed in."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.records import audit
from sreops.adapters.store.tables import sessions
from sreops.domain.records.person import Person, ProvenBy, Role, Session
from sreops.domain.records.record import Action

ACCESS = "access"
"""The ``incident_id`` of records of who was let in: their own audit chain."""

_SESSION = Prepared(select(sessions).where(sessions.c.key == bindparam("of_key")))


class SqlSessions(SqlPart):
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

    async def end_sessions_of(self, account: str, *, by: str, now: datetime) -> int:
        """End all sessions of an account, audited; return how many there were."""

        def end(connection: Connection) -> int:
            ended = connection.execute(delete(sessions).where(sessions.c.account == account)).rowcount
            action = Action(action="end_sessions", phase="decision", target=account, by=by, detail=f"{ended} ended")
            audit(connection, ACCESS, action, now, self._audit_key)
            return ended

        return await self._db.write(end)
