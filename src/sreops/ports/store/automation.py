"""The kill switch."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from sreops.domain.records.record import Action


class AutomationStore(Protocol):
    """Whether anything may be remediated at all."""

    async def set_paused(self, paused: bool, *, by: str, reason: str, now: datetime) -> None:
        """Close or open the kill switch, audited."""
        ...

    async def note_rules(self, action: Action, *, now: datetime) -> None:
        """Audit which rules are in force (``data["version"]``), where the newest such record names another version."""
        ...

    async def pause_state(self) -> Mapping[str, Any]:
        """Return ``{"paused": bool, "by", "reason", "at"}``."""
        ...
