"""The GitLab of the sandbox refuses, obeys and records what the real one would, over REST."""

from typing import Any

import httpx
import pytest

from sreops.sandbox.clock import ManualClock
from sreops.sandbox.gitlab import GitLab
from unit.gitlab_scene import ISSUES, TOKEN, connect, create, new_gitlab, signed_in

gitlab = pytest.fixture(new_gitlab)
client = pytest.fixture(signed_in)


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


async def test_the_transport_fails_with_bodies_of_gitlab(client: httpx.AsyncClient, gitlab: GitLab) -> None:
    gitlab.faults.fail(502, method="POST")
    broken = await client.post(ISSUES, json={"title": "x"})
    assert (broken.status_code, "<html>" in broken.text) == (502, True)
    assert gitlab.issues == []
    assert (await create(client))["iid"] == 1


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
