"""Random schedules of deaths, looks, resolves and joins on the real engine, as test_schedules.py has them pure.

What is called fixed or recovered is up, has been for the settle time, and has not died since it was restarted: held
against what the engine itself tells. Three of the schedules in CI, twenty with SITUATIONS=all (scripts/long).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from e2e.real_stage import Happening, RealStage, Surroundings, real_stage, surroundings
from integration.situation_deeds import fire, resolve
from integration.situation_play import situation_runbooks
from integration.situation_stage import Beginning, told_end
from servers.dockerd import Dockerd
from sreops.domain.incidents.incident import Incident

SEEDS = range(20 if os.environ.get("SITUATIONS") == "all" else 3)
SETTLE_S = 3.0
TELLING_S = 1.5
"""How long before it is written down the last look may have been: what happens in between nobody could know."""
KINDS = ("dies", "dies", "restart", "kill", "start", "break", "resolve", "resolve", "join", "again")

pytestmark = [pytest.mark.needs("docker", "prometheus"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def around(dockerd: Dockerd) -> Iterator[Surroundings]:
    with surroundings(dockerd) as made:
        yield made


@dataclass(frozen=True)
class Turn:
    """What happens, so long after the turn before."""

    after_s: float
    kind: str


def schedule(seed: int) -> list[Turn]:
    """Make the schedule of a seed: a dozen seconds and more of what may happen around a restart."""
    source = random.Random(seed)
    return [Turn(source.uniform(0.2, 4.0), source.choice(KINDS)) for _ in range(source.randint(3, 8))]


async def take(on: RealStage, turn: Turn) -> None:
    """Let a turn happen; where it can't, as nothing runs that could die, it does not."""
    if turn.kind == "dies":
        await asyncio.to_thread(on.ill.told_if_up, "die")
    elif turn.kind == "break":
        await asyncio.to_thread(on.ill.told_if_up, "break")
    elif turn.kind in ("restart", "kill", "start"):
        path, params = f"/containers/{on.ill.container}/{turn.kind}", {"t": 1} if turn.kind == "restart" else {}
        await asyncio.to_thread(on.ill.dockerd.api.post, path, params=params)  # 409: it does not run
    elif turn.kind == "resolve":
        await resolve(len(on.fired) - 1)(on)
    elif turn.kind == "again":
        await on.it.send(on.fired[0])
    else:
        await fire(f"Joined{len(on.fired)}")(on)


def deaths(events: Sequence[Happening], after: datetime, until: datetime) -> list[datetime]:
    """Return when it died by what the engine tells."""
    return [one.at for one in events if one.action == "die" and after < one.at <= until]


def is_up(events: Sequence[Happening], at: datetime) -> bool:
    """Whether it ran then, by what the engine tells; it ran when the story began."""
    lived = [one.action for one in events if one.action in ("start", "die") and one.at <= at]
    return not lived or lived[-1] == "start"


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_fixed_or_recovered_that_is_dead_or_dies_again(
    seed: int, around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "SREOPS_RUNBOOKS": situation_runbooks(tmp_path),
        "SREOPS_VERIFY__SETTLE_S": f"{SETTLE_S:g}",
        "SREOPS_VERIFY__TIMEOUT_S": "10",
    }
    turns = schedule(seed)
    async with real_stage(around, Beginning(), tmp_path, monkeypatch, settings) as stage:
        await fire(tier=random.Random(seed).choice(["autonomous", "autonomous", "supervised"]))(stage)

        async def goes_on() -> None:
            for turn in turns:
                await asyncio.sleep(turn.after_s)
                await take(stage, turn)
            for place in range(len(stage.fired)):
                await resolve(place)(stage)

        going = asyncio.create_task(goes_on())
        try:
            incident = await stage.it.ended(stage.patient, timeout_s=150)
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
        hold(incident, await stage.events(), turns)


def hold(incident: Incident, events: Sequence[Happening], turns: Sequence[Turn]) -> None:
    """Hold how it ended against what the engine has told."""
    told = f"{told_end(incident)} after {[turn.kind for turn in turns]}; the engine: {events}; {incident.decision}"
    assert all(effect.outcome is not None for effect in incident.effects), told
    assert len(incident.effects) <= 1, told
    if told_end(incident) not in ("fixed", "recovered"):
        return
    assert incident.ended_at is not None
    looked = incident.ended_at - timedelta(seconds=TELLING_S)
    assert is_up(events, looked), told
    assert not deaths(events, incident.ended_at - timedelta(seconds=SETTLE_S), looked), told
    if told_end(incident) == "fixed":
        acted = max(effect.outcome_at or datetime.max.replace(tzinfo=UTC) for effect in incident.effects)
        assert not deaths(events, acted, looked), told
