"""Commands in containers, as the engine keeps them: a record, started once ever, gone some minutes after its end."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sreops.sandbox.clock import NS
from sreops.sandbox.docker.container import Container
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.docker.process import Ran
from sreops.sandbox.docker.reply import EngineError, asked_for, reply
from sreops.sandbox.docker.streams import MULTIPLEXED, RAW

KEPT_S = 600
"""A record that has ended is swept after 5 to 10 minutes (MB:daemon/exec.go)."""
KILLED = 137
Find = Callable[[Request], Container]


@dataclass(slots=True)
class Exec:
    """One record."""

    id: str
    container: Container
    words: tuple[str, ...]
    life: int
    """The container's start in which it was made: another one has its never-started records no more."""
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    ended_ns: int = 0
    output: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)


def exec_routes(engine: DockerEngine, find: Find) -> list[Route]:
    """Build the routes over an engine."""
    pages = _Execs(engine, find)
    return [
        Route("/containers/{id:path}/exec", pages.create, methods=["POST"]),
        Route("/exec/{id}/start", pages.start, methods=["POST"]),
        Route("/exec/{id}/json", pages.inspect, methods=["GET"]),
    ]


class _Execs:
    def __init__(self, engine: DockerEngine, find: Find) -> None:
        self._engine = engine
        self._find = find
        self._records: dict[str, Exec] = {}
        self._numbers = itertools.count()

    async def create(self, request: Request) -> Response:
        container = self._find(request)
        asked = await asked_for(request)
        words = asked.get("Cmd")
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise EngineError(400, "No exec command specified")
        if not container.running:
            raise EngineError(409, f"container {container.id} is not running")
        made = hashlib.sha256(f"{container.id}{next(self._numbers)}".encode()).hexdigest()
        self._records[made] = Exec(made, container, tuple(words), container.started_ns)
        return reply({"Id": made}, 201)

    def _record(self, request: Request) -> Exec:
        record = self._records.get(request.path_params["id"])
        if record is not None and (record.ended_ns or record.life == record.container.started_ns):
            swept = record.ended_ns and self._engine.clock.time_ns() > record.ended_ns + KEPT_S * NS
            if not swept:
                return record
        raise EngineError(404, f"No such exec instance: {request.path_params['id']}")

    async def start(self, request: Request) -> Response:
        """Start it; where somebody is attached, what goes wrong stands in the stream, whose 200 went out before."""
        asked = await asked_for(request)
        record = self._record(request)
        kind = MULTIPLEXED if request.state.version >= (1, 42) else RAW
        try:
            self._begin(record)
        except EngineError as exc:
            if asked.get("Detach") is True:
                raise
            return Response(_framed(f"{exc}\r"), media_type=kind)
        if asked.get("Detach") is True:
            return Response(status_code=200)
        return StreamingResponse(_output(record), media_type=kind)

    def _begin(self, record: Exec) -> None:
        if record.running:
            raise EngineError(409, f"Error: Exec command {record.id} is already running")
        if record.ended_ns:
            raise EngineError(409, f"Error: Exec command {record.id} has already run")
        if not record.container.running:
            raise EngineError(409, f"container {record.container.id} is not running")
        ran = record.container.commands(record.words)
        if ran is None:
            record.exit_code, record.ended_ns = 127, self._engine.clock.time_ns()
            raise EngineError(
                400,
                "OCI runtime exec failed: exec failed: unable to start container process: exec: "
                f'"{record.words[0]}": executable file not found in $PATH: unknown',
            )
        record.running, record.pid = True, 40_000 + len(self._records)
        asyncio.ensure_future(self._engine.finish(self._run(record, ran)))  # noqa: RUF006 - the engine keeps it

    async def _run(self, record: Exec, ran: Ran) -> None:
        """Let it end by itself, or with its container."""
        ending = asyncio.ensure_future(self._engine.clock.sleep(ran.takes_s))
        while not ending.done() and record.container.started_ns == record.life and record.container.running:
            changed = asyncio.ensure_future(record.container.changed.wait())
            await asyncio.wait({ending, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        ended = ending.done() and record.container.started_ns == record.life and record.container.running
        ending.cancel()
        record.output += ran.lines if ended else ()
        record.running, record.exit_code = False, ran.exit_code if ended else KILLED
        record.ended_ns = self._engine.clock.time_ns()
        record.over.set()

    async def inspect(self, request: Request) -> Response:
        record = self._record(request)
        return reply(
            {
                "ID": record.id,
                "Running": record.running,
                "ExitCode": record.exit_code,
                "Pid": record.pid,
                "ContainerID": record.container.id,
                "ProcessConfig": {"entrypoint": record.words[0], "arguments": list(record.words[1:]), "tty": False},
                "OpenStdin": False,
                "OpenStdout": True,
                "OpenStderr": True,
                "CanRemove": False,
            }
        )


async def _output(record: Exec) -> AsyncIterator[bytes]:
    yield b""
    await record.over.wait()
    for line in record.output:
        yield _framed(line)


def _framed(line: str) -> bytes:
    payload = f"{line}\n".encode("utf-8", "surrogateescape")
    return struct.pack(">BxxxL", 1, len(payload)) + payload
