"""The incident store: one durable store, told in parts; a room each, as in ``adapters/store``."""

from typing import Protocol

from sreops.ports.health import Health
from sreops.ports.store.agent_writes import AgentStore
from sreops.ports.store.api_tokens import ApiTokenStore
from sreops.ports.store.approvals import ApprovalStore
from sreops.ports.store.automation import AutomationStore
from sreops.ports.store.dispatch import ChoreStore, DispatchStore
from sreops.ports.store.effect_ledger import EffectLedger
from sreops.ports.store.intake import IntakeStore
from sreops.ports.store.model_ledger import ModelLedger
from sreops.ports.store.notices import NoticeStore
from sreops.ports.store.people import PeopleStore
from sreops.ports.store.reading import ReadingStore
from sreops.ports.store.records import RecordStore
from sreops.ports.store.retention import RetentionStore
from sreops.ports.store.sessions import SessionStore
from sreops.ports.store.tickets import TicketStore
from sreops.ports.store.track_record import TrackRecordStore


class IncidentStore(
    IntakeStore,
    DispatchStore,
    AgentStore,
    EffectLedger,
    ApprovalStore,
    AutomationStore,
    TicketStore,
    ReadingStore,
    RecordStore,
    ChoreStore,
    RetentionStore,
    ModelLedger,
    NoticeStore,
    PeopleStore,
    SessionStore,
    ApiTokenStore,
    TrackRecordStore,
    Protocol,
):
    """Incidents, inbox, leases, effects ledger, approvals, records and ticket writes: all durable.

    Every method is one transaction. All raise StoreUnavailable; those that take a lease raise LeaseLost.
    """

    async def health(self) -> Health:
        """Write and read something small (bounded)."""
        ...
