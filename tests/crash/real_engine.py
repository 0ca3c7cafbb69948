"""The real Docker Engine in the crash tests: containers that are broken until it restarts them, and a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from crash.lineage import Lineage
from crash.world import Moment, payload
from servers.dockerd import Dockerd
from servers.waiting import eventually

REAL = {
    "SREOPS_DOCKER__SETTLE_MARGIN_S": "6",
    "SREOPS_CONCURRENCY": "20",
    "SREOPS_POLICY__MAX_CONCURRENT_EFFECTS": "20",
    "SREOPS_CORRELATION__ESCALATED_WINDOW_S": "0",
    "SREOPS_CORRELATION__STORM_INCIDENTS": "1000",
    "SREOPS_CORRELATION__BURST_INCIDENTS": "1000",
}
OBEDIENT = """
trap 'exit 0' TERM
for request in 1 2 3; do echo "ERROR java.lang.OutOfMemoryError: Java heap space (request $request)"; done
while :; do sleep 1 & wait $!; done
"""
SLOW_TO_STOP = OBEDIENT.replace("exit 0", "sleep 1; exit 0")
"""It takes a second to obey: time to kill sreops while the engine is at it."""


RESTART = re.compile(rb"POST \S*/containers/\w+/restart")


class Ward:
    """Containers of the real engine; a restart event of the engine is what mends one."""

    def __init__(self, dockerd: Dockerd, run_id: str, services: int, *, command: str = OBEDIENT) -> None:
        self.dockerd = dockerd
        self.services = [f"real-{run_id}-{number}" for number in range(services)]
        self.restarts: Counter[str] = Counter()
        self.broken = dict.fromkeys(self.services, 0.0)
        self._names: dict[str, str] = {}
        self._command = command

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Ward]:
        try:
            await asyncio.to_thread(self._start)
            watching = asyncio.create_task(self._watch())
            try:
                yield self
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        finally:
            for container in self._names:
                await asyncio.to_thread(self.dockerd.remove, container)

    def _start(self) -> None:
        image = self.dockerd.import_busybox_image()
        for name in self.services:
            labels = {"sreops.enable": "true"}
            self._names[self.dockerd.run_container(image, ["sh", "-c", self._command], name=name, labels=labels)] = name

    async def _watch(self) -> None:
        """Count restarts as the engine tells them, from the beginning: it keeps only the last 256 events."""
        filters = json.dumps({"type": ["container"], "event": ["restart"]})
        transport = httpx.AsyncHTTPTransport(uds=str(self.dockerd.socket))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=None) as client,
            client.stream("GET", "/events", params={"filters": filters}) as answer,
        ):
            async for line in answer.aiter_lines():
                name = self._names.get(json.loads(line)["Actor"]["ID"]) if line.strip() else None
                if name is not None:
                    self.restarts[name] += 1
                    self.broken[name] = 0.0


class EngineProxy:
    """A socket before the engine's: kills sreops before, during or after the next ``act``, whose answer is lost."""

    def __init__(self, dockerd: Dockerd, path: Path, act: re.Pattern[bytes] = RESTART) -> None:
        self._act = act
        self._socket = str(dockerd.socket)
        self._path = path
        self.host = f"unix://{path}"
        self.moment: Moment | None = None
        self.kill: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[EngineProxy]:
        server = await asyncio.start_unix_server(self._serve, str(self._path))
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(self._socket)
        answers = asyncio.create_task(_pass_on(engine_reader, client_writer))
        try:
            with contextlib.suppress(ConnectionError):
                while data := await client_reader.read(65536):
                    if self.moment and self._act.match(data):
                        await self._meet(data, answers, engine_reader, engine_writer)
                        return  # the client is dead, and the engine sees its connection close
                    engine_writer.write(data)
                    await engine_writer.drain()
        finally:
            answers.cancel()
            for writer in (client_writer, engine_writer):
                writer.close()

    async def _meet(
        self,
        data: bytes,
        answers: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        moment, self.moment = self.moment, None
        assert self.kill is not None
        if moment != "before":
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            writer.write(data)
            await writer.drain()
            if moment == "during":
                await asyncio.sleep(0.4)  # it has been told to stop, and takes a second
            else:
                await reader.read(65536)
        await self.kill()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def killed_around(lineage: Lineage, proxy: EngineProxy, service: str, moment: Moment) -> dict[str, Any]:
    """Fire, kill sreops at that moment of the act and start it again; return the incident once it has ended."""
    dead = asyncio.Event()

    async def kill() -> None:
        await asyncio.to_thread(lineage.sreops.kill)
        dead.set()

    proxy.moment, proxy.kill = moment, kill
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(f"{lineage.sreops.url}/alerts", json=payload(service))
    assert answer.status_code == 202
    await eventually(dead.is_set, 40, what=f"the kill {moment} the act on {service}")
    await lineage.start()
    incident = await eventually(
        lambda: asyncio.to_thread(lineage.sreops.ended_incident_of, service), 90, every_s=0.2, what="its end"
    )
    assert incident is not None
    return incident
