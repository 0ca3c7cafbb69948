"""What the agent writes: incident fields, thoughts, actions, tickets and evidence, fenced by its lease."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from sreops.adapters.store.columns import micros
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.episodes import stays_open
from sreops.adapters.store.leases import SqlPart, held_incident, incident_row
from sreops.adapters.store.notices import put_out
from sreops.adapters.store.records import audit, tell_all
from sreops.adapters.store.rows import incidents_of
from sreops.adapters.store.tables import endings, evidence, incidents
from sreops.adapters.store.tickets import queue
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.incidents.incident import Incident, IncidentStatus
from sreops.domain.records.notice import of_change
from sreops.ports import Changes, Lease, TicketOp

_UPDATE = Prepared(update(incidents).where(incidents.c.id == bindparam("of_incident")))
_ENDING_OF = (endings.c.incident_id == bindparam("of_incident")) & (endings.c.episode == bindparam("of_episode"))
_FORGET_ENDING, _ENDING = Prepared(delete(endings).where(_ENDING_OF)), Prepared(insert(endings))
_EVIDENCE_OF = (evidence.c.incident_id == bindparam("of_incident")) & (evidence.c.id == bindparam("of_id"))
_EVIDENCE_IDS = Prepared(select(evidence.c.id).where(evidence.c.incident_id == bindparam("of_incident")))
_EVIDENCE_AGAIN, _EVIDENCE = Prepared(update(evidence).where(_EVIDENCE_OF)), Prepared(insert(evidence))
_FIXED = {
    *("id", "episode", "service", "fingerprints", "event_count", "opened_at", "episode_at", "effects"),
    *("cleared_at", "acknowledged_by", "acknowledged_at", "closed", "given_back", "feedback"),
    *("joins", "rejoin_at", "storm_id", "members", "target", "merged_into"),
}
WRITABLE = frozenset(Incident.model_fields) - _FIXED
"""Fields that a step may write; the others belong to correlation and to the ledger."""


class SqlAgentWrites(SqlPart):
    """Applying a step's changes."""

    async def write(self, lease: Lease, changes: Changes, *, now: datetime) -> Incident:
        """Apply ``changes`` in one transaction, return the incident as it is then.

        An unknown or fixed incident field is a ValueError.
        """
        strange = set(changes.incident) - WRITABLE
        if strange:
            raise ValueError(f"these are no fields of an incident that a step may write: {sorted(strange)}")

        def write(connection: Connection) -> Incident:
            row = held_incident(connection, lease)
            [incident] = incidents_of(connection, [row])
            if changes.covered_until is not None and stays_open(connection, row, changes.covered_until, now):
                [incident] = incidents_of(connection, [incident_row(connection, lease.incident_id)])
                return incident
            if changes.incident:
                incident = _write_incident(connection, row, incident, changes.incident, now)
            tell_all(connection, [(lease.incident_id, thought) for thought in changes.thoughts], now)
            head = ""
            for action in changes.actions:
                head = audit(connection, lease.incident_id, action, now, self._audit_key)
            for op in changes.tickets:
                queue(connection, _with_head(op, head) if incident.status.ended else op, now)
            _write_evidence(connection, lease.incident_id, changes.evidence)
            return incident

        return await self._db.write(write)


def _with_head(op: TicketOp, head: str) -> TicketOp:
    """Return the last write of an incident with the last hash of its audit: a copy that no store can alter."""
    if not head or op.kind not in ("close", "escalate"):
        return op
    note = f"{op.body.get('note', '')}\n\nAudit: the last of its records has the hash `{head}`."
    return replace(op, body={**op.body, "note": note})


def _write_incident(
    connection: Connection, row: Row[Any], current: Incident, changes: Mapping[str, Any], now: datetime
) -> Incident:
    if changes.get("decision") and (storm := (row.decision or {}).get("storm")):
        # what a storm knows of its members is correlation's: a step read it when there were fewer
        changes = {**changes, "decision": {**changes["decision"], "storm": storm}}
    # dumped and validated again, so that plain strings and bad values meet the model and not the database
    incident = Incident.model_validate({**current.model_dump(), **changes})
    if not incident.status.ended:
        incident = incident.model_copy(update={"ended_at": None})
    elif incident.ended_at is None:
        incident = incident.model_copy(update={"ended_at": now})  # NULL would keep it open for the watchdog
    values = incident.model_dump(mode="json", include=set(WRITABLE))
    values |= {"ended_at": incident.ended_at, "all_resolved_at": incident.all_resolved_at}
    values |= _waiting(row, incident.status, now)
    if incident.status is IncidentStatus.resolved:
        values["rejoin_at"] = None
    notice = of_change(current, incident)
    if notice is not None and notice.kind.asks and incident.acknowledged_by is not None:
        # who knew of what was before does not know of this
        incident = incident.model_copy(update={"acknowledged_by": None, "acknowledged_at": None})
        values |= {"acknowledged_by": None, "acknowledged_at": None}
    _UPDATE.run(connection, of_incident=row.id, **values)
    if incident.status.ended:
        _write_ending(connection, incident)
    if notice is not None:
        put_out(connection, notice, now)
    return incident


def _waiting(row: Row[Any], status: IncidentStatus, now: datetime) -> dict[str, Any]:
    """Keep the account of time spent awaiting approval, which the watchdog does not count."""
    waits = status is IncidentStatus.awaiting_approval
    if waits and row.waiting_since is None:
        return {"waiting_since": now}
    if not waits and row.waiting_since is not None:
        waited_us = max(0, micros(now) - micros(row.waiting_since))
        return {"waiting_since": None, "waited_us": row.waited_us + waited_us}
    return {}


def _write_ending(connection: Connection, incident: Incident) -> None:
    _FORGET_ENDING.run(connection, of_incident=incident.id, of_episode=incident.episode)
    _ENDING.run(
        connection,
        incident_id=incident.id,
        episode=incident.episode,
        service=incident.service,
        status=incident.status.value,
        resolution=incident.resolution,
        reason=incident.reason,
        verification=incident.verification,
        ended_at=incident.ended_at,
    )


def _write_evidence(connection: Connection, incident_id: str, pieces: Sequence[Evidence]) -> None:
    """Write pieces of evidence; one whose id is there already takes its place."""
    if not pieces:
        return
    there = {row.id for row in _EVIDENCE_IDS.all(connection, of_incident=incident_id)}
    bodies = {piece.id: piece.model_dump(mode="json") for piece in pieces}
    new = [{"incident_id": incident_id, "id": id, "body": body} for id, body in bodies.items() if id not in there]
    again = [{"of_incident": incident_id, "of_id": id, "body": body} for id, body in bodies.items() if id in there]
    _EVIDENCE.run_all(connection, new)
    _EVIDENCE_AGAIN.run_all(connection, again)
