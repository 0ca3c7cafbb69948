"""Who joins is heard, and what comes back: the whole process around the sandbox's world."""

from __future__ import annotations

from pathlib import Path

import pytest
from loop_scene import Scene, loop_scene

from servers.waiting import eventually
from sreops.domain.incidents.incident import IncidentStatus, Reason, Resolution
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch


def calm() -> World:
    """A world in which nothing is wrong with payments: whatever fires is handed over."""
    return World(claude=False, past_s=60, scrape_interval_s=0.5, window="5s")


async def test_a_critical_one_that_joins_what_was_handed_over_is_analysed_and_reopens_the_issue(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, calm()) as it:
        await it.fire(severity="warning")
        first = await it.ended()
        assert (first.status, first.severity) == (IncidentStatus.escalated, "warning")
        await eventually(lambda: "sreops-escalated" in it.issues[0].labels, 10)
        it.issues[0].state = "closed"  # by a person
        await it.fire(alertname="Down", severity="critical", instance="web-1:9100")
        again = await it.ended(episode=2)
        assert (again.id, again.severity, again.joins and again.joins.analyses) == (first.id, "critical", 1)
        assert again.reason is not Reason.refired
        assert any("Analysed again because of who joined" in text for text in await it.thoughts(again))
        await eventually(lambda: "severity-critical" in it.issues[0].labels, 15)
        assert "severity-warning" not in it.issues[0].labels
        await eventually(lambda: it.issues[0].severity == "CRITICAL", 15)
        assert it.issues[0].state == "opened"
        assert len(it.issues) == 1
        await eventually(lambda: "Down** of payments (critical) at web-1:9100" in str(_notes(it)), 15)


def _notes(it: Scene) -> list[str]:
    return [note.body for note in it.issues[0].notes]


async def test_a_plan_that_waits_stands_while_it_is_analysed_again(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        await it.fire(tier="supervised", severity="warning")
        waiting = await it.reaches("awaiting_approval")
        await it.fire(alertname="Down", severity="critical", tier="supervised")
        await eventually(lambda: _asks_again(it), 30)
        again = await it.reaches("awaiting_approval")
        assert (again.episode, again.plan_hash) == (2, waiting.plan_hash)
        assert (await it.decide(waiting, "approve")).status_code == 200
        assert (await it.ended(episode=2)).effects
        assert it.starts() == 2


async def _asks_again(it: Scene) -> bool:
    found = await it.incident()
    return found is not None and found.episode == 2 and found.status is IncidentStatus.awaiting_approval


async def test_a_refire_after_an_untouched_recovery_is_analysed(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_VERIFY__TIMEOUT_S="30") as it:
        first = await it.fire(tier="supervised")
        await it.reaches("awaiting_approval")
        it.world.shop.cure("payments")  # by itself: nobody has done anything
        await eventually(lambda: it.world.shop.services["payments"].symptoms.error_ratio < 0.05, 20)
        await it.resolve(first)
        over = await it.ended()
        assert (over.resolution, over.effects) == (Resolution.recovered, ())
        await it.fire(tier="supervised")
        await eventually(lambda: _causes(it, 2), 60, what="the second analysis")
        again = await it.incident()
        assert again is not None
        assert (again.id, again.episode) == (over.id, 2)
        assert again.reason is not Reason.refired


async def _causes(it: Scene, number: int) -> bool:
    found = await it.incident()
    return found is not None and sum("Cause:" in text for text in await it.thoughts(found)) == number


async def test_after_a_remedy_every_refire_goes_to_a_person(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        alert = await it.fire()
        assert (await it.ended()).resolution is Resolution.fixed
        for episode in (2, 3, 4):
            await it.resolve(alert)
            alert = await it.fire()
            again = await it.ended(episode=episode)
            assert again.reason is Reason.refired
        assert it.starts() == 2
        assert len((await it.store.incidents())[0]) == 1
