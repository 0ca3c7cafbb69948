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
from servers.waiting import eventually
from sreops.domain.incidents.incident import Incident

SEEDS = range(20 if os.environ.get("SITUATIONS") == "all" else 3)
SETTLE_S = 3.0
TELLING_S = 1.5
"""How long before it is written down the last look may have been: what happens in between nobody could know."""
KINDS = ("dies", "dies", "restart", "kill", "start", "break", "resolve", "resolve", "join", "again")


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


async def ended(on: RealStage) -> Incident:
    """Wait until the incident has ended, whatever episode it is: who joins begins another."""

    async def look() -> Incident | None:
        incident = await on.it.incident(on.patient)
        return incident if incident is not None and incident.status.ended else None

    found = await eventually(look, 120, every_s=0.05, what="the incident to end")
    assert found is not None
    return found


def deaths(events: Sequence[Happening], after: datetime, until: datetime) -> list[datetime]:
    """Return when it died by what the engine tells."""
    return [one.at for one in events if one.action == "die" and after < one.at <= until]


def is_up(events: Sequence[Happening], at: datetime) -> bool:
    """Whether it ran then, by what the engine tells; it ran when the story began."""
    lived = [one.action for one in events if one.action in ("start", "die") and one.at <= at]
    return not lived or lived[-1] == "start"


@pytest.mark.needs("docker", "prometheus")
@pytest.mark.timeout(240)
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
            incident = await ended(stage)
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
        hold(incident, await stage.events(), turns)


def contradicted(end: str, ended_at: datetime, acted_at: datetime | None, events: Sequence[Happening]) -> str:
    """Say by what the engine contradicts an end, or nothing; ``acted_at``: when sreops had restarted it."""
    if end not in ("fixed", "recovered"):
        return ""
    looked = ended_at - timedelta(seconds=TELLING_S)
    if not is_up(events, looked):
        return "it is down"
    if died := deaths(events, ended_at - timedelta(seconds=SETTLE_S), looked):
        return f"it died at {died[-1]}, within the settle time"
    if end == "fixed" and (acted_at is None or (died := deaths(events, acted_at, looked))):
        return f"it died at {died[-1]}, since it was restarted" if died else "nobody restarted it"
    return ""


def hold(incident: Incident, events: Sequence[Happening], turns: Sequence[Turn]) -> None:
    """Hold how it ended against what the engine has told."""
    end, effects = told_end(incident), incident.effects
    assert incident.ended_at is not None
    contradiction = contradicted(end, incident.ended_at, max((one.outcome_at for one in effects), default=None), events)
    told = f"{end} after {[turn.kind for turn in turns]}; the engine: {events}; {incident.decision}"
    assert not contradiction, f"{contradiction}: {told}"
    assert len(effects) <= 1, told


@pytest.mark.parametrize(
    ("happened", "end", "contradiction"),
    [
        ([(30, "die"), (30.2, "start")], "fixed", ""),
        ([(30, "die"), (30.2, "start")], "recovered", ""),
        ([(30, "die"), (30.2, "start"), (40, "die"), (41, "start")], "fixed", "since it was restarted"),
        ([(30, "die"), (30.2, "start"), (40, "die"), (41, "start")], "recovered", ""),
        ([(58, "die"), (58.1, "start")], "recovered", "within the settle time"),
        ([(50, "die")], "fixed", "it is down"),
        ([(50, "die")], "remediation_ineffective", ""),
    ],
)
def test_the_measure_notices_what_died_and_what_is_down(
    happened: list[tuple[float, str]], end: str, contradiction: str
) -> None:
    night = datetime(2026, 11, 30, 3, tzinfo=UTC)
    events = [Happening(night + timedelta(seconds=at), action, "payments") for at, action in happened]
    found = contradicted(end, night + timedelta(seconds=60), night + timedelta(seconds=31), events)
    assert contradiction in found if contradiction else not found
