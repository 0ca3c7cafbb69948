"""An hour without GitLab, played with a clock: afterwards the issue is complete, in order, and everything once.

The store is real, GitLab is the sandbox's over HTTP; the clock is moved in steps of half a minute, as upkeep looks.
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest
from pydantic import SecretStr

from contract.store_scene import T0, at, at_work, fresh_store
from sreops.adapters.gitlab import GitLabIssues
from sreops.adapters.store import SqlIncidentStore
from sreops.agent.tickets import TicketDesk
from sreops.ports import Changes, TicketOp
from sreops.sandbox.gitlab import GitLab
from sreops.sandbox.server import Server
from sreops.settings import GitLabSettings

TOKEN = "glpat-sandbox"
store = pytest.fixture(fresh_store)


class MovedClock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.at = T0

    def now(self) -> datetime:
        return self.at


class Hour:
    """An incident whose writes are queued, GitLab, and the desk that carries them out as time passes."""

    def __init__(self, store: SqlIncidentStore, server: Server, gitlab: GitLab) -> None:
        self.store, self.server, self.gitlab, self.clock = store, server, gitlab, MovedClock()
        self.issues: list[GitLabIssues] = []
        self.expected: list[str] = []
        self.connect("ops/incidents")

    def connect(self, project: str) -> None:
        """Start sreops' side anew, as with another setting."""
        given = {"url": self.server.url, "token": SecretStr(TOKEN), "project": project}
        self.issues.append(GitLabIssues(GitLabSettings.model_validate(given), attempts=1))
        self.desk = TicketDesk(self.store, self.issues[-1], self.clock, oncall_user="platform-oncall", timeout_s=5)

    async def begin(self) -> None:
        """Open the incident and queue its issue."""
        self.lease = await at_work(self.store)
        body = {
            "title": "[critical] payments",
            "description": "it is down",
            "labels": ["sreops"],
            "severity": "CRITICAL",
        }
        await self._queue("create", body)

    async def says(self, text: str) -> None:
        """Queue a note, as a node does, whatever GitLab does meanwhile."""
        self.expected.append(text)
        await self._queue("note", {"note": text})

    async def _queue(self, kind: str, body: dict[str, object]) -> None:
        op = TicketOp(f"{self.lease.incident_id}:{len(self.expected)}:{kind}", self.lease.incident_id, kind, body)
        await self.store.write(self.lease, Changes(tickets=[op]), now=self.clock.now())
        await self.desk.drain()

    async def passes(self, minutes: float) -> None:
        """Let time pass, with a look each half minute."""
        for _ in range(round(minutes * 2)):
            self.clock.at += timedelta(seconds=30)
            await self.desk.drain()

    def notes(self) -> list[str]:
        """What the one issue's notes say, without their markers."""
        [issue] = self.gitlab.issues
        written = [note.body.splitlines() for note in issue.notes if not note.system]
        return [next(line for line in lines if line and not line.startswith("<!--")) for lines in written]


@pytest.fixture
async def hour(store: SqlIncidentStore) -> AsyncIterator[Hour]:
    gitlab = GitLab(TOKEN)
    async with Server(gitlab.app) as server:
        made = Hour(store, server, gitlab)
        yield made
        gitlab.faults.clear()
        for issues in made.issues:
            await issues.aclose()


async def complete(hour: Hour) -> None:
    """Hold the issue against what was said: all of it, in order, once; and nothing is left to write."""
    told = hour.notes()
    assert [line for line in told if line in hour.expected] == hour.expected
    assert len(told) == len(set(told))
    assert await hour.store.due_tickets(now=at(10**6)) == []


def throttle(hour: Hour) -> Callable[[], None]:
    hour.gitlab.faults.fail(429, headers={"Retry-After": "60"}, times=None)
    return hour.gitlab.faults.clear


def away(hour: Hour) -> Callable[[], None]:
    hour.gitlab.faults.fail(503, times=None)
    return hour.gitlab.faults.clear


def revoked(hour: Hour) -> Callable[[], None]:
    hour.gitlab.revoke()
    return lambda: hour.gitlab.renew(TOKEN)


def moved(hour: Hour) -> Callable[[], None]:
    hour.gitlab.move("ops/elsewhere")
    return lambda: hour.connect("ops/elsewhere")


@pytest.mark.parametrize("trouble", [throttle, away, revoked, moved])
@pytest.mark.parametrize("from_the_start", [True, False])
async def test_an_hour_of_trouble_is_made_up_for(
    hour: Hour, trouble: Callable[[Hour], Callable[[], None]], from_the_start: bool
) -> None:
    if from_the_start:
        mend = trouble(hour)
        await hour.begin()
    else:
        await hour.begin()
        await hour.says("before")
        mend = trouble(hour)
    for number in range(6):
        await hour.says(f"during {number}")
        await hour.passes(10)
    assert not any("during" in note.body for issue in hour.gitlab.issues for note in issue.notes)
    asked = len(hour.gitlab.faults.requests)
    assert asked < 400, "a GitLab in trouble is not asked all the time"
    mend()
    await hour.says("after")
    await hour.passes(3)
    await complete(hour)


async def test_one_trouble_after_the_other_and_a_deleted_issue_lose_nothing(hour: Hour) -> None:
    await hour.begin()
    await hour.says("first")
    for trouble in (throttle, away, revoked):
        mend = trouble(hour)
        await hour.says(trouble.__name__)
        await hour.passes(15)
        mend()
    await hour.passes(3)
    hour.gitlab.delete(hour.gitlab.issues[0].iid)
    await hour.says("after it was deleted")
    await hour.passes(3)
    mend = moved(hour)
    await hour.says("after it was moved")
    await hour.passes(12)
    mend()
    await hour.passes(3)
    await complete(hour)
