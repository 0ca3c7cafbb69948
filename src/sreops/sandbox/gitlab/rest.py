"""REST v4: the endpoints that an incident bot uses, with GitLab's status codes and shapes of error."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sreops.sandbox.gitlab import search
from sreops.sandbox.gitlab.parameters import (
    FLAG,
    NAMES,
    NUMBER,
    NUMBERS,
    TEXT,
    Coercion,
    ParameterRefused,
    choice,
    coerce,
    read,
)
from sreops.sandbox.gitlab.records import (
    ISSUE_TYPES,
    Issue,
    Note,
    User,
    issue_json,
    label_json,
    member_json,
    note_json,
    user_json,
)
from sreops.sandbox.gitlab.token import Token
from sreops.sandbox.gitlab.tracker import AlreadyLinked, Invalid, TooManyRequests, Tracker
from sreops.sandbox.told import Told

PROJECT_ID = 3101

_WRITABLE: dict[str, Coercion] = {
    "title": TEXT,
    "description": TEXT,
    "issue_type": choice(*ISSUE_TYPES),
    "labels": NAMES,
    "assignee_ids": NUMBERS,
    "assignee_id": NUMBERS,
    "confidential": FLAG,
    "due_date": TEXT,
}
_UPDATABLE: dict[str, Coercion] = {
    **_WRITABLE,
    "add_labels": NAMES,
    "remove_labels": NAMES,
    "discussion_locked": FLAG,
    "state_event": choice("close", "reopen"),
}
_NOTE_FILTERS: dict[str, Coercion] = {
    **search.PAGES,
    "sort": choice("asc", "desc"),
    "order_by": choice("created_at", "updated_at"),
    "activity_filter": choice("all_notes", "only_comments", "only_activity"),
}


Params = dict[str, object]
Handler = Callable[[Request, "re.Match[str]", Params], Response]


class Rest:
    """The API over one tracker, for one token and one project."""

    def __init__(self, tracker: Tracker, project: str, token: Callable[[], Token], version: str) -> None:
        self._tracker = tracker
        self._project = project
        self._token = token
        self._version = version
        self.moved_from: str | None = None
        number = r"(?P<iid>\d+)"
        project_at = r"/projects/(?P<project>[^/]+)"
        issue_at = rf"{project_at}/issues/{number}"
        table: list[tuple[str, dict[str, Handler]]] = [
            (r"/version", {"GET": self._show_version}),
            (r"/user", {"GET": self._show_me}),
            (r"/users", {"GET": self._list_users}),
            (r"/users/(?P<user>\d+)", {"GET": self._show_user}),
            (r"/personal_access_tokens/self", {"GET": self._show_token}),
            (project_at, {"GET": self._show_project}),
            (rf"{project_at}/members/all/(?P<user>\d+)", {"GET": self._show_member}),
            (rf"{project_at}/labels", {"GET": self._list_labels, "POST": self._create_label}),
            (rf"{project_at}/issues", {"GET": self._list_issues, "POST": self._create_issue}),
            (issue_at, {"GET": self._show_issue, "PUT": self._update_issue}),
            (rf"{issue_at}/links", {"GET": self._list_links, "POST": self._create_link}),
            (rf"{issue_at}/notes", {"GET": self._list_notes, "POST": self._create_note}),
            (rf"{issue_at}/notes/(?P<note>\d+)", {"GET": self._show_note, "PUT": self._edit_note}),
        ]
        self._table = [(re.compile(rf"/api/v4{path}"), handlers) for path, handlers in table]

    async def answer(self, request: Request) -> Response:
        """Answer one request below `/api/v4`."""
        try:
            params = await read(request)
            match, handlers = self._route(request)
            handler = handlers.get(request.method)
            if handler is None:
                return JSONResponse({"error": "405 Not Allowed"}, 405, {"Allow": ", ".join(handlers)})
            of_project = "project" in match.groupdict()
            self._token().admit(request, of_project=of_project)
            if of_project and unquote(match["project"]).lower() == (self.moved_from or "").lower():
                return self._moved(request, match)
            if of_project:
                self._check_project(unquote(match["project"]))
            return handler(request, match, params)
        except Told as early:
            return JSONResponse(early.body, early.status)
        except ParameterRefused as refused:
            if refused.plain:
                return PlainTextResponse(refused.message, refused.status)
            return JSONResponse({"error": refused.message}, refused.status)
        except Invalid as invalid:
            return JSONResponse({"message": invalid.fields}, 400)
        except TooManyRequests:
            text = "This endpoint has been requested too many times. Try again later."
            return JSONResponse({"message": {"error": text}}, 429)

    def _route(self, request: Request) -> tuple["re.Match[str]", dict[str, Handler]]:
        # The path as it was sent: `ops%2Fincidents` is one segment, `ops/incidents` are two and no project.
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        for pattern, handlers in self._table:
            match = pattern.fullmatch(raw.decode("ascii", "replace"))
            if match:
                return match, handlers
        raise Told(404, {"error": "404 Not Found"})

    def move(self, project: str) -> None:
        """Give the project another path; its old one redirects."""
        self.moved_from, self._project = self._project, project

    def _moved(self, request: Request, match: "re.Match[str]") -> Response:
        if request.method != "GET":
            raise Told(404, {"message": "404 Project Not Found"})
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        there = raw.decode("ascii", "replace").replace(match["project"], str(PROJECT_ID), 1)
        return JSONResponse({"message": "Non GET methods are not allowed for moved projects"}, 301, {"Location": there})

    def _check_project(self, wanted: str) -> None:
        if wanted.lower() not in (self._project.lower(), str(PROJECT_ID)):
            raise Told(404, {"message": "404 Project Not Found"})

    def _issue(self, match: "re.Match[str]", missing: str = "404 Not found") -> Issue:
        issue = self._tracker.find_issue(int(match["iid"]))
        if issue is None:
            raise Told(404, {"message": missing})
        return issue

    def _may_write_incidents(self, changes: dict[str, Any]) -> None:
        if changes.get("issue_type") == "incident" and self._token().access_level < 20:
            raise Told(403, {"message": "403 Forbidden"})

    def _show(self, issue: Issue, request: Request, *, label_details: bool = False) -> dict[str, Any]:
        return issue_json(issue, PROJECT_ID, self._project, base_of(request), label_details=label_details)

    def _show_version(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        return JSONResponse({"version": self._version, "revision": "5a0d3b1c9e7", "enterprise": False})

    def _show_me(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        return JSONResponse(user_json(self._tracker.bot, base_of(request)) | {"bot": True})

    def _list_users(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        asked = coerce(params, {"username": TEXT, "search": TEXT, **search.PAGES})
        found = self._tracker.users
        if "username" in asked:
            user = self._tracker.find_user(asked["username"])
            found = [user] if user else []
        elif "search" in asked:
            found = [user for user in found if asked["search"].lower() in f"{user.username} {user.name}".lower()]
        users, headers = search.page_of(found, asked, request)
        return JSONResponse([user_json(user, base_of(request)) for user in users], headers=headers)

    def _user(self, match: "re.Match[str]", missing: str) -> User:
        user = next((user for user in self._tracker.users if user.id == int(match["user"])), None)
        if user is None:
            raise Told(404, {"message": missing})
        return user

    def _show_user(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        user = self._user(match, "404 User Not Found")
        return JSONResponse(user_json(user, base_of(request)) | {"bot": user.bot, "bio": ""})

    def _show_member(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        user = self._user(match, "404 Not found")
        if user.access_level == 0:
            raise Told(404, {"message": "404 Not found"})
        return JSONResponse(member_json(user, base_of(request)))

    def _list_links(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        issue = self._issue(match)
        linked = [
            self._show(other, request) | {"link_type": "relates_to", "issue_link_id": other.id}
            for other in self._tracker.linked_to(issue)
        ]
        return JSONResponse(linked)

    def _create_link(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        issue = self._issue(match)
        kinds = choice("relates_to", "blocks", "is_blocked_by")
        asked = coerce(params, {"target_project_id": TEXT, "target_issue_iid": NUMBER, "link_type": kinds})
        _require(asked, "target_project_id", "target_issue_iid")
        self._check_project(asked["target_project_id"])
        if asked.get("link_type", "relates_to") != "relates_to":
            raise Told(403, {"message": "Blocked issues not available for current license"})
        other = self._tracker.find_issue(asked["target_issue_iid"])
        if other is None or other is issue:
            raise Told(404, {"message": "No matching issue found. Make sure that you are adding a valid issue URL."})
        try:
            self._tracker.link(issue, other)
        except AlreadyLinked:
            return JSONResponse({"message": "Issue(s) already assigned"}, 409)
        shown = {"source_issue": self._show(issue, request), "target_issue": self._show(other, request)}
        return JSONResponse({**shown, "link_type": "relates_to"}, 201)

    def _show_token(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        return JSONResponse(self._token().shown(self._tracker.bot.id, self._tracker.clock.now()))

    def _show_project(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        namespace, _, name = self._project.rpartition("/")
        return JSONResponse(
            {
                "id": PROJECT_ID,
                "name": name,
                "path": name,
                "path_with_namespace": self._project,
                "namespace": {"full_path": namespace},
                "web_url": f"{base_of(request)}/{self._project}",
                "visibility": "private",
                "archived": False,
                "issues_enabled": True,
                "issues_access_level": "enabled",
                "permissions": {
                    "project_access": {"access_level": self._token().access_level, "notification_level": 3},
                    "group_access": None,
                },
            }
        )

    def _list_labels(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        asked = coerce(params, {"search": TEXT, **search.PAGES})
        wanted = asked.get("search", "").lower()
        found = [(name, label_id) for name, label_id in sorted(self._tracker.labels.items()) if wanted in name.lower()]
        labels, headers = search.page_of(found, asked, request)
        return JSONResponse([label_json(name, label_id) for name, label_id in labels], headers=headers)

    def _create_label(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        asked = coerce(params, {"name": TEXT, "color": TEXT})
        _require(asked, "name", "color")
        if asked["name"] in self._tracker.labels:
            return JSONResponse({"message": "Label already exists"}, 409)
        if "," in asked["name"]:
            raise Invalid({"title": ["is invalid"]})
        if not re.fullmatch(r"#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?|[a-z]+", asked["color"]):
            raise Invalid({"color": ["must be a valid color code"]})
        label_id = self._tracker.labels[asked["name"]] = self._tracker.new_id()
        return JSONResponse(label_json(asked["name"], label_id, asked["color"]), 201)

    def _list_issues(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        asked = coerce(params, {**search.FILTERS, **search.PAGES})
        issues, headers = search.page_of(search.select(self._tracker.issues, asked), asked, request)
        details = asked.get("with_labels_details", False)
        return JSONResponse([self._show(issue, request, label_details=details) for issue in issues], headers=headers)

    def _create_issue(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        asked = coerce(params, _WRITABLE)
        _require(asked, "title")
        self._may_write_incidents(asked)
        issue = self._tracker.create_issue(
            asked["title"],
            asked.get("description"),
            issue_type=asked.get("issue_type", "issue"),
            labels=asked.get("labels", ()),
            assignee_ids=asked.get("assignee_ids", asked.get("assignee_id", ())),
            confidential=asked.get("confidential", False),
            due_date=asked.get("due_date"),
        )
        return JSONResponse(self._show(issue, request), 201)

    def _show_issue(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        return JSONResponse(self._show(self._issue(match), request))

    def _update_issue(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        issue = self._issue(match)
        asked = coerce(params, _UPDATABLE)
        if not asked:
            told = ", ".join(sorted(_UPDATABLE)) + " are missing, at least one parameter must be provided"
            raise ParameterRefused(told)
        self._may_write_incidents(asked)
        if "assignee_id" in asked:
            asked.setdefault("assignee_ids", asked["assignee_id"])
        self._tracker.update_issue(issue, asked)
        return JSONResponse(self._show(issue, request))

    def _list_notes(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        issue = self._issue(match, "404 Issue Not Found")
        asked = coerce(params, _NOTE_FILTERS)
        shown = {"only_comments": (False,), "only_activity": (True,)}.get(
            asked.get("activity_filter", ""), (False, True)
        )
        key = asked.get("order_by", "created_at")
        found = sorted(
            (note for note in issue.notes if note.system in shown),
            key=lambda note: (getattr(note, key), note.id),
            reverse=asked.get("sort", "desc") == "desc",
        )
        notes, headers = search.page_of(found, asked, request)
        return JSONResponse([note_json(note, issue, PROJECT_ID, base_of(request)) for note in notes], headers=headers)

    def _create_note(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        issue = self._issue(match, "404 Issue Not Found")
        asked = coerce(params, {"body": TEXT, "internal": FLAG, "confidential": FLAG})
        _require(asked, "body")
        internal = asked.get("internal", asked.get("confidential", False))
        try:
            outcome = self._tracker.add_note(issue, asked["body"], internal=internal)
        except Invalid as invalid:
            return JSONResponse({"message": f"400 Bad request - Note {invalid.fields}"}, 400)
        if outcome.note is None:
            return JSONResponse({"commands_changes": outcome.commands_changes, "summary": outcome.summary}, 202)
        return JSONResponse(note_json(outcome.note, issue, PROJECT_ID, base_of(request)), 201)

    def _note(self, issue: Issue, match: "re.Match[str]") -> Note:
        for note in issue.notes:
            if note.id == int(match["note"]):
                return note
        raise Told(404, {"message": "404 Note Not Found"})

    def _show_note(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        issue = self._issue(match, "404 Issue Not Found")
        return JSONResponse(note_json(self._note(issue, match), issue, PROJECT_ID, base_of(request)))

    def _edit_note(self, request: Request, match: "re.Match[str]", params: Params) -> Response:
        issue = self._issue(match, "404 Issue Not Found")
        note = self._note(issue, match)
        asked = coerce(params, {"body": TEXT})
        _require(asked, "body")
        if note.system:
            raise Told(403, {"message": "403 Forbidden"})
        self._tracker.edit_note(issue, note, asked["body"])
        return JSONResponse(note_json(note, issue, PROJECT_ID, base_of(request)))


def base_of(request: Request) -> str:
    """Return the address under which the client reached us, so that links lead back here."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _require(asked: dict[str, Any], *names: str) -> None:
    missing = [name for name in names if name not in asked]
    if missing:
        raise ParameterRefused(", ".join(f"{name} is missing" for name in missing))
