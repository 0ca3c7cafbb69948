"""The incident store on SQL: SQLite for one process, PostgreSQL for several."""

from pathlib import Path
from typing import TYPE_CHECKING

from sreops.adapters.store.agent_writes import SqlAgentWrites
from sreops.adapters.store.api_tokens import SqlApiTokens
from sreops.adapters.store.approvals import SqlApprovals
from sreops.adapters.store.automation import AUTOMATION, SqlAutomation
from sreops.adapters.store.chores import SqlChores
from sreops.adapters.store.correlation import LONGEST_WINDOW_S, SqlCorrelation
from sreops.adapters.store.database import Database
from sreops.adapters.store.dispatch import SqlDispatch
from sreops.adapters.store.inbox import Inbox
from sreops.adapters.store.ledger import Ledger
from sreops.adapters.store.merging import Merging
from sreops.adapters.store.model_calls import ModelCalls
from sreops.adapters.store.notices import SqlNotices
from sreops.adapters.store.people import SqlPeople
from sreops.adapters.store.reading import SqlReading
from sreops.adapters.store.records import SqlRecords
from sreops.adapters.store.retention import SqlRetention
from sreops.adapters.store.sessions import SqlSessions
from sreops.adapters.store.tickets import SqlTickets
from sreops.adapters.store.track_record import SqlTrackRecords

if TYPE_CHECKING:
    from sreops.ports import IncidentStore

__all__ = ["AUTOMATION", "SqlIncidentStore"]


class SqlIncidentStore(
    Inbox,
    SqlCorrelation,
    SqlDispatch,
    SqlAgentWrites,
    Merging,
    Ledger,
    SqlApprovals,
    SqlAutomation,
    SqlTickets,
    SqlChores,
    ModelCalls,
    SqlNotices,
    SqlPeople,
    SqlSessions,
    SqlApiTokens,
    SqlRecords,
    SqlTrackRecords,
    SqlRetention,
    SqlReading,
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
