"""`python -m sreops` with nothing configured: it serves, analyses, hands over, and says what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from servers.sreops import Sreops
from servers.waiting import eventually


def alert(service: str = "payments", **labels: str) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "service": service, "severity": "critical", "tier": "0", **labels},
        "annotations": {"summary": "it burns <script>alert(1)</script>"},
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"f-{service}",
    }


def webhook(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1", "orgId": 1, "status": "firing", "receiver": "sreops", "alerts": list(alerts)}


@pytest.fixture
def sreops() -> Iterator[Sreops]:
    with Sreops() as process:
        yield process


async def test_an_alert_is_analysed_and_handed_over_with_what_is_missing(sreops: Sreops) -> None:
    answer = await asyncio.to_thread(sreops.post, "/alerts", webhook(alert()))
    assert (answer.status_code, answer.json()) == (
        202,
        {"status": "accepted", "queued": 1, "resolved": 0, "skipped": 0, "rejected": [], "notes": []},
    )
    incident = await eventually(lambda: asyncio.to_thread(sreops.ended_incident_of, "payments"), 30)
    assert incident["status"] == "escalated"
    assert incident["reason"]
    assert incident["analyst"] == "rules"
    account = incident["decision"]["handover"]
    for missing in ("SREOPS_DOCKER__HOST", "SREOPS_LOKI__URL", "SREOPS_PROMETHEUS__URL", "SREOPS_GITLAB__URL"):
        assert missing in account
    page = await asyncio.to_thread(httpx.get, f"{sreops.url}/incidents/{incident['id']}")
    assert page.status_code == 200
    assert "SREOPS_DOCKER__HOST" in page.text
    assert "<script>alert(1)" not in page.text
    assert "payments" in (await asyncio.to_thread(httpx.get, f"{sreops.url}/")).text


async def test_the_same_alert_again_is_one_incident(sreops: Sreops) -> None:
    body = webhook(alert())
    for _ in range(3):
        assert (await asyncio.to_thread(sreops.post, "/alerts", body)).status_code == 202
    incident = await eventually(lambda: asyncio.to_thread(sreops.ended_incident_of, "payments"), 30)
    await eventually(
        lambda: len(sreops.get(f"/api/incidents/{incident['id']}")["events"]) == 3, 10, what="all three to be counted"
    )
    assert len(sreops.incidents()) == 1


async def test_health_says_embedded_and_names_what_is_missing(sreops: Sreops) -> None:
    health = await asyncio.to_thread(sreops.get, "/health")
    assert health["status"] in ("healthy", "degraded")
    assert health["kafka"] == "embedded"
    assert health["checks"]["docker"]["status"] == "not_configured"
    assert "SREOPS_DOCKER__HOST" in str(health["checks"]["docker"])
    metrics = await asyncio.to_thread(httpx.get, f"{sreops.url}/metrics")
    assert "sreops_alerts_total" in metrics.text


async def test_incidents_and_their_ends_outlive_kill_9(sreops: Sreops) -> None:
    body = webhook(*(alert(f"service-{number}", alertname=f"Alert{number}") for number in range(20)))  # no storm
    assert (await asyncio.to_thread(sreops.post, "/alerts", body)).status_code == 202
    sreops.kill()
    await asyncio.to_thread(sreops.start)
    await eventually(
        lambda: [one["status"] for one in sreops.incidents(limit="50")] == ["escalated"] * 20, 60, what="all to end"
    )
    sreops.kill()
    await asyncio.to_thread(sreops.start)
    assert len(sreops.incidents(limit="50")) == 20


def test_a_second_process_on_the_same_data_is_refused_with_the_reason(sreops: Sreops) -> None:
    import subprocess

    second = subprocess.run(
        sreops.command(),
        env={**sreops.environment(), "SREOPS_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 2
    assert f"pid {sreops.pid}" in second.stderr
    assert "Traceback" not in second.stderr


def test_sigterm_ends_it_quickly_and_cleanly(sreops: Sreops) -> None:
    import os
    import signal
    import time

    with httpx.stream("GET", f"{sreops.url}/events", timeout=10) as stream:
        assert stream.status_code == 200
        began = time.monotonic()
        os.kill(sreops.pid, signal.SIGTERM)
        status = sreops.end_of_process()
    assert status == 0
    assert time.monotonic() - began < 10
