"""The GitLab of the sandbox answers GraphQL as the real one would."""

import sys

import httpx
import pytest

from sreops.sandbox.clock import ManualClock
from sreops.sandbox.gitlab import GitLab
from unit.gitlab_scene import ISSUES, TOKEN, ask, connect, create, new_gitlab, signed_in

gitlab = pytest.fixture(new_gitlab)
client = pytest.fixture(signed_in)


STATUS = """mutation($input: IssueSetEscalationStatusInput!) {
  issueSetEscalationStatus(input: $input) { errors issue { iid state escalationStatus } } }"""
SEVERITY = """mutation($input: IssueSetSeverityInput!) {
  issueSetSeverity(input: $input) { errors issue { severity } } }"""
EVENT = """mutation($input: TimelineEventCreateInput!) {
  timelineEventCreate(input: $input) { errors timelineEvent { id note timelineEventTags { nodes { name } } } } }"""


async def test_graphql_sets_status_and_severity(client: httpx.AsyncClient, gitlab: GitLab) -> None:
    await create(client)
    at = {"projectPath": "ops/incidents", "iid": "1"}
    done = await ask(client, STATUS, input={**at, "status": "ACKNOWLEDGED"})
    assert done["data"]["issueSetEscalationStatus"] == {
        "errors": [],
        "issue": {"iid": "1", "state": "opened", "escalationStatus": "ACKNOWLEDGED"},
    }
    done = await ask(client, SEVERITY, input={**at, "severity": "HIGH"})
    assert done["data"]["issueSetSeverity"]["issue"] == {"severity": "HIGH"}
    assert (await client.get(f"{ISSUES}/1")).json()["severity"] == "HIGH"


async def test_graphql_reports_errors_in_two_places(client: httpx.AsyncClient, gitlab: GitLab) -> None:
    created = await create(client)
    await client.post(ISSUES, json={"title": "no incident"})
    at = {"projectPath": "ops/incidents"}
    plain = await ask(client, STATUS, input={**at, "iid": "2", "status": "RESOLVED"})
    assert plain["errors"][0]["message"] == "Feature unavailable for provided issue"
    wrong_type = await ask(client, STATUS, input={**at, "iid": 2, "status": "RESOLVED"})
    assert "String cannot represent" in wrong_type["errors"][0]["message"]
    foreign = await ask(client, SEVERITY, input={"projectPath": "ops%2Fincidents", "iid": "1", "severity": "LOW"})
    assert "does not exist or you don't have permission" in foreign["errors"][0]["message"]

    event = {"incidentId": f"gid://gitlab/Issue/{created['id']}", "occurredAt": "2026-11-22T09:31:00Z"}
    long = await ask(client, EVENT, input={**event, "note": "x" * 281})
    assert long["data"]["timelineEventCreate"] == {
        "errors": ["Timeline Text is too long (maximum is 280 characters)"],
        "timelineEvent": None,
    }
    tagged = await ask(client, EVENT, input={**event, "note": "n", "timelineEventTagNames": ["mine"]})
    assert tagged["data"]["timelineEventCreate"]["errors"] == ['Following tags don\'t exist: ["mine"]']
    by_iid = await ask(client, EVENT, input={**event, "incidentId": "gid://gitlab/Issue/1", "note": "n"})
    assert "don't have permission" in by_iid["errors"][0]["message"]
    no_gid = await ask(client, EVENT, input={**event, "incidentId": "1", "note": "n"})
    assert "not a valid Global ID" in no_gid["errors"][0]["message"]
    timeline = 'incidentManagementTimelineEvents(incidentId: "x") { nodes { id } }'
    inline = await ask(client, '{ project(fullPath: "ops/incidents") { ' + timeline + " } }")
    assert "not a valid Global ID" in inline["errors"][0]["message"]
    naive = await ask(client, EVENT, input={**event, "occurredAt": "2026-11-22T09:31:00", "note": "n"})
    assert "not a valid Time" in naive["errors"][0]["message"]
    assert [e.action for e in gitlab.issues[0].timeline] == ["issues"]


async def test_graphql_reads_the_timeline_back(client: httpx.AsyncClient) -> None:
    created = await create(client)
    gid = f"gid://gitlab/Issue/{created['id']}"
    await ask(
        client,
        EVENT,
        input={
            "incidentId": gid,
            "note": "restarted",
            "occurredAt": "2026-11-22T09:31:00Z",
            "timelineEventTagNames": ["Response initiated"],
        },
    )
    read = await ask(
        client,
        """query($path: ID!, $iid: String!, $gid: IssueID!) { project(fullPath: $path) {
            issue(iid: $iid) { id iid severity escalationStatus state }
            incidentManagementTimelineEvents(incidentId: $gid) { nodes { note editable occurredAt } } } }""",
        path="ops/incidents",
        iid="1",
        gid=gid,
    )
    project = read["data"]["project"]
    assert project["issue"] == {
        "id": gid, "iid": "1", "severity": "UNKNOWN", "escalationStatus": "TRIGGERED", "state": "opened",
    }  # fmt: skip
    assert [(n["note"], n["editable"]) for n in project["incidentManagementTimelineEvents"]["nodes"]] == [
        ("Sreops Bot created the incident", False),
        ("restarted", True),
    ]


async def test_without_graphql_core_there_is_no_graphql_and_the_rest_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graphql", None)
    async with connect(GitLab(TOKEN)) as client:
        answer = await client.post("/api/graphql", json={"query": "{ metadata { version } }"})
        assert answer.status_code == 404
        assert (await create(client))["iid"] == 1


async def test_graphql_wants_a_good_token_for_mutations(gitlab: GitLab) -> None:
    async with connect(gitlab) as client:
        await create(client)
    at = {"projectPath": "ops/incidents", "iid": "1", "status": "RESOLVED"}
    async with connect(gitlab, Authorization="Bearer wrong") as client:
        answer = await client.post("/api/graphql", json={"query": "{ metadata { version } }"})
        assert (answer.status_code, answer.json()) == (401, {"errors": [{"message": "Invalid token"}]})
    async with connect(gitlab, x="y") as client:
        assert "don't have permission" in (await ask(client, STATUS, input=at))["errors"][0]["message"]
        hidden = await ask(client, '{ project(fullPath: "ops/incidents") { id } }')
        assert hidden == {"data": {"project": None}}


async def test_graphql_edits_promotes_and_removes_timeline_events(client: httpx.AsyncClient, gitlab: GitLab) -> None:
    await create(client)
    note = (await client.post(f"{ISSUES}/1/notes", json={"body": "seen"})).json()
    event = "{ errors timelineEvent { id note promotedFromNote { id } timelineEventTags { nodes { name } } } }"
    promoted = await ask(
        client,
        "mutation($i: TimelineEventPromoteFromNoteInput!) { timelineEventPromoteFromNote(input: $i) " + event + " }",
        i={"noteId": f"gid://gitlab/Note/{note['id']}"},
    )
    made = promoted["data"]["timelineEventPromoteFromNote"]["timelineEvent"]
    assert (made["note"], made["promotedFromNote"]["id"]) == ("seen", f"gid://gitlab/Note/{note['id']}")

    tag = "mutation($i: TimelineEventTagCreateInput!) { timelineEventTagCreate(input: $i) { errors } }"
    tag_input = {"projectPath": "ops/incidents", "name": "Fixed"}
    assert (await ask(client, tag, i=tag_input))["data"]["timelineEventTagCreate"]["errors"] == []
    again = await ask(client, tag, i=tag_input)
    assert again["data"]["timelineEventTagCreate"]["errors"] == ["Name has already been taken"]

    update = "mutation($i: TimelineEventUpdateInput!) { timelineEventUpdate(input: $i) " + event + " }"
    changed = await ask(client, update, i={"id": made["id"], "note": "edited", "timelineEventTagNames": ["Fixed"]})
    shown = changed["data"]["timelineEventUpdate"]["timelineEvent"]
    assert (shown["note"], shown["timelineEventTags"]["nodes"]) == ("edited", [{"name": "Fixed"}])
    own = f"gid://gitlab/IncidentManagement::TimelineEvent/{gitlab.issues[0].timeline[0].id}"
    refused = await ask(client, update, i={"id": own, "note": "mine now"})
    assert refused["data"]["timelineEventUpdate"]["errors"] == ["You cannot edit this timeline event."]

    destroy = "mutation($i: TimelineEventDestroyInput!) { timelineEventDestroy(input: $i) { errors } }"
    await ask(client, destroy, i={"id": made["id"]})
    assert [entry.action for entry in gitlab.issues[0].timeline] == ["issues"]


async def test_graphql_assigns_known_people_and_drops_the_rest(client: httpx.AsyncClient) -> None:
    await create(client)
    query = """mutation($i: IssueSetAssigneesInput!) {
        issueSetAssignees(input: $i) { errors issue { assignees { nodes { username } } } } }"""

    async def assign(*names: str, **mode: str) -> list[str]:
        asked = {"projectPath": "ops/incidents", "iid": "1", "assigneeUsernames": names, **mode}
        done = (await ask(client, query, i=asked))["data"]["issueSetAssignees"]
        assert done["errors"] == []
        return [user["username"] for user in done["issue"]["assignees"]["nodes"]]

    assert await assign("alice") == ["alice"]
    assert await assign("nobody", operationMode="APPEND") == ["alice"]
    assert await assign("alice", operationMode="REMOVE") == []
    assert await assign("nobody") == []


async def test_graphql_updates_an_issue_and_refuses_mixed_label_arguments(client: httpx.AsyncClient) -> None:
    await create(client, labels="a,b")
    label_ids = {label["name"]: f"gid://gitlab/ProjectLabel/{label['id']}"
                 for label in (await client.get("/api/v4/projects/3101/labels")).json()}  # fmt: skip
    query = """mutation($i: UpdateIssueInput!) {
        updateIssue(input: $i) { errors issue { title state labels { nodes { title } } } } }"""
    at = {"projectPath": "ops/incidents", "iid": "1"}
    done = await ask(client, query, i={**at, "title": "new", "removeLabelIds": [label_ids["a"]], "stateEvent": "CLOSE"})
    assert done["data"]["updateIssue"]["issue"] == {
        "title": "new", "state": "closed", "labels": {"nodes": [{"title": "b"}]},
    }  # fmt: skip
    mixed = await ask(client, query, i={**at, "labelIds": [], "addLabelIds": [label_ids["a"]]})
    assert "mutually exclusive" in mixed["errors"][0]["message"]
    blank = await ask(client, query, i={**at, "title": ""})
    assert blank["data"]["updateIssue"] == {"errors": ["Title can't be blank"], "issue": None}


async def test_graphql_notes_run_quick_actions_and_share_the_limit() -> None:
    gitlab = GitLab(TOKEN, clock=ManualClock(), notes_per_minute=2)
    query = "mutation($i: CreateNoteInput!) { createNote(input: $i) { errors note { body } } }"
    async with connect(gitlab) as client:
        gid = f"gid://gitlab/Issue/{(await create(client))['id']}"
        kept = await ask(client, query, i={"noteableId": gid, "body": "text"})
        assert kept["data"]["createNote"]["note"] == {"body": "text"}
        run = await ask(client, query, i={"noteableId": gid, "body": "/close"})
        assert run["data"]["createNote"] == {"errors": [], "note": None}
        assert gitlab.issues[0].state == "closed"
        limited = await ask(client, query, i={"noteableId": gid, "body": "text"})
    assert "requested too many times" in limited["errors"][0]["message"]


async def test_graphql_refuses_what_is_no_query(client: httpx.AsyncClient) -> None:
    broken = await client.post("/api/graphql", content=b"{")
    assert broken.status_code == 400
    for body in ({}, {"query": "{"}, {"query": "{ nothing }"}, {"query": "{ a }" + " " * 10_000}):
        answer = await client.post("/api/graphql", json=body)
        assert answer.status_code == 200
        assert answer.json()["errors"]
