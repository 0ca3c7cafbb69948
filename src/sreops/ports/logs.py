"""Where logs are queried, and where people note what they changed."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sreops.domain.evidence.changes import NotedChange
from sreops.domain.evidence.evidence import LogLines, Window
from sreops.domain.evidence.log_selection import LogSelector
from sreops.ports.health import Health


class Logs(Protocol):
    """Where logs are queried (Loki)."""

    async def lines(
        self,
        labels: Mapping[str, str],
        window: Window,
        *,
        limit: int,
        timeout_s: float,
        contains: Sequence[str] = (),
        excludes: Sequence[str] = (),
    ) -> LogLines:
        """Return lines of the streams that match, oldest first, the newest ``limit`` of the window.

        ``contains`` and ``excludes`` are plain texts, of any content: all of the first, none of the second.
        """
        ...

    async def streams(self, selector: LogSelector, window: Window, *, timeout_s: float) -> Sequence[Mapping[str, str]]:
        """Return the label sets of the streams that a selector's matchers take in."""
        ...

    async def select(
        self,
        selector: LogSelector,
        window: Window,
        *,
        limit: int,
        timeout_s: float,
        contains: Sequence[str] = (),
        excludes: Sequence[str] = (),
    ) -> LogLines:
        """Return the lines that a selector finds, oldest first, the newest ``limit`` of the window; texts as above."""
        ...

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        """Return the stream labels that exist, so that selectors use real ones."""
        ...

    async def health(self) -> Health:
        """Say whether it answers."""
        ...


class ChangeNotes(Protocol):
    """Where people and pipelines note what they changed (Grafana's annotations)."""

    async def noted(self, window: Window, *, timeout_s: float) -> Sequence[NotedChange]:
        """Return the notes of the window, newest first; not only those of changes."""
        ...
