"""Storms in the store: how many were opened lately, which storm takes the next, and what it absorbs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, text, update

from sreops.adapters.store.apply_decision import Applying
from sreops.adapters.store.held_alerts import HeldAlerts
from sreops.adapters.store.known_incidents import KnownIncidents
from sreops.adapters.store.records import audit, tell
from sreops.adapters.store.rows import known_of, parsed
from sreops.adapters.store.tables import endings, inbox, incidents, work
from sreops.domain.alerts.alert import AlertEvent, Severity
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident, Windows
from sreops.domain.incidents.incident import IncidentStatus, Reason, Storm, StormKind
from sreops.domain.incidents.storms import (
    STORM_LASTS_S,
    Openings,
    common_labels,
    gathered,
    going_on,
    group_of,
    is_worked_on,
    rush_of,
)
from sreops.domain.records.record import Action, Thought

_IS_STORM = text("reason = 'storm' AND storm_id IS NULL")  # word by word as the index has it
_MOST = 50  # storms of the last hour that are looked at


class Storms:
    """The storms of one transaction: each opening asks them, and they are written once, at its end."""

    def __init__(
        self,
        connection: Connection,
        known: KnownIncidents,
        alerts: HeldAlerts,
        now: datetime,
        windows: Windows,
        key: bytes | None,
    ) -> None:
        self._connection = connection
        self._known = known
        self._alerts = alerts
        self._now = now
        self._windows = windows
        self._audit_key = key
        self._open: dict[str, KnownIncident] | None = None
        self._changed: set[str] = set()
        self._opened: dict[str, AlertEvent] = {}  # by incident, in this transaction
        self._slots_taken: int | None = None

    def decide(self, event: AlertEvent, decision: Correlation) -> Correlation:
        """Return what becomes of an opening: it stays one, or it joins or opens a storm."""
        storms = self._shown(event)
        rush = going_on(event, storms, self._now, self._windows)
        rush = rush or rush_of(event, self._openings(event), self._windows)
        if rush is None:
            return decision
        made = gathered(event, decision, rush, storms, self._now, self._windows)
        if made.disposition is Disposition.attach and is_worked_on(event, self._busy(), self._windows):
            why = f"{made.why}; it is critical, and a slot is free: it is analysed by itself"
            return decision.model_copy(update={"storm_id": made.incident_id, "why": why})
        return made

    def applied(self, event: AlertEvent, made: Correlation, applying: Applying) -> None:
        """Take note of a decision that was applied; what opened a storm absorbs those before it."""
        if made.incident_id is None:
            return
        if made.disposition is Disposition.open:
            self._opened[made.incident_id] = event
            if self._slots_taken is not None:
                self._slots_taken += 1
        if made.storm is None:
            return
        storm = Storm(shared=made.storm, kind=made.storm_kind, key=made.storm_key, last_at=self._now)
        assert self._open is not None
        if made.disposition is Disposition.open:
            [incident] = known_of(self._connection, [self._known.row(made.incident_id)])
            self._open = {incident.id: incident, **self._open}  # newest first
            storm = self._absorb(made.incident_id, storm, applying)
            self._slots_taken = None  # what it has absorbed takes none
        self._open[made.incident_id] = self._open[made.incident_id].model_copy(update={"storm": storm})
        self._changed.add(made.incident_id)

    def write(self) -> None:
        """Write what storms have learnt in this transaction."""
        for incident_id in self._changed:
            row, storm = self._known.row(incident_id), (self._open or {})[incident_id].storm
            assert storm is not None
            decision = {**(row.decision or {}), "storm": storm.model_dump(mode="json")}
            self._connection.execute(update(incidents).where(incidents.c.id == incident_id).values(decision=decision))
            self._known.is_changed(incident_id)
        self._changed = set()

    def _shown(self, event: AlertEvent) -> Sequence[KnownIncident]:
        if self._open is None:
            rows = self._connection.execute(
                select(incidents)
                .where(_IS_STORM, incidents.c.opened_at > self._now - timedelta(seconds=STORM_LASTS_S))
                .order_by(incidents.c.opened_at.desc(), incidents.c.id.desc())
                .limit(_MOST)
            ).all()
            self._open = {storm.id: storm for storm in known_of(self._connection, rows)}
        return [
            storm.model_copy(update={"others_fire": self._alerts.others_fire(storm.id, event.fingerprint)})
            for storm in self._open.values()
        ]

    def _openings(self, event: AlertEvent) -> Openings:
        group, burst = group_of(event), self._windows.burst_incidents
        return Openings(
            all=self._count(self._windows.storm_incidents),
            of_name=self._count(burst, incidents.c.alertname == event.alertname),
            of_group=0 if group is None else self._count(burst, incidents.c.group_key == group),
        )

    def _count(self, at_most: int, *conditions: ColumnElement[bool]) -> int:
        since = self._now - timedelta(seconds=self._windows.storm_window_s)
        found = select(incidents.c.id).where(incidents.c.opened_at > since, *conditions).limit(at_most).subquery()
        return self._connection.execute(select(func.count()).select_from(found)).scalar_one()

    def _busy(self) -> int:
        """Return how many slots are taken, or about to be, as far as that matters."""
        if self._slots_taken is None:
            leased = work.c.lease_until >= self._now, work.c.lease_owner.is_not(None)
            due = work.c.due_at <= self._now, work.c.lease_owner.is_(None)
            self._slots_taken = sum(self._count_work(*conditions) for conditions in (leased, due))
        return self._slots_taken

    def _count_work(self, *conditions: ColumnElement[bool]) -> int:
        found = select(work.c.incident_id).where(*conditions).limit(self._windows.slots).subquery()
        return self._connection.execute(select(func.count()).select_from(found)).scalar_one()

    def _absorb(self, storm_id: str, storm: Storm, applying: Applying) -> Storm:
        """Let the storm take those of its kind whose analysis has not begun; return it with the labels that all share.

        Critical ones keep the slots that are free: they are members, and worked on by themselves.
        """
        running = self._count_work(work.c.lease_until >= self._now, work.c.lease_owner.is_not(None))
        for row in self._not_begun(storm_id, storm):
            event = self._opened.get(row.id) or self._opening_event(row.id)
            shared = storm.shared if event is None else common_labels(storm.shared, event.labels)
            if storm.kind is StormKind.time and not shared:
                continue
            storm = storm.model_copy(update={"shared": shared})
            if row.severity == Severity.critical.value and running < self._windows.slots:
                running += 1
                mine = update(incidents).where(incidents.c.id == row.id)
                self._connection.execute(mine.values(storm_id=storm_id))
            else:
                self._end_as_member(row, storm_id)
            if event is not None:
                applying.list_member(storm_id, event)
            self._known.is_changed(row.id)
        return storm

    def _not_begun(self, storm_id: str, storm: Storm) -> Sequence[Row[Any]]:
        since = self._now - timedelta(seconds=self._windows.storm_window_s)
        of_kind: Sequence[ColumnElement[bool]] = {
            StormKind.name: (incidents.c.alertname == storm.key,),
            StormKind.group: (incidents.c.group_key == storm.key,),
            StormKind.time: (),
        }[storm.kind]
        return self._connection.execute(
            select(incidents)
            .join(work, work.c.incident_id == incidents.c.id)
            .where(
                incidents.c.opened_at > since,
                *of_kind,
                incidents.c.id != storm_id,
                incidents.c.ended_at.is_(None),
                incidents.c.storm_id.is_(None),
                incidents.c.reason.is_(None),
                work.c.lease_owner.is_(None),
                work.c.woken_by == "start",
                work.c.attempts == 0,
            )
            .order_by(work.c.rank, incidents.c.opened_at, incidents.c.id)
        ).all()

    def _opening_event(self, incident_id: str) -> AlertEvent | None:
        row = self._connection.execute(
            select(inbox.c.payload)
            .where(inbox.c.incident_id == incident_id, inbox.c.disposition == Disposition.open.value)
            .limit(1)
        ).first()
        return None if row is None else parsed(AlertEvent, row.payload)

    def _end_as_member(self, row: Row[Any], storm_id: str) -> None:
        """End an incident whose analysis has not begun: the storm speaks for it."""
        why = f"it is one of the storm {storm_id}, which speaks for it: not analysed and not remediated by itself"
        self._connection.execute(
            update(incidents)
            .where(incidents.c.id == row.id)
            .values(
                status=IncidentStatus.escalated.value,
                reason=Reason.storm.value,
                ended_at=self._now,
                storm_id=storm_id,
                decision={**(row.decision or {}), "why": why, "handover": why},
            )
        )
        self._connection.execute(
            update(work)
            .where(work.c.incident_id == row.id)
            .values(token=work.c.token + 1, due_at=None, ready=False, timer=None)
        )
        self._connection.execute(
            insert(endings).values(
                incident_id=row.id,
                episode=row.episode,
                service=row.service,
                status=IncidentStatus.escalated.value,
                resolution=None,
                reason=Reason.storm.value,
                verification=None,
                ended_at=self._now,
            )
        )
        tell(self._connection, row.id, Thought(node="correlate", text=f"Escalated (storm): {why}"), self._now)
        action = Action(
            action="escalate", phase="outcome", target=row.service, detail=why, data={"as": Reason.storm.value}
        )
        audit(self._connection, row.id, action, self._now, self._audit_key)
