"""The whole process in this loop, around the sandbox's world: sreops' own wiring, real adapters, short times."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers.waiting import eventually
from sreops.app import Running, running
from sreops.domain.incidents.incident import Incident
from sreops.domain.records.record import RecordKind
from sreops.sandbox.world import World
from sreops.settings import load_settings

RUNBOOKS = """
version: 1
runbooks:
  - id: restart-on-memory
    when: {root_cause: ["^out_of_memory$", "^memory_leak$"]}
    autonomy: autonomous
    cooldown_s: 60
    steps:
      - {action: restart_container, timeout_s: 20}
      - {action: check_health, timeout_s: 10}
    verify:
      - promql: >-
          container_memory_working_set_bytes{name="{{ service }}"}
          / container_spec_memory_limit_bytes{name="{{ service }}"}
        condition: "< 0.8"
  - id: scale-out
    when: {}
    autonomy: autonomous
    steps:
      - {action: scale_container, params: {container: "{{ service }}", replicas: 3}}
    verify:
      - {promql: 'queue_depth{service="{{ service }}"}', condition: "< 10"}
  - id: scale-and-check
    when: {}
    autonomy: autonomous
    steps:
      - {action: scale_container, params: {container: "{{ service }}", replicas: 3}}
      - action: query_prometheus
        params: {promql: 'queue_depth{service="{{ service }}"}', condition: "< 10"}
        timeout_s: 1
    verify:
      - {promql: 'queue_depth{service="{{ service }}"}', condition: "< 10"}
  - id: ask-then-restart
    when: {}
    autonomy: autonomous
    steps:
      - {action: query_prometheus, params: {promql: 'container_memory_working_set_bytes{name="{{ service }}"}'}}
      - {action: restart_container, timeout_s: 20}
    verify:
      - promql: >-
          container_memory_working_set_bytes{name="{{ service }}"}
          / container_spec_memory_limit_bytes{name="{{ service }}"}
        condition: "< 0.8"
  - id: only-a-notice
    when: {}
    autonomy: autonomous
    steps:
      - {action: notify, params: {message: "look at {{ service }}"}}
"""
PACE = {
    "SREOPS_WEBHOOK__ANONYMOUS_AUTONOMOUS": "true",
    "SREOPS_VERIFY__SETTLE_S": "0.2",
    "SREOPS_VERIFY__POLL_S": "0.3",
    "SREOPS_VERIFY__TIMEOUT_S": "20",  # the shop probes its containers every 10 s: until then they are starting, or ill
    "SREOPS_WORKER__IDLE_POLL_S": "0.1",
    "SREOPS_WORKER__RETRY_S": "0.1",
    "SREOPS_DOCKER__STOP_TIMEOUT_S": "1",
    "SREOPS_DOCKER__SETTLE_MARGIN_S": "2",
    "SREOPS_DOCKER__TIMEOUT_S": "3",
    "SREOPS_GITLAB__TIMEOUT_S": "2",
    "SREOPS_LOKI__TIMEOUT_S": "2",
    "SREOPS_PROMETHEUS__TIMEOUT_S": "15",
    "SREOPS_EVIDENCE__DEADLINE_S": "20",
    "SREOPS_EVIDENCE__LOOKBACK_S": "600",
}
JSON = {"Content-Type": "application/json"}
LEAKING = {"service": "payments", "alertname": "MemoryNearLimit"}


class Scene:
    """A running process and its world."""

    def __init__(self, app: Running, world: World, client: httpx.AsyncClient) -> None:
        self.app, self.world, self.client = app, world, client
        self.store = app.parts.store

    async def fire(self, service: str = "payments", alertname: str = "HighErrorRate", **labels: str) -> Any:
        """Send an alert through the webhook; returns what was fired, so that it can be resolved."""
        alert = self.world.alert(alertname, service, **labels)
        await self.send(alert)
        return alert

    async def send(self, alert: Any) -> None:
        from sreops.sandbox import webhook

        answer = await self.client.post("/alerts", content=webhook.body([alert]))
        assert answer.status_code == 202, answer.text

    async def resolve(self, alert: Any, **annotations: str) -> None:
        alert.ends_at = self.world.clock.now()
        alert.annotations = {**alert.annotations, **annotations}
        await self.send(alert)

    async def incident(self, service: str = "payments") -> Incident | None:
        found, _ = await self.store.incidents(service=service, limit=1)
        return await self.store.incident(found[0].id) if found else None

    async def ended(self, service: str = "payments", timeout_s: float = 75, episode: int = 1) -> Incident:
        async def look() -> Incident | None:
            found = await self.incident(service)
            return found if found and found.status.ended and found.episode == episode else None

        found = await eventually(look, timeout_s, every_s=0.1, what=f"the incident of {service} to end")
        assert found is not None
        return found

    async def reaches(self, status: str, service: str = "payments", timeout_s: float = 30) -> Incident:
        async def look() -> Incident | None:
            found = await self.incident(service)
            return found if found and found.status.value == status else None

        found = await eventually(look, timeout_s, every_s=0.05, what=f"{service} to be {status}")
        assert found is not None
        return found

    async def decide(self, incident: Incident, what: str, **body: str) -> httpx.Response:
        plan_hash = body.pop("plan_hash", incident.plan_hash or "")
        return await self.client.post(
            f"/api/incidents/{incident.id}/{what}",
            json={"by": "tester", "reason": "because", "plan_hash": plan_hash, **body},
        )

    async def thoughts(self, incident: Incident) -> list[str]:
        records = await self.store.records(incident_id=incident.id)
        return [str(one.body["text"]) for one in records if one.kind is RecordKind.thought]

    def container(self, service: str = "payments") -> Any:
        """Return its container as the engine has it."""
        return self.world.engine.find(service)

    def starts(self, service: str = "payments") -> int:
        """How often the engine has started it, the first time included."""
        return self.world.shop.services[service].starts

    @property
    def issues(self) -> list[Any]:
        assert self.world.gitlab is not None
        return list(self.world.gitlab.issues)


@asynccontextmanager
async def loop_scene(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    world: World | None = None,
    *,
    through_grafana: bool = False,
    **settings: str,
) -> AsyncIterator[Scene]:
    """Start world and process; ``world`` None makes one whose payments service leaks."""
    if world is None:
        world = World(claude=False, past_s=700, scrape_interval_s=0.5, window="5s")
        world.shop.leak("payments", full_in_s=-20, fills_in_s=600)
    async with world:
        runbooks = tmp_path / "runbooks.yaml"
        await asyncio.to_thread(runbooks.write_text, RUNBOOKS)
        own: Mapping[str, str] = {
            **PACE,
            **world.settings(through_grafana=through_grafana),
            "SREOPS_DATA_DIR": str(tmp_path / "data"),
            "SREOPS_RUNBOOKS": str(runbooks),
            **settings,
        }
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        async with running(load_settings()) as app:
            transport = httpx.ASGITransport(app=app.web)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=JSON) as client:
                yield Scene(app, world, client)
