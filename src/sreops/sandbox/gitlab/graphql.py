"""GraphQL over the same tracker, executed by graphql-core: import this module only where that is installed.

Errors come in two places, both with status 200: `errors` at the top (syntax, types, permissions) and
`data.<mutation>.errors` (validation).
"""

import json
from collections.abc import Callable
from typing import Any

from graphql import GraphQLError, build_schema, graphql_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sreops.sandbox.gitlab.graphql_schema import SCHEMA
from sreops.sandbox.gitlab.graphql_types import Input, Shown, fill_in_scalars, tag_type
from sreops.sandbox.gitlab.records import Issue, TimelineEvent
from sreops.sandbox.gitlab.rest import PROJECT_ID, base_of
from sreops.sandbox.gitlab.token import Token, shown_by
from sreops.sandbox.gitlab.tracker import Invalid, TooManyRequests, Tracker

QUERY_LENGTH_MAX = 10_000
TIMELINE_NOTE_LENGTH_MAX = 280
_HIDDEN = (
    "The resource that you are attempting to access does not exist or you don't have permission to perform this action"
)


class GraphQL:
    """The endpoint `/api/graphql`."""

    def __init__(self, tracker: Tracker, project: str, token: Callable[[], Token], version: str) -> None:
        self._tracker = tracker
        self._project = project
        self._token = token
        self._version = version
        self._schema = build_schema(SCHEMA)
        fill_in_scalars(self._schema)

    async def answer(self, request: Request) -> Response:
        """Execute one `{query, variables, operationName}`."""
        signed_in = self._authenticate(request)
        if isinstance(signed_in, Response):
            return signed_in
        try:
            asked = json.loads(await request.body())
        except ValueError:
            return JSONResponse({"errors": [{"message": "Unexpected end of JSON input"}]}, 400)
        if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
            return JSONResponse({"errors": [{"message": "No query string was present"}]})
        if len(asked["query"]) > QUERY_LENGTH_MAX:
            return JSONResponse({"errors": [{"message": "Query too large"}]})
        variables = asked.get("variables") or {}
        if not isinstance(variables, dict):
            return JSONResponse({"errors": [{"message": "Variables must be an object"}]}, 400)
        done = graphql_sync(
            self._schema,
            asked["query"],
            root_value=self._root(base_of(request), signed_in=signed_in),
            variable_values=variables,
            operation_name=asked.get("operationName"),
        )
        return JSONResponse(done.formatted)

    def _authenticate(self, request: Request) -> bool | Response:
        given = shown_by(request)
        if given is None:
            return False
        if given != self._token().value:
            return JSONResponse({"errors": [{"message": "Invalid token"}]}, 401)
        return True

    def _root(self, base_url: str, *, signed_in: bool) -> dict[str, Any]:
        show = Shown(self._project, base_url)
        mutations = {
            "timelineEventCreate": self._timeline_event_create,
            "timelineEventUpdate": self._timeline_event_update,
            "timelineEventDestroy": self._timeline_event_destroy,
            "timelineEventPromoteFromNote": self._timeline_event_promote,
            "timelineEventTagCreate": self._timeline_event_tag_create,
            "issueSetSeverity": self._issue_set_severity,
            "issueSetEscalationStatus": self._issue_set_escalation_status,
            "issueSetAssignees": self._issue_set_assignees,
            "updateIssue": self._update_issue,
            "createNote": self._create_note,
        }

        def run(mutate: "Callable[[Shown, Input], Input]") -> Callable[..., Input]:
            def resolve(info: object, input: Input) -> Input:
                if not signed_in or "api" not in self._token().scopes:
                    raise GraphQLError(_HIDDEN)
                try:
                    payload = mutate(show, input)
                except Invalid as invalid:
                    messages = [f"{k.title()} {told}" for k, v in invalid.fields.items() for told in v]
                    payload = {"errors": messages}
                return {"errors": [], "clientMutationId": input.get("clientMutationId"), **payload}

            return resolve

        return {
            **{name: run(mutate) for name, mutate in mutations.items()},
            "project": lambda info, fullPath: self._show_project(show, fullPath) if signed_in else None,  # noqa: N803 - GraphQL's name
            "currentUser": show.user(self._tracker.bot) if signed_in else None,
            "metadata": {"version": self._version} if signed_in else None,
        }

    def _show_project(self, show: Shown, path: str) -> Input | None:
        if path.lower() != self._project.lower():
            return None

        def issue(info: object, iid: str | None = None) -> Input | None:
            found = self._tracker.find_issue(int(iid)) if iid and iid.isdigit() else None
            return show.issue(found) if found else None

        def timeline(info: object, incidentId: int, first: int = 100, after: str | None = None) -> Input:  # noqa: N803 - GraphQL's name
            events = sorted(self._issue_by_id(incidentId).timeline, key=lambda event: event.occurred_at)
            start = int(after) if after and after.isdigit() else 0
            end = start + min(first, 100)
            return {
                "nodes": [show.event(event) for event in events[start:end]],
                "pageInfo": {"hasNextPage": end < len(events), "endCursor": str(end)},
            }

        return {
            "id": f"gid://gitlab/Project/{PROJECT_ID}",
            "fullPath": self._project,
            "name": self._project.rpartition("/")[2],
            "issue": issue,
            "incidentManagementTimelineEvents": timeline,
        }

    def _issue_by_id(self, issue_id: int) -> Issue:
        for issue in self._tracker.issues:
            if issue.id == issue_id:
                return issue
        raise GraphQLError(_HIDDEN)

    def _issue_at(self, asked: Input) -> Issue:
        iid = asked["iid"]
        found = self._tracker.find_issue(int(iid)) if iid.isdigit() else None
        if asked["projectPath"].lower() != self._project.lower() or found is None:
            raise GraphQLError(_HIDDEN)
        return found

    def _event(self, event_id: int) -> tuple[Issue, TimelineEvent]:
        for issue in self._tracker.issues:
            for event in issue.timeline:
                if event.id == event_id:
                    return issue, event
        raise GraphQLError(_HIDDEN)

    def _missing_tags(self, names: list[str]) -> list[str]:
        known = {name.lower() for name in self._tracker.timeline_tags}
        return [name for name in names if name.lower() not in known]

    def _timeline_event_create(self, show: Shown, asked: Input) -> Input:
        issue = self._issue_by_id(asked["incidentId"])
        if not issue.is_incident:
            raise GraphQLError(_HIDDEN)
        names = asked.get("timelineEventTagNames") or []
        missing = self._missing_tags(names)
        if missing:
            return {"errors": [f"Following tags don't exist: {json.dumps(missing)}"]}
        _check_timeline_note(asked["note"])
        event = self._tracker.add_timeline(
            issue, asked["note"], self._tracker.bot, occurred_at=asked["occurredAt"], tags=names
        )
        return {"timelineEvent": show.event(event)}

    def _timeline_event_update(self, show: Shown, asked: Input) -> Input:
        _, event = self._event(asked["id"])
        if not event.editable:
            return {"errors": ["You cannot edit this timeline event."]}
        names = asked.get("timelineEventTagNames")
        if names is not None:
            missing = self._missing_tags(names)
            if missing:
                return {"errors": [f"Following tags don't exist: {json.dumps(missing)}"]}
        if asked.get("note") is not None:
            _check_timeline_note(asked["note"])
            event.note = asked["note"]
        event.tags = list(names) if names is not None else event.tags
        event.occurred_at = asked.get("occurredAt") or event.occurred_at
        return {"timelineEvent": show.event(event)}

    def _timeline_event_destroy(self, show: Shown, asked: Input) -> Input:
        issue, event = self._event(asked["id"])
        issue.timeline.remove(event)
        return {"timelineEvent": show.event(event)}

    def _timeline_event_promote(self, show: Shown, asked: Input) -> Input:
        for issue in self._tracker.issues:
            for note in issue.notes:
                if note.id == asked["noteId"] and issue.is_incident:
                    event = self._tracker.add_timeline(
                        issue, note.body, self._tracker.bot, occurred_at=note.created_at, promoted_from=note
                    )
                    return {"timelineEvent": show.event(event)}
        raise GraphQLError(_HIDDEN)

    def _timeline_event_tag_create(self, show: Shown, asked: Input) -> Input:
        if asked["projectPath"].lower() != self._project.lower():
            raise GraphQLError(_HIDDEN)
        name = asked["name"]
        if not name.strip() or len(name) > 255:
            return {
                "errors": [
                    "Name can't be blank" if not name.strip() else "Name is too long (maximum is 255 characters)"
                ]
            }
        if not self._missing_tags([name]):
            return {"errors": ["Name has already been taken"]}
        self._tracker.timeline_tags.add(name)
        return {"timelineEventTag": tag_type(name)}

    def _issue_set_severity(self, show: Shown, asked: Input) -> Input:
        issue = self._issue_at(asked)
        self._tracker.set_severity(issue, asked["severity"], self._tracker.bot)
        return {"issue": show.issue(issue)}

    def _issue_set_escalation_status(self, show: Shown, asked: Input) -> Input:
        issue = self._issue_at(asked)
        if not issue.is_incident:
            raise GraphQLError("Feature unavailable for provided issue")
        if self._token().access_level < 30:
            raise GraphQLError(_HIDDEN)
        self._tracker.set_escalation_status(issue, asked["status"], self._tracker.bot)
        return {"issue": show.issue(issue)}

    def _issue_set_assignees(self, show: Shown, asked: Input) -> Input:
        issue = self._issue_at(asked)
        named = [self._tracker.find_user(name) for name in asked["assigneeUsernames"]]
        ids = [user.id for user in named if user is not None]
        now = [user.id for user in issue.assignees]
        match asked["operationMode"]:
            case "APPEND":
                ids = [*now, *ids]
            case "REMOVE":
                ids = [user_id for user_id in now if user_id not in ids]
        self._tracker.assign(issue, ids)
        return {"issue": show.issue(issue)}

    def _update_issue(self, show: Shown, asked: Input) -> Input:
        issue = self._issue_at(asked)
        if asked.get("labelIds") is not None and (asked.get("addLabelIds") or asked.get("removeLabelIds")):
            raise GraphQLError("labelIds is mutually exclusive with any of addLabelIds or removeLabelIds")
        changes: dict[str, Any] = {
            name: asked[name] for name in ("title", "description", "confidential") if name in asked
        }
        renamed = {"locked": "discussion_locked", "dueDate": "due_date"}
        changes |= {ours: asked[theirs] for theirs, ours in renamed.items() if theirs in asked}
        labels = {"labelIds": "labels", "addLabelIds": "add_labels", "removeLabelIds": "remove_labels"}
        changes |= {ours: self._label_names(asked[theirs]) for theirs, ours in labels.items() if asked.get(theirs)}
        if asked.get("type"):
            changes["issue_type"] = asked["type"].lower()
        if asked.get("stateEvent"):
            changes["state_event"] = asked["stateEvent"].lower()
        self._tracker.update_issue(issue, changes)
        return {"issue": show.issue(issue)}

    def _label_names(self, gids: list[str]) -> list[str]:
        wanted = {gid.rpartition("/")[2] for gid in gids}
        return [name for name, label_id in self._tracker.labels.items() if str(label_id) in wanted]

    def _create_note(self, show: Shown, asked: Input) -> Input:
        issue = self._issue_by_id(asked["noteableId"])
        internal = bool(asked.get("internal") or asked.get("confidential"))
        try:
            outcome = self._tracker.add_note(issue, asked["body"], internal=internal)
        except TooManyRequests as exc:
            raise GraphQLError("This endpoint has been requested too many times. Try again later.") from exc
        return {"note": show.note(outcome.note) if outcome.note else None}


def _check_timeline_note(note: str) -> None:
    if not note.strip():
        raise Invalid({"timeline text": ["can't be blank"]})
    if len(note) > TIMELINE_NOTE_LENGTH_MAX:
        raise Invalid({"timeline text": [f"is too long (maximum is {TIMELINE_NOTE_LENGTH_MAX} characters)"]})
