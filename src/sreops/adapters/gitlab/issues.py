"""GitLab as ports.Issues: one issue per incident, each note once, whatever answers get lost.

REST does not know idempotency keys, so a create looks for the marker first, is sent once, and looks again where
its answer did not come. Severity and escalation status exist in GraphQL alone (REST of 19 takes severity, 18 and
older ignore it); where they can't be set, that is a gap in the log and no failure.
"""

import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from sreops.adapters.gitlab.access import access_health
from sreops.adapters.gitlab.api import GitLabApi
from sreops.adapters.gitlab.issue_activity import IssueActivity
from sreops.adapters.gitlab.living_record import LivingRecord
from sreops.adapters.gitlab.marks import carries, clean_labels, issue_comment, marker_label, note_comment
from sreops.adapters.gitlab.neutralise import neutralise, neutralise_title
from sreops.domain.incidents.incident import Issue
from sreops.errors import IssueGone, IssuesRefused, IssuesUnavailable
from sreops.ports import ChangedIssue, Health, IssueComment, IssuePicture, Role
from sreops.settings import GitLabSettings

_SAYS_SEVERITY = re.compile(r"\[(critical|warning|info)\](?= )")  # as ``records.handover.title`` begins
MAX_RAW_CHARS = 300_000
"""Text beyond this is cut: neutralised it may be three times as long, and GitLab's limit is a million."""
NOTE_PAGES = 51
"""Pages of 100 notes that are looked through: an issue has at most 5,000 comments."""
_CREATE_SHARE = 0.7  # of the time left, so that some remains to look where the answer does not come
_SEVERITIES = {"critical": "CRITICAL", "warning": "MEDIUM", "info": "LOW"}
_SET_SEVERITY = "mutation($in: IssueSetSeverityInput!) { issueSetSeverity(input: $in) { errors } }"
_SET_STATUS = "mutation($in: IssueSetEscalationStatusInput!) { issueSetEscalationStatus(input: $in) { errors } }"


class GitLabIssues:
    """Implements ports.Issues; ``now`` is for the expiry of the token in ``health``."""

    def __init__(
        self,
        settings: GitLabSettings,
        *,
        attempts: int = 3,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = GitLabApi(settings, attempts=attempts, trust=trust, transport=transport)
        self._timeout_s = settings.timeout_s
        self._now = now
        self._issues_at = f"{self._api.at_project}/issues"
        self._confidential = settings.confidential
        self._living = LivingRecord(self._api)
        self._activity = IssueActivity(self._api, next(iter(clean_labels(settings.labels)), None))
        self._full_path: str | None = None if self._api.project.isdigit() else self._api.project

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def find(self, marker: str, *, timeout_s: float) -> Issue | None:
        """Return the issue that carries the marker, open or closed; the oldest, should there be several."""
        found = await self._find(marker, time.monotonic() + timeout_s)
        return None if found is None else _issue(found)

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
        deadline = time.monotonic() + timeout_s
        shown = await self._find(marker, deadline)
        if shown is None:
            wanted = {
                "title": neutralise_title(title) or "(no title)",
                "description": _body(issue_comment(marker), description),
                "issue_type": "incident",
                "labels": ",".join([*clean_labels(labels), marker_label(marker)]),
                **({"confidential": True} if self._confidential else {}),
            }
            shown = await self._create(marker, wanted, deadline)
        issue = _issue(shown)
        await self._set_severity(issue, shown, severity, deadline)
        return issue

    async def show(self, issue: Issue, picture: IssuePicture, *, timeout_s: float) -> None:
        """Bring the issue up to the picture; people's own text is not touched."""
        deadline = time.monotonic() + timeout_s
        at = self._at(issue)
        shown = await self._read(issue, deadline)
        await self._living.show(at, shown, picture, await self._project_path(deadline), deadline)

    async def changed_since(self, since: datetime, *, timeout_s: float) -> Sequence[ChangedIssue]:
        """Return our issues that anybody changed since then, the oldest change first."""
        return await self._activity.changed_since(since, time.monotonic() + timeout_s)

    async def comments(self, issue: Issue, *, since: datetime, timeout_s: float) -> Sequence[IssueComment]:
        """Return the comments that people wrote since then, oldest first."""
        return await self._activity.comments(self._at(issue), since, time.monotonic() + timeout_s)

    async def has_role(self, user_id: int, role: Role, *, timeout_s: float) -> bool:
        """Whether the account is an active member of the project, no bot, and of at least this role."""
        return await self._activity.has_role(user_id, role, time.monotonic() + timeout_s)

    @contextlib.asynccontextmanager
    async def _of(self, issue: Issue, deadline: float) -> AsyncIterator[None]:
        """Raise IssueGone in place of a 404, where it is this issue that is not there."""
        try:
            yield
        except IssuesRefused as exc:
            if exc.status == 404:
                await self._read(issue, deadline)
            raise

    async def _read(self, issue: Issue, deadline: float) -> dict[str, Any]:
        """Return the issue as it is; raises IssueGone where it is not there and its project is."""
        try:
            shown = await self._api.get(self._at(issue), deadline)
        except IssuesRefused as exc:
            if exc.status == 404:
                await self._api.get(self._api.at_project, deadline)  # raises where it is the project that is not seen
                raise IssueGone(f"gitlab: issue {issue.iid} was deleted", status=404) from exc
            raise
        if not isinstance(shown, dict):
            raise IssuesUnavailable(f"gitlab: issue {issue.iid}: the answer is JSON, but not an object")
        return shown

    async def note(self, issue: Issue, marker: str, body: str, *, timeout_s: float) -> None:
        """Add a note, unless one with this marker is there."""
        deadline = time.monotonic() + timeout_s
        async with self._of(issue, deadline):
            await self._note(issue, marker, body, deadline)

    async def _note(self, issue: Issue, marker: str, body: str, deadline: float) -> None:
        at_notes = f"{self._at(issue)}/notes"
        if await self._noted(at_notes, marker, deadline, pages=NOTE_PAGES):
            return
        sent = {"body": _body(note_comment(marker), body)}
        try:
            await self._api.post(at_notes, _share(deadline), sent)
        except IssuesUnavailable as exc:
            if not await self._noted_after(exc, at_notes, marker, deadline):
                raise

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
        """Change labels, assignee (a username; an unknown one is no error, it is told in a note), state or severity.

        Who is assigned already stays: a person has seen to that.
        """
        deadline = time.monotonic() + timeout_s
        async with self._of(issue, deadline):
            shown = await self._update(issue, add_labels, remove_labels, assignee, state, deadline)
            if severity is not None:
                shown = shown or await self._read(issue, deadline)
                await self._set_severity(issue, shown, severity, deadline)
                await self._retitle(issue, str(shown.get("title") or ""), severity, deadline)

    async def _update(
        self,
        issue: Issue,
        add_labels: Sequence[str],
        remove_labels: Sequence[str],
        assignee: str | None,
        state: Literal["close", "reopen"] | None,
        deadline: float,
    ) -> dict[str, Any] | None:
        """Return the issue as it is then; None where nothing had to be changed."""
        shown: dict[str, Any] | None = None
        changes: dict[str, Any] = {}
        if added := clean_labels(add_labels):
            changes["add_labels"] = ",".join(added)
        if removed := clean_labels(remove_labels):
            changes["remove_labels"] = ",".join(removed)
        if state is not None:
            changes["state_event"] = state
        if assignee and _ids((await self._read(issue, deadline)).get("assignees")):
            assignee = None  # somebody has it: who was put there by a person stays
        user_id = await self._user_id(assignee, deadline) if assignee else None
        if user_id is not None:
            changes["assignee_ids"] = [user_id]
        if changes:
            shown = await self._api.put(self._at(issue), deadline, changes)
            self._check_state(issue, shown, state)
            if user_id is not None and user_id not in _ids(shown.get("assignees")):
                user_id = None  # GitLab drops, without a word, who is no member of the project
        if state == "reopen":
            await self._mutate(_SET_STATUS, issue, {"status": "TRIGGERED"}, deadline, "escalation status")
        if assignee and user_id is None:
            told = (
                f"`{assignee.replace('`', '')[:100]}` could not be assigned: no such user, or no member of the project."
            )
            await self.note(issue, f"unassignable:{assignee}", told, timeout_s=deadline - time.monotonic())
        return shown

    async def health(self) -> Health:
        """Say whether it answers, the token is good, and what it may do."""
        return await access_health(self._api, self._now(), time.monotonic() + self._timeout_s)

    def _at(self, issue: Issue) -> str:
        if issue.iid <= 0:
            raise IssuesRefused("gitlab: this incident's record is kept locally: there is no issue to write to")
        return f"{self._issues_at}/{issue.iid}"

    async def _find(self, marker: str, deadline: float) -> dict[str, Any] | None:
        params = [("labels", marker_label(marker)), ("state", "all"), ("order_by", "created_at"), ("sort", "asc")]
        found, _ = await self._api.page(self._issues_at, deadline, [*params, ("per_page", "100")])
        mine = [shown for shown in found if carries(shown.get("description"), marker)]
        sure = [shown for shown in mine if issue_comment(marker) in str(shown.get("description"))]
        return next(iter(sure or mine), None)

    async def _create(self, marker: str, wanted: dict[str, Any], deadline: float) -> dict[str, Any]:
        try:
            shown = await self._api.post(self._issues_at, _share(deadline), wanted)
            _issue(shown)
        except IssuesUnavailable as exc:
            try:
                found = await self._find(marker, deadline)
            except (IssuesUnavailable, IssuesRefused):
                raise exc from None  # the first trouble is the one to tell; the caller looks before it tries again
            if found is None:
                raise
            return found
        return shown

    async def _noted(self, at_notes: str, marker: str, deadline: float, *, pages: int) -> bool:
        comment = note_comment(marker)
        number = 1
        while number and number <= pages:
            params = [("sort", "desc"), ("order_by", "created_at"), ("activity_filter", "only_comments")]
            params += [("per_page", "100"), ("page", str(number))]
            notes, following = await self._api.page(at_notes, deadline, params)
            if any(comment in str(note.get("body")) for note in notes):
                return True
            number = following if following > number else 0
        return False

    async def _noted_after(self, exc: IssuesUnavailable, at_notes: str, marker: str, deadline: float) -> bool:
        try:
            return await self._noted(at_notes, marker, deadline, pages=1)
        except (IssuesUnavailable, IssuesRefused):
            raise exc from None  # the first trouble is the one to tell

    async def _user_id(self, username: str, deadline: float) -> int | None:
        users, _ = await self._api.page("/api/v4/users", deadline, [("username", username)])
        named = [user for user in users if str(user.get("username")).lower() == username.lower()]
        user_id = named[0].get("id") if named else None
        return user_id if isinstance(user_id, int) else None

    async def _set_severity(self, issue: Issue, shown: dict[str, Any], severity: str, deadline: float) -> None:
        wanted = _SEVERITIES.get(severity.lower(), "UNKNOWN")
        if str(shown.get("severity") or "UNKNOWN").upper() != wanted:
            await self._mutate(_SET_SEVERITY, issue, {"severity": wanted}, deadline, "severity")

    async def _retitle(self, issue: Issue, title: str, severity: str, deadline: float) -> None:
        """Let the title say the severity that holds; one that a person has begun otherwise stays as it is."""
        said = _SAYS_SEVERITY.match(title)
        if said and said[1] != severity:
            wanted = f"[{severity}]{title[said.end() :]}"
            await self._api.put(self._at(issue), deadline, {"title": neutralise_title(wanted)})

    async def _mutate(self, query: str, issue: Issue, fields: dict[str, str], deadline: float, what: str) -> None:
        path = await self._project_path(deadline)
        if path is not None:
            variables = {"in": {"projectPath": path, "iid": str(issue.iid), **fields}}
            await self._api.mutate(query, variables, deadline, what=what)

    async def _project_path(self, deadline: float) -> str | None:
        """Return the project's path, which GraphQL wants where the setting is its number."""
        if self._full_path is None:
            try:
                shown = await self._api.get(self._api.at_project, deadline)
            except (IssuesUnavailable, IssuesRefused):
                return None
            path = shown.get("path_with_namespace") if isinstance(shown, dict) else None
            self._full_path = path if isinstance(path, str) else None
        return self._full_path

    @staticmethod
    def _check_state(issue: Issue, shown: dict[str, Any], wanted: str | None) -> None:
        expected = {"close": "closed", "reopen": "opened"}.get(wanted or "")
        if expected and shown.get("state") != expected:
            raise IssuesUnavailable(f"gitlab: issue {issue.iid} is {shown.get('state')!r} after {wanted}")


def _share(deadline: float) -> float:
    now = time.monotonic()
    return now + (deadline - now) * _CREATE_SHARE


def _body(comment: str, text: str) -> str:
    left_out = len(text) - MAX_RAW_CHARS
    body = neutralise(text[:MAX_RAW_CHARS])
    if left_out > 0:
        body += f"\n\n(cut: {left_out} more characters were left out)"
    return f"{comment}\n\n{body}"


def _issue(shown: dict[str, Any]) -> Issue:
    iid, url = shown.get("iid"), shown.get("web_url")
    if not isinstance(iid, int) or isinstance(iid, bool) or iid <= 0 or not isinstance(url, str):
        raise IssuesUnavailable("gitlab: the answer is JSON, but not an issue: it has no iid or web_url")
    return Issue(iid=iid, url=url)


def _ids(users: Any) -> list[Any]:
    return [user.get("id") for user in users if isinstance(user, dict)] if isinstance(users, list) else []
