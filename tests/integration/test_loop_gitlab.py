"""The whole loop around the sandbox's GitLab: the issue as it stands, people who are heard, trouble made up for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from loop_scene import LEAKING, Scene, loop_scene

from servers.waiting import eventually
from sreops.domain.incidents.incident import Incident

pytestmark = pytest.mark.timeout(300)
SUPERVISED = {"tier": "supervised"}


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    settings = {"SREOPS_GITLAB__APPROVERS": "developer", "SREOPS_GITLAB__HEAR_EVERY_S": "0.3"}
    async with loop_scene(tmp_path, monkeypatch, **settings) as made:
        yield made


def gitlab(scene: Scene) -> Any:
    assert scene.world.gitlab is not None
    return scene.world.gitlab


async def waits(scene: Scene) -> tuple[Incident, int]:
    """Fire an alert whose plan needs approval; return it, waiting, with its issue's number."""
    await scene.fire(**LEAKING, **SUPERVISED)
    incident = await scene.reaches("awaiting_approval", "payments")
    await eventually(lambda: scene.issues and "Plan" in str([note.body for note in scene.issues[0].notes]), 20)
    return incident, scene.issues[0].iid


def deeds(scene: Scene) -> list[str]:
    return [event.note for event in scene.issues[-1].timeline if event.action == "comment"]


def looks(scene: Scene) -> int:
    """How often comments were looked at."""
    return sum("/notes" in one.path and one.method == "GET" for one in gitlab(scene).faults.requests)


async def test_a_comment_of_a_developer_approves_and_the_issue_tells_the_whole_story(scene: Scene) -> None:
    incident, iid = await waits(scene)
    gitlab(scene).set_user("alice", access_level=30)
    gitlab(scene).set_user("bob", access_level=20)
    gitlab(scene).comment(iid, f"> sreops approve {incident.plan_hash}", "alice")
    gitlab(scene).comment(iid, f"sreops approve {incident.plan_hash}", "bob")
    gitlab(scene).comment(iid, f"sreops approve {incident.plan_hash}", "alice", edited=True)
    # three looks and more, each of which would have heard it
    asked = len([one for one in gitlab(scene).faults.requests if "/notes" in one.path and one.method == "GET"])
    await eventually(
        lambda: len([o for o in gitlab(scene).faults.requests if "/notes" in o.path and o.method == "GET"]) > asked + 3,
        20,
    )
    assert (await scene.store.incident(incident.id)).status.value == "awaiting_approval"
    gitlab(scene).comment(iid, f"Go ahead.\n\nsreops approve {incident.plan_hash}", "alice")
    ended = await scene.ended()
    assert ended.resolution == "fixed"
    audit = await scene.store.records(incident_id=incident.id, kind="action", limit=99)
    assert [record.body["by"] for record in audit if record.body["action"] == "approve"] == ["alice (GitLab)"]
    await eventually(lambda: any("closed it" in deed for deed in deeds(scene)), 30)
    shown = str(scene.issues[0].description)
    for said in ("## What is wrong", "## What was done", "## Timeline", "succeeded", "Nothing: fixed"):
        assert said in shown, shown
    assert deeds(scene)[0].startswith("MemoryNearLimit")
    assert len(deeds(scene)) == len(set(deeds(scene)))
    assert gitlab(scene).executed_quick_actions == []
    assert scene.issues[0].state == "closed"


async def test_a_person_who_closes_the_issue_closes_the_incident(scene: Scene) -> None:
    incident, iid = await waits(scene)
    gitlab(scene).close(iid, "alice")
    ended = await scene.ended()
    assert (ended.id, ended.resolution) == (incident.id, "closed")
    assert ended.closed is not None
    assert ended.closed["by"] == "alice (GitLab)"
    assert scene.starts() == 1


async def test_a_person_who_takes_the_issue_is_known_to_know(scene: Scene) -> None:
    await scene.fire("search", "Strange")
    ended = await scene.ended("search")
    await eventually(lambda: scene.issues and scene.issues[0].assignees, 20)
    gitlab(scene).assign(scene.issues[0].iid, "bob")

    async def is_known() -> bool:
        return (await scene.store.incident(ended.id)).acknowledged_by == "bob (GitLab)"

    await eventually(is_known, 20)
    await eventually(lambda: scene.issues[0].escalation_status == "ACKNOWLEDGED", 20)
    assert [user.username for user in scene.issues[0].assignees] == ["bob"]


async def test_a_deleted_issue_is_written_again_whole_and_once(scene: Scene) -> None:
    await scene.fire("search", "Strange")
    ended = await scene.ended("search")
    await eventually(lambda: scene.issues and "What you do now" in str(scene.issues[0].description), 30)
    notes = [note.body for note in scene.issues[0].notes if not note.system]
    gitlab(scene).delete(scene.issues[0].iid)
    await scene.store.acknowledge(ended.id, by="ann", reason="looking", now=scene.world.clock.now())
    await eventually(lambda: scene.issues and "What you do now" in str(scene.issues[0].description), 60)
    await eventually(lambda: any("was deleted" in note.body for note in scene.issues[0].notes), 30)
    again = [note.body for note in scene.issues[0].notes if not note.system]
    assert again[: len(notes)] == notes
    assert len(scene.issues) == 1
    assert ended.issue is not None
    assert (await scene.store.incident(ended.id)).issue != ended.issue


async def test_a_token_that_was_revoked_loses_nothing_once_there_is_a_new_one(scene: Scene) -> None:
    token = gitlab(scene)._token.value
    gitlab(scene).revoke()
    await scene.fire("search", "Strange")
    ended = await scene.ended("search")
    assert scene.issues == []
    gitlab(scene).renew(token)
    await eventually(lambda: scene.issues and "What you do now" in str(scene.issues[0].description), 100)
    await eventually(lambda: any("Escalated" in note.body for note in scene.issues[0].notes), 20)
    await eventually(lambda: any("handed it over" in deed for deed in deeds(scene)), 20)
    assert len(scene.issues) == 1
    notes = [note.body for note in scene.issues[0].notes if not note.system]
    assert len(notes) == len(set(notes))
    assert (await scene.store.incident(ended.id)).issue is not None
