"""A crowd at the door of a whole process: half heads and slow bodies of strangers, while signed alerts come in."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import resource
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from servers.sreops import Sreops

SECRET = "a-secret-that-only-grafana-and-sreops-know"
SIGNATURE = "X-Grafana-Alerting-Signature"


@pytest.fixture(autouse=True)
def enough_files() -> Iterator[None]:
    """The crowd's own sockets need files too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def sreops() -> Iterator[Sreops]:
    with Sreops({"SREOPS_WEBHOOK__HMAC_SECRET": SECRET}) as process:
        yield process


@contextlib.asynccontextmanager
async def crowd(port: int, count: int, said: bytes, drip: bytes = b"") -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Hold connections open that have said something and, twice a second, go on a little."""
    writers: list[asyncio.StreamWriter] = []

    async def go_on() -> None:
        while drip:
            for writer in writers:
                writer.write(drip)
            await asyncio.sleep(0.5)

    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        writers.append(writer)
    dripping = asyncio.create_task(go_on())
    try:
        yield writers
    finally:
        dripping.cancel()
        for writer in writers:
            writer.transport.abort()


async def signed_alert(client: httpx.AsyncClient, number: int) -> int:
    """Send an alert as Grafana signs it; return the answer's status."""
    labels = {"alertname": "CrowdAlert", "service": f"svc-{number}", "severity": "info"}
    body = json.dumps({"version": "1", "alerts": [{"status": "firing", "labels": labels}]}).encode()
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return (await client.post("/alerts", content=body, headers={SIGNATURE: mac})).status_code


async def test_1100_half_heads_silence_nobody(sreops: Sreops) -> None:
    async with crowd(sreops.port, 1100, b"POST /alerts HTTP/1.1\r\nHost: localhost\r\nX-A: "):
        async with httpx.AsyncClient(base_url=sreops.url, timeout=10) as client:
            assert (await client.get("/livez")).status_code == 200
            assert await signed_alert(client, 0) == 202
        # and by a connection of its own each, as senders without keep-alive do
        for number in range(1, 6):
            async with httpx.AsyncClient(base_url=sreops.url, timeout=10) as client:
                assert await signed_alert(client, number) == 202
    refused = (await asyncio.to_thread(httpx.get, f"{sreops.url}/metrics", timeout=10)).text
    assert 'sreops_connections_refused_total{reason="too_many_of_address"}' in refused
    lines = [line for line in sreops.log_since_start().splitlines() if "web.connections_refused" in line]
    assert 1 <= len(lines) <= 60  # one a second, not one a connection


async def test_500_slow_strangers_who_name_the_signature_take_no_alert_from_those_who_sign(sreops: Sreops) -> None:
    slow = f"POST /alerts HTTP/1.1\r\nHost: localhost\r\n{SIGNATURE}: 00\r\nContent-Length: 100000\r\n\r\n" + "{"
    async with (
        crowd(sreops.port, 500, slow.encode(), drip=b" "),
        httpx.AsyncClient(base_url=sreops.url, timeout=15) as client,
    ):
        answers = await asyncio.gather(*(signed_alert(client, number) for number in range(50)))
        assert answers == [202] * 50
        for number in range(50, 60):
            async with httpx.AsyncClient(base_url=sreops.url, timeout=15) as alone:
                assert await signed_alert(alone, number) == 202
