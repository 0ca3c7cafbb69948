"""Grafana's own MCP server (`mcp-grafana` from PyPI), before the sandbox's Grafana, before real Loki and Prometheus.

Runs where `mcp-grafana` is on the PATH or beside this Python, or SREOPS_TEST_MCP_GRAFANA names it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from servers.waiting import eventually
from sreops.adapters.mcp_tools import McpTools
from sreops.errors import QueryRefused
from sreops.sandbox.grafana.server import DataSource, Grafana
from sreops.sandbox.server import Server
from sreops.settings import McpServer, McpSettings

BINARY = os.environ.get("SREOPS_TEST_MCP_GRAFANA") or shutil.which(
    "mcp-grafana", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
)
pytestmark = pytest.mark.skipif(not BINARY, reason="mcp-grafana is not installed: pip install mcp-grafana==2.1.1")
TOKEN = "glsa_sandbox"
ALLOWED = ("query_loki_logs", "list_loki_label_*", "query_prometheus", "list_datasources")


@asynccontextmanager
async def tools_before(loki: Any, prometheus: Any) -> AsyncIterator[McpTools]:
    sources = {"loki": DataSource("loki", loki.url), "prometheus": DataSource("prometheus", prometheus.url)}
    async with Server(Grafana(TOKEN, sources).app) as grafana:
        env = {
            "GRAFANA_URL": grafana.url,
            "GRAFANA_SERVICE_ACCOUNT_TOKEN": TOKEN,
            "GRAFANA_USAGE_STATS": "disabled",
        }
        server = {"command": [BINARY, "-t", "stdio"], "env": env, "tools": ALLOWED}
        yield McpTools(McpSettings(servers={"grafana": McpServer.model_validate(server)}))


@pytest.mark.needs("loki", "prometheus")
async def test_logs_and_metrics_of_real_servers_come_through(loki: Any, prometheus_factory: Any) -> None:
    service = f"pay-{uuid.uuid4().hex[:8]}"
    line = 'OutOfMemoryError: "Java heap" {space} \\ end'
    await asyncio.to_thread(loki.push, {"service": service}, [(datetime.now(UTC), line)])
    prometheus = await asyncio.to_thread(prometheus_factory)
    async with tools_before(loki, prometheus) as tools:
        names = {spec.name for spec in await tools.specs()}
        assert {"grafana__query_loki_logs", "grafana__query_prometheus", "grafana__list_datasources"} <= names
        assert all(name.removeprefix("grafana__").startswith(("query_", "list_")) for name in names)

        async def logs() -> str:
            arguments = {"datasourceUid": "loki", "logql": f'{{service="{service}"}}', "limit": 5}
            said = await tools.call("grafana__query_loki_logs", arguments, timeout_s=20)
            assert "OutOfMemoryError" in said
            return said

        assert json.loads(await eventually(logs, 20))["data"][0]["line"] == line

        arguments = {"datasourceUid": "prometheus", "expr": "vector(42)", "queryType": "instant", "endTime": "now"}
        assert "42" in await tools.call("grafana__query_prometheus", arguments, timeout_s=20)
        with pytest.raises(QueryRefused, match="parse error"):
            await tools.call("grafana__query_prometheus", {**arguments, "expr": "up{"}, timeout_s=20)


@pytest.mark.needs("loki", "prometheus")
async def test_what_writes_is_not_offered_and_cannot_be_called(loki: Any, prometheus_factory: Any) -> None:
    prometheus = await asyncio.to_thread(prometheus_factory)
    async with tools_before(loki, prometheus) as tools:
        for name in ("update_dashboard", "create_annotation", "alerting_manage_rules", "grafana_api_request"):
            with pytest.raises(QueryRefused, match="no such tool"):
                await tools.call(f"grafana__{name}", {}, timeout_s=20)
