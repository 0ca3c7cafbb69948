"""Correlation: one inbox event, one decision; events that wait together share a transaction."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from sreops.adapters.store.apply_decision import Log, apply
from sreops.adapters.store.columns import plain
from sreops.adapters.store.database import Database
from sreops.adapters.store.inbox import REQUEUED, put_in
from sreops.adapters.store.known_incidents import Known
from sreops.adapters.store.leases import Part
from sreops.adapters.store.rows import chunks, known_of, parsed
from sreops.adapters.store.tables import inbox, incident_alerts, incidents
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident, Windows, once_more
from sreops.domain.incidents.incident import Reason
from sreops.domain.incidents.storms import MAX_MEMBERS, MAX_STRANGERS, STORM_LASTS_S, gathered, is_storm

LONGEST_WINDOW_S = 25 * 3600.0  # an hour more than the default escalated window: the decision cuts it exactly

Decide = Callable[[AlertEvent, Sequence[KnownIncident]], Correlation]


def _inbox_rows(connection: Connection, event_ids: Sequence[str]) -> dict[str, Row[Any]]:
    query = select(inbox.c.event_id, inbox.c.correlation, inbox.c.disposition, inbox.c.incident_id)
    found: dict[str, Row[Any]] = {}
    for chunk in chunks(event_ids):
        found |= {row.event_id: row for row in connection.execute(query.where(inbox.c.event_id.in_(chunk)))}
    return found


class Correlating(Part):
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
            if all(one in rows and rows[one].correlation is not None for one in ids):
                return [parsed(Correlation, rows[one].correlation) for one in ids]

        def correlate(connection: Connection) -> list[Correlation]:
            rows = _inbox_rows(connection, ids)
            known, log = Known(connection, events, now - self._longest_window), Log()
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
                if decision.disposition is Disposition.open and windows is not None:
                    decision = self._in_a_storm(connection, event, decision, now, windows)
                made[event_id] = decision = apply(connection, event, decision, now, log)
                known.note(event, decision)
            log.write(connection, now)
            return [made[event_id] for event_id in ids]

        return await self._db.write(correlate) if events else []

    def _in_a_storm(
        self, connection: Connection, event: AlertEvent, decision: Correlation, now: datetime, windows: Windows
    ) -> Correlation:
        since = now - timedelta(seconds=windows.storm_window_s)
        opened = connection.execute(select(func.count()).where(incidents.c.opened_at > since)).scalar_one()
        if not is_storm(opened, windows):
            return decision
        members = select(func.count()).where(incident_alerts.c.incident_id == incidents.c.id).scalar_subquery()
        storms = (
            select(incidents)
            .where(
                members < MAX_MEMBERS,  # the full ones are not even read, else a storm of thousands would read itself
                incidents.c.reason == Reason.storm.value,
                incidents.c.opened_at > now - timedelta(seconds=STORM_LASTS_S),
            )
            .order_by(incidents.c.opened_at.desc(), incidents.c.id.desc())
            .limit(MAX_STRANGERS)
        )
        return gathered(event, decision, known_of(connection, connection.execute(storms).all()), now, windows)
