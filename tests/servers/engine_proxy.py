"""A socket before the Docker Engine's, whose answers can be broken; all else passes through as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from sreops.sandbox.faults import Faults
from sreops.sandbox.server import Server

_OF_THE_CONNECTION = ("connection", "transfer-encoding")


@asynccontextmanager
async def engine_proxy(engine: Path, path: Path, faults: Faults) -> AsyncIterator[str]:
    """Serve on ``path`` what the engine serves on its own socket; returns what clients take (unix://...)."""
    transport = httpx.AsyncHTTPTransport(uds=str(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=None) as client:

        async def pass_on(request: Request) -> StreamingResponse:
            query = request.scope["query_string"].decode("latin-1")
            target = request.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
            asked = client.build_request(request.method, target, headers=request.headers, content=await request.body())
            answer = await client.send(asked, stream=True)

            async def body() -> AsyncIterator[bytes]:
                try:
                    async for part in answer.aiter_raw():
                        yield part
                finally:
                    await answer.aclose()

            headers = {name: text for name, text in answer.headers.items() if name not in _OF_THE_CONNECTION}
            return StreamingResponse(body(), status_code=answer.status_code, headers=headers)

        app = Starlette(routes=[Route("/{path:path}", pass_on, methods=["GET", "HEAD", "POST", "PUT", "DELETE"])])
        async with Server(faults.wrap(app), path=path) as server:
            yield server.url
