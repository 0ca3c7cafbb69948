"""The sandbox's worlds of the situations, and what happens in them that has no word on a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from integration.situation_stage import Deed, SandboxStage, Stage
from servers.waiting import eventually
from sreops.sandbox.claude import Say
from sreops.sandbox.docker.process import Idle
from sreops.sandbox.world import World

PROPOSAL = {
    "root_cause": "its threads wait for each other", "category": "deadlock", "confidence": 0.95,
    "recommended_action": "restart", "runbook_id": None, "reasoning": "nothing moves", "evidence": ["E1"],
}  # fmt: skip


def leaking(service: str = "payments") -> World:
    """One service has leaked until its memory is full."""
    world = World(claude=False, past_s=700, scrape_interval_s=1.0, window="5s")
    world.shop.leak(service, full_in_s=-20, fills_in_s=600)
    return world


def filling() -> World:
    """Payments leaks, is nearly full, and is not ill yet."""
    world = World(claude=False, past_s=700, scrape_interval_s=1.0, window="5s")
    world.shop.leak("payments", full_in_s=60, fills_in_s=600)
    return world


def calm() -> World:
    """Nothing is wrong."""
    return World(claude=False, past_s=700, scrape_interval_s=1.0, window="5s")


def proposes() -> World:
    """Nothing is wrong, and a model is sure that a restart helps."""
    world = World(past_s=60, scrape_interval_s=0.5, window="5s")
    assert world.claude is not None
    world.claude.script(*[Say(PROPOSAL)] * 9)
    return world


def _in_sandbox(work: Callable[[SandboxStage], Any]) -> Deed:
    async def deed(on: Stage) -> None:
        assert isinstance(on, SandboxStage)
        found = work(on)
        if asyncio.iscoroutine(found):
            await found

    return deed


def labelled(name: str, value: str) -> Deed:
    """Give the patient's container a label."""

    def work(on: SandboxStage) -> None:
        container = on.it.container(on.patient)
        container.labels = {**container.labels, name: value}

    return _in_sandbox(work)


def needs_to_stop(seconds: int) -> Deed:
    """Let the patient's container ask for so long to stop; -1: for ever."""

    def work(on: SandboxStage) -> None:
        on.it.container(on.patient).stop_timeout_s = seconds

    return _in_sandbox(work)


def engine_fails(status: int) -> Deed:
    """Let the engine refuse the next restart."""
    return _in_sandbox(lambda on: on.world.engine.faults.fail(status, path="*/restart"))


def answer_lost(*, acts: bool) -> Deed:
    """Let the engine's answers to restarts be lost, once it has acted, or without."""

    def work(on: SandboxStage) -> None:
        on.world.engine.faults.reset(path="*/restart", after_acting=acts, times=1 if acts else None)

    return _in_sandbox(work)


def away(server: str) -> Deed:
    """Take a server away."""
    return _in_sandbox(lambda on: on.world.servers[server].stop())


def _only_text(on: SandboxStage) -> None:
    line = '172.18.0.9 "GET /search?q=java.lang.OutOfMemoryError HTTP/1.1" 200'
    on.world.loki.push({"container": on.patient, "service": on.patient}, line)


def _no_source(on: SandboxStage) -> None:
    for source in (on.world.loki, on.world.prometheus):
        source.faults.fail(500, times=None)


def _pause_file(on: SandboxStage) -> None:
    (on.it.app.settings.data_dir / "PAUSE").write_text("the night before the audit")


async def _ledger_down(on: SandboxStage) -> None:
    ledger = on.world.shop.services["ledger-db"].container
    assert ledger is not None
    await on.world.engine.stop(ledger, 0)
    ledger.exit_code = 137


async def _cured(on: SandboxStage) -> None:
    on.world.shop.cure(on.patient)
    service = on.world.shop.services[on.patient]
    await eventually(lambda: service.symptoms.error_ratio < 0.05, 20, what="payments to be well")


def _will_not_start(on: SandboxStage) -> None:
    on.it.container(on.patient).process = Idle(refuses_to_start="no such file or directory: /app/run")


def _dies_again(on: SandboxStage) -> None:
    on.at_its_start(lambda: on.world.engine.crash(on.it.container(on.patient), 1))


def _compose(name: str, project: str, service: str, number: int = 1) -> dict[str, Any]:
    labels = {
        "com.docker.compose.project": project, "com.docker.compose.service": service, "sreops.enable": "true",
        "com.docker.compose.container-number": str(number), "com.docker.compose.oneoff": "False",
    }  # fmt: skip
    return {"name": name, "process": Idle(), "labels": labels, "image": f"{service}:1"}


def _added(*containers: dict[str, Any]) -> Deed:
    def work(on: SandboxStage) -> None:
        for one in containers:
            on.world.engine.add(**one)
        on.begin()  # they were there before

    return _in_sandbox(work)


line_only = _in_sandbox(_only_text)
failed_sources = _in_sandbox(_no_source)
pause_file = _in_sandbox(_pause_file)
ledger_down = _in_sandbox(_ledger_down)
was_cured = _in_sandbox(_cured)
will_not_start = _in_sandbox(_will_not_start)
dies_again = _in_sandbox(_dies_again)
namesakes = _added(_compose("shop-db-1", "shop", "db"), _compose("monitoring-db-1", "monitoring", "db"))
replicas = _added(*(_compose(f"shop-queue-{number}", "shop", "queue", number) for number in (1, 2)))
