"""Where incidents are kept for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from sreops.domain.incidents.incident import Issue
from sreops.domain.records.timeline import TimelineEntry
from sreops.ports.health import Health


@dataclass(frozen=True)
class IssuePicture:
    """What an issue is to show; ``summary`` is Markdown, ``related`` are issues of earlier incidents.

    ``page_line`` is the line of the summary that links to the incident's page, all of it our own: it stays a link.
    """

    summary: str
    timeline: Sequence[TimelineEntry] = ()
    related: Sequence[int] = ()
    acknowledged: bool = False
    page_line: str = ""


@dataclass(frozen=True)
class ChangedIssue:
    """An issue of ours as it stands; ``closed_by`` and ``assignees`` are accounts other than our own."""

    issue: Issue
    incident_id: str
    is_open: bool
    closed_by: str | None
    closed_at: datetime | None
    assignees: Sequence[str]
    updated_at: datetime


@dataclass(frozen=True)
class IssueComment:
    """A comment of a person; ``edited``: it is not what was first written."""

    comment_id: int
    body: str
    author: str
    author_id: int
    created_at: datetime
    edited: bool


Role = Literal["developer", "maintainer", "owner"]


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

    async def show(self, issue: Issue, picture: IssuePicture, *, timeout_s: float) -> None:
        """Bring the issue up to the picture; what is there already stays, and people's own text is not touched."""
        ...

    async def changed_since(self, since: datetime, *, timeout_s: float) -> Sequence[ChangedIssue]:
        """Return our issues that anybody changed since then, the oldest change first."""
        ...

    async def comments(self, issue: Issue, *, since: datetime, timeout_s: float) -> Sequence[IssueComment]:
        """Return the comments that people wrote since then, oldest first; none of ours, of bots or of GitLab."""
        ...

    async def has_role(self, user_id: int, role: Role, *, timeout_s: float) -> bool:
        """Whether the account is an active member of the project, no bot, and of at least this role."""
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
        severity: str | None = None,
        timeout_s: float,
    ) -> None:
        """Change labels, assignee (a username; an unknown one is no error, it is told in a note), state or severity."""
        ...

    async def health(self) -> Health:
        """Say whether it answers, the token is good, and what it may do."""
        ...
