"""The sandbox's shop as the stage of a situation: everything in it is the sandbox's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from integration.loop_scene import Scene
from integration.situation_stage import Beginning, State
from servers.waiting import eventually
from sreops.sandbox.claude import Say
from sreops.sandbox.docker.process import Idle
from sreops.sandbox.faults import Faults
from sreops.sandbox.world import World

PROPOSAL = {
    "root_cause": "its threads wait for each other", "category": "deadlock", "confidence": 0.95,
    "recommended_action": "restart", "runbook_id": None, "reasoning": "nothing moves", "evidence": ["E1"],
}  # fmt: skip


def propose(world: World) -> None:
    """Let the model be sure that a restart helps."""
    assert world.claude is not None
    world.claude.script(*[Say(PROPOSAL)] * 9)


def shop_at(begins: Beginning) -> World:
    """Make the shop as a situation finds it."""
    if begins.model:
        world = World(past_s=60, scrape_interval_s=0.5, window="5s")
        propose(world)
    else:
        world = World(claude=False, past_s=700, scrape_interval_s=1.0, window="5s")
    if begins.state is not State.well:
        full_in_s = -20 if begins.state is State.ill else 60
        world.shop.leak(begins.service, full_in_s=full_in_s, fills_in_s=600)
    return world


class SandboxStage:
    """The sandbox's shop, in which one service is the patient."""

    def __init__(self, it: Scene, begins: Beginning) -> None:
        self.it, self.patient = it, begins.service
        self.fired: list[Any] = []
        self._beside: list[asyncio.Task[None]] = []
        container = it.container(self.patient)
        container.labels = {**container.labels, **begins.labels}
        container.stop_timeout_s = begins.stop_timeout_s
        self._began = 0
        self._begin()

    def _begin(self) -> None:
        """Forget what the engine has told before."""
        self._began = len(self.it.world.engine.events)

    @property
    def world(self) -> World:
        return self.it.world

    @property
    def engine_faults(self) -> Faults:
        return self.world.engine.faults

    async def break_patient(self) -> None:
        self.world.shop.leak(self.patient, full_in_s=-5, fills_in_s=600)

    async def cure_patient(self) -> None:
        self.world.shop.cure(self.patient)
        service = self.world.shop.services[self.patient]
        await eventually(lambda: service.symptoms.error_ratio < 0.05, 20, what="the patient to be well")

    async def by_somebody(self, what: str) -> None:
        container, engine = self.it.container(self.patient), self.world.engine
        if what == "restart":
            await engine.restart(container, 1)
        elif what == "kill":
            await engine.kill(container, 9)
        else:
            await engine.remove(container)

    async def comes_back(self) -> None:
        self._at_its_start(lambda: self.world.shop.leak(self.patient, full_in_s=-5, fills_in_s=600))

    async def dies_again(self) -> None:
        self._at_its_start(lambda: self.world.engine.crash(self.it.container(self.patient), 1))

    async def will_not_start(self) -> None:
        self.it.container(self.patient).process = Idle(refuses_to_start="no such file or directory: /app/run")

    async def neighbour_down(self) -> None:
        ledger = self.world.shop.services["ledger-db"].container
        assert ledger is not None
        await self.world.engine.stop(ledger, 0)
        ledger.exit_code = 137

    async def metrics_away(self) -> None:
        self.world.prometheus.faults.fail(500, times=None)

    async def add_idle(self, containers: Mapping[str, Mapping[str, str]]) -> None:
        for name, labels in containers.items():
            image = f"{labels['com.docker.compose.service']}:1"
            self.world.engine.add(name, Idle(), labels=dict(labels), image=image)
        self._begin()

    def events(self) -> Sequence[tuple[str, str]]:
        told = list(self.world.engine.events)[self._began :]
        return [(one.action, str(one.attributes.get("name", ""))) for one in told]

    def _at_its_start(self, then: Callable[[], None]) -> None:
        """Do something as soon as the patient has been started once more."""

        async def watch() -> None:
            before = self.it.starts(self.patient)
            while self.it.starts(self.patient) == before:
                await self.world.engine.happened.wait()
                await asyncio.sleep(0)
            then()

        self._beside.append(asyncio.create_task(watch()))

    async def close(self) -> None:
        """End what was begun beside."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
