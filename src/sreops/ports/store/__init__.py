"""The incident store: one durable store, told in parts; a room each, as in ``adapters/store``."""

from typing import Protocol

from sreops.ports.health import Health
from sreops.ports.store.agent_writes import AgentWrites
from sreops.ports.store.api_tokens import ApiTokens
from sreops.ports.store.approvals import Approvals
from sreops.ports.store.automation import Automation
from sreops.ports.store.dispatch import Chores, Dispatch
from sreops.ports.store.effect_ledger import EffectLedger
from sreops.ports.store.intake import Intake
from sreops.ports.store.model_ledger import ModelLedger
from sreops.ports.store.notices import Notices
from sreops.ports.store.people import People
from sreops.ports.store.reading import Reading
from sreops.ports.store.records import Records
from sreops.ports.store.retention import Retention
from sreops.ports.store.sessions import Sessions
from sreops.ports.store.tickets import Tickets
from sreops.ports.store.track_record import TrackRecords


class IncidentStore(
    Intake,
    Dispatch,
    AgentWrites,
    EffectLedger,
    Approvals,
    Automation,
    Tickets,
    Reading,
    Records,
    Chores,
    Retention,
    ModelLedger,
    Notices,
    People,
    Sessions,
    ApiTokens,
    TrackRecords,
    Protocol,
):
    """Incidents, inbox, leases, effects ledger, approvals, records and ticket writes: all durable.

    Every method is one transaction. All raise StoreUnavailable; those that take a lease raise LeaseLost.
    """

    async def health(self) -> Health:
        """Write and read something small (bounded)."""
        ...
