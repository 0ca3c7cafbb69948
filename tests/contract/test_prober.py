"""HTTP checks: a status or nothing, and no way elsewhere."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from sreops.adapters.prober import HttpProber
from sreops.errors import QueryRefused
from sreops.sandbox.faults import Faults
from sreops.sandbox.server import Server

T = 5.0


class Site:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self.faults = Faults()
        paths = {"/status/{code:int}": self._status, "/away": self._away, "/endless": self._endless}
        self.app = self.faults.wrap(Router([Route(path, page) for path, page in paths.items()]))

    async def _status(self, request: Request) -> Response:
        self.seen.append((request.url.path, request.headers.get("cookie")))
        return Response(status_code=request.path_params["code"], headers={"Set-Cookie": "session=1"})

    async def _away(self, request: Request) -> Response:
        return RedirectResponse("/status/200")

    async def _endless(self, request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)

        return StreamingResponse(body())


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def url(site: Site) -> AsyncIterator[str]:
    async with Server(site.app) as server:
        yield server.url
        site.faults.clear()


@pytest.fixture
async def prober() -> AsyncIterator[HttpProber]:
    prober = HttpProber()
    yield prober
    await prober.aclose()


@pytest.mark.parametrize("code", [200, 204, 404, 500, 503])
async def test_the_status_is_returned(prober: HttpProber, url: str, code: int) -> None:
    assert await prober.status(f"{url}/status/{code}", timeout_s=T) == code


async def test_a_redirect_is_a_status_and_not_followed(prober: HttpProber, url: str, site: Site) -> None:
    assert await prober.status(f"{url}/away", timeout_s=T) == 307
    assert site.seen == []


async def test_a_body_without_end_is_not_read(prober: HttpProber, url: str) -> None:
    began = time.monotonic()
    assert await prober.status(f"{url}/endless", timeout_s=T) == 200
    assert time.monotonic() - began < 2


async def test_no_cookie_is_kept(prober: HttpProber, url: str, site: Site) -> None:
    for _ in range(2):
        await prober.status(f"{url}/status/200", timeout_s=T)
    assert site.seen == [("/status/200", None)] * 2


@pytest.mark.parametrize("fault", ["hang", "reset"])
async def test_no_answer_is_none_in_time(prober: HttpProber, url: str, site: Site, fault: str) -> None:
    getattr(site.faults, fault)(times=None)
    began = time.monotonic()
    assert await prober.status(f"{url}/status/200", timeout_s=0.3) is None
    assert time.monotonic() - began < 2


async def test_what_is_not_http_is_none(prober: HttpProber, free_port: int) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp ready\r\n")
        writer.close()

    assert await prober.status(f"http://127.0.0.1:{free_port}/", timeout_s=T) is None
    async with await asyncio.start_server(talk, "127.0.0.1", free_port):
        assert await prober.status(f"http://127.0.0.1:{free_port}/", timeout_s=T) is None


async def test_the_environments_proxy_is_ignored(monkeypatch: pytest.MonkeyPatch, url: str, free_port: int) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port}")
    prober = HttpProber()
    assert await prober.status(f"{url}/status/200", timeout_s=T) == 200
    await prober.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x/",
        "x",
        "",
        "http://",
        "//x/",
        "http://[::1",
        "http://x:99999/",
        "unix:///x",
        "\x00",
    ],
)
async def test_what_is_no_http_url_is_refused(prober: HttpProber, url: str) -> None:
    with pytest.raises(QueryRefused, match="http_check"):
        await prober.status(url, timeout_s=T)


@pytest.mark.parametrize("host", ["a" * 300, "x..y", "xn--" + "a" * 80, "-"])
async def test_a_host_that_can_not_be_is_none_or_refused(prober: HttpProber, host: str) -> None:
    with contextlib.suppress(QueryRefused):
        assert await prober.status(f"http://{host}/", timeout_s=1.0) is None
