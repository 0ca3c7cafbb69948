import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sreops.sandbox.faults import FaultKind, Faults
from sreops.sandbox.server import Server


class Counter:
    """A server that counts how often it acted."""

    def __init__(self) -> None:
        self.acted = 0
        self.faults = Faults()
        app = Starlette(routes=[Route("/act", self.act, methods=["GET", "POST"])])
        self.server = Server(self.faults.wrap(app))

    async def act(self, request: Request) -> JSONResponse:
        await request.body()
        self.acted += 1
        return JSONResponse({"acted": self.acted, "padding": "x" * 100})


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    counter = Counter()
    async with counter.server:
        yield counter


@pytest.fixture
async def client(counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=counter.server.url, timeout=5) as client:
        yield client


async def test_without_faults_requests_pass_and_are_remembered(counter: Counter, client: httpx.AsyncClient) -> None:
    answer = await client.get("/act", params={"a": "b"})
    assert answer.json()["acted"] == 1
    seen = counter.faults.requests[-1]
    assert (seen.method, seen.path, seen.query, seen.fault) == ("GET", "/act", "a=b", None)


async def test_a_failure_is_spent_on_as_many_requests_as_it_says(counter: Counter, client: httpx.AsyncClient) -> None:
    fault = counter.faults.fail(503, headers={"Retry-After": "7"}, times=2, after=1)
    statuses = [(await client.post("/act", content=b"x" * 10)).status_code for _ in range(4)]
    assert statuses == [200, 503, 503, 200]
    assert (fault.hits, counter.acted) == (2, 2)


async def test_faults_hit_only_the_paths_and_methods_they_name(counter: Counter, client: httpx.AsyncClient) -> None:
    counter.faults.fail(500, path="/other*", times=None)
    counter.faults.fail(500, method="POST", times=None)
    assert (await client.get("/act")).status_code == 200
    assert (await client.post("/act")).status_code == 500
    assert (await client.get("/other/thing")).status_code == 500


async def test_garbage_is_a_200_that_is_no_json(counter: Counter, client: httpx.AsyncClient) -> None:
    counter.faults.garbage()
    answer = await client.get("/act")
    assert answer.status_code == 200
    with pytest.raises(ValueError):  # noqa: PT011 - any decoding error
        answer.json()


async def test_a_reset_before_acting_leaves_the_world_untouched(counter: Counter, client: httpx.AsyncClient) -> None:
    counter.faults.reset()
    with pytest.raises(httpx.ReadError):
        await client.post("/act")
    assert counter.acted == 0


async def test_a_reset_after_acting_loses_only_the_answer(counter: Counter, client: httpx.AsyncClient) -> None:
    counter.faults.reset(after_acting=True)
    with pytest.raises(httpx.ReadError):
        await client.post("/act")
    assert counter.acted == 1


@pytest.mark.parametrize(("after_acting", "acted"), [(False, 0), (True, 1)])
async def test_a_hang_outlasts_the_client(
    counter: Counter, client: httpx.AsyncClient, after_acting: bool, acted: int
) -> None:
    counter.faults.hang(after_acting=after_acting)
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/act", timeout=0.05)
    assert counter.acted == acted


async def test_clear_lets_go_of_what_hangs(counter: Counter, client: httpx.AsyncClient) -> None:
    counter.faults.hang(times=None)
    request = asyncio.ensure_future(client.get("/act"))
    while not counter.faults.requests:  # noqa: ASYNC110 - the server signals nothing when it hangs
        await asyncio.sleep(0)
    counter.faults.clear()
    with pytest.raises(httpx.ReadError):
        await request
    assert (await client.get("/act")).status_code == 200


async def test_a_cut_answer_breaks_off_in_its_body(counter: Counter, client: httpx.AsyncClient) -> None:
    counter.faults.cut()
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/act")
    assert counter.acted == 1


async def test_a_delay_answers_in_the_end(counter: Counter, client: httpx.AsyncClient) -> None:
    counter.faults.delay(0.01)
    assert (await client.get("/act")).status_code == 200
    assert counter.faults.requests[-1].fault is FaultKind.DELAY


async def test_a_stopped_server_refuses_and_comes_back_on_the_same_address(counter: Counter) -> None:
    url = counter.server.url
    await counter.server.stop()
    async with httpx.AsyncClient(base_url=url, timeout=5) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/act")
        await counter.server.start()
        assert counter.server.url == url
        assert (await client.get("/act")).status_code == 200


async def test_it_serves_on_a_unix_socket_and_removes_it(tmp_path: Path) -> None:
    counter = Counter()
    path = tmp_path / "it.sock"
    async with Server(counter.faults.wrap(Starlette(routes=[Route("/act", counter.act)])), path=path) as server:
        assert server.url == f"unix://{path}"
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://docker") as client:
            assert (await client.get("/act")).json()["acted"] == 1
            counter.faults.reset()
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                await client.get("/act")
    assert not path.exists()
