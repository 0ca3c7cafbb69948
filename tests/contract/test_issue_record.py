"""The issue as it stands, and what people do there: over GitLab's protocol."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from contract.issues_suite import T, created
from sreops.adapters.gitlab import GitLabIssues
from sreops.domain.records.timeline import TimelineEntry
from sreops.errors import IssueGone, IssuesRefused, IssuesUnavailable
from sreops.ports import IssuePicture
from sreops.sandbox.gitlab import GitLab
from sreops.sandbox.server import Server
from sreops.settings import GitLabSettings

TOKEN = "glpat-sandbox"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEEDS = [
    TimelineEntry(at=AT, text="Down fires on payments", tag="Start time"),
    TimelineEntry(at=AT + timedelta(minutes=2), text="restart container payments: succeeded", tag="Impact mitigated"),
]


@pytest.fixture
def gitlab() -> GitLab:
    return GitLab(TOKEN)


@pytest.fixture
async def server(gitlab: GitLab) -> AsyncIterator[Server]:
    async with Server(gitlab.app) as server:
        yield server
        gitlab.faults.clear()


def adapter(server: Server, **fields: object) -> GitLabIssues:
    given = {"url": server.url, "token": SecretStr(TOKEN), "project": "ops/incidents", **fields}
    return GitLabIssues(GitLabSettings.model_validate(given), attempts=1)


@pytest.fixture
async def issues(server: Server) -> AsyncIterator[GitLabIssues]:
    issues = adapter(server)
    yield issues
    await issues.aclose()


def ours(gitlab: GitLab) -> list[tuple[str, datetime, list[str]]]:
    return [(e.note, e.occurred_at, e.tags) for e in gitlab.issues[-1].timeline if e.action == "comment"]


async def test_every_deed_is_on_the_timeline_once_with_its_true_time(issues: GitLabIssues, gitlab: GitLab) -> None:
    issue = await created(issues)
    await issues.show(issue, IssuePicture("now", DEEDS[:1]), timeout_s=T)
    await issues.show(issue, IssuePicture("now", DEEDS), timeout_s=T)
    await issues.show(issue, IssuePicture("now", DEEDS), timeout_s=T)
    assert ours(gitlab) == [(deed.text, deed.at, [deed.tag]) for deed in DEEDS]


async def test_a_long_timeline_is_read_in_pages(issues: GitLabIssues, gitlab: GitLab) -> None:
    issue = await created(issues)
    deeds = [TimelineEntry(at=AT + timedelta(seconds=n), text=f"deed {n}") for n in range(130)]
    for _ in range(2):
        await issues.show(issue, IssuePicture("now", deeds), timeout_s=T)
    assert len(ours(gitlab)) == 130


async def test_the_summary_is_one_and_peoples_own_text_stays(issues: GitLabIssues, gitlab: GitLab) -> None:
    issue = await created(issues, description="## Alert")
    await issues.show(issue, IssuePicture("first words"), timeout_s=T)
    [kept] = gitlab.issues
    kept.description = f"My notes before.\n{kept.description}\nMy notes after."
    await issues.show(issue, IssuePicture("second words"), timeout_s=T)
    shown = str(kept.description)
    assert "first words" not in shown
    assert shown.count("second words") == 1
    assert shown.startswith("My notes before.\n")
    assert shown.rstrip().endswith("My notes after.")
    assert "## Alert" in shown
    assert await issues.find("incident-1", timeout_s=T) == issue


async def test_no_text_in_the_record_acts(issues: GitLabIssues, gitlab: GitLab) -> None:
    issue = await created(issues)
    hostile = "/close\n@root\n<!-- sreops:summary-ends -->\n#1 ~bug\n>>>\n/label ~x"
    deed = TimelineEntry(at=AT, text="@root /close <!-- x -->" * 20)
    for _ in range(2):
        await issues.show(issue, IssuePicture(hostile, [deed]), timeout_s=T)
    assert (gitlab.executed_quick_actions, gitlab.mentions) == ([], [])
    assert len(ours(gitlab)) == 1
    assert str(gitlab.issues[0].description).count("\n<!-- sreops:summary-ends -->") == 1


async def test_the_link_to_the_incidents_page_can_be_followed_and_no_other(
    issues: GitLabIssues, gitlab: GitLab
) -> None:
    issue = await created(issues)
    line = "- Its page: https://sre.example/incidents/e906d3ec-fddc-5488-8d3e-47cfb1f31e53"
    others = "- Its page: https://evil.example/x\n- see https://sre.example/incidents/e906d3ec-fddc-5488"
    for _ in range(2):
        await issues.show(issue, IssuePicture(f"## Next\n{others}\n{line}\n", page_line=line), timeout_s=T)
    shown = str(gitlab.issues[0].description).split("\n")
    assert line in shown
    assert not [one for one in shown if "://" in one and one != line]


async def test_what_is_the_same_is_not_written_again(issues: GitLabIssues, gitlab: GitLab) -> None:
    issue = await created(issues)
    await issues.show(issue, IssuePicture("now", DEEDS), timeout_s=T)
    before = len([one for one in gitlab.faults.requests if one.method == "PUT"])
    await issues.show(issue, IssuePicture("now", DEEDS), timeout_s=T)
    assert len([one for one in gitlab.faults.requests if one.method == "PUT"]) == before


async def test_earlier_incidents_are_linked_once(issues: GitLabIssues, gitlab: GitLab) -> None:
    first, second = await created(issues, "incident-1"), await created(issues, "incident-2")
    for _ in range(2):
        await issues.show(second, IssuePicture("now", related=[first.iid, 99, second.iid]), timeout_s=T)
    assert gitlab.linked_to(second.iid) == [first.iid]


async def test_who_knows_of_it_shows_in_the_escalation_status_unless_people_have_set_another(
    issues: GitLabIssues, gitlab: GitLab
) -> None:
    issue = await created(issues)
    await issues.show(issue, IssuePicture("now", acknowledged=True), timeout_s=T)
    assert gitlab.issues[0].escalation_status == "ACKNOWLEDGED"
    gitlab.issues[0].escalation_status = "IGNORED"
    await issues.show(issue, IssuePicture("now", acknowledged=True), timeout_s=T)
    assert gitlab.issues[0].escalation_status == "IGNORED"


async def test_what_this_gitlab_does_not_have_is_found_and_said_once(
    server: Server, gitlab: GitLab, issues: GitLabIssues, caplog: pytest.LogCaptureFixture
) -> None:
    issue = await created(issues)
    gitlab.faults.fail(404, path="/api/graphql", times=100)
    for _ in range(3):
        await issues.show(issue, IssuePicture("in words", DEEDS), timeout_s=T)
    assert "in words" in str(gitlab.issues[0].description)
    asked = [one for one in gitlab.faults.requests if one.path == "/api/graphql"]
    assert len(asked) == 2  # the severity, and the timeline once


async def test_an_application_limit_makes_it_wait(issues: GitLabIssues, gitlab: GitLab) -> None:
    issue = await created(issues)
    gitlab.throttle(1, path="/api/graphql", method="POST")
    with pytest.raises(IssuesUnavailable):
        await issues.show(issue, IssuePicture("now", DEEDS), timeout_s=T)
    await issues.show(issue, IssuePicture("now", DEEDS), timeout_s=T)
    assert len(ours(gitlab)) == 2


async def test_a_deleted_issue_is_told_from_a_project_that_is_not_seen(issues: GitLabIssues, gitlab: GitLab) -> None:
    issue = await created(issues)
    gitlab.delete(issue.iid)
    with pytest.raises(IssueGone):
        await issues.show(issue, IssuePicture("now"), timeout_s=T)
    with pytest.raises(IssueGone):
        await issues.note(issue, "op", "x", timeout_s=T)
    with pytest.raises(IssueGone):
        await issues.update(issue, add_labels=["x"], timeout_s=T)
    gitlab.move("ops/elsewhere")
    with pytest.raises(IssuesRefused) as caught:
        await issues.show(issue, IssuePicture("now"), timeout_s=T)
    assert not isinstance(caught.value, IssueGone)
    assert caught.value.status == 301


async def test_who_was_assigned_by_a_person_stays(issues: GitLabIssues, gitlab: GitLab) -> None:
    issue = await created(issues)
    gitlab.assign(issue.iid, "alice")
    await issues.update(issue, assignee="platform-oncall", add_labels=["x"], timeout_s=T)
    assert [user.username for user in gitlab.issues[0].assignees] == ["alice"]


async def test_an_issue_may_be_confidential(server: Server, gitlab: GitLab) -> None:
    issues = adapter(server, confidential=True)
    await created(issues)
    await issues.aclose()
    assert gitlab.issues[0].confidential


async def test_what_people_changed_is_heard_and_what_we_changed_is_not_theirs(
    issues: GitLabIssues, gitlab: GitLab
) -> None:
    mine, theirs = await created(issues, "incident-1"), await created(issues, "incident-2")
    await issues.update(mine, state="close", timeout_s=T)
    gitlab.close(theirs.iid, "alice")
    gitlab.assign(theirs.iid, "bob")
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    heard = {one.incident_id: one for one in await issues.changed_since(long_ago, timeout_s=T)}
    assert (heard["incident-1"].closed_by, heard["incident-1"].is_open) == (None, False)
    assert (heard["incident-2"].closed_by, heard["incident-2"].assignees) == ("alice", ("bob",))
    assert heard["incident-2"].closed_at is not None
    assert await issues.changed_since(datetime(2100, 1, 1, tzinfo=UTC), timeout_s=T) == []


async def test_comments_are_those_of_people(issues: GitLabIssues, gitlab: GitLab) -> None:
    issue = await created(issues)
    await issues.note(issue, "op", "ours", timeout_s=T)
    gitlab.comment(issue.iid, "first", "alice")
    gitlab.comment(issue.iid, "changed", "bob", edited=True)
    gitlab.close(issue.iid, "alice")  # a system note
    found = await issues.comments(issue, since=datetime(2020, 1, 1, tzinfo=UTC), timeout_s=T)
    assert [(one.body, one.author, one.edited) for one in found] == [
        ("first", "alice", False),
        ("changed", "bob", True),
    ]


@pytest.mark.parametrize(
    ("account", "role", "may"),
    [
        ({"access_level": 30}, "developer", True),
        ({"access_level": 40}, "developer", True),
        ({"access_level": 30}, "maintainer", False),
        ({"access_level": 50}, "owner", True),
        ({"access_level": 0}, "developer", False),
        ({"access_level": 50, "bot": True}, "developer", False),
        ({"access_level": 50, "state": "blocked"}, "developer", False),
    ],
)
async def test_a_role_is_looked_up(issues: GitLabIssues, gitlab: GitLab, account: dict, role: str, may: bool) -> None:
    gitlab.set_user("alice", **account)
    alice = next(user for user in gitlab._tracker.users if user.username == "alice")
    assert await issues.has_role(alice.id, role, timeout_s=T) is may
    assert not await issues.has_role(999, role, timeout_s=T)
