"""What a situation is played on, and the deeds that it is told in: the sandbox's engine, or a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from integration.loop_scene import Scene
from servers.waiting import eventually
from sreops.domain.incidents.incident import Incident
from sreops.sandbox import webhook
from sreops.sandbox.world import World

MIGRATES = "flyway: Migration V42 has started"
_DISRUPTIVE = ("create", "destroy", "die", "kill", "restart", "start", "stop")
_WITHIN = {"restart": ("start", "stop", "die", "kill"), "stop": ("die", "kill"), "kill": ("die",)}


def told_short(events: Iterable[tuple[str, str]]) -> list[str]:
    """Return engine events (action, container) as people tell them: a restart is one event and not five."""
    told: list[tuple[str, str]] = []
    for action, name in events:
        action = action.partition(":")[0]
        if action not in _DISRUPTIVE:
            continue
        if action == "die" and ("kill", name) in told[-2:]:
            continue  # the end of what was killed, or is being stopped
        if action in ("restart", "stop"):
            while told and told[-1][1] == name and told[-1][0] in _WITHIN[action]:
                told.pop()
        told.append((action, name))
    return [f"{action} {name}" for action, name in told]


class Stage(Protocol):
    """A process at work, and the world that it looks at."""

    it: Scene
    patient: str  # the service that is ill, and its container
    fired: list[Any]

    @property
    def world(self) -> World:
        """The sandbox's part of the world."""
        ...

    async def break_patient(self) -> None:
        """Let it leak until its memory is full."""
        ...

    async def by_somebody(self, what: str) -> None:
        """Let somebody do this to the patient's container: restart, kill, remove."""
        ...

    async def comes_back(self) -> None:
        """Let the patient fall ill again whenever it has been started anew."""
        ...

    def line(self, text: str) -> None:
        """Let the patient write a line to its log."""
        ...

    async def events(self) -> Sequence[tuple[str, str]]:
        """Return what the engine has told since the situation began: action and container."""
        ...


Deed = Callable[[Stage], Awaitable[None]]


def fire(alertname: str = "HighErrorRate", *, ago_s: float = 0, service: str = "", **labels: str) -> Deed:
    """Send an alert of the patient, or of another service."""

    async def deed(on: Stage) -> None:
        alert = on.it.world.alert(alertname, service or on.patient, **labels)
        alert.starts_at -= timedelta(seconds=ago_s)
        on.fired.append(alert)
        await on.it.send(alert)

    return deed


def together(*alertnames: str) -> Deed:
    """Send several alerts of the patient as one notification."""

    async def deed(on: Stage) -> None:
        alerts = [on.it.world.alert(name, on.patient) for name in alertnames]
        on.fired += alerts
        answer = await on.it.client.post("/alerts", content=webhook.body(alerts))
        assert answer.status_code == 202, answer.text

    return deed


def repeat(times: int) -> Deed:
    """Send the first alert again."""

    async def deed(on: Stage) -> None:
        for _ in range(times):
            await on.it.send(on.fired[0])

    return deed


def resolve(which: int = 0, **annotations: str) -> Deed:
    """Send the resolve of an alert, the first one by default."""

    async def deed(on: Stage) -> None:
        await on.it.resolve(on.fired[which], **annotations)

    return deed


def reaches(status: str, service: str = "") -> Deed:
    """Wait until the incident has this status."""

    async def deed(on: Stage) -> None:
        await on.it.reaches(status, service or on.patient, timeout_s=60)

    return deed


def ended(as_: str, *, episode: int = 1, service: str = "") -> Deed:
    """Wait until the incident has ended so."""

    async def deed(on: Stage) -> None:
        incident = await on.it.ended(service or on.patient, episode=episode)
        assert told_end(incident) == as_, incident.decision

    return deed


def decide(what: str, *, answer: int = 200, plan_hash: str = "", service: str = "") -> Deed:
    """Let a person approve or reject the plan that waits."""

    async def deed(on: Stage) -> None:
        incident = await on.it.incident(service or on.patient)
        assert incident is not None
        more = {"plan_hash": plan_hash} if plan_hash else {}
        found = await on.it.decide(incident, what, **more)
        assert found.status_code == answer, found.text

    return deed


def asks(path: str, **body: str) -> Deed:
    """Let a person ask something of the incident's API: close, rerun."""

    async def deed(on: Stage) -> None:
        incident = await on.it.incident(on.patient)
        assert incident is not None
        told = {"by": "tester", "reason": "because", **body}
        answer = await on.it.client.post(f"/api/incidents/{incident.id}/{path}", json=told)
        assert answer.status_code == 200, answer.text

    return deed


def switch(what: str) -> Deed:
    """Let a person pause or resume automation."""

    async def deed(on: Stage) -> None:
        answer = await on.it.client.post(f"/api/automation/{what}", json={"by": "tester", "reason": "look first"})
        assert answer.status_code == 200, answer.text

    return deed


def by_somebody(what: str) -> Deed:
    """Let somebody restart, kill or remove the patient's container."""

    async def deed(on: Stage) -> None:
        await on.by_somebody(what)

    return deed


def writes(text: str) -> Deed:
    """Let the patient write a line."""

    async def deed(on: Stage) -> None:
        on.line(text)

    return deed


def thinks(words: str) -> Deed:
    """Wait until the account of the incident says so."""

    async def deed(on: Stage) -> None:
        async def said() -> bool:
            incident = await on.it.incident(on.patient)
            return incident is not None and any(words in text for text in await on.it.thoughts(incident))

        await eventually(said, 60, every_s=0.1, what=f"the account to say {words!r}")

    return deed


async def recorded(on: Stage) -> None:
    """Wait until an alert was recorded that is not worked on."""

    async def found() -> bool:
        return bool((await on.it.client.get("/api/recorded")).json()["items"])

    await eventually(found, 30, every_s=0.1, what="the alert to be recorded")


async def breaks(on: Stage) -> None:
    """Let the patient fall ill."""
    await on.break_patient()


def grafana_fires(which: int = 0) -> Deed:
    """Let Grafana say that one of the alerts fires."""

    async def deed(on: Stage) -> None:
        assert on.world.grafana is not None
        alert = on.fired[which]
        on.world.grafana.fire(alert.labels, {}, fingerprint=alert.fingerprint)

    return deed


async def comes_back(on: Stage) -> None:
    """Let no restart help."""
    await on.comes_back()


async def is_over(on: Stage) -> None:
    """Let Grafana say no more that anything fires."""
    assert on.world.grafana is not None
    for alert in list(on.world.grafana.alerts):
        on.world.grafana.resolve(alert)


async def silenced(on: Stage) -> None:
    """Let somebody silence the patient's alerts in Grafana."""
    assert on.world.grafana is not None
    on.world.grafana.silence(600, service=on.patient)


def told_end(incident: Incident) -> str:
    """Return how an incident ended, or its status."""
    if not incident.status.ended:
        return incident.status.value
    end = incident.resolution or incident.reason
    assert end is not None
    return end.value


class SandboxStage:
    """The sandbox's shop: payments leaks."""

    def __init__(self, it: Scene, patient: str = "payments") -> None:
        self.it, self.patient = it, patient
        self.fired: list[Any] = []
        self._began = 0
        self._beside: list[asyncio.Task[None]] = []
        self.begin()

    def begin(self) -> None:
        """Forget what the engine has told before."""
        self._began = len(self.it.world.engine.events)

    @property
    def world(self) -> World:
        return self.it.world

    async def break_patient(self) -> None:
        self.world.shop.leak(self.patient, full_in_s=-5, fills_in_s=600)

    async def by_somebody(self, what: str) -> None:
        container, engine = self.it.container(self.patient), self.world.engine
        if what == "restart":
            await engine.restart(container, 1)
        elif what == "kill":
            await engine.kill(container, 9)
        else:
            await engine.remove(container)

    async def comes_back(self) -> None:
        self.at_its_start(lambda: self.world.shop.leak(self.patient, full_in_s=-5, fills_in_s=600))

    def line(self, text: str) -> None:
        names = ("container", "service", "compose_service")
        self.world.loki.push({**dict.fromkeys(names, self.patient), "compose_project": "shop"}, text)

    async def events(self) -> Sequence[tuple[str, str]]:
        told = list(self.world.engine.events)[self._began :]
        return [(one.action, str(one.attributes.get("name", ""))) for one in told]

    def at_its_start(self, then: Callable[[], None]) -> None:
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
