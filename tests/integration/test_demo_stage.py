"""The demo's terminal tells every thought once, however late the stream brings it."""

import asyncio
import io
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from servers.waiting import eventually
from sreops.commands.demo import Keys, is_ours
from sreops.commands.demo_acts import Stage
from sreops.sandbox.server import Server
from sreops.sandbox.world import World

THOUGHTS = [{"seq": seq, "node": "verify_success", "at": "", "text": f"thought {seq}"} for seq in (3, 4, 7)]


class Listener:
    """Somebody who answers on the port: a sreops that takes this token, or one that takes everybody."""

    def __init__(self, token: str | None) -> None:
        self._taken = token
        self.app = Starlette(routes=[Route("/api/incidents", self.incidents)])

    async def incidents(self, request: Request) -> JSONResponse:
        given = request.headers.get("authorization", "")
        let_in = self._taken is None or given == f"Bearer {self._taken}"
        return JSONResponse({"items": []}, 200 if let_in else 401)


@pytest.mark.parametrize(("whose", "expected"), [("ours", True), ("another", False), ("anybody's", False)])
async def test_the_demo_acts_only_on_the_sreops_that_knows_its_random_token(whose: str, expected: bool) -> None:
    keys = Keys()
    assert keys.api != Keys().api != keys.webhook
    listener = Listener({"ours": keys.api, "another": Keys().api, "anybody's": None}[whose])
    async with Server(listener.app) as server, httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        assert await is_ours(client, keys) is expected


class Slow:
    """sreops, whose event stream brings the first thought at once and the others when it is let."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        routes = [
            Route("/events", self.events),
            Route("/api/incidents", self.incidents),
            Route("/api/incidents/{id}", self.incident),
        ]
        self.app = Starlette(routes=routes)

    async def events(self, request: Request) -> StreamingResponse:
        async def frames() -> AsyncIterator[str]:
            for thought in THOUGHTS:
                yield f"id: {thought['seq']}\ndata: {json.dumps(thought)}\n\n"
                if thought is THOUGHTS[0]:
                    await self.go_on.wait()
            yield f"id: 8\ndata: {json.dumps({**THOUGHTS[0], 'seq': 8, 'text': 'of another'})}\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(frames(), media_type="text/event-stream")

    async def incidents(self, request: Request) -> JSONResponse:
        return JSONResponse({"items": [{"id": "i"}]})

    async def incident(self, request: Request) -> JSONResponse:
        return JSONResponse({"id": "i", "status": "escalated", "thoughts": THOUGHTS})


async def test_at_an_incident_s_end_all_its_thoughts_are_told_and_each_once() -> None:
    sreops, shown = Slow(), io.StringIO()
    async with Server(sreops.app) as server, httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        stage = Stage(world=World(claude=False), console=Console(file=shown), client=client, url=server.url)
        telling = asyncio.create_task(stage.tell())

        async def begun() -> bool:
            return "thought 3" in shown.getvalue()

        await eventually(begun)
        await stage.ended("ledger-db")
        assert [line.split("thought ")[-1] for line in shown.getvalue().splitlines()] == ["3", "4", "7"]
        sreops.go_on.set()

        async def told() -> bool:
            return "of another" in shown.getvalue()

        await eventually(told)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    assert [shown.getvalue().count(f"thought {seq}") for seq in (3, 4, 7)] == [1, 1, 1]
