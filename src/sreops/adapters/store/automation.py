"""The kill switch."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.records import audit
from sreops.adapters.store.tables import automation, records
from sreops.domain.records.record import Action

AUTOMATION = "automation"
"""The ``incident_id`` of records that are of no incident: their own audit chain."""

_ROW = 1
_LOOKED_BACK = 500
_SWITCH = Prepared(select(automation).where(automation.c.id == _ROW))


def pause_state_of(connection: Connection) -> dict[str, Any]:
    """Return the state of the switch in the caller's transaction."""
    row = _SWITCH.first(connection)
    if row is None:
        return {"paused": False, "by": "", "reason": "", "at": None}
    return {"paused": row.paused, "by": row.by, "reason": row.reason, "at": row.at}


class SqlAutomation(SqlPart):
    """Pausing and resuming."""

    async def set_paused(self, paused: bool, *, by: str, reason: str, now: datetime) -> None:
        """Close or open the kill switch, audited."""

        def switch(connection: Connection) -> None:
            values = {"paused": paused, "by": by, "reason": reason, "at": now}
            if not connection.execute(update(automation).where(automation.c.id == _ROW).values(**values)).rowcount:
                connection.execute(insert(automation).values(id=_ROW, **values))
            verb = "pause_automation" if paused else "resume_automation"
            action = Action(action=verb, phase="decision", target=AUTOMATION, by=by, detail=reason)
            audit(connection, AUTOMATION, action, now, self._audit_key)

        await self._db.write(switch)

    async def note_rules(self, action: Action, *, now: datetime) -> None:
        """Audit which rules are in force, where the newest such record names another version."""

        def note(connection: Connection) -> None:
            newest = connection.execute(
                select(records.c.body)
                .where(records.c.incident_id == AUTOMATION)
                .order_by(records.c.seq.desc())
                .limit(_LOOKED_BACK)
            ).scalars()
            known = next((body for body in newest if body.get("action") == action.action), None)
            if known is None or known.get("data", {}).get("version") != action.data["version"]:
                audit(connection, AUTOMATION, action, now, self._audit_key)

        await self._db.write(note)

    async def pause_state(self) -> Mapping[str, Any]:
        """Return ``{"paused": bool, "by", "reason", "at"}``."""
        return await self._db.read(pause_state_of)
