"""The tracker's state and the acts on it, the same whether REST or GraphQL asks for them."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sreops.sandbox.clock import Clock
from sreops.sandbox.gitlab import markdown, quick_actions
from sreops.sandbox.gitlab.records import (
    DESCRIPTION_LENGTH_MAX,
    NOTE_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    Issue,
    Note,
    TimelineEvent,
    User,
)

NOTES_PER_ISSUE_MAX = 5_000


class Invalid(Exception):
    """A record failed its model's validation; `fields` is Rails' `errors.messages`."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        super().__init__(str(fields))
        self.fields = fields


class AlreadyLinked(Exception):
    """These two are related already."""


class TooManyRequests(Exception):
    """An application limit (notes or issues per user and minute), which no header announces."""


@dataclass(frozen=True)
class Mention:
    """Somebody who was notified, and by which text."""

    username: str
    issue_iid: int
    where: str


@dataclass
class NoteOutcome:
    """What became of a note: `note` is None where its body was nothing but quick actions."""

    note: Note | None
    commands_changes: dict[str, Any]
    summary: list[str]


class Tracker:
    """One project's issues and its people; the first of `users` owns the token."""

    def __init__(self, clock: Clock, users: Iterable[str], *, notes_per_minute: int) -> None:
        self.clock = clock
        self.users = [User(40 + n, name, name.replace("-", " ").title(), bot=n == 0) for n, name in enumerate(users)]
        self.issues: list[Issue] = []
        self.links: list[frozenset[int]] = []
        self.last_iid = 0
        self.labels: dict[str, int] = {}
        self.executed_quick_actions: list[quick_actions.ExecutedQuickAction] = []
        self.mentions: list[Mention] = []
        self.timeline_tags = {
            "Start time", "End time", "Impact detected",
            "Response initiated", "Impact mitigated", "Cause identified",
        }  # fmt: skip
        self._notes_per_minute = notes_per_minute
        self._note_times: deque[datetime] = deque()
        self._last_id = 4_700

    @property
    def bot(self) -> User:
        """The user that the token belongs to."""
        return self.users[0]

    def new_id(self) -> int:
        """Return a global id that is no iid, so that mixing them up shows."""
        self._last_id += 7
        return self._last_id

    def next_iid(self) -> int:
        """Return the next issue's number; that of a deleted one does not come again."""
        self.last_iid += 1
        return self.last_iid

    def find_issue(self, iid: int) -> Issue | None:
        """Return the issue of this number within the project."""
        return next((issue for issue in self.issues if issue.iid == iid), None)

    def find_user(self, username: str) -> User | None:
        """Return the account of that name; GitLab's user names ignore case."""
        return next((user for user in self.users if user.username.lower() == username.lower()), None)

    def create_issue(
        self,
        title: str,
        description: str | None = None,
        *,
        issue_type: str = "issue",
        labels: Iterable[str] = (),
        assignee_ids: Iterable[int] = (),
        confidential: bool = False,
        due_date: str | None = None,
    ) -> Issue:
        """Create an issue and run the quick actions of its description."""
        _check_issue(title, description)
        now = self.clock.now()
        issue = Issue(
            id=self.new_id(),
            iid=self.next_iid(),
            title=title,
            description=None,
            issue_type=issue_type,
            author=self.bot,
            created_at=now,
            updated_at=now,
            confidential=confidential,
            due_date=due_date,
            escalation_status="TRIGGERED" if issue_type == "incident" else None,
        )
        self.issues.append(issue)
        if issue.is_incident:
            self.add_timeline(issue, f"{self.bot.name} created the incident", self.bot, action="issues")
        self.set_labels(issue, list(labels), self.bot)
        self.assign(issue, assignee_ids)
        self._mention(issue, "title", title)
        self._describe(issue, description, is_new=True)
        return issue

    def update_issue(self, issue: Issue, changes: Mapping[str, Any]) -> None:
        """Apply REST's update parameters; closing what is closed is no error and no change."""
        title = changes.get("title", issue.title)
        description = changes.get("description", issue.description)
        _check_issue(title, description)
        if title != issue.title:
            issue.title = title
            self._mention(issue, "title", title)
        if "description" in changes:
            self._describe(issue, description, is_new=False)
        if "labels" in changes:
            self.set_labels(issue, changes["labels"], self.bot)
        if "add_labels" in changes or "remove_labels" in changes:
            removed = changes.get("remove_labels", [])
            kept = [*issue.labels, *changes.get("add_labels", [])]
            self.set_labels(issue, [name for name in kept if name not in removed], self.bot)
        if "assignee_ids" in changes:
            self.assign(issue, changes["assignee_ids"])
        for plain in ("confidential", "discussion_locked", "due_date", "issue_type"):
            if plain in changes:
                setattr(issue, plain, changes[plain])
        if issue.is_incident and issue.escalation_status is None:
            issue.escalation_status = "TRIGGERED"
        event = changes.get("state_event")
        if event is not None:
            self.set_state(issue, "closed" if event == "close" else "opened", self.bot)
        issue.updated_at = self.clock.now()

    def assign(self, issue: Issue, user_ids: Iterable[int]) -> None:
        """Replace the assignees: one on the free tier; ids of nobody are dropped without a word."""
        wanted = list(user_ids)
        found = [user for user_id in wanted for user in self.users if user.id == user_id]
        issue.assignees = found[:1]

    def set_labels(self, issue: Issue, labels: list[str], by: User) -> None:
        """Replace the labels, creating those that the project does not have."""
        issue.labels = sorted(dict.fromkeys(name.strip() for name in labels if name.strip()))
        for name in issue.labels:
            if name not in self.labels:
                self.labels[name] = self.new_id()

    def set_state(self, issue: Issue, state: str, by: User) -> None:
        """Close (which resolves an incident's escalation) or reopen (which leaves it resolved)."""
        if issue.state == state:
            return
        now = self.clock.now()
        issue.state = state
        issue.closed_at = now if state == "closed" else None
        issue.closed_by = by if state == "closed" else None
        issue.updated_at = now
        self.add_system_note(issue, "closed" if state == "closed" else "reopened", by)
        if not issue.is_incident:
            return
        verb = "closed" if state == "closed" else "reopened"
        self.add_timeline(issue, f"{by.name} {verb} the incident", by, action="issues")
        if state == "closed":
            self.set_escalation_status(issue, "RESOLVED", by)

    def set_severity(self, issue: Issue, severity: str, by: User) -> None:
        """Change an incident's severity; on anything else it has no effect."""
        if issue.is_incident and issue.severity != severity:
            issue.severity = severity
            issue.updated_at = self.clock.now()
            self.add_system_note(issue, f"changed the severity to **{severity.title()}**", by)
            self.add_timeline(issue, f"{by.name} changed the severity to {severity.title()}", by, action="severity")

    def set_escalation_status(self, issue: Issue, status: str, by: User) -> None:
        """Change an incident's escalation status; this neither closes nor reopens it."""
        if issue.escalation_status != status:
            issue.escalation_status = status
            issue.updated_at = self.clock.now()
            self.add_system_note(issue, f"changed the incident status to **{status.title()}**", by)
            note = f"{by.name} changed the incident status to {status.title()}"
            self.add_timeline(issue, note, by, action="status")

    def add_timeline(
        self,
        issue: Issue,
        note: str,
        by: User,
        *,
        action: str = "comment",
        occurred_at: datetime | None = None,
        tags: Iterable[str] = (),
        promoted_from: Note | None = None,
    ) -> TimelineEvent:
        """Add a timeline event; those with another action than comment are GitLab's own."""
        now = self.clock.now()
        event = TimelineEvent(
            id=self.new_id(),
            note=note,
            action=action,
            occurred_at=occurred_at or now,
            author=by,
            created_at=now,
            editable=action == "comment",
            tags=list(tags),
            promoted_from=promoted_from,
        )
        issue.timeline.append(event)
        return event

    def add_system_note(self, issue: Issue, body: str, by: User) -> None:
        """Add a note that GitLab writes itself."""
        now = self.clock.now()
        issue.notes.append(Note(self.new_id(), body, by, now, now, system=True))

    def link(self, issue: Issue, other: Issue) -> None:
        """Relate two issues."""
        pair = frozenset({issue.iid, other.iid})
        if pair in self.links:
            raise AlreadyLinked
        self.links.append(pair)
        now = self.clock.now()
        for one, another in ((issue, other), (other, issue)):
            one.updated_at = now
            self.add_system_note(one, f"marked this incident as related to #{another.iid}", self.bot)

    def linked_to(self, issue: Issue) -> list[Issue]:
        """Return the issues that are related to this one."""
        iids = {iid for pair in self.links if issue.iid in pair for iid in pair if iid != issue.iid}
        return [other for other in self.issues if other.iid in iids]

    def add_note(self, issue: Issue, body: str, *, internal: bool = False) -> NoteOutcome:
        """Add a comment, after running its quick actions and cutting them out."""
        self._count_note()
        if len(issue.notes) >= NOTES_PER_ISSUE_MAX:
            raise Invalid({"base": ["Maximum number of comments exceeded"]})
        if not body.strip():
            raise Invalid({"note": ["can't be blank"]})
        if len(body) > NOTE_LENGTH_MAX:
            raise Invalid({"note": [f"is too long (maximum is {NOTE_LENGTH_MAX} characters)"]})
        text, commands = quick_actions.extract(body)
        changes, summary, failed = self._run(issue, commands, "note")
        if commands and not text.strip():
            if failed and not changes:
                raise Invalid({"commands_only": [f"Could not apply {name} command." for name in failed]})
            return NoteOutcome(None, changes, summary)
        now = self.clock.now()
        note = Note(self.new_id(), text, self.bot, now, now, internal=internal, commands_changes=changes)
        issue.notes.append(note)
        issue.updated_at = now
        self._mention(issue, "note", text)
        return NoteOutcome(note, changes, summary)

    def edit_note(self, issue: Issue, note: Note, body: str) -> None:
        """Replace a comment's body; quick actions run here too."""
        if not body.strip():
            raise Invalid({"note": ["can't be blank"]})
        text, commands = quick_actions.extract(body)
        self._run(issue, commands, "note")
        note.body = text
        note.updated_at = self.clock.now()
        self._mention(issue, "note", text)

    def _describe(self, issue: Issue, description: str | None, *, is_new: bool) -> None:
        text, commands = quick_actions.extract(description or "")
        issue.description = text if description is not None else None
        self._mention(issue, "description", text)
        self._run(issue, commands, "new description" if is_new else "description")

    def _run(
        self, issue: Issue, commands: list[quick_actions.Command], where: str
    ) -> tuple[dict[str, Any], list[str], list[str]]:
        changes: dict[str, Any] = {}
        summary: list[str] = []
        failed: list[str] = []
        for command in commands:
            # A new issue cannot be closed yet: GitLab cuts the line out and leaves the issue open.
            stripped = where == "new description" and command.name == "close"
            change = None if stripped else quick_actions.apply(command, issue, self, self.bot)
            self.executed_quick_actions.append(
                quick_actions.ExecutedQuickAction(
                    issue.iid, where, command.name, command.argument, applied=change is not None
                )
            )
            if change is None:
                failed.append(command.name)
            else:
                changes.update(change)
                summary.append(f"Applied /{command.name} {command.argument}".rstrip() + ".")
        return changes, summary, failed

    def _mention(self, issue: Issue, where: str, text: str) -> None:
        names = markdown.mentions(text, is_title=where == "title")
        self.mentions.extend(Mention(name, issue.iid, where) for name in names)

    def _count_note(self) -> None:
        now = self.clock.now()
        while self._note_times and (now - self._note_times[0]).total_seconds() >= 60:
            self._note_times.popleft()
        if len(self._note_times) >= self._notes_per_minute:
            raise TooManyRequests
        self._note_times.append(now)


def _check_issue(title: str, description: str | None) -> None:
    if not title.strip():
        raise Invalid({"title": ["can't be blank"]})
    if len(title) > TITLE_LENGTH_MAX:
        raise Invalid({"title": [f"is too long (maximum is {TITLE_LENGTH_MAX} characters)"]})
    if description is not None and len(description) > DESCRIPTION_LENGTH_MAX:
        raise Invalid({"description": [f"is too long (maximum is {DESCRIPTION_LENGTH_MAX} characters)"]})
