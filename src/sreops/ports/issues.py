"""Where incidents are kept for people."""

from collections.abc import Sequence
from typing import Literal, Protocol

from sreops.domain.incidents.incident import Issue
from sreops.ports.health import Health


class Issues(Protocol):
    """Where incidents are kept for people (GitLab). All text is neutralised by the adapter.

    ``marker`` is a unique string that the adapter puts where it can find it again.
    """

    async def find(self, marker: str, *, timeout_s: float) -> Issue | None:
        """Return the issue that carries the marker label."""
        ...

    async def create(
        self,
        marker: str,
        *,
        title: str,
        description: str,
        labels: Sequence[str],
        severity: str,
        timeout_s: float,
    ) -> Issue:
        """Create an incident, after looking for the marker: two tries make one issue."""
        ...

    async def note(self, issue: Issue, marker: str, body: str, *, timeout_s: float) -> None:
        """Add a note, unless one with this marker is there."""
        ...

    async def update(
        self,
        issue: Issue,
        *,
        add_labels: Sequence[str] = (),
        remove_labels: Sequence[str] = (),
        assignee: str | None = None,
        state: Literal["close", "reopen"] | None = None,
        timeout_s: float,
    ) -> None:
        """Change labels, assignee (a username; an unknown one is no error, it is told in a note) or state."""
        ...

    async def health(self) -> Health:
        """Say whether it answers, the token is good, and what it may do."""
        ...
