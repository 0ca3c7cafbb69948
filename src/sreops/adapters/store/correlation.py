"""Correlation: one inbox event, one decision; events that wait together share a transaction."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from sreops.adapters.store.apply_decision import Applying
from sreops.adapters.store.columns import plain
from sreops.adapters.store.database import Database
from sreops.adapters.store.episodes import begin_due, is_due
from sreops.adapters.store.held_alerts import HeldAlerts
from sreops.adapters.store.inbox import REQUEUED, put_in
from sreops.adapters.store.known_incidents import KnownIncidents
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.rows import chunks, parsed
from sreops.adapters.store.storms import Storms
from sreops.adapters.store.tables import inbox
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident, Windows, once_more

LONGEST_WINDOW_S = 25 * 3600.0  # an hour more than the default escalated window: the decision cuts it exactly

Decide = Callable[[AlertEvent, Sequence[KnownIncident]], Correlation]


def _inbox_rows(connection: Connection, event_ids: Sequence[str]) -> dict[str, Row[Any]]:
    query = select(inbox.c.event_id, inbox.c.correlation, inbox.c.disposition, inbox.c.incident_id)
    found: dict[str, Row[Any]] = {}
    for chunk in chunks(event_ids):
        found |= {row.event_id: row for row in connection.execute(query.where(inbox.c.event_id.in_(chunk)))}
    return found


class SqlCorrelation(SqlPart):
    """Deciding what events mean; ``longest_window_s`` is how long after its end an incident is still offered."""

    def __init__(self, database: Database, audit_key: bytes | None, longest_window_s: float = LONGEST_WINDOW_S) -> None:
        super().__init__(database, audit_key)
        self._longest_window = timedelta(seconds=longest_window_s)

    async def correlate(
        self,
        event: AlertEvent,
        decide: Decide,
        *,
        now: datetime,
        windows: Windows | None = None,
    ) -> Correlation:
        """Correlate one inbox event and apply the decision, atomically and once per ``event_id``."""
        return (await self.correlate_all([event], decide, now=now, windows=windows))[0]

    async def correlate_all(
        self,
        events: Sequence[AlertEvent],
        decide: Decide,
        *,
        now: datetime,
        windows: Windows | None = None,
    ) -> Sequence[Correlation]:
        """Correlate events one after the other in one transaction, each once per ``event_id``: all of them, or none.

        An ``open`` whose incident exists already (an alert that has fired for longer than any window) becomes
        ``refire`` where that one has ended, else ``repeat``: the id is the alert's, so there can't be a second.
        With ``windows``, an ``open`` too many within ``storm_window_s`` joins a storm incident, or opens one.
        """
        ids = [plain(event.event_id) for event in events]
        if self._db.shared:
            # every replica goes through the inbox: most of the others' work must not cost the write lock
            rows = await self._db.read(lambda connection: _inbox_rows(connection, ids))
            if all(event_id in rows and rows[event_id].correlation is not None for event_id in ids):
                return [parsed(Correlation, rows[event_id].correlation) for event_id in ids]

        def correlate(connection: Connection) -> list[Correlation]:
            rows = _inbox_rows(connection, ids)
            healthy = windows is not None and windows.no_data_recovers
            alerts = HeldAlerts(connection, events, no_data_recovers=healthy)
            known = KnownIncidents(connection, events, now - self._longest_window, alerts)
            applying = Applying(connection, known, alerts, now)
            storms = windows and Storms(connection, known, alerts, now, windows, self._audit_key)
            made: dict[str, Correlation] = {}
            for event_id, event in zip(ids, events, strict=True):
                row = rows.get(event_id)
                if event_id in made:
                    continue
                if row is not None and row.correlation is not None:
                    made[event_id] = parsed(Correlation, row.correlation)
                    continue
                if row is None:  # not from a topic
                    put_in(connection, [(event, None)], now)
                shown = known.of(event)
                decision = decide(event, shown)
                if row is not None and row.disposition == REQUEUED:
                    decision = once_more(decision, row.incident_id, shown)
                if storms and decision.disposition is Disposition.open:
                    decision = storms.decide(event, decision)
                made[event_id] = applying.apply(event, decision)
                if storms:
                    storms.applied(event, made[event_id], applying)
            if storms:
                storms.write()
            applying.end()
            return [made[event_id] for event_id in ids]

        return await self._db.write(correlate) if events else []

    async def begin_rejoins(self, *, now: datetime) -> Sequence[str]:
        """Begin the analyses that are due because of who joined, where their incidents stand still."""
        if not await self._db.read(lambda connection: is_due(connection, now)):
            return []
        return await self._db.write(lambda connection: begin_due(connection, now))
