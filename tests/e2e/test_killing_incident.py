"""An incident over which the process dies, again and again: it goes to a person, and its neighbours go on."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote_plus

import pytest

from crash.world import payload
from servers.sreops import Sreops
from servers.waiting import eventually

pytestmark = pytest.mark.timeout(300)
KILLER, BYSTANDER = "killer", "bystander"
NOTHING = b'{"status":"success","data":{"resultType":"streams","result":[]}}'


class DeadlyLoki:
    """Answers nothing for one service: whoever asks for its lines dies. For another one it is slow to answer twice."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.sreops: Sreops
        self.is_up = asyncio.Event()
        self._killing = asyncio.Lock()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = unquote_plus((await reader.readuntil(b"\r\n\r\n")).decode())
            body = NOTHING
            if "/labels" in head:
                body = b'{"status":"success","data":["service"]}'
            elif KILLER in head:
                await self._kill()
                return
            elif BYSTANDER in head and self.asked[BYSTANDER] < 2:
                self.asked[BYSTANDER] += 1
                await reader.read()  # until the process is dead
                return
            answer = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            )
            writer.write(answer % len(body) + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _kill(self) -> None:
        await self.is_up.wait()
        async with self._killing:
            if self.sreops.running:
                self.asked[KILLER] += 1
                self.is_up.clear()
                os.kill(self.sreops.pid, signal.SIGKILL)


@asynccontextmanager
async def deadly_loki() -> AsyncIterator[tuple[DeadlyLoki, str]]:
    loki = DeadlyLoki()
    server = await asyncio.start_server(loki.serve, "127.0.0.1", 0)
    try:
        yield loki, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_an_incident_over_which_the_process_died_three_times_goes_to_a_person() -> None:
    async with deadly_loki() as (loki, url):
        sreops = Sreops({"SREOPS_LOKI__URL": url, "SREOPS_LOKI__TIMEOUT_S": "60", "SREOPS_WORKER__LEASE_S": "2"})
        loki.sreops = sreops
        try:
            for start in range(1, 5):
                await asyncio.to_thread(sreops.start)
                if start == 1:
                    for service in (BYSTANDER, KILLER):
                        body = payload(service, 1, tier="supervised")
                        assert (await asyncio.to_thread(sreops.post, "/alerts", body)).status_code == 202
                    await eventually(lambda: loki.asked[BYSTANDER], 60, what="the bystander to be looked at")
                loki.is_up.set()
                if start < 4:
                    await eventually(sreops.ended, 90, what=f"death {start}")
                    await asyncio.to_thread(sreops.kill)
            ended = {}
            for service in (KILLER, BYSTANDER):
                ended[service] = await eventually(
                    lambda name=service: asyncio.to_thread(sreops.ended_incident_of, name), 90, what=f"{service} to end"
                )
        finally:
            await asyncio.to_thread(sreops.close)
    assert loki.asked[KILLER] == 3, "it is not begun a fourth time"
    assert (ended[KILLER]["status"], ended[KILLER]["reason"]) == ("escalated", "internal_error")
    told = " ".join(thought["text"] for thought in ended[KILLER]["thoughts"])
    assert "died 3 times in a row" in told
    assert "enrich_context" in told
    assert ended[BYSTANDER]["reason"] != "internal_error", "it only ran beside it"
