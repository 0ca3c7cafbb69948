"""Correlation: one inbox event, one decision, one transaction."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from sreops.adapters.store.applying import apply
from sreops.adapters.store.columns import plain
from sreops.adapters.store.engine import Database
from sreops.adapters.store.inbox import REQUEUED, inbox_values
from sreops.adapters.store.part import Part
from sreops.adapters.store.rows import known_of, parsed
from sreops.adapters.store.tables import inbox, incident_alerts, incidents
from sreops.domain.alert import AlertEvent
from sreops.domain.correlation import Correlation, Disposition, KnownIncident, Windows, once_more
from sreops.domain.incident import Reason, incident_id_of
from sreops.domain.storms import MAX_MEMBERS, MAX_STRANGERS, STORM_LASTS_S, gathered, is_storm

LONGEST_WINDOW_S = 25 * 3600.0  # an hour more than the default escalated window: the decision cuts it exactly
KNOWN_LIMIT = 50


class Correlating(Part):
    """Deciding what events mean; ``longest_window_s`` is how long after its end an incident is still offered."""

    def __init__(self, database: Database, audit_key: bytes | None, longest_window_s: float = LONGEST_WINDOW_S) -> None:
        super().__init__(database, audit_key)
        self._longest_window = timedelta(seconds=longest_window_s)

    async def correlate(
        self,
        event: AlertEvent,
        decide: Callable[[AlertEvent, Sequence[KnownIncident]], Correlation],
        *,
        now: datetime,
        windows: Windows | None = None,
    ) -> Correlation:
        """Correlate one inbox event and apply the decision, atomically and once per ``event_id``.

        An ``open`` whose incident exists already (an alert that has fired for longer than any window) becomes
        ``refire`` where that one has ended, else ``repeat``: the id is the alert's, so there can't be a second.
        With ``windows``, an ``open`` too many within ``storm_window_s`` joins a storm incident, or opens one.
        """
        if self._db.shared and (made := await self._made_already(event)):
            return made  # every replica goes through the inbox: most of the others' work must not cost the write lock

        def correlate(connection: Connection) -> Correlation:
            columns = (inbox.c.correlation, inbox.c.disposition, inbox.c.incident_id)
            query = select(*columns).where(inbox.c.event_id == event.event_id)
            row = connection.execute(query).one_or_none()
            if row is not None and row.correlation is not None:
                return parsed(Correlation, row.correlation)
            if row is None:  # not from a topic
                connection.execute(insert(inbox).values(**inbox_values(event, None, now)))
            known = self._known(connection, event, now)
            decision = decide(event, known)
            if row is not None and row.disposition == REQUEUED:
                decision = once_more(decision, row.incident_id, known)
            if decision.disposition is Disposition.open and windows is not None:
                decision = self._in_a_storm(connection, event, decision, now, windows)
            made = apply(connection, event, decision, now)
            connection.execute(
                update(inbox)
                .where(inbox.c.event_id == event.event_id)
                .values(
                    correlated_at=now,
                    correlation=made.model_dump(mode="json"),
                    disposition=made.disposition.value,
                    incident_id=made.incident_id,
                )
            )
            return made

        return await self._db.write(correlate)

    async def _made_already(self, event: AlertEvent) -> Correlation | None:
        query = select(inbox.c.correlation).where(inbox.c.event_id == event.event_id)
        stored = await self._db.read(lambda connection: connection.execute(query).scalar_one_or_none())
        return None if stored is None else parsed(Correlation, stored)

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

    def _known(self, connection: Connection, event: AlertEvent, now: datetime) -> list[KnownIncident]:
        """Return what ``domain/correlation.py`` asks for, newest first: of the service, those open or recently ended.

        Those with the fingerprint or the event's id come of whatever age. The limits are apart, so that a service
        that flaps can't push out the incident that holds this alert.
        """
        holds = incidents.c.id.in_(
            select(incident_alerts.c.incident_id).where(incident_alerts.c.fingerprint == plain(event.fingerprint))
        )
        same_service = incidents.c.service == event.service
        recent = incidents.c.ended_at >= now - self._longest_window
        found: dict[str, Row[Any]] = {}
        for condition in (
            incidents.c.ended_at.is_(None) & holds,
            incidents.c.ended_at.is_(None) & same_service,
            holds,
            recent & same_service,
            incidents.c.id == incident_id_of(event),
        ):
            newest = select(incidents).where(condition).order_by(incidents.c.opened_at.desc(), incidents.c.id.desc())
            found |= {row.id: row for row in connection.execute(newest.limit(KNOWN_LIMIT))}
        return known_of(connection, sorted(found.values(), key=lambda row: (row.opened_at, row.id), reverse=True))
