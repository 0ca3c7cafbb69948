"""A GitLab of one project: REST v4, GraphQL (where graphql-core is installed) and a page per issue.

What reads as a quick action or a mention is obeyed and recorded (`executed_quick_actions`, `mentions`), so
that a test can tell whether hostile text was made harmless before it was sent here.
"""

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sreops.sandbox.clock import Clock, WallClock
from sreops.sandbox.faults import Faults
from sreops.sandbox.gitlab.page import issue_page
from sreops.sandbox.gitlab.pipelines import Project
from sreops.sandbox.gitlab.pipelines_rest import PipelinesRest
from sreops.sandbox.gitlab.quick_actions import ExecutedQuickAction
from sreops.sandbox.gitlab.records import Issue, Note, User
from sreops.sandbox.gitlab.rest import Rest
from sreops.sandbox.gitlab.token import Token
from sreops.sandbox.gitlab.tracker import Mention, Tracker

__all__ = ["ExecutedQuickAction", "GitLab", "Issue", "Mention", "Note", "Project", "User", "gitlab_error"]

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def gitlab_error(status: int) -> tuple[bytes, str]:
    """Report an error as GitLab does; a throttled request gets text, not JSON."""
    if status == 429:
        return b"Retry later\n", "text/plain"
    if status >= 502:
        return b"<html><body><h1>502 Whoops, GitLab is taking too much time.</h1></body></html>", "text/html"
    return json.dumps({"message": f"{status} Internal Server Error"}).encode(), "application/json"


class GitLab:
    """One GitLab with one private project; `app` is the server, `faults` breaks it.

    `users`: the people of the project besides the token's bot (`sreops-bot`); `access_level`: 30 is Developer;
    `scopes`: `api`, or `read_api` to be refused every write. `revoke()` ends the token.
    """

    def __init__(
        self,
        token: str,
        project: str = "ops/incidents",
        *,
        clock: Clock | None = None,
        users: Sequence[str] = ("platform-oncall", "alice", "bob"),
        scopes: tuple[str, ...] = ("api",),
        access_level: int = 30,
        expires_at: date | None = None,
        notes_per_minute: int = 300,
        version: str = "18.6.1",
    ) -> None:
        self.project = project
        self.faults = Faults(gitlab_error)
        self._token = Token(token, scopes, access_level, expires_at)
        self._tracker = Tracker(clock or WallClock(), ["sreops-bot", *users], notes_per_minute=notes_per_minute)
        self._rest = Rest(self._tracker, project, lambda: self._token, version)
        self.projects: dict[str, Project] = {}
        self._pipelines = PipelinesRest(self.projects)
        routes = [
            Route("/api/v4/{path:path}", self._answer, methods=_METHODS),
            Route(f"/{project}/-/issues/{{iid}}", self._show_page),
        ]
        if importlib.util.find_spec("graphql") is not None:
            from sreops.sandbox.gitlab.graphql import GraphQL  # noqa: PLC0415 - graphql-core is for development only

            endpoint = GraphQL(self._tracker, project, lambda: self._token, version)
            routes.append(Route("/api/graphql", endpoint.answer, methods=["POST"]))
        served = Starlette(routes=routes, exception_handlers={404: _not_found})
        served.router.redirect_slashes = False
        self.app: ASGIApp = self.faults.wrap(served)

    def add_project(self, path: str, token: str, *, access_level: int = 30) -> Project:
        """Add a project with code and CI, which its own token reaches, and no other does."""
        tracker, shown, number = self._tracker, Token(token, ("api",), access_level), 4000 + len(self.projects)
        bot = User(5000 + number, f"project_{number}_bot", "sreops", access_level, bot=True)
        made = Project(number, path, shown, tracker.clock, bot, tracker.new_id)
        self.projects[path] = made
        return made

    def person(self, username: str) -> User:
        """Return an account."""
        return self._person(username)

    async def _answer(self, request: Request) -> Response:
        if self._pipelines.has(request) or self._pipelines.asks_who(request) is not None:
            return await self._pipelines.answer(request)
        return await self._rest.answer(request)

    @property
    def issues(self) -> list[Issue]:
        """Every issue, oldest first."""
        return self._tracker.issues

    @property
    def executed_quick_actions(self) -> list[ExecutedQuickAction]:
        """Every quick action that was found in a description or note, and whether it took effect."""
        return self._tracker.executed_quick_actions

    @property
    def mentions(self) -> list[Mention]:
        """Everybody who was notified, and by which text."""
        return self._tracker.mentions

    def throttle(self, times: int = 1, retry_after_s: int = 1, *, path: str = "*", method: str = "*") -> None:
        """Answer the next `times` requests as Rack::Attack: 429, the text `Retry later`, and when to come back."""
        reset = int(self._tracker.clock.time()) + retry_after_s
        headers = {
            "RateLimit-Limit": "600",
            "RateLimit-Name": "throttle_authenticated_api",
            "RateLimit-Observed": "601",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(reset),
            "Retry-After": str(retry_after_s),
        }
        self.faults.fail(429, headers=headers, path=path, method=method, times=times)

    def comment(self, iid: int, body: str, by: str, *, edited: bool = False) -> Note:
        """Let a person comment; ``edited``: they have changed it since."""
        issue, user = self._of(iid), self._person(by)
        now = self._tracker.clock.now()
        note = Note(self._tracker.new_id(), body, user, now, now + timedelta(seconds=1) if edited else now)
        issue.notes.append(note)
        issue.updated_at = now
        return note

    def close(self, iid: int, by: str) -> None:
        """Let a person close an issue."""
        self._tracker.set_state(self._of(iid), "closed", self._person(by))

    def assign(self, iid: int, to: str) -> None:
        """Let a person take an issue."""
        issue = self._of(iid)
        self._tracker.assign(issue, [self._person(to).id])
        issue.updated_at = self._tracker.clock.now()

    def delete(self, iid: int) -> None:
        """Let an owner delete an issue."""
        self._tracker.issues.remove(self._of(iid))

    def set_user(self, username: str, **changes: Any) -> None:
        """Change an account: `access_level`, `bot`, `state`."""
        users = self._tracker.users
        users[:] = [replace(user, **changes) if user.username == username else user for user in users]

    def move(self, project: str) -> None:
        """Move the project: its old path redirects a GET and is unknown to everything else."""
        self.project = project
        self._rest.move(project)

    def linked_to(self, iid: int) -> list[int]:
        """Return the numbers of the issues that one is related to."""
        return [issue.iid for issue in self._tracker.linked_to(self._of(iid))]

    def renew(self, token: str) -> None:
        """Give the bot a new token."""
        self._token = Token(token)

    def _of(self, iid: int) -> Issue:
        issue = self._tracker.find_issue(iid)
        if issue is None:
            raise LookupError(f"there is no issue {iid}")
        return issue

    def _person(self, username: str) -> User:
        user = self._tracker.find_user(username)
        if user is None:
            raise LookupError(f"there is no user {username}")
        return user

    def revoke(self) -> None:
        """End the token: everything is answered 401 from now on."""
        # No header can carry NUL, so no token matches this one.
        self._token = Token("\x00", (), 0)

    def _show_page(self, request: Request) -> Response:
        iid = request.path_params["iid"]
        issue = self._tracker.find_issue(int(iid)) if iid.isdigit() else None
        if issue is None:
            return PlainTextResponse("404: there is no such issue here", 404)
        return issue_page(issue, self.project)


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "404 Not Found"}, 404)
