"""The incident store on SQL: SQLite for one process, PostgreSQL for several."""

from pathlib import Path
from typing import TYPE_CHECKING

from sreops.adapters.store.agent_writes import AgentWrites
from sreops.adapters.store.api_tokens import ApiTokens
from sreops.adapters.store.approvals import Approvals
from sreops.adapters.store.automation import AUTOMATION, Automation
from sreops.adapters.store.chores import Chores
from sreops.adapters.store.correlation import LONGEST_WINDOW_S, Correlating
from sreops.adapters.store.database import Database
from sreops.adapters.store.dispatch import Dispatch
from sreops.adapters.store.inbox import Inbox
from sreops.adapters.store.ledger import Ledger
from sreops.adapters.store.meeting import Meeting
from sreops.adapters.store.model_calls import ModelCalls
from sreops.adapters.store.notices import Notices
from sreops.adapters.store.people import People
from sreops.adapters.store.reading import Reading
from sreops.adapters.store.records import Records
from sreops.adapters.store.retention import Retention
from sreops.adapters.store.sessions import Sessions
from sreops.adapters.store.tickets import Tickets
from sreops.adapters.store.track_record import TrackRecords

if TYPE_CHECKING:
    from sreops.ports import IncidentStore

__all__ = ["AUTOMATION", "SqlIncidentStore"]


class SqlIncidentStore(
    Inbox,
    Correlating,
    Dispatch,
    AgentWrites,
    Meeting,
    Ledger,
    Approvals,
    Automation,
    Tickets,
    Chores,
    ModelCalls,
    Notices,
    People,
    Sessions,
    ApiTokens,
    Records,
    TrackRecords,
    Retention,
    Reading,
):
    """Implements ``ports.IncidentStore``.

    ``url_or_path`` is the path of a SQLite file, or a ``postgresql://`` URL; ``audit_key`` turns the audit
    chain's hash into an HMAC; ``longest_window_s`` is how long after its end an incident is offered to
    correlation (at least the longest of its windows).
    """

    def __init__(
        self,
        url_or_path: str | Path,
        audit_key: bytes | None = None,
        *,
        longest_window_s: float = LONGEST_WINDOW_S,
    ) -> None:
        super().__init__(Database(url_or_path), audit_key, longest_window_s)

    async def open(self) -> None:
        """Connect, and create or upgrade the tables; raises StoreUnavailable or SettingsInvalid."""
        await self._db.open()

    def closed_because(self, why: str) -> None:
        """Say why while it is not open: to those who call it, and in its health."""
        self._db.why_closed = why

    async def close(self) -> None:
        """Let running transactions end, then close."""
        await self._db.close()


if TYPE_CHECKING:

    def _is_a_store(store: SqlIncidentStore) -> IncidentStore:
        return store
