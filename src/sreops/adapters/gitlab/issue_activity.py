"""What people do on our issues: close and assign them, and comment; read, never believed without a look at who."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sreops.adapters.gitlab.api import GitLabApi
from sreops.adapters.gitlab.marks import incident_of
from sreops.domain.incidents.incident import Issue
from sreops.errors import IssuesRefused
from sreops.ports import ChangedIssue, IssueComment, Role

LEVELS: Final = {"developer": 30, "maintainer": 40, "owner": 50}
_PAGES = 20


class IssueActivity:
    """Looks at what changed; ``label`` is one that all our issues carry."""

    def __init__(self, api: GitLabApi, label: str | None) -> None:
        self._api = api
        self._label = label
        self._me: int | None = None

    async def changed_since(self, since: datetime, deadline: float) -> Sequence[ChangedIssue]:
        """Return our issues that anybody changed since then, the oldest change first."""
        me = await self._own_id(deadline)
        params = [("updated_after", since.isoformat()), ("state", "all"), ("order_by", "updated_at"), ("sort", "asc")]
        params += [("issue_type", "incident"), ("scope", "all"), ("per_page", "100")]
        params += [("labels", self._label)] if self._label else []
        found: list[ChangedIssue] = []
        number = 1
        for _ in range(_PAGES):
            items, following = await self._api.page(
                f"{self._api.at_project}/issues", deadline, [*params, ("page", str(number))]
            )
            found += [changed for item in items if (changed := _changed(item, me)) is not None]
            if following <= number:
                break
            number = following
        return found

    async def comments(self, at: str, since: datetime, deadline: float) -> Sequence[IssueComment]:
        """Return the comments that people wrote since then, oldest first."""
        me = await self._own_id(deadline)
        params = [("sort", "desc"), ("order_by", "created_at"), ("activity_filter", "only_comments")]
        items, _ = await self._api.page(f"{at}/notes", deadline, [*params, ("per_page", "100")])
        found = [comment for item in items if (comment := _comment(item, me)) is not None]
        return [comment for comment in reversed(found) if comment.created_at >= since]

    async def has_role(self, user_id: int, role: Role, deadline: float) -> bool:
        """Whether the account is an active member of the project, no bot, and of at least this role."""
        try:
            member = await self._api.get(f"{self._api.at_project}/members/all/{user_id}", deadline)
            user = await self._api.get(f"/api/v4/users/{user_id}", deadline)
        except IssuesRefused as exc:
            if exc.status == 404:
                return False
            raise
        if not isinstance(member, dict) or not isinstance(user, dict):
            return False
        level = member.get("access_level")
        is_person = user.get("bot") is False and user.get("state") == "active" and member.get("state") == "active"
        return is_person and isinstance(level, int) and not isinstance(level, bool) and level >= LEVELS[role]

    async def _own_id(self, deadline: float) -> int:
        if self._me is None:
            shown = await self._api.get("/api/v4/user", deadline)
            user_id = shown.get("id") if isinstance(shown, dict) else None
            if not isinstance(user_id, int):
                raise IssuesRefused("gitlab: GET /api/v4/user shows no id: who we are there is not known")
            self._me = user_id
        return self._me


def _changed(item: dict[str, Any], me: int) -> ChangedIssue | None:
    incident_id = incident_of(item.get("description"))
    iid, url, updated_at = item.get("iid"), item.get("web_url"), _moment(item.get("updated_at"))
    if incident_id is None or not isinstance(iid, int) or not isinstance(url, str) or updated_at is None:
        return None
    closed_by = item.get("closed_by")
    others = [user for user in item.get("assignees") or () if isinstance(user, dict) and user.get("id") != me]
    by_person = isinstance(closed_by, dict) and closed_by.get("id") != me
    return ChangedIssue(
        issue=Issue(iid=iid, url=url),
        incident_id=incident_id,
        is_open=item.get("state") == "opened",
        closed_by=str(closed_by.get("username")) if by_person and isinstance(closed_by, dict) else None,
        closed_at=_moment(item.get("closed_at")),
        assignees=tuple(str(user.get("username")) for user in others),
        updated_at=updated_at,
    )


def _comment(item: dict[str, Any], me: int) -> IssueComment | None:
    author = item.get("author")
    created_at, updated_at = _moment(item.get("created_at")), _moment(item.get("updated_at"))
    if item.get("system") is not False or not isinstance(author, dict) or created_at is None or updated_at is None:
        return None
    author_id, comment_id = author.get("id"), item.get("id")
    if not isinstance(author_id, int) or not isinstance(comment_id, int) or author_id == me:
        return None
    return IssueComment(
        comment_id=comment_id,
        body=str(item.get("body") or ""),
        author=str(author.get("username")),
        author_id=author_id,
        created_at=created_at,
        edited=updated_at != created_at or bool(item.get("last_edited_at")),
    )


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
