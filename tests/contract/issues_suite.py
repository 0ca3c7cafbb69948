"""What every ports.Issues must do; subclasses give the adapter and a desk that shows what people would see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sreops.domain.incidents.incident import Issue
from sreops.domain.records.handover import fenced
from sreops.errors import IssuesRefused
from sreops.ports import Issues

T = 20.0
PIECES = [
    "/close\n", "\n/close\n", "/assign @root\n", "@root ", "@all", "\\@root", "&#64;root", "`@root`",
    "<b>@root</b>", "#1 ", "~bug ", "```\n", "````\n", "~~~\n", ">>>\n", "\n>>>\n", " >>>\n", "\n\n", "\n",
    " ", "<!-- ", "-->", "<pre>", "</pre>", "<details>\n", "\r\n", "\r", "\x00", "\x0b", "\u2028", "\ud800",
    "/label ~x\n", "    ", "- ", "> ", "text", "<!-- sreops:note=n0 -->", "<!-- sreops:incident=m0 -->",
]  # fmt: skip
hostile = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=12).map("".join)


@dataclass
class Seen:
    """One issue as people see it."""

    iid: int
    title: str
    description: str
    state: str
    severity: str
    labels: Sequence[str]
    assignees: Sequence[str]
    notes: Sequence[str]


class Desk(Protocol):
    """What a person sees, and what went wrong there."""

    def issues(self) -> Sequence[Seen]: ...

    def harm(self) -> Sequence[object]:
        """Quick actions that were found, and people who were mentioned."""
        ...


async def created(issues: Issues, marker: str = "incident-1", **fields: str) -> Issue:
    return await issues.create(
        marker,
        title=fields.get("title", "[critical] web: Down"),
        description=fields.get("description", "## Alert"),
        labels=["sreops", "severity-critical"],
        severity=fields.get("severity", "critical"),
        timeout_s=T,
    )


class IssuesContract:
    """Subclasses give the fixtures ``issues`` and ``desk`` (an account ``platform-oncall`` exists there)."""

    async def test_an_incident_is_created_and_found(self, issues: Issues, desk: Desk) -> None:
        assert await issues.find("incident-1", timeout_s=T) is None
        issue = await created(issues)
        [seen] = desk.issues()
        assert (seen.iid, seen.title, seen.state, seen.severity) == (
            issue.iid,
            "[critical] web: Down",
            "opened",
            "CRITICAL",
        )
        assert {"sreops", "severity-critical"} < set(seen.labels)
        assert "## Alert" in seen.description
        assert str(issue.iid) in issue.url
        assert await issues.find("incident-1", timeout_s=T) == issue
        assert await issues.find("incident", timeout_s=T) is None

    async def test_two_tries_make_one_issue(self, issues: Issues, desk: Desk) -> None:
        assert await created(issues) == await created(issues)
        assert await created(issues, "incident-2") != await created(issues)
        assert len(desk.issues()) == 2

    async def test_a_closed_issue_is_found_too(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues)
        await issues.update(issue, state="close", timeout_s=T)
        assert await issues.find("incident-1", timeout_s=T) == issue
        assert await created(issues) == issue

    async def test_a_note_is_there_once(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues)
        for marker in ("op-1", "op-1", "op-2"):
            await issues.note(issue, marker, f"said by {marker}", timeout_s=T)
        assert [note.splitlines()[-1] for note in desk.issues()[0].notes] == ["said by op-1", "said by op-2"]

    async def test_closing_and_reopening_can_be_repeated(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues)
        for state, seen in (("close", "closed"), ("close", "closed"), ("reopen", "opened"), ("reopen", "opened")):
            await issues.update(issue, state=state, timeout_s=T)  # type: ignore[arg-type]  # mypy widens the tuple
            assert desk.issues()[0].state == seen

    async def test_a_severity_that_changed_is_the_issues_own_too(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues, severity="warning")
        before = desk.issues()[0].severity
        await issues.update(issue, add_labels=["severity-critical"], severity="critical", timeout_s=T)
        assert (before, desk.issues()[0].severity) == ("MEDIUM", "CRITICAL")
        await issues.update(issue, severity="warning", timeout_s=T)
        assert desk.issues()[0].severity == "MEDIUM"

    async def test_the_title_says_the_severity_that_holds(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues, severity="warning", title="[warning] payments #7: High")
        before = desk.issues()[0].title
        await issues.update(issue, severity="critical", timeout_s=T)
        assert desk.issues()[0].title == before.replace("[warning]", "[critical]")

    async def test_a_title_that_a_person_begins_otherwise_stays(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues, severity="warning", title="Payments, see [warning] below")
        before = desk.issues()[0].title
        await issues.update(issue, severity="critical", timeout_s=T)
        assert desk.issues()[0].title == before

    async def test_labels_are_added_and_removed_beside_others(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues)
        before = set(desk.issues()[0].labels)
        await issues.update(issue, add_labels=["sreops-resolved", "one, two"], timeout_s=T)
        assert set(desk.issues()[0].labels) == before | {"sreops-resolved", "one two"}
        await issues.update(issue, add_labels=["x"], remove_labels=["sreops-resolved", "not there"], timeout_s=T)
        assert set(desk.issues()[0].labels) == before | {"x", "one two"}
        await issues.update(issue, timeout_s=T)  # nothing to change is no error

    async def test_it_is_assigned(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues)
        await issues.update(issue, assignee="platform-oncall", add_labels=["escalated"], timeout_s=T)
        [seen] = desk.issues()
        assert seen.assignees == ["platform-oncall"]
        assert seen.notes == []

    async def test_an_unknown_assignee_is_told_once_and_the_rest_is_done(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues)
        for _ in range(2):
            await issues.update(issue, assignee="nobody", state="close", timeout_s=T)
        [seen] = desk.issues()
        assert (seen.state, seen.assignees, len(seen.notes)) == ("closed", [], 1)
        assert "`nobody` could not be assigned" in seen.notes[0]

    @pytest.mark.parametrize(("given_severity", "shown"), [("warning", "MEDIUM"), ("info", "LOW"), ("odd", "UNKNOWN")])
    async def test_severities_are_mapped(self, issues: Issues, desk: Desk, given_severity: str, shown: str) -> None:
        await created(issues, severity=given_severity)
        assert desk.issues()[0].severity == shown

    async def test_long_text_is_cut_and_says_so(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues, title="@t " * 500, description="@x" * 700_000)
        await issues.note(issue, "op", fenced("/close\n" * 200_000), timeout_s=T)
        [seen] = desk.issues()
        assert len(seen.title) <= 255
        assert seen.title.endswith("…")
        assert "more characters were left out" in seen.description
        assert "more characters were left out" in seen.notes[0]
        assert desk.harm() == []

    async def test_an_empty_title_and_body_are_no_trouble(self, issues: Issues, desk: Desk) -> None:
        issue = await created(issues, title=" \n", description="")
        await issues.note(issue, "op", "", timeout_s=T)
        assert desk.issues()[0].title

    async def test_markers_may_be_any_string(self, issues: Issues, desk: Desk) -> None:
        for marker in ("a,b", "--> @root\n/close", "ä <x>", "None"):
            issue = await created(issues, marker)
            await issues.note(issue, marker, "x", timeout_s=T)
            await issues.note(issue, marker, "x", timeout_s=T)
            assert await issues.find(marker, timeout_s=T) == issue
        assert [len(seen.notes) for seen in desk.issues()] == [1, 1, 1, 1]
        assert desk.harm() == []

    async def test_a_record_kept_locally_is_refused(self, issues: Issues) -> None:
        with pytest.raises(IssuesRefused, match="locally"):
            await issues.note(Issue(iid=0, url=""), "op", "x", timeout_s=T)

    @given(title=hostile, description=hostile, note=hostile, log=hostile, number=st.integers(0, 10**9))
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    async def test_no_text_acts_or_mentions(
        self, issues: Issues, desk: Desk, title: str, description: str, note: str, log: str, number: int
    ) -> None:
        marker = f"m{number}"
        body = f"## Alert\n\n{description}\n\n{fenced(log)}\n\n{note}"
        issue = await created(issues, marker, title=title, description=body)
        await issues.note(issue, f"n{number}", note, timeout_s=T)
        await issues.note(issue, f"f{number}", f"{fenced(log)}\n{note}", timeout_s=T)
        assert desk.harm() == []
        seen = next(one for one in desk.issues() if one.iid == issue.iid)
        assert seen.state == "opened"
        assert len(seen.notes) in (2, 4)  # 4: hypothesis gave this number before
