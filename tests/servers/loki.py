"""Grafana Loki: one process, everything on disk, no waiting for a ring of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import httpx

from servers.installed import path_of
from servers.ports import free_port
from servers.process import Server


class Loki(Server):
    """`url` is its base; `limits` overrides limits_config (max_entries_limit_per_query and the like).

    With `tenants` every request names one (X-Scope-OrgID), and each has streams of its own.
    """

    name = "loki"

    def __init__(self, limits: Mapping[str, Any] | None = None, *, tenants: bool = False) -> None:
        self._binary = path_of("loki")
        super().__init__()
        self.port, self._grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        data = str(self.directory / "data")
        self._config = self.directory / "loki.yaml"
        config: dict[str, Any] = {
            "auth_enabled": tenants,
            "server": {
                "http_listen_address": "127.0.0.1",
                "http_listen_port": self.port,
                "grpc_listen_address": "127.0.0.1",
                "grpc_listen_port": self._grpc_port,
                "log_level": "warn",
            },
            "common": {
                "instance_addr": "127.0.0.1",
                "path_prefix": data,
                "replication_factor": 1,
                "ring": {"kvstore": {"store": "inmemory"}},
                "storage": {"filesystem": {"chunks_directory": f"{data}/chunks", "rules_directory": f"{data}/rules"}},
            },
            "ingester": {
                # it is not ready for 15 s otherwise, in case a ring of several still moves
                "lifecycler": {"min_ready_duration": "0s", "final_sleep": "0s", "join_after": "0s"},
                "wal": {"dir": f"{data}/wal"},
            },
            # queriers that find their frontend by address; by the scheduler ring it takes 10 s
            "frontend_worker": {"frontend_address": f"127.0.0.1:{self._grpc_port}"},
            "schema_config": {
                "configs": [
                    {
                        "from": "2020-01-01",
                        "store": "tsdb",
                        "object_store": "filesystem",
                        "schema": "v13",
                        "index": {"prefix": "index_", "period": "24h"},
                    }
                ]
            },
            "limits_config": {
                "reject_old_samples": False,  # recorded incidents are older than a week
                "ingestion_rate_mb": 64,
                "ingestion_burst_size_mb": 128,
                "per_stream_rate_limit": "64MB",
                "per_stream_rate_limit_burst": "128MB",
                **(limits or {}),
            },
            "analytics": {"reporting_enabled": False},
        }
        self._config.write_text(json.dumps(config, indent=1))  # JSON is YAML

    def command(self) -> list[str]:
        return [str(self._binary), f"-config.file={self._config}", "-target=all"]

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def push(self, labels: Mapping[str, str], lines: Iterable[tuple[datetime, str]]) -> None:
        """Store these lines as one stream."""
        values = [[str(int(at.timestamp() * 1_000_000) * 1000), line] for at, line in lines]
        body = {"streams": [{"stream": dict(labels), "values": values}]}
        httpx.post(f"{self.url}/loki/api/v1/push", json=body, timeout=10).raise_for_status()
