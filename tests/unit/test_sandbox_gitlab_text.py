"""What the GitLab of the sandbox obeys in texts: quick actions and mentions."""

from typing import Any

import httpx
import pytest

from sreops.sandbox.gitlab import GitLab
from unit.gitlab_scene import ISSUES, create, new_gitlab, signed_in

gitlab = pytest.fixture(new_gitlab)
client = pytest.fixture(signed_in)


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
