"""GraphQL's types: how records are shown, and how ids and times are read."""

from collections.abc import Callable
from datetime import datetime
from html import escape
from typing import Any

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema

from sreops.sandbox.gitlab.records import Issue, Note, TimelineEvent, User, stamp

_SCALARS = {
    "IssueID": "Issue",
    "NoteID": "Note",
    "NoteableID": "Issue",
    "IncidentManagementTimelineEventID": "IncidentManagement::TimelineEvent",
}
Input = dict[str, Any]


class Shown:
    """Records as the schema's types show them."""

    def __init__(self, project: str, base_url: str) -> None:
        self._project = project
        self._base_url = base_url

    def user(self, user: User) -> Input:
        """Return a `UserCore`."""
        return {"id": f"gid://gitlab/User/{user.id}", "username": user.username, "name": user.name}

    def note(self, note: Note) -> Input:
        """Return a `Note`."""
        return {
            "id": f"gid://gitlab/Note/{note.id}",
            "body": note.body,
            "system": note.system,
            "internal": note.internal,
            "author": self.user(note.author),
            "createdAt": stamp(note.created_at),
        }

    def event(self, event: TimelineEvent) -> Input:
        """Return a `TimelineEventType`."""
        return {
            "id": f"gid://gitlab/IncidentManagement::TimelineEvent/{event.id}",
            "note": event.note,
            "noteHtml": f"<p>{escape(event.note)}</p>",
            "action": event.action,
            "editable": event.editable,
            "occurredAt": stamp(event.occurred_at),
            "createdAt": stamp(event.created_at),
            "author": self.user(event.author),
            "promotedFromNote": self.note(event.promoted_from) if event.promoted_from else None,
            "timelineEventTags": {"nodes": [tag_type(name) for name in event.tags]},
        }

    def issue(self, issue: Issue) -> Input:
        """Return a `Issue`."""
        return {
            "id": f"gid://gitlab/Issue/{issue.id}",
            "iid": str(issue.iid),
            "title": issue.title,
            "description": issue.description,
            "state": issue.state,
            "type": issue.issue_type.upper(),
            "severity": issue.severity,
            "escalationStatus": issue.escalation_status if issue.is_incident else None,
            "confidential": issue.confidential,
            "webUrl": f"{self._base_url}/{self._project}/-/issues/{issue.iid}",
            "createdAt": stamp(issue.created_at),
            "updatedAt": stamp(issue.updated_at),
            "closedAt": stamp(issue.closed_at),
            "labels": {"nodes": [{"id": f"gid://gitlab/ProjectLabel/{name}", "title": name} for name in issue.labels]},
            "assignees": {"nodes": [self.user(user) for user in issue.assignees]},
            "author": self.user(issue.author),
        }


def tag_type(name: str) -> Input:
    """Return a `TimelineEventTagType`."""
    return {"id": f"gid://gitlab/IncidentManagement::TimelineEventTag/{name}", "name": name}


def fill_in_scalars(schema: GraphQLSchema) -> None:
    """Make the schema's ids and times refuse what GitLab refuses."""
    for name, model in _SCALARS.items():
        _make_scalar(schema.type_map[name], _gid_reader(name, model))
    _make_scalar(schema.type_map["Time"], _moment)


def _gid_reader(scalar: str, model: str) -> Callable[[object], int]:
    def read_gid(value: object) -> int:
        prefix = "gid://gitlab/"
        if not isinstance(value, str) or not value.startswith(prefix):
            raise GraphQLError(f'"{value}" is not a valid Global ID')
        kind, _, number = value.removeprefix(prefix).rpartition("/")
        # An incident is an Issue; its work item's id is accepted in its place.
        if kind not in (model, "WorkItem" if model == "Issue" else model) or not number.isdigit():
            raise GraphQLError(f'"{value}" does not represent an instance of {model}')
        return int(number)

    return read_gid


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as exc:
        raise GraphQLError(f'"{value}" is not a valid Time') from exc
    if moment.tzinfo is None:
        raise GraphQLError(f'"{value}" is not a valid Time: it has no offset')
    return moment


def _make_scalar(named: object, read: Callable[[object], Any]) -> None:
    if not isinstance(named, GraphQLScalarType):
        raise TypeError(f"the schema's {named} is not a scalar: schema.graphql and graphql.py disagree")

    # graphql-core's way to fill in a scalar of a schema that was written as text; literals are read by it too.
    named.coerce_input_value = read
