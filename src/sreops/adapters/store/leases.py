"""What the parts of the store share: the database, and the checks that guard a lease."""

from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.database import Database
from sreops.adapters.store.tables import incidents, work
from sreops.errors import LeaseLost, NotFound
from sreops.ports import Lease

_WORK = Prepared(select(work).where(work.c.incident_id == bindparam("of_incident")))
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
    if row is None or row.lease_owner is None or (row.token, row.episode) != (lease.token, lease.episode):
        raise LeaseLost(
            f"incident {lease.incident_id} episode {lease.episode}: the lease with token {lease.token} is over"
            + (f", token {row.token} of episode {row.episode} is current" if row is not None else "")
        )
    return row


def incident_row(connection: Connection, incident_id: str) -> Row[Any]:
    """Return the incident's row, else raise NotFound."""
    row = _INCIDENT.first(connection, of_incident=incident_id)
    if row is None:
        raise NotFound(f"there is no incident {incident_id!r}")
    return row
