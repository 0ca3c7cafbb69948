"""The filters of `GET /projects/:id/issues`, and pages of any list."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request

from sreops.sandbox.gitlab.parameters import FLAG, MOMENT, NAMES, NUMBER, NUMBERS, TEXT, Coercion, choice
from sreops.sandbox.gitlab.records import ISSUE_TYPES, Issue

T = TypeVar("T")
_WORD = re.compile(r"\w+")

FILTERS: dict[str, Coercion] = {
    "state": choice("opened", "closed", "all"),
    "issue_type": choice(*ISSUE_TYPES),
    "labels": NAMES,
    "not[labels]": NAMES,
    "iids": NUMBERS,
    "search": TEXT,
    "in": NAMES,
    "author_id": NUMBER,
    "assignee_id": TEXT,
    "assignee_username": NAMES,
    "confidential": FLAG,
    "created_after": MOMENT,
    "created_before": MOMENT,
    "updated_after": MOMENT,
    "updated_before": MOMENT,
    "scope": choice("all", "created_by_me", "assigned_to_me"),
    "order_by": choice(
        "created_at", "updated_at", "priority", "due_date", "relative_position", "label_priority",
        "milestone_due", "popularity", "title", "weight",
    ),
    "sort": choice("asc", "desc"),
    "with_labels_details": FLAG,
}  # fmt: skip


def select(issues: Sequence[Issue], wanted: Mapping[str, Any]) -> list[Issue]:
    """Return the issues that pass every filter, in the order asked for (newest first unless told)."""
    chosen = [issue for issue in issues if _labels(issue, wanted) and _fields(issue, wanted) and _times(issue, wanted)]
    key = wanted.get("order_by", "created_at")
    if key not in ("created_at", "updated_at", "title"):
        key = "created_at"
    chosen.sort(key=lambda issue: (getattr(issue, key), issue.id), reverse=wanted.get("sort", "desc") == "desc")
    return chosen


def _labels(issue: Issue, wanted: Mapping[str, Any]) -> bool:
    names = wanted.get("labels", [])
    if [name.lower() for name in names] == ["none"]:
        return not issue.labels
    if [name.lower() for name in names] == ["any"]:
        return bool(issue.labels)
    excluded = wanted.get("not[labels]", [])
    return all(name in issue.labels for name in names) and not any(name in issue.labels for name in excluded)


def _fields(issue: Issue, wanted: Mapping[str, Any]) -> bool:
    checks = [
        wanted.get("state", "all") in ("all", issue.state),
        wanted.get("issue_type", issue.issue_type) == issue.issue_type,
        "iids" not in wanted or issue.iid in wanted["iids"],
        wanted.get("author_id", issue.author.id) == issue.author.id,
        wanted.get("confidential", issue.confidential) == issue.confidential,
        "assignee_id" not in wanted or _assigned(issue, wanted["assignee_id"]),
        "assignee_username" not in wanted
        or any(user.username in wanted["assignee_username"] for user in issue.assignees),
        "search" not in wanted or _found(issue, wanted["search"], wanted.get("in", ["title", "description"])),
    ]
    return all(checks)


def _assigned(issue: Issue, wanted: str) -> bool:
    match wanted.lower():
        case "none" | "0":
            return not issue.assignees
        case "any":
            return bool(issue.assignees)
    return any(str(user.id) == wanted for user in issue.assignees)


def _found(issue: Issue, query: str, places: Sequence[str]) -> bool:
    text = " ".join(getattr(issue, place) or "" for place in places if place in ("title", "description"))
    words = [word.lower() for word in _WORD.findall(text)]
    # PostgreSQL's full text search: every word of the query begins a word of the text; substrings do not count.
    return all(any(word.startswith(part.lower()) for word in words) for part in _WORD.findall(query))


def _times(issue: Issue, wanted: Mapping[str, Any]) -> bool:
    return (
        ("created_after" not in wanted or issue.created_at >= wanted["created_after"])
        and ("created_before" not in wanted or issue.created_at <= wanted["created_before"])
        and ("updated_after" not in wanted or issue.updated_at >= wanted["updated_after"])
        and ("updated_before" not in wanted or issue.updated_at <= wanted["updated_before"])
    )


PAGES: dict[str, Coercion] = {"page": NUMBER, "per_page": NUMBER}


def page_of(items: Sequence[T], paging: Mapping[str, Any], request: Request) -> tuple[Sequence[T], dict[str, str]]:
    """Return one page of `items` and GitLab's pagination headers; more than 100 a page are never given."""
    per_page = min(max(paging.get("per_page", 20), 1), 100)
    page = max(paging.get("page", 1), 1)
    pages = max(-(-len(items) // per_page), 1)
    following = str(page + 1) if page < pages else ""
    previous = str(page - 1) if page > 1 else ""
    headers = {
        "x-page": str(page),
        "x-per-page": str(per_page),
        "x-next-page": following,
        "x-prev-page": previous,
        "x-total": str(len(items)),
        "x-total-pages": str(pages),
    }
    links = [("prev", previous), ("next", following), ("first", "1"), ("last", str(pages))]
    headers["link"] = ", ".join(
        f'<{_at_page(request, number, per_page)}>; rel="{rel}"' for rel, number in links if number
    )
    return items[(page - 1) * per_page : page * per_page], headers


def _at_page(request: Request, page: str, per_page: int) -> str:
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in ("page", "per_page")]
    raw_path = request.scope.get("raw_path") or request.url.path.encode()
    base = f"{request.url.scheme}://{request.url.netloc}{raw_path.decode('ascii')}"
    return f"{base}?{urlencode([*kept, ('page', page), ('per_page', str(per_page))])}"
