"""A whole process on real Docker engines, with approvals: which containers it touches, and which it leaves alone."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers.dockerd import Dockerd
from servers.installed import path_of
from servers.waiting import eventually
from sreops.app import Running, running
from sreops.domain.incidents.incident import Incident
from sreops.sandbox.claude import Claude, deterministic_analyst
from sreops.sandbox.server import Server
from sreops.settings import load_settings

KEY = "sk-ant-sandbox"
RUNBOOKS = """
version: 1
runbooks:
  - id: restart
    when: {alertname: ["*"]}
    autonomy: supervised
    cooldown_s: 0
    steps: [{action: restart_container, timeout_s: 30}]
  - id: restart-all
    when: {alertname: ["*"]}
    autonomy: supervised
    cooldown_s: 0
    steps: [{action: restart_container, timeout_s: 30, all: true}]
"""
SETTINGS = {
    "SREOPS_POLICY__TARGETS": "*",
    "SREOPS_VERIFY__SETTLE_S": "0.2",
    "SREOPS_VERIFY__POLL_S": "0.3",
    "SREOPS_VERIFY__TIMEOUT_S": "1",
    "SREOPS_WORKER__IDLE_POLL_S": "0.1",
    "SREOPS_DOCKER__STOP_TIMEOUT_S": "1",
    "SREOPS_DOCKER__SETTLE_MARGIN_S": "5",
    "SREOPS_EVIDENCE__DEADLINE_S": "20",
}
OBEYS = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 600 & wait $!; done"]


class Hands:
    """The process, and what its engines say of their containers."""

    def __init__(self, app: Running, client: httpx.AsyncClient, engines: Mapping[str, Dockerd]) -> None:
        self.app, self.client, self.engines = app, client, engines

    async def fire(self, runbook: str = "restart", **labels: str) -> None:
        """Send an alert with exactly these labels, and those that say what to do."""
        now = datetime.now(UTC).isoformat()
        said = {"alertname": f"Ill{uuid.uuid4().hex[:8]}", "severity": "critical", "tier": "supervised", **labels}
        said |= {"runbook_id": runbook, "escalate_threshold": "0"}
        one = {"status": "firing", "labels": said, "annotations": {}, "startsAt": now, "fingerprint": uuid.uuid4().hex}
        body = {"version": "4", "status": "firing", "receiver": "sreops", "groupKey": "{}", "alerts": [one]}
        answer = await self.client.post("/alerts", json=body)
        assert answer.status_code == 202, answer.text

    async def reaches(self, service: str, *statuses: str) -> Incident:
        """Wait until the subject's newest incident has one of these statuses."""

        async def look() -> Incident | None:
            found, _ = await self.app.parts.store.incidents(service=service, limit=1)
            return found[0] if found and found[0].status.value in statuses else None

        incident = await eventually(look, 60, every_s=0.1, what=f"{service} to be {' or '.join(statuses)}")
        assert incident is not None
        return await self.app.parts.store.incident(incident.id)

    async def approved(self, service: str) -> Incident:
        """Approve the plan of the subject, and return its incident once it has ended."""
        incident = await self.reaches(service, "awaiting_approval", "escalated")
        assert incident.status.value == "awaiting_approval", incident.decision
        return await self.approve(incident)

    async def approve(self, incident: Incident) -> Incident:
        """Approve, and wait for the end."""
        answer = await self.client.post(
            f"/api/incidents/{incident.id}/approve",
            json={"by": "tester", "reason": "because", "plan_hash": incident.plan_hash},
        )
        assert answer.status_code == 200, answer.text
        return await self.reaches(incident.service, "resolved", "escalated")

    async def lives(self) -> dict[str, tuple[str, str, int]]:
        """Return id, start and restarts of every container, by engine and name."""

        def look() -> dict[str, tuple[str, str, int]]:
            found = {}
            for engine, dockerd in self.engines.items():
                for one in dockerd.api.get("/containers/json", params={"all": True}).json():
                    shown = dockerd.inspect(one["Id"])
                    name = f"{engine}{shown['Name']}"
                    found[name] = (shown["Id"], shown["State"]["StartedAt"], shown["RestartCount"])
            return found

        return await asyncio.to_thread(look)

    async def touched_since(self, before: Mapping[str, tuple[str, str, int]]) -> set[str]:
        """Return the containers that are new, gone or started anew."""
        after = await self.lives()
        return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@asynccontextmanager
async def hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engines: Mapping[str, Dockerd], **settings: str
) -> AsyncIterator[Hands]:
    """Run a process over these engines; the one without a name is ``SREOPS_DOCKER__HOST``."""
    data_dir = tmp_path / f"data-{uuid.uuid4().hex[:8]}"  # each process knows of nothing that another did
    runbooks = tmp_path / "runbooks.yaml"
    await asyncio.to_thread(runbooks.write_text, RUNBOOKS)
    own = {
        **SETTINGS,
        "SREOPS_DATA_DIR": str(data_dir),
        "SREOPS_RUNBOOKS": str(runbooks),
        "SREOPS_DOCKER__HOST": engines[""].host if "" in engines else "",
        "SREOPS_DOCKER__HOSTS": json.dumps({name: one.host for name, one in engines.items() if name}),
        **settings,
    }
    async with Server(Claude(KEY, wants_a_restart).app) as claude, _process(claude, own, monkeypatch) as app:
        transport = httpx.ASGITransport(app=app.web)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Hands(app, client, engines)


@asynccontextmanager
async def _process(claude: Server, own: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    for name, value in {**own, "SREOPS_LLM__API_KEY": KEY, "SREOPS_LLM__BASE_URL": claude.url}.items():
        monkeypatch.setenv(name, value)
    async with running(await asyncio.to_thread(load_settings)) as app:
        yield app


def wants_a_restart(body: dict[str, Any]) -> str:
    """Answer as the sandbox's analyst does, and want a restart whatever was found: a person decides here."""
    answer = json.loads(deterministic_analyst(body))
    return json.dumps({**answer, "recommended_action": "restart", "category": "deadlock", "confidence": 0.9})


def composed(dockerd: Dockerd, file: Path, project: str, *arguments: str) -> None:
    """Run the real Compose on a project."""
    ran = subprocess.run(
        [str(path_of("compose")), "-p", project, "-f", str(file), "--env-file", "/dev/null", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "DOCKER_HOST": dockerd.host},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
