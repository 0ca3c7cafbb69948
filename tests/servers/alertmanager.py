"""Prometheus Alertmanager, sending to one webhook without the waits that suit people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from servers.installed import path_of
from servers.ports import free_port
from servers.process import Server


class Alertmanager(Server):
    """`url` is its base, `address` what Prometheus(alertmanagers=[...]) takes."""

    name = "alertmanager"

    def __init__(
        self,
        webhook_url: str,
        *,
        group_by: Sequence[str] = ("alertname",),
        group_wait: str = "100ms",
        group_interval: str = "1s",
        repeat_interval: str = "2s",
        send_resolved: bool = True,
        http_config: Mapping[str, Any] | None = None,
    ) -> None:
        self._binary = path_of("alertmanager")
        super().__init__()
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self._config = self.directory / "alertmanager.yml"
        webhook = {"url": webhook_url, "send_resolved": send_resolved, "http_config": dict(http_config or {})}
        config = {
            "route": {
                "receiver": "webhook",
                "group_by": list(group_by),
                "group_wait": group_wait,
                "group_interval": group_interval,
                "repeat_interval": repeat_interval,
            },
            "receivers": [{"name": "webhook", "webhook_configs": [webhook]}],
        }
        self._config.write_text(json.dumps(config))  # JSON is YAML

    def command(self) -> list[str]:
        return [
            str(self._binary),
            f"--config.file={self._config}",
            f"--storage.path={self.directory / 'data'}",
            f"--web.listen-address={self.address}",
            # alone: with a cluster in mind it waits for peers before its first notification
            "--cluster.listen-address=",
            "--log.level=debug",  # each notification is a line: that is what a failed test wants to see
        ]

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False
