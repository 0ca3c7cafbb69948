"""What GitLab keeps: users, notes, timeline events and issues, and how the REST API shows them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

TITLE_LENGTH_MAX = 255
DESCRIPTION_LENGTH_MAX = 1_048_576
NOTE_LENGTH_MAX = 1_000_000
ISSUE_TYPES = ("issue", "incident", "test_case", "task")
SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")
ESCALATION_STATUSES = ("TRIGGERED", "ACKNOWLEDGED", "RESOLVED", "IGNORED")


@dataclass(frozen=True)
class User:
    """An account; a project access token acts as its bot user. ``access_level`` 0: no member of the project."""

    id: int
    username: str
    name: str
    access_level: int = 30
    bot: bool = False
    state: str = "active"


@dataclass
class Note:
    """A comment; `system` marks those that GitLab writes itself."""

    id: int
    body: str
    author: User
    created_at: datetime
    updated_at: datetime
    system: bool = False
    internal: bool = False
    commands_changes: dict[str, Any] = field(default_factory=dict)


@dataclass
class TimelineEvent:
    """One entry of an incident's timeline; GitLab's own ones are not editable."""

    id: int
    note: str
    action: str
    occurred_at: datetime
    author: User
    created_at: datetime
    editable: bool = True
    tags: list[str] = field(default_factory=list)
    promoted_from: Note | None = None


@dataclass
class Issue:
    """An issue; where `issue_type` is incident it has a severity, an escalation status and a timeline."""

    id: int
    iid: int
    title: str
    description: str | None
    issue_type: str
    author: User
    created_at: datetime
    updated_at: datetime
    state: str = "opened"
    labels: list[str] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    confidential: bool = False
    discussion_locked: bool | None = None
    due_date: str | None = None
    closed_at: datetime | None = None
    closed_by: User | None = None
    severity: str = "UNKNOWN"
    escalation_status: str | None = None
    notes: list[Note] = field(default_factory=list)
    timeline: list[TimelineEvent] = field(default_factory=list)

    @property
    def is_incident(self) -> bool:
        """Whether severity, escalation status and timeline mean anything here."""
        return self.issue_type == "incident"


def stamp(moment: datetime | None) -> str | None:
    """Return a moment as GitLab prints it: UTC, milliseconds, `Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def user_json(user: User, base_url: str) -> dict[str, Any]:
    """Return the short form of a user that issues and notes carry."""
    return {
        "id": user.id,
        "username": user.username,
        "public_email": None,
        "name": user.name,
        "state": user.state,
        "locked": False,
        "avatar_url": None,
        "web_url": f"{base_url}/{user.username}",
    }


def member_json(user: User, base_url: str) -> dict[str, Any]:
    """Return a member as `GET …/members/all/:user_id` shows it."""
    return user_json(user, base_url) | {
        "access_level": user.access_level,
        "created_at": "2026-01-01T00:00:00.000Z",
        "expires_at": None,
        "membership_state": "active",
    }


def note_json(note: Note, issue: Issue, project_id: int, base_url: str) -> dict[str, Any]:
    """Return a note as `POST` and `GET …/notes` show it."""
    return {
        "id": note.id,
        "type": None,
        "body": note.body,
        "author": user_json(note.author, base_url),
        "created_at": stamp(note.created_at),
        "updated_at": stamp(note.updated_at),
        "system": note.system,
        "noteable_id": issue.id,
        "noteable_type": "Issue",
        "project_id": project_id,
        "resolvable": False,
        "confidential": note.internal,
        "internal": note.internal,
        "imported": False,
        "noteable_iid": issue.iid,
        "commands_changes": note.commands_changes,
    }


def issue_json(
    issue: Issue, project_id: int, project_path: str, base_url: str, *, label_details: bool = False
) -> dict[str, Any]:
    """Return an issue as the REST API shows it; `base_url` has no trailing slash."""
    self_url = f"{base_url}/api/v4/projects/{project_id}/issues/{issue.iid}"
    assignees = [user_json(user, base_url) for user in issue.assignees]
    shown = {
        "id": issue.id,
        "iid": issue.iid,
        "project_id": project_id,
        "title": issue.title,
        "description": issue.description,
        "state": issue.state,
        "created_at": stamp(issue.created_at),
        "updated_at": stamp(issue.updated_at),
        "closed_at": stamp(issue.closed_at),
        "closed_by": user_json(issue.closed_by, base_url) if issue.closed_by else None,
        "labels": [label_json(name) for name in issue.labels] if label_details else list(issue.labels),
        "milestone": None,
        "assignees": assignees,
        "assignee": assignees[0] if assignees else None,
        "author": user_json(issue.author, base_url),
        "type": issue.issue_type.upper(),
        "user_notes_count": sum(not note.system for note in issue.notes),
        "due_date": issue.due_date,
        "confidential": issue.confidential,
        "discussion_locked": issue.discussion_locked,
        "issue_type": issue.issue_type,
        "web_url": f"{base_url}/{project_path}/-/issues/{issue.iid}",
        "references": {
            "short": f"#{issue.iid}",
            "relative": f"#{issue.iid}",
            "full": f"{project_path}#{issue.iid}",
        },
        "_links": {
            "self": self_url,
            "notes": f"{self_url}/notes",
            "project": f"{base_url}/api/v4/projects/{project_id}",
        },
    }
    if issue.is_incident:
        shown["severity"] = issue.severity
    return shown


def label_json(name: str, label_id: int = 0, color: str = "#6699cc") -> dict[str, Any]:
    """Return a project label."""
    return {
        "id": label_id,
        "name": name,
        "description": None,
        "description_html": "",
        "text_color": "#FFFFFF",
        "color": color,
        "archived": False,
    }
