"""What happens in the situations, as words that every stage understands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from integration.situation_stage import Stage, told_end
from servers.waiting import eventually
from sreops.sandbox import webhook

MIGRATES = "flyway: Migration V42 has started"
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
        write_line(on, text)

    return deed


def write_line(on: Stage, text: str) -> None:
    """Let a line of the patient's log reach Loki."""
    names = ("container", "service", "compose_service")
    on.world.loki.push({**dict.fromkeys(names, on.patient), "compose_project": "shop"}, text)


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


async def line_only(on: Stage) -> None:
    """Let one line of the patient's log, which a stranger wrote, speak of memory, and nothing else."""
    write_line(on, '172.18.0.9 "GET /search?q=java.lang.OutOfMemoryError HTTP/1.1" 200')


async def pause_file(on: Stage) -> None:
    """Let somebody pause automation by a file."""
    (on.it.app.settings.data_dir / "PAUSE").write_text("the night before the audit")


async def ledger_down(on: Stage) -> None:
    """Let somebody stop what the patient depends on."""
    await on.neighbour_down()


async def was_cured(on: Stage) -> None:
    """Let the patient be well again by itself."""
    await on.cure_patient()


async def dies_again(on: Stage) -> None:
    """Let the patient die once more, as soon as it has been started anew."""
    await on.dies_again()


async def will_not_start(on: Stage) -> None:
    """Let the patient not come up once it was stopped."""
    await on.will_not_start()


async def failed_sources(on: Stage) -> None:
    """Let neither logs nor metrics be asked."""
    on.world.loki.faults.fail(500, times=None)
    await on.metrics_away()


def away(server: str) -> Deed:
    """Take a server away."""

    async def deed(on: Stage) -> None:
        await on.world.servers[server].stop()

    return deed


def engine_fails(status: int) -> Deed:
    """Let the engine refuse the next restart."""

    async def deed(on: Stage) -> None:
        on.engine_faults.fail(status, path="*/restart")

    return deed


def answer_lost(*, acts: bool) -> Deed:
    """Let the engine's answers to restarts be lost, once it has acted, or without."""

    async def deed(on: Stage) -> None:
        on.engine_faults.reset(path="*/restart", after_acting=acts, times=1 if acts else None)

    return deed


def _compose(project: str, service: str, number: int = 1) -> dict[str, str]:
    return {
        "com.docker.compose.project": project, "com.docker.compose.service": service, "sreops.enable": "true",
        "com.docker.compose.container-number": str(number), "com.docker.compose.oneoff": "False",
    }  # fmt: skip


async def namesakes(on: Stage) -> None:
    """Let two projects have a service of one name."""
    await on.add_idle({"shop-db-1": _compose("shop", "db"), "monitoring-db-1": _compose("monitoring", "db")})


async def replicas(on: Stage) -> None:
    """Let a service have two replicas."""
    await on.add_idle({f"shop-queue-{number}": _compose("shop", "queue", number) for number in (1, 2)})
