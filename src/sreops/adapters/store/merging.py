"""Incidents of one target meet: what the engine says of the target is kept, and the younger one joins the older."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from sreops.adapters.store.apply_decision import Applying
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.held_alerts import HeldAlerts
from sreops.adapters.store.known_incidents import KnownIncidents
from sreops.adapters.store.leases import SqlPart, held_incident
from sreops.adapters.store.records import audit, tell
from sreops.adapters.store.rows import parsed
from sreops.adapters.store.tables import effects, endings, inbox, incident_alerts, incidents, target_names, work
from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.incidents.correlation import Correlation, Disposition
from sreops.domain.incidents.incident import IncidentStatus, Reason
from sreops.domain.incidents.target import KnownTarget
from sreops.domain.records.record import Action, Thought
from sreops.ports import Lease

_HELD_FOR = timedelta(days=2)
_KNOWN = Prepared(update(incidents).where(incidents.c.id == bindparam("of_incident")))
_FORGET_NAMES = Prepared(delete(target_names).where(target_names.c.incident_id == bindparam("of_incident")))
_NAMES = Prepared(insert(target_names))
_OPEN_OF_TARGET = Prepared(
    select(incidents)
    .where(
        incidents.c.standing == bindparam("of_standing"),
        incidents.c.id != bindparam("but"),
        incidents.c.ended_at.is_(None),
        incidents.c.reason.is_(None),
        incidents.c.storm_id.is_(None),
    )
    .order_by(incidents.c.opened_at, incidents.c.id)
)


class Merging(SqlPart):
    """Keeping what an incident's target is."""

    async def know_target(self, lease: Lease, target: KnownTarget, *, now: datetime) -> str | None:
        """Keep what the engine says the target is; return the older incident that this one has joined because of it.

        A younger one of the same target, whose analysis did nothing yet, joins this one. What has acted stays by
        itself: one remediation at a time holds them apart.
        """

        def write(connection: Connection) -> str | None:
            mine = held_incident(connection, lease)
            self._keep(connection, mine.id, target)
            for other in _of_target(connection, target.standing, mine.id):
                older, younger = sorted((mine, other), key=lambda row: (row.opened_at, row.id))
                if _acted(connection, younger.id):
                    continue
                self._merge(connection, older, younger, now)
                if younger.id == mine.id:
                    return str(older.id)
            return None

        return await self._db.write(write)

    def _keep(self, connection: Connection, incident_id: str, target: KnownTarget) -> None:
        told = target.model_dump(mode="json")
        told["names"] = sorted(target.names)
        _KNOWN.run(connection, of_incident=incident_id, target=told, standing=target.standing)
        _FORGET_NAMES.run(connection, of_incident=incident_id)
        names = [{"name": name, "incident_id": incident_id} for name in sorted(target.names)]
        _NAMES.run_all(connection, names)

    def _merge(self, connection: Connection, older: Row[Any], younger: Row[Any], now: datetime) -> None:
        """Let the younger one's alerts join the older one, as if they had come to it, and end the younger one."""
        events = _firing(connection, younger.id)
        connection.execute(delete(incident_alerts).where(incident_alerts.c.incident_id == younger.id))
        alerts = HeldAlerts(connection, events)
        known = KnownIncidents(connection, events, now - _HELD_FOR, alerts)
        applying = Applying(connection, known, alerts, now)
        why = f"incident {younger.id} was found to have the same target"
        for event in events:
            applying.apply(event, Correlation(disposition=Disposition.attach, incident_id=older.id, why=why))
        applying.end()
        self._end(connection, younger, older.id, now)

    def _end(self, connection: Connection, row: Row[Any], older_id: str, now: datetime) -> None:
        why = f"it has the same target as incident {older_id}, which speaks for it from here on"
        # Reason.storm is the one of 0.1's that says so; ``merged_into`` makes it Reason.merged for us
        ending = {"status": IncidentStatus.escalated.value, "reason": Reason.storm.value, "ended_at": now}
        connection.execute(
            update(incidents)
            .where(incidents.c.id == row.id)
            .values(merged_into=older_id, decision={**(row.decision or {}), "why": why, "handover": why}, **ending)
        )
        connection.execute(
            update(work)
            .where(work.c.incident_id == row.id)
            .values(token=work.c.token + 1, due_at=None, ready=False, timer=None)
        )
        connection.execute(
            insert(endings).values(
                incident_id=row.id,
                episode=row.episode,
                service=row.service,
                resolution=None,
                verification=None,
                **ending,
            )
        )
        tell(connection, row.id, Thought(node="enrich_context", text=f"Joined incident {older_id}: {why}"), now)
        action = Action(action="escalate", phase="outcome", target=row.service, detail=why, data={"as": "merged"})
        audit(connection, row.id, action, now, self._audit_key)


def _of_target(connection: Connection, standing: str, but: str) -> Sequence[Row[Any]]:
    """Return the other open incidents of a target, the oldest first; a storm is of many."""
    return _OPEN_OF_TARGET.all(connection, of_standing=standing, but=but)


def _acted(connection: Connection, incident_id: str) -> bool:
    query = select(effects.c.effect_id).where(effects.c.incident_id == incident_id).limit(1)
    return connection.execute(query).first() is not None


def _firing(connection: Connection, incident_id: str) -> list[AlertEvent]:
    """Return the newest event of each alert of the incident that fires, oldest first."""
    rows = connection.execute(
        select(inbox.c.payload).where(inbox.c.incident_id == incident_id).order_by(inbox.c.correlated_at, inbox.c.seq)
    )
    newest = {event.fingerprint: event for event in (parsed(AlertEvent, row.payload) for row in rows)}
    return [event for event in newest.values() if event.status is AlertStatus.firing]
