"""Waking an incident: the one rule of what becomes due, shared by timers, resolves and decisions."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from sreops.adapters.store.tables import work


def wake_row(connection: Connection, incident_id: str, *, woken_by: str, at: datetime | None) -> None:
    """Make the incident's work due now, whether it sleeps, runs, or was finished though the incident is open.

    ``at`` None: as of the last time that the row was told, which no later claim can precede. One that runs
    finds out when it parks. One that has not begun stays ``start``: there is nothing yet to resume.
    """
    row = connection.execute(select(work).where(work.c.incident_id == incident_id)).one_or_none()
    if row is None:
        return
    since = at or row.seen_at
    not_begun = row.lease_owner is None and row.woken_by == "start"
    connection.execute(
        update(work)
        .where(work.c.incident_id == incident_id)
        .values(
            due_at=since if row.due_at is None else min(row.due_at, since),
            timer=None,
            woken_by="start" if not_begun else woken_by,
            wakes=row.wakes + 1,
            seen_at=max(row.seen_at, since),
        )
    )
