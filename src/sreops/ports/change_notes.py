"""Where changes are noted."""

from collections.abc import Sequence
from typing import Protocol

from sreops.domain.evidence.changes import NotedChange
from sreops.domain.evidence.evidence import Window


class ChangeNotes(Protocol):
    """Where people and pipelines note what they changed (Grafana's annotations)."""

    async def noted(self, window: Window, *, timeout_s: float) -> Sequence[NotedChange]:
        """Return the notes of the window, newest first; not only those of changes."""
        ...
