"""sreops itself as a separate process: `python -m sreops` with the settings that a test gives."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx

from servers.ports import free_port
from servers.prepared import PREPARED, Forked
from servers.process import Server

COMMAND = [sys.executable, "-m", "sreops"]
ENDED = ("resolved", "escalated")


class Sreops(Server):
    """`url` is its base; `settings` are SREOPS_ variables. Data and port survive kill and restart."""

    name = "sreops"
    start_timeout_s = 90.0  # its imports take seconds, and much longer where everything else starts too
    prepared: ClassVar[bool] = False  # forked with its imports done; so for tests, not for benches

    def __init__(self, settings: Mapping[str, str] | None = None, *, ready_path: str = "/livez") -> None:
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready_path = ready_path
        self.settings = {
            "SREOPS_PORT": str(self.port),
            "SREOPS_DATA_DIR": str(self.directory / "data"),
            "SREOPS_LOG_LEVEL": "info",
            "SREOPS_SHUTDOWN_GRACE_S": "5",
            "SREOPS_WEBHOOK__ANONYMOUS_AUTONOMOUS": "true",  # most tests send alerts as nobody in particular
            **(settings or {}),
        }

    def command(self) -> list[str]:
        return list(COMMAND)

    def _launched(self) -> subprocess.Popen[bytes] | Forked:
        if not self.prepared or self.command() != COMMAND:
            return super()._launched()
        return PREPARED.start([], cwd=self.directory, env=self.environment(), stdout=self.log, stderr=self.log)

    async def run(self, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a command with this process's settings, beside it or while it is stopped."""
        env = self.environment() | {"COLUMNS": "300"}
        return await asyncio.to_thread(PREPARED.run, arguments, cwd=self.directory, env=env, timeout_s=timeout_s)

    def environment(self) -> dict[str, str]:
        return super().environment() | {"HOME": str(self.directory)} | self.settings

    def ready(self) -> bool:
        try:
            return httpx.get(self.url + self._ready_path, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str) -> Any:
        """Return the JSON of an API path."""
        answer = httpx.get(self.url + path, timeout=10, headers=self._headers())
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: object) -> httpx.Response:
        """Post JSON to an API path and return the answer, whatever its status."""
        return httpx.post(self.url + path, json=body, timeout=15, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        token = self.settings.get("SREOPS_API_TOKEN")
        return {"Authorization": f"Bearer {token}"} if token else {}

    def incidents(self, **query: str) -> list[dict[str, Any]]:
        """Return the newest incidents."""
        answer = httpx.get(f"{self.url}/api/incidents", params=query, timeout=10, headers=self._headers())
        answer.raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def incident_of(self, service: str) -> dict[str, Any] | None:
        """Return the newest incident of a service with all its details, or None."""
        found = self.incidents(service=service)
        return self.get(f"/api/incidents/{found[0]['id']}") if found else None

    def ended_incident_of(self, service: str) -> dict[str, Any] | None:
        """Return it once it has ended."""
        found = self.incident_of(service)
        return found if found and found["status"] in ENDED else None

    @property
    def data_dir(self) -> Path:
        """Where it keeps its data."""
        return Path(self.settings["SREOPS_DATA_DIR"])
