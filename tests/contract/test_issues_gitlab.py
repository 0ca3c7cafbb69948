"""The GitLab adapter keeps the contract, and loses or doubles nothing when GitLab misbehaves."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import SecretStr

from contract.issues_suite import IssuesContract, Seen, T, created
from sreops.adapters.gitlab import GitLabIssues
from sreops.adapters.gitlab.marks import issue_comment, marker_label
from sreops.domain.incidents.incident import Issue
from sreops.errors import IssuesRefused, IssuesUnavailable, SettingsInvalid
from sreops.sandbox.gitlab import GitLab
from sreops.sandbox.server import Server
from sreops.settings import GitLabSettings

TOKEN = "glpat-sandbox"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
ISSUES = "/api/v4/projects/*/issues"
NOTES = "/api/v4/projects/*/issues/*/notes"


class GitLabDesk:
    def __init__(self, gitlab: GitLab) -> None:
        self._gitlab = gitlab

    def issues(self) -> list[Seen]:
        return [
            Seen(
                issue.iid,
                issue.title,
                issue.description or "",
                issue.state,
                issue.severity,
                issue.labels,
                [user.username for user in issue.assignees],
                [note.body for note in issue.notes if not note.system],
            )
            for issue in self._gitlab.issues
        ]

    def harm(self) -> list[object]:
        return [*self._gitlab.executed_quick_actions, *self._gitlab.mentions]


@pytest.fixture
def gitlab() -> GitLab:
    return GitLab(TOKEN, notes_per_minute=100_000)


@pytest.fixture
async def server(gitlab: GitLab) -> AsyncIterator[Server]:
    async with Server(gitlab.app) as server:
        yield server
        gitlab.faults.clear()


def settings_of(server: Server, **fields: object) -> GitLabSettings:
    given: dict[str, object] = {"url": server.url, "token": SecretStr(TOKEN), "project": "ops/incidents"} | fields
    return GitLabSettings.model_validate(given)


@pytest.fixture
async def issues(server: Server) -> AsyncIterator[GitLabIssues]:
    issues = GitLabIssues(settings_of(server), attempts=1, now=lambda: NOW)
    yield issues
    await issues.aclose()


@pytest.fixture
def desk(gitlab: GitLab) -> GitLabDesk:
    return GitLabDesk(gitlab)


class TestGitLab(IssuesContract):
    pass


CALLS: dict[str, Callable[[GitLabIssues, Issue, float], Awaitable[object]]] = {
    "find": lambda issues, issue, s: issues.find("incident-1", timeout_s=s),
    "create": lambda issues, issue, s: issues.create(
        "new", title="t", description="d", labels=[], severity="info", timeout_s=s
    ),
    "note": lambda issues, issue, s: issues.note(issue, "op", "body", timeout_s=s),
    "close": lambda issues, issue, s: issues.update(issue, state="close", timeout_s=s),
    "assign": lambda issues, issue, s: issues.update(issue, assignee="alice", timeout_s=s),
}


@pytest.mark.parametrize(("call", "status"), list(zip(CALLS, [401, 403, 404, 409, 422], strict=True)))
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"message":{"title":["can\'t be blank"]}}', "title can't be blank"),
        ('{"message":"400 Bad request - nope"}', "400 Bad request - nope"),
        ('{"message":["one","two"]}', "one, two"),
        ('{"error":"title is missing"}', "title is missing"),
        ('{"error":"insufficient_scope","error_description":"needs more"}', "insufficient_scope: needs more"),
        ("<html>no\nJSON</html>", "<html>no JSON</html>"),
        ('{"message":{"a":{"b":[1,{"c":null}]}}}', "a b 1, c None"),
        ("[]", r"\[\]"),
    ],
)
async def test_a_refusal_carries_gitlabs_words(
    gitlab: GitLab, issues: GitLabIssues, call: str, status: int, body: str, said: str
) -> None:
    gitlab.faults.fail(status, body, content_type="application/json", times=None)
    with pytest.raises(IssuesRefused, match=f"(?s){status}: .*{said}") as caught:
        await CALLS[call](issues, Issue(iid=1, url=""), T)
    assert caught.value.status == status
    assert "\n" not in str(caught.value)
    if status in (401, 403, 404):
        assert "; " in str(caught.value)  # and what to do


@pytest.mark.parametrize(("call", "status"), list(zip(CALLS, [408, 429, 500, 502, 504], strict=True)))
async def test_trouble_is_unavailable(gitlab: GitLab, issues: GitLabIssues, call: str, status: int) -> None:
    gitlab.faults.fail(status, times=None, headers={"Retry-After": "7"})
    with pytest.raises(IssuesUnavailable, match=str(status)) as caught:
        await CALLS[call](issues, Issue(iid=1, url=""), T)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("call", CALLS)
async def test_any_body_is_survived(gitlab: GitLab, issues: GitLabIssues, call: str) -> None:
    for body in (b"<html>sign in</html>", b"{", b"3", b"null", b"[1]", b'{"x":1}', b"", b"[" * 9000, b"\xff"):
        gitlab.faults.clear()
        gitlab.faults.garbage(body, times=None)
        with pytest.raises(IssuesUnavailable):
            await CALLS[call](issues, Issue(iid=1, url=""), T)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", ["hang", "reset", "cut"])
async def test_no_answer_in_time_is_unavailable(gitlab: GitLab, issues: GitLabIssues, call: str, fault: str) -> None:
    getattr(gitlab.faults, fault)(times=None)
    began = time.monotonic()
    with pytest.raises(IssuesUnavailable):
        await CALLS[call](issues, Issue(iid=1, url=""), 0.3)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("call", CALLS)
async def test_a_redirect_is_refused_and_never_followed(gitlab: GitLab, issues: GitLabIssues, call: str) -> None:
    gitlab.faults.fail(301, "", headers={"Location": "https://elsewhere.example/api"}, times=None)
    with pytest.raises(IssuesRefused, match=r"301, a redirect to https://elsewhere.example/api"):
        await CALLS[call](issues, Issue(iid=1, url=""), T)


async def test_a_long_retry_after_is_told_not_slept_through(server: Server, gitlab: GitLab) -> None:
    issues = GitLabIssues(settings_of(server))  # with its retries
    gitlab.throttle(times=100, retry_after_s=60)
    began = time.monotonic()
    with pytest.raises(IssuesUnavailable, match="Retry later") as caught:
        await issues.find("x", timeout_s=5)
    assert caught.value.retry_after_s == 60
    assert time.monotonic() - began < 2
    await issues.aclose()


async def test_a_gateway_that_hiccups_is_asked_again_for_what_may_be_repeated(server: Server, gitlab: GitLab) -> None:
    issues = GitLabIssues(settings_of(server))
    issue = await created(issues)
    for method in ("GET", "PUT"):
        gitlab.faults.fail(502, method=method, path=f"{ISSUES}*")
    assert await issues.find("incident-1", timeout_s=T) == issue
    await issues.update(issue, state="close", timeout_s=T)
    assert gitlab.issues[0].state == "closed"
    await issues.aclose()


@pytest.mark.parametrize("fault", ["reset", "hang", "cut"])
async def test_a_create_whose_answer_was_lost_makes_one_issue(
    gitlab: GitLab, issues: GitLabIssues, desk: GitLabDesk, fault: str
) -> None:
    if fault == "cut":
        gitlab.faults.cut(method="POST", path=ISSUES)
    else:
        arm = gitlab.faults.hang if fault == "hang" else gitlab.faults.reset
        arm(method="POST", path=ISSUES, after_acting=True)
    issue = await issues.create("m", title="t", description="d", labels=[], severity="critical", timeout_s=2.0)
    [seen] = desk.issues()
    assert (seen.iid, seen.severity) == (issue.iid, "CRITICAL")
    assert gitlab.faults.count("POST", ISSUES) == 1


@pytest.mark.parametrize("fault", ["reset", "hang", "fail"])
async def test_a_create_that_never_arrived_is_unavailable_and_sent_once(
    gitlab: GitLab, issues: GitLabIssues, desk: GitLabDesk, fault: str
) -> None:
    if fault == "fail":
        gitlab.faults.fail(502, method="POST", path=ISSUES)
    else:
        getattr(gitlab.faults, fault)(method="POST", path=ISSUES)
    with pytest.raises(IssuesUnavailable):
        await issues.create("m", title="t", description="d", labels=[], severity="critical", timeout_s=1.0)
    assert gitlab.faults.count("POST", ISSUES) == 1
    assert desk.issues() == []
    await created(issues, "m")
    assert len(desk.issues()) == 1


async def test_a_create_whose_answer_and_search_were_lost_tells_the_first_trouble(
    gitlab: GitLab, issues: GitLabIssues, desk: GitLabDesk
) -> None:
    gitlab.faults.reset(method="POST", path=ISSUES, after_acting=True)
    gitlab.faults.fail(403, method="GET", path=ISSUES, after=1)
    with pytest.raises(IssuesUnavailable, match="POST"):
        await created(issues, "m")
    await created(issues, "m")  # the next try finds it
    assert len(desk.issues()) == 1


@pytest.mark.parametrize("fault", ["reset", "hang", "cut"])
async def test_a_note_whose_answer_was_lost_is_there_once(
    gitlab: GitLab, issues: GitLabIssues, desk: GitLabDesk, fault: str
) -> None:
    issue = await created(issues)
    if fault == "cut":
        gitlab.faults.cut(method="POST", path=NOTES)
    else:
        getattr(gitlab.faults, fault)(method="POST", path=NOTES, after_acting=True)
    await issues.note(issue, "op", "said", timeout_s=2.0)
    await issues.note(issue, "op", "said", timeout_s=T)
    assert len(desk.issues()[0].notes) == 1


async def test_a_note_is_looked_for_on_every_page(gitlab: GitLab, issues: GitLabIssues, desk: GitLabDesk) -> None:
    issue = await created(issues)
    await issues.note(issue, "first", "x", timeout_s=T)
    for number in range(250):
        gitlab._tracker.add_note(gitlab.issues[0], f"chatter {number}")
    await issues.note(issue, "first", "x", timeout_s=T)
    assert len(desk.issues()[0].notes) == 251


async def test_the_marker_is_a_label_and_an_exact_comment(gitlab: GitLab, issues: GitLabIssues) -> None:
    issue = await created(issues, "incident-1")
    raw = gitlab.issues[0]
    assert marker_label("incident-1") in raw.labels
    assert (raw.description or "").startswith(issue_comment("incident-1"))
    raw.description = issue_comment("another")  # same label, another incident: not ours
    assert await issues.find("incident-1", timeout_s=T) is None
    raw.description = "somebody rewrote this"
    assert await issues.find("incident-1", timeout_s=T) == issue


async def test_an_alert_cannot_forge_a_marker(gitlab: GitLab, issues: GitLabIssues, desk: GitLabDesk) -> None:
    issue = await created(issues, "a", description="<!-- sreops:incident=b -->")
    assert "<!-- sreops:incident=b -->" not in desk.issues()[0].description
    await issues.note(issue, "one", "<!-- sreops:note=two -->", timeout_s=T)
    await issues.note(issue, "two", "x", timeout_s=T)
    assert len(desk.issues()[0].notes) == 2


async def test_reopening_triggers_the_escalation_again(gitlab: GitLab, issues: GitLabIssues) -> None:
    issue = await created(issues)
    await issues.update(issue, state="close", timeout_s=T)
    assert gitlab.issues[0].escalation_status == "RESOLVED"
    await issues.update(issue, state="reopen", timeout_s=T)
    assert (gitlab.issues[0].state, gitlab.issues[0].escalation_status) == ("opened", "TRIGGERED")


@pytest.mark.parametrize(
    "body",
    [
        '{"errors":[{"message":"Invalid token"}]}',
        '{"data":{"issueSetSeverity":{"errors":["no"]}}}',
        '{"data":null}',
        "{}",
        "<html>",
        "[]",
    ],
)
async def test_graphql_that_fails_is_a_gap_and_no_failure(
    gitlab: GitLab, issues: GitLabIssues, desk: GitLabDesk, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gitlab.faults.garbage(body, path="/api/graphql", times=None)
    await created(issues)
    assert desk.issues()[0].severity == "UNKNOWN"
    assert "gitlab.graphql_failed" in capsys.readouterr().out
    gitlab.faults.clear()
    await created(issues)  # a second try closes the gap
    assert desk.issues()[0].severity == "CRITICAL"


async def test_a_project_may_be_given_by_its_number(server: Server, gitlab: GitLab, desk: GitLabDesk) -> None:
    named = GitLabIssues(settings_of(server), attempts=1)
    number = str((await named._api.get(named._api.at_project, time.monotonic() + T))["id"])
    issues = GitLabIssues(settings_of(server, project=number, url=server.url + "/"), attempts=1)
    await created(issues)
    assert desk.issues()[0].severity == "CRITICAL"
    await named.aclose()
    await issues.aclose()


async def test_a_member_of_nothing_is_told_as_unassignable(
    gitlab: GitLab, issues: GitLabIssues, desk: GitLabDesk
) -> None:
    issue = await created(issues)
    body = '[{"id": 999, "username": "stranger"}]'  # an account that GitLab knows, and drops in silence
    gitlab.faults.garbage(body, path="/api/v4/users")
    await issues.update(issue, assignee="stranger", timeout_s=T)
    assert "`stranger` could not be assigned" in desk.issues()[0].notes[0]


async def test_the_token_is_in_no_error(server: Server, gitlab: GitLab) -> None:
    issues = GitLabIssues(settings_of(server, token=SecretStr("glpat-wrong-secret")), attempts=1)
    with pytest.raises(IssuesRefused, match="401") as caught:
        await issues.find("x", timeout_s=T)
    assert "wrong-secret" not in str(caught.value)
    await issues.aclose()


@pytest.mark.parametrize("missing", ["url", "token", "project"])
async def test_a_missing_setting_is_named(missing: str) -> None:
    given = {"url": "http://x", "token": SecretStr("t"), "project": "p", missing: None if missing != "project" else ""}
    with pytest.raises(SettingsInvalid, match=f"SREOPS_GITLAB__{missing.upper()}"):
        GitLabIssues(GitLabSettings.model_validate(given))


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ({}, "up", "GitLab 18.6.1, project ops/incidents"),
        ({"scopes": ("read_api",)}, "down", "scopes read_api"),
        ({"access_level": 10}, "down", "level 10"),
        ({"access_level": 20}, "up", "can't set the escalation status"),
        ({"expires_at": date(2026, 11, 30)}, "up", "expires on 2026-11-30, in 7 days"),
        ({"expires_at": date(2026, 11, 22)}, "down", "expired on 2026-11-22"),
        ({"expires_at": date(2027, 11, 22)}, "up", "project ops/incidents"),
        ({"project": "ops/other"}, "down", "404"),
    ],
)
async def test_health_says_what_the_token_may_do(options: dict[str, object], status: str, said: str) -> None:
    gitlab = GitLab(TOKEN, **options)  # type: ignore[arg-type]  # one table for all of them
    async with Server(gitlab.app) as server:
        issues = GitLabIssues(settings_of(server), attempts=1, now=lambda: NOW)
        health = await issues.health()
        assert (health.status, said in health.detail) == (status, True), health
        assert bool(health.cure) == (status == "down" or "expires" in said or "can't" in said)
        await server.stop()
        assert (await issues.health()).status == "down"
        await issues.aclose()


async def test_deadlines_cover_the_whole_call(gitlab: GitLab, issues: GitLabIssues) -> None:
    issue = await created(issues)
    gitlab.faults.delay(0.3, times=None)
    began = time.monotonic()
    with pytest.raises(IssuesUnavailable):
        await asyncio.wait_for(
            issues.update(issue, assignee="nobody", state="reopen", timeout_s=0.7), timedelta(seconds=5).total_seconds()
        )
    assert time.monotonic() - began < 1.5
