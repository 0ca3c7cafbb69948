"""Who has signed in."""

from datetime import datetime
from typing import Protocol

from sreops.domain.records.person import Session


class SessionStore(Protocol):
    """Sessions of browsers; a ``key`` is a hash of its cookie, so that a copy of the store opens nothing."""

    async def begin_session(self, key: str, session: Session) -> None:
        """Keep a session; those that have expired go."""
        ...

    async def session(self, key: str, *, now: datetime) -> Session | None:
        """Return a session that has neither expired nor been ended."""
        ...

    async def end_session(self, key: str) -> None:
        """End a session, on all replicas; harmless where there is none."""
        ...

    async def end_sessions_of(self, account: str, *, by: str, now: datetime) -> int:
        """End all sessions of an account, audited; return how many there were."""
        ...
