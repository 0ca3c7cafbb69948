"""Two processes on one Kafka, each with SQLite: the second one takes alerts and leaves them to the first."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from servers.kafka import Kafka
from servers.sreops import Sreops
from servers.waiting import eventually

pytestmark = [pytest.mark.needs("kafka"), pytest.mark.timeout(240)]

ALERT = {
    "version": "4",
    "status": "firing",
    "groupKey": "{}",
    "alerts": [{"status": "firing", "labels": {"alertname": "HighErrorRate", "service": "payments"}}],
}


def intake(process: Sreops) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(f"{process.url}/health", timeout=10).json()["checks"]["intake"]
    return told


def incidents(process: Sreops) -> list[Any]:
    found: list[Any] = httpx.get(f"{process.url}/api/incidents", timeout=10).json()["items"]
    return found


async def test_the_second_reads_nothing_says_why_and_its_alerts_are_handled_once_by_the_first() -> None:
    with Kafka() as kafka:
        settings = {"SREOPS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap}
        with Sreops(settings, ready_path="/readyz") as first:
            await eventually(lambda: intake(first)["status"] == "up", 60, what="the first to read")
            with Sreops(settings, ready_path="/readyz") as second:
                await eventually(lambda: "SQLite" in intake(second)["detail"], 60, what="the second to say why not")
                answer = await asyncio.to_thread(httpx.post, f"{second.url}/alerts", json=ALERT, timeout=20)
                assert answer.status_code == 202
                await eventually(lambda: len(incidents(first)) == 1, 60, what="the first to handle it")
                assert incidents(second) == []
