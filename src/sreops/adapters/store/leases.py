"""What the parts of the store share: the database, and the checks that guard a lease."""

from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.database import Database
from sreops.adapters.store.tables import incidents, work
from sreops.errors import LeaseLost, NotFound
from sreops.ports import Lease

_WORK = Prepared(select(work).where(work.c.incident_id == bindparam("of_incident")))
_HELD_INCIDENT = Prepared(
    select(
        incidents,
        work.c.lease_owner.label("work_owner"),
        work.c.token.label("work_token"),
        work.c.episode.label("work_episode"),
    )
    .join_from(incidents, work, work.c.incident_id == incidents.c.id)
    .where(incidents.c.id == bindparam("of_incident"))
)
_INCIDENT = Prepared(select(incidents).where(incidents.c.id == bindparam("of_incident")))


class SqlPart:
    """One part of ``SqlIncidentStore``; ``audit_key`` turns the audit chain's hash into an HMAC."""

    def __init__(self, database: Database, audit_key: bytes | None) -> None:
        self._db = database
        self._audit_key = audit_key


def held(connection: Connection, lease: Lease) -> Row[Any]:
    """Return the work row of a lease that is still ours, else raise LeaseLost.

    The token decides: a lease that lapsed is ours until somebody else claims it, which raises the token.
    """
    row = _WORK.first(connection, of_incident=lease.incident_id)
    if row is None:
        raise _lost(lease)
    _check(lease, row.lease_owner, row.token, row.episode)
    return row


def held_incident(connection: Connection, lease: Lease) -> Row[Any]:
    """Return the row of the incident whose lease is still ours, else raise LeaseLost; as ``held``, in one look."""
    row = _HELD_INCIDENT.first(connection, of_incident=lease.incident_id)
    if row is None:
        raise _lost(lease)
    _check(lease, row.work_owner, row.work_token, row.work_episode)
    return row


def _check(lease: Lease, owner: str | None, token: int, episode: int) -> None:
    if owner is None or (token, episode) != (lease.token, lease.episode):
        raise _lost(lease, f", token {token} of episode {episode} is current")


def _lost(lease: Lease, current: str = "") -> LeaseLost:
    over = f"incident {lease.incident_id} episode {lease.episode}: the lease with token {lease.token} is over"
    return LeaseLost(over + current)


def incident_row(connection: Connection, incident_id: str) -> Row[Any]:
    """Return the incident's row, else raise NotFound."""
    row = _INCIDENT.first(connection, of_incident=incident_id)
    if row is None:
        raise NotFound(f"there is no incident {incident_id!r}")
    return row
