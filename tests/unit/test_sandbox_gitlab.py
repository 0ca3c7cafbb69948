"""The GitLab of the sandbox refuses, obeys and records what the real one would."""

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from sreops.sandbox.clock import ManualClock
from sreops.sandbox.gitlab import GitLab

TOKEN = "glpat-sandbox"
ISSUES = "/api/v4/projects/ops%2Fincidents/issues"


@pytest.fixture
def gitlab() -> GitLab:
    return GitLab(TOKEN, clock=ManualClock(datetime(2026, 11, 22, 9, 30, tzinfo=UTC)))


def connect(gitlab: GitLab, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=gitlab.app),
        base_url="http://gitlab.test",
        headers=headers or {"PRIVATE-TOKEN": TOKEN},
    )


@pytest.fixture
async def client(gitlab: GitLab) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(gitlab) as client:
        yield client


async def create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(ISSUES, json={"title": "payments is down", "issue_type": "incident", **fields})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def ask(client: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    answer = await client.post("/api/graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_created_incident_has_what_an_adapter_keeps_of_it(client: httpx.AsyncClient) -> None:
    issue = await create(client, labels="sreops,sreops::fp-1", description="d")
    assert issue["iid"] == 1
    assert issue["id"] != issue["iid"]
    assert issue["type"] == "INCIDENT"
    assert issue["severity"] == "UNKNOWN"
    assert issue["labels"] == ["sreops", "sreops::fp-1"]
    assert issue["web_url"] == "http://gitlab.test/ops/incidents/-/issues/1"
    assert issue["references"]["full"] == "ops/incidents#1"
    labels = (await client.get("/api/v4/projects/3101/labels")).json()
    assert [label["name"] for label in labels] == ["sreops", "sreops::fp-1"]


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, {"error": "title is missing"}),
        ({"title": " "}, {"message": {"title": ["can't be blank"]}}),
        ({"title": "x" * 256}, {"message": {"title": ["is too long (maximum is 255 characters)"]}}),
        (
            {"title": "t", "description": "x" * 1_048_577},
            {"message": {"description": ["is too long (maximum is 1048576 characters)"]}},
        ),
        ({"title": "t", "issue_type": "Incident"}, {"error": "issue_type does not have a valid value"}),
        ({"title": "t", "assignee_ids": ["alice"]}, {"error": "assignee_ids is invalid"}),
    ],
)
async def test_an_invalid_issue_is_refused_in_the_shape_of_its_layer(
    client: httpx.AsyncClient, gitlab: GitLab, fields: dict[str, Any], body: dict[str, Any]
) -> None:
    answer = await client.post(ISSUES, json=fields)
    assert (answer.status_code, answer.json()) == (400, body)
    assert gitlab.issues == []


async def test_a_nul_byte_is_refused_with_text(client: httpx.AsyncClient) -> None:
    answer = await client.post(ISSUES, json={"title": "a\x00b"})
    assert (answer.status_code, answer.text) == (400, "Bad Request")


async def test_a_body_that_is_not_json_or_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    broken = await client.post(ISSUES, content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 400
    assert "error" in broken.json()
    foreign = await client.post(ISSUES, content=b"title=x", headers={"content-type": "text/plain"})
    assert foreign.status_code == 415
    form = await client.post(ISSUES, data={"title": "by form", "labels": "a,b"})
    assert form.json()["labels"] == ["a", "b"]


@pytest.mark.parametrize(
    ("headers", "method", "path", "status", "body"),
    [
        ({"PRIVATE-TOKEN": "wrong"}, "GET", "/api/v4/version", 401, {"message": "401 Unauthorized"}),
        ({"x": "y"}, "GET", "/api/v4/version", 401, {"message": "401 Unauthorized"}),
        ({"x": "y"}, "GET", ISSUES, 404, {"message": "404 Project Not Found"}),
        ({"x": "y"}, "POST", ISSUES, 401, {"message": "401 Unauthorized"}),
        (
            {"PRIVATE-TOKEN": TOKEN},
            "GET",
            "/api/v4/projects/ops%2Fother/issues",
            404,
            {"message": "404 Project Not Found"},
        ),
        (
            {"PRIVATE-TOKEN": TOKEN},
            "GET",
            "/api/v4/projects/ops/incidents/issues",
            404,
            {"error": "404 Not Found"},
        ),
        ({"PRIVATE-TOKEN": TOKEN}, "GET", f"{ISSUES}/9", 404, {"message": "404 Not found"}),
        ({"PRIVATE-TOKEN": TOKEN}, "DELETE", f"{ISSUES}/9", 405, {"error": "405 Not Allowed"}),
    ],
)
async def test_who_may_not_is_told_so_as_gitlab_tells_it(
    gitlab: GitLab, headers: dict[str, str], method: str, path: str, status: int, body: dict[str, Any]
) -> None:
    async with connect(gitlab, **headers) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json()) == (status, body)


async def test_bearer_works_and_a_wrong_one_is_refused_the_oauth_way(gitlab: GitLab) -> None:
    async with connect(gitlab, Authorization=f"Bearer {TOKEN}") as client:
        assert (await client.get("/api/v4/projects/ops%2Fincidents")).json()["id"] == 3101
        gitlab.revoke()
        refused = await client.get("/api/v4/version")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")


async def test_a_reading_token_may_not_write() -> None:
    gitlab = GitLab(TOKEN, scopes=("read_api",))
    async with connect(gitlab) as client:
        assert (await client.get(ISSUES)).status_code == 200
        refused = await client.post(ISSUES, json={"title": "x"})
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")


async def test_a_guest_may_open_issues_but_no_incidents() -> None:
    gitlab = GitLab(TOKEN, access_level=10)
    async with connect(gitlab) as client:
        assert (await client.post(ISSUES, json={"title": "x"})).status_code == 201
        assert (await client.post(ISSUES, json={"title": "x", "issue_type": "incident"})).status_code == 403


async def test_the_start_up_probe_learns_role_and_scopes(client: httpx.AsyncClient) -> None:
    token = (await client.get("/api/v4/personal_access_tokens/self")).json()
    project = (await client.get("/api/v4/projects/3101")).json()
    users = (await client.get("/api/v4/users", params={"username": "platform-oncall"})).json()
    assert token["scopes"] == ["api"]
    assert project["permissions"]["project_access"]["access_level"] == 30
    assert [user["username"] for user in users] == ["platform-oncall"]
    assert (await client.get("/api/v4/users", params={"username": "nobody"})).json() == []


async def test_labels_filter_by_and_and_by_exact_name(client: httpx.AsyncClient) -> None:
    await create(client, labels="sreops,fp-1")
    await create(client, labels="sreops,fp-12")
    await create(client, labels="fp-1")

    async def found(**params: str) -> list[int]:
        return [issue["iid"] for issue in (await client.get(ISSUES, params=params)).json()]

    assert await found(labels="sreops,fp-1") == [1]
    assert await found(labels="fp-1") == [3, 1]
    assert await found(**{"not[labels]": "sreops"}) == [3]
    assert await found(labels="none") == []
    assert await found(**{"iids[]": "2"}) == [2]


async def test_search_takes_words_and_prefixes_but_no_substrings(client: httpx.AsyncClient) -> None:
    await create(client, title="payments-api is down", description="marker a1b2c3")

    async def hits(query: str, **more: str) -> int:
        return len((await client.get(ISSUES, params={"search": query, **more})).json())

    assert await hits("payments") == 1
    assert await hits("pay down") == 1
    assert await hits("ayments") == 0
    assert await hits("a1b2") == 1
    assert await hits("a1b2", **{"in": "title"}) == 0


async def test_state_filter_and_a_plus_sign_unescaped_in_a_date(client: httpx.AsyncClient) -> None:
    await create(client)
    await client.put(f"{ISSUES}/1", json={"state_event": "close"})
    assert (await client.get(ISSUES, params={"state": "opened"})).json() == []
    assert len((await client.get(ISSUES, params={"state": "closed", "issue_type": "incident"})).json()) == 1
    refused = await client.get(f"{ISSUES}?created_after=2026-11-22T09:00:00+00:00")
    assert refused.json() == {"error": "created_after is invalid"}
    good = await client.get(f"{ISSUES}?created_after=2026-11-22T09:00:00%2B00:00")
    assert len(good.json()) == 1


async def test_pages_link_to_each_other(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await create(client)
    first = await client.get(ISSUES, params={"per_page": 2, "state": "opened"})
    assert [issue["iid"] for issue in first.json()] == [3, 2]
    assert (first.headers["x-total"], first.headers["x-next-page"]) == ("3", "2")
    second = await client.get(first.links["next"]["url"])
    assert [issue["iid"] for issue in second.json()] == [1]
    assert "next" not in second.links
    assert second.headers["x-next-page"] == ""


async def test_updates_are_incremental_and_closing_twice_is_no_error(client: httpx.AsyncClient) -> None:
    await create(client, labels="a,b")
    users = (await client.get("/api/v4/users", params={"username": "platform-oncall"})).json()
    changed = (
        await client.put(
            f"{ISSUES}/1",
            json={"add_labels": "c", "remove_labels": "a", "assignee_ids": [users[0]["id"]], "state_event": "close"},
        )
    ).json()
    assert (changed["labels"], changed["state"]) == (["b", "c"], "closed")
    assert changed["assignee"]["username"] == "platform-oncall"
    again = await client.put(f"{ISSUES}/1", json={"state_event": "close"})
    assert (again.status_code, again.json()["closed_at"]) == (200, changed["closed_at"])
    cleared = await client.put(f"{ISSUES}/1", json={"labels": "", "assignee_ids": [0], "state_event": "reopen"})
    assert (cleared.json()["labels"], cleared.json()["assignees"], cleared.json()["state"]) == ([], [], "opened")


@pytest.mark.parametrize("body", [{}, {"unknown": 1}, {"severity": "high"}])
async def test_an_update_of_nothing_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    await create(client)
    answer = await client.put(f"{ISSUES}/1", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith("are missing, at least one parameter must be provided")


async def test_closing_resolves_the_escalation_and_reopening_leaves_it(
    client: httpx.AsyncClient, gitlab: GitLab
) -> None:
    await create(client)
    assert gitlab.issues[0].escalation_status == "TRIGGERED"
    await client.put(f"{ISSUES}/1", json={"state_event": "close"})
    assert gitlab.issues[0].escalation_status == "RESOLVED"
    await client.put(f"{ISSUES}/1", json={"state_event": "reopen"})
    assert gitlab.issues[0].escalation_status == "RESOLVED"
    assert [event.action for event in gitlab.issues[0].timeline] == ["issues", "issues", "status", "issues"]


async def test_notes_are_listed_newest_first_and_can_be_edited(client: httpx.AsyncClient) -> None:
    await create(client)
    note = (await client.post(f"{ISSUES}/1/notes", json={"body": "one"})).json()
    await client.post(f"{ISSUES}/1/notes", json={"body": "two", "internal": True})
    edited = await client.put(f"{ISSUES}/1/notes/{note['id']}", json={"body": "one, edited"})
    assert edited.json()["body"] == "one, edited"
    listed = (await client.get(f"{ISSUES}/1/notes", params={"activity_filter": "only_comments"})).json()
    assert [(n["body"], n["internal"]) for n in listed] == [("two", True), ("one, edited", False)]
    assert (await client.post(f"{ISSUES}/1/notes", json={})).json() == {"error": "body is missing"}
    assert (await client.post(f"{ISSUES}/1/notes", json={"body": ""})).status_code == 400


async def test_a_note_of_quick_actions_only_is_run_and_not_kept(client: httpx.AsyncClient, gitlab: GitLab) -> None:
    await create(client)
    answer = await client.post(f"{ISSUES}/1/notes", json={"body": "/close\n/label ~x"})
    assert answer.status_code == 202
    assert answer.json()["commands_changes"] == {"state_event": "close", "add_label_ids": ["x"]}
    assert "id" not in answer.json()
    assert (gitlab.issues[0].state, gitlab.issues[0].labels) == ("closed", ["x"])
    assert all(note.system for note in gitlab.issues[0].notes)
    failing = await client.post(f"{ISSUES}/1/notes", json={"body": "/close"})
    assert failing.status_code == 400


HARMLESS = [
    "```\n/close\n```",
    "````\n```\n/close\n```\n````",
    "~~~\n/close\n~~~",
    "\\/close",
    "\u200b/close",
    " /close",
    "    /close",
    "> /close",
    "> quote\n/close",
    "- item\n/close",
    "<div>\n/close\n</div>",
    ">>>\n/close\n>>>",
    "text /close",
    "/closet",
    "/nosuchcommand",
    "/var/log/app.log is full",
]
HARMFUL = [
    "/close",
    "text\n/close",
    "/CLOSE\r",
    "```\ncode\n```\n/close",
    "<!-- c -->\n/close",
    "```\n/label x\n```\n\n/close\ntext",
    ">>>\nquote\n>>>\n/close",
    "```\n>>>\n>>>\n/close\n```",
    ">>>\n```\n>>>\n/close\n```",
    "```\n>>>\n```\n/close",
    "# head\n/close",
]


@pytest.mark.parametrize("text", HARMLESS)
async def test_what_is_no_quick_action_stays_text(client: httpx.AsyncClient, gitlab: GitLab, text: str) -> None:
    await create(client, description=text)
    await client.post(f"{ISSUES}/1/notes", json={"body": text})
    assert gitlab.executed_quick_actions == []
    assert gitlab.issues[0].state == "opened"
    assert gitlab.issues[0].notes[-1].body == text


@pytest.mark.parametrize("text", HARMFUL)
async def test_a_quick_action_in_a_top_level_paragraph_is_obeyed(
    client: httpx.AsyncClient, gitlab: GitLab, text: str
) -> None:
    await create(client)
    await client.post(f"{ISSUES}/1/notes", json={"body": text})
    assert [(act.name, act.applied) for act in gitlab.executed_quick_actions] == [("close", True)]
    assert gitlab.issues[0].state == "closed"


async def test_quick_actions_of_a_description_run_but_a_new_issue_is_not_closed(
    client: httpx.AsyncClient, gitlab: GitLab
) -> None:
    created = await create(client, description="look\n\n/close\n/severity critical\n/assign @alice")
    assert created["description"] == "look"
    assert (created["state"], created["severity"]) == ("opened", "CRITICAL")
    assert created["assignee"]["username"] == "alice"
    assert [(act.name, act.applied) for act in gitlab.executed_quick_actions] == [
        ("close", False), ("severity", True), ("assign", True),
    ]  # fmt: skip
    await client.put(f"{ISSUES}/1", json={"description": "again\n/close"})
    assert gitlab.issues[0].state == "closed"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ask @root and @a.b.", ["root", "a.b"]),
        ("`@root` and\n\n```\n@all\n```", []),
        ("mail me@example.com", []),
        ("@\u200broot", []),
        ("\\@root", []),
        ("&#64;root", ["root"]),
        ("<b>@root</b> <code>@no</code>", ["root"]),
        ("[@no](http://x)", []),
    ],
)
async def test_mentions_outside_code_notify(
    client: httpx.AsyncClient, gitlab: GitLab, text: str, names: list[str]
) -> None:
    await create(client, description=text)
    await client.post(f"{ISSUES}/1/notes", json={"body": text})
    assert [m.username for m in gitlab.mentions if m.where == "description"] == names
    assert [m.username for m in gitlab.mentions if m.where == "note"] == names


async def test_a_title_mentions_even_in_backticks(client: httpx.AsyncClient, gitlab: GitLab) -> None:
    await create(client, title="`@all` down")
    assert [(mention.username, mention.where) for mention in gitlab.mentions] == [("all", "title")]


async def test_throttled_requests_get_text_and_a_time(client: httpx.AsyncClient, gitlab: GitLab) -> None:
    gitlab.throttle(times=1, retry_after_s=7)
    answer = await client.get(ISSUES)
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (429, "Retry later\n", "7")
    assert (await client.get(ISSUES)).status_code == 200


async def test_too_many_notes_in_a_minute_are_refused_by_the_application() -> None:
    clock = ManualClock()
    gitlab = GitLab(TOKEN, clock=clock, notes_per_minute=2)
    async with connect(gitlab) as client:
        await create(client)
        codes = [(await client.post(f"{ISSUES}/1/notes", json={"body": "n"})).status_code for _ in range(3)]
        clock.advance(61)
        codes.append((await client.post(f"{ISSUES}/1/notes", json={"body": "n"})).status_code)
    assert codes == [201, 201, 429, 201]


async def test_the_page_shows_text_and_obeys_none_of_it(client: httpx.AsyncClient) -> None:
    await create(
        client, title="<script>alert(1)</script>", description="<img src=x onerror=y> **bold** [a](javascript:b)"
    )
    page = await client.get("/ops/incidents/-/issues/1", headers={"PRIVATE-TOKEN": ""})
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "<img" not in page.text
    assert "<a " not in page.text
    assert "<strong>bold</strong>" in page.text


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


async def test_the_transport_fails_with_bodies_of_gitlab(client: httpx.AsyncClient, gitlab: GitLab) -> None:
    gitlab.faults.fail(502, method="POST")
    broken = await client.post(ISSUES, json={"title": "x"})
    assert (broken.status_code, "<html>" in broken.text) == (502, True)
    assert gitlab.issues == []
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


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ('/label ~"two words" ~x', {"labels": ["a", "b", "two words", "x"]}),
        ("/unlabel ~a", {"labels": ["b"]}),
        ("/unlabel", {"labels": []}),
        ("/relabel ~c", {"labels": ["c"]}),
        ("/assign me", {"assignees": ["sreops-bot"]}),
        ("/title Renamed", {"title": "Renamed"}),
        ("/severity S2", {"severity": "HIGH"}),
        ("/confidential", {"confidential": True}),
        ("/lock", {"discussion_locked": True}),
        ("/move other/project", {"state": "closed"}),
    ],
)
async def test_quick_actions_change_the_issue(client: httpx.AsyncClient, line: str, changed: dict[str, Any]) -> None:
    await create(client, labels="a,b")
    answer = await client.post(f"{ISSUES}/1/notes", json={"body": line})
    assert answer.status_code == 202
    issue = (await client.get(f"{ISSUES}/1")).json()
    issue["assignees"] = [user["username"] for user in issue["assignees"]]
    assert {name: issue[name] for name in changed} == changed


@pytest.mark.parametrize("line", ["/severity worst", "/assign @nobody", "/title", "/reopen", "/promote_to_incident"])
async def test_a_quick_action_that_cannot_apply_is_refused(
    client: httpx.AsyncClient, gitlab: GitLab, line: str
) -> None:
    await create(client)
    assert (await client.post(f"{ISSUES}/1/notes", json={"body": line})).status_code == 400
    assert [act.applied for act in gitlab.executed_quick_actions] == [False]


async def test_reopening_promoting_and_the_timeline_by_quick_action(client: httpx.AsyncClient, gitlab: GitLab) -> None:
    await client.post(ISSUES, json={"title": "plain"})
    for line in ("/promote_to_incident", "/timeline restarted | 2026-11-22 09:31", "/close", "/reopen"):
        assert (await client.post(f"{ISSUES}/1/notes", json={"body": line})).status_code == 202
    issue = gitlab.issues[0]
    assert (issue.issue_type, issue.state, issue.escalation_status) == ("incident", "opened", "RESOLVED")
    assert issue.timeline[0].note == "restarted"


async def test_labels_are_created_once_and_without_commas(client: httpx.AsyncClient) -> None:
    path = "/api/v4/projects/3101/labels"
    made = await client.post(path, json={"name": "fp::1", "color": "#FF0000"})
    assert (made.status_code, made.json()["name"]) == (201, "fp::1")
    assert (await client.post(path, json={"name": "fp::1", "color": "red"})).status_code == 409
    assert (await client.post(path, json={"name": "a,b", "color": "red"})).status_code == 400
    assert (await client.post(path, json={"name": "c", "color": "12"})).status_code == 400
    assert (await client.post(path, json={"name": "c"})).json() == {"error": "color is missing"}


async def test_issues_are_found_by_people_and_privacy(client: httpx.AsyncClient) -> None:
    alice = (await client.get("/api/v4/users", params={"search": "ali"})).json()[0]
    await create(client, assignee_ids=[alice["id"]], confidential=True)
    await create(client)

    async def found(**params: Any) -> list[int]:
        return [issue["iid"] for issue in (await client.get(ISSUES, params=params)).json()]

    assert await found(assignee_username="alice") == [1]
    assert await found(assignee_id="None") == [2]
    assert await found(assignee_id="Any") == [1]
    assert await found(assignee_id=str(alice["id"])) == [1]
    assert await found(confidential="true") == [1]
    assert await found(sort="asc", order_by="title") == [1, 2]
    refused = await client.get(ISSUES, params={"confidential": "maybe"})
    assert refused.json() == {"error": "confidential is invalid"}
    assert (await client.get(ISSUES, params={"order_by": "iid"})).status_code == 400
