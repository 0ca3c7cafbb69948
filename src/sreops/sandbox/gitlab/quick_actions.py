"""Quick actions: found in descriptions and notes, run with the rights of whoever wrote them, and cut out.

Source: `lib/gitlab/quick_actions/*.rb` and `app/services/quick_actions/interpret_service.rb`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sreops.sandbox.gitlab import markdown
from sreops.sandbox.gitlab.records import Issue, User

_NAMES = frozenset(
    [
        "add_child",
        "add_contacts",
        "add_email",
        "approve",
        "assign",
        "award",
        "assign_reviewer",
        "blocked_by",
        "blocks",
        "board_move",
        "cc",
        "checkin_reminder",
        "child_of",
        "clear_health_status",
        "clear_iteration",
        "clear_milestone",
        "clear_weight",
        "clone",
        "close",
        "confidential",
        "convert_to_ticket",
        "copy_metadata",
        "create_merge_request",
        "done",
        "draft",
        "due",
        "duplicate",
        "epic",
        "estimate",
        "estimate_time",
        "health_status",
        "invite_email",
        "iteration",
        "label",
        "labels",
        "link",
        "linked",
        "lock",
        "mark",
        "move",
        "merge",
        "milestone",
        "page",
        "promote",
        "promote_to",
        "promote_to_incident",
        "publish",
        "react",
        "ready",
        "reassign",
        "reassign_reviewer",
        "rebase",
        "relabel",
        "relate",
        "remove_child",
        "remove_contacts",
        "remove_due_date",
        "remove_email",
        "remove_epic",
        "remove_estimate",
        "remove_iteration",
        "remove_label",
        "remove_milestone",
        "remove_parent",
        "remove_time_spent",
        "remove_time_estimate",
        "remove_zoom",
        "reopen",
        "request_changes",
        "request_review",
        "set_parent",
        "severity",
        "shrug",
        "spend",
        "spend_time",
        "spent",
        "status",
        "submit_review",
        "subscribe",
        "tableflip",
        "tag",
        "target_branch",
        "timeline",
        "title",
        "todo",
        "type",
        "unapprove",
        "unassign",
        "unassign_reviewer",
        "unlabel",
        "unlink",
        "unlock",
        "unsubscribe",
        "weight",
        "wip",
        "zoom",
    ]
)
_COMMAND = re.compile(r"^/(\w+)(?: ([^\n]*))?\s*$")
_LABEL = re.compile(r'~"([^"]+)"|~([^\s~,]+)|"([^"]+)"|([^\s~,"]+)')
_USER = re.compile(r"@([A-Za-z0-9_.\-]+)")
_SEVERITY = {
    "critical": "CRITICAL", "s1": "CRITICAL", "1": "CRITICAL",
    "high": "HIGH", "s2": "HIGH", "2": "HIGH",
    "medium": "MEDIUM", "s3": "MEDIUM", "3": "MEDIUM",
    "low": "LOW", "s4": "LOW", "4": "LOW",
    "unknown": "UNKNOWN", "0": "UNKNOWN",
}  # fmt: skip
# Ends the issue here: what they make elsewhere is out of this project.
_LEAVES = frozenset({"move", "duplicate", "promote_to", "promote"})


@dataclass(frozen=True)
class Command:
    """A quick action as it was written."""

    name: str
    argument: str


@dataclass(frozen=True)
class ExecutedQuickAction:
    """A quick action that GitLab found; `applied` is false where it was cut out without effect."""

    issue_iid: int
    where: str
    name: str
    argument: str
    applied: bool


class Desk(Protocol):
    """What quick actions may do to the tracker."""

    def set_state(self, issue: Issue, state: str, by: User) -> None:
        """Close or reopen."""

    def set_labels(self, issue: Issue, labels: list[str], by: User) -> None:
        """Replace the labels."""

    def set_severity(self, issue: Issue, severity: str, by: User) -> None:
        """Change the severity."""

    def find_user(self, username: str) -> User | None:
        """Return the account of that name."""

    def add_timeline(self, issue: Issue, note: str, by: User, *, action: str = "comment") -> object:
        """Add an entry to the incident's timeline."""


def extract(text: str) -> tuple[str, list[Command]]:
    """Return the text without its quick actions, and these in order."""
    lines = text.replace("\r", "").split("\n")
    found: dict[int, Command] = {}
    for number in markdown.command_lines("\n".join(lines)):
        match = _COMMAND.match(lines[number])
        if match and match.group(1).lower() in _NAMES:
            found[number] = Command(match.group(1).lower(), (match.group(2) or "").strip())
    kept = "\n".join(line for number, line in enumerate(lines) if number not in found)
    return (kept.rstrip() if found else text), list(found.values())


def apply(command: Command, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    """Run one command; return what it changed as `commands_changes` shows it, or None where it failed."""
    action = _ACTIONS.get(command.name)
    if action is not None:
        return action(command.argument, issue, desk, by)
    if command.name in _LEAVES:
        if not command.argument:
            return None
        desk.set_state(issue, "closed", by)
        return {command.name: command.argument}
    return {command.name: command.argument or True}


def _close(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    if issue.state == "closed":
        return None
    desk.set_state(issue, "closed", by)
    return {"state_event": "close"}


def _reopen(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    if issue.state == "opened":
        return None
    desk.set_state(issue, "opened", by)
    return {"state_event": "reopen"}


def _names(argument: str) -> list[str]:
    return [next(part for part in groups if part) for groups in _LABEL.findall(argument)]


def _label(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    names = _names(argument)
    if not names:
        return None
    desk.set_labels(issue, list(dict.fromkeys([*issue.labels, *names])), by)
    return {"add_label_ids": names}


def _unlabel(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    names = _names(argument)
    desk.set_labels(issue, [name for name in issue.labels if names and name not in names], by)
    return {"remove_label_ids": names}


def _relabel(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    desk.set_labels(issue, _names(argument), by)
    return {"label_ids": _names(argument)}


def _assign(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    named = [by] if argument.strip() == "me" else [desk.find_user(name) for name in _USER.findall(argument)]
    users = [user for user in named if user is not None]
    if not users:
        return None
    issue.assignees = users[:1]
    return {"assignee_ids": [user.id for user in users[:1]]}


def _unassign(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    issue.assignees = []
    return {"assignee_ids": []}


def _title(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    if not argument:
        return None
    issue.title = argument
    return {"title": argument}


def _severity(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    severity = _SEVERITY.get(argument.strip().lower())
    if severity is None or not issue.is_incident:
        return None
    desk.set_severity(issue, severity, by)
    return {"severity": severity.lower()}


def _confidential(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    issue.confidential = True
    return {"confidential": True}


def _lock(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    issue.discussion_locked = True
    return {"discussion_locked": True}


def _promote_to_incident(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    if issue.is_incident:
        return None
    issue.issue_type = "incident"
    issue.escalation_status = "TRIGGERED"
    return {"issue_type": "incident"}


def _timeline(argument: str, issue: Issue, desk: Desk, by: User) -> dict[str, Any] | None:
    note = argument.split("|", 1)[0].strip()
    if not note or not issue.is_incident:
        return None
    desk.add_timeline(issue, note, by)
    return {"timeline": note}


_ACTIONS: dict[str, Callable[[str, Issue, Desk, User], dict[str, Any] | None]] = {
    "close": _close,
    "reopen": _reopen,
    "label": _label,
    "labels": _label,
    "unlabel": _unlabel,
    "remove_label": _unlabel,
    "relabel": _relabel,
    "assign": _assign,
    "reassign": _assign,
    "unassign": _unassign,
    "title": _title,
    "severity": _severity,
    "confidential": _confidential,
    "lock": _lock,
    "promote_to_incident": _promote_to_incident,
    "timeline": _timeline,
}
