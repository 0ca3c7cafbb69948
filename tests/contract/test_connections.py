"""Connections without a complete head or proof, over real sockets to uvicorn with our protocol class."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from contract.store_scene import at, fresh_store
from servers.waiting import eventually
from sreops.telemetry import REGISTRY
from sreops.web.connections import Bounds, Connections
from web.web_scene import FakeClock, scene, serving

store = pytest.fixture(fresh_store)

HALF_HEAD = b"POST /alerts HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": "A"}}]}).encode()
ALERT = b"POST /alerts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer hook\r\n"
WHOLE_ALERT = ALERT + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Caller:
    """One connection, spoken by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hears(self) -> bytes:
        """Return the head and body of the next answer; b"" where the connection was ended instead."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
            return head + await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def status(self) -> int:
        """Return the next answer's status, 0 where the connection was ended instead."""
        answer = await self.hears()
        return int(answer.split(b" ")[1]) if answer else 0

    def is_open(self) -> bool:
        return not self.reader.at_eof() and self.reader.exception() is None


Call = Callable[..., Any]


@pytest.fixture
async def calls(store) -> AsyncIterator[Callable[..., Any]]:
    """Start a server with the bounds that a test gives; return a function that connects to it."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(trusted: tuple[str, ...] = (), webhook: str | None = "hook", **bounds: Any) -> Call:
            settings: dict[str, Any] = {"webhook": {"token": webhook, "anonymous_autonomous": False}}
            made = scene(store, FakeClock(at(0)), trusted_proxies=trusted, **settings)
            connections = Connections(Bounds(**bounds), trusted)
            url = await stack.enter_async_context(serving(made.app, made.context.stopping, connections=connections))

            async def connect(first: bytes = b"") -> Caller:
                reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
                stack.callback(writer.close)
                caller = Caller(reader, writer)
                if first:
                    await caller.say(first)
                return caller

            return connect

        yield start


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("sreops_connections_refused_total", {"reason": reason}) or 0.0


async def test_of_too_many_half_heads_the_oldest_go_and_the_next_caller_is_answered(calls):
    connect = await calls(unproven_of_address=5)
    before = refused("too_many_of_address")
    crowd = [await connect(HALF_HEAD) for _ in range(8)]
    assert await (await connect(LIVEZ)).status() == 200
    assert await eventually(lambda: [one.is_open() for one in crowd] == [False] * 4 + [True] * 4)
    assert refused("too_many_of_address") == before + 4


async def test_over_all_addresses_there_is_a_limit_too(calls):
    connect = await calls(unproven=5)
    before = refused("too_many")
    crowd = [await connect(HALF_HEAD) for _ in range(6)]
    assert await eventually(lambda: [one.is_open() for one in crowd] == [False] + [True] * 5)
    assert refused("too_many") == before + 1


async def test_a_connection_that_has_proven_itself_is_never_cut_for_others(calls):
    connect = await calls(unproven_of_address=3)
    sender = await connect(WHOLE_ALERT)
    assert await sender.status() == 202
    crowd = [await connect(HALF_HEAD) for _ in range(10)]
    assert await eventually(lambda: sum(one.is_open() for one in crowd) == 3)
    assert sender.is_open()
    await sender.say(WHOLE_ALERT)
    assert await sender.status() == 202


async def test_a_complete_request_with_wrong_credentials_proves_nothing(calls):
    connect = await calls(unproven_of_address=3)
    stranger = await connect(WHOLE_ALERT.replace(b"Bearer hook", b"Bearer look"))
    assert await stranger.status() == 401
    for _ in range(3):
        await connect(HALF_HEAD)
    assert await stranger.status() == 0


async def test_a_trusted_proxy_stands_for_many(calls):
    connect = await calls(("10.0.0.0/8", "127.0.0.1"), unproven_of_address=3)
    crowd = [await connect(HALF_HEAD) for _ in range(10)]
    assert await (await connect(LIVEZ)).status() == 200
    assert all(one.is_open() for one in crowd)


async def test_a_trusted_proxy_goes_after_those_who_came_by_themselves():
    connections = Connections(Bounds(), ("10.0.0.0/8", "fd00::/8"))
    groups = [connections.group_of(one) for one in ("10.1.2.3", "fd00::7", "192.0.2.1", "2001:db8::1", "2001:db8::2")]
    assert groups == [None, None, "192.0.2.1", "2001:db8::/64", "2001:db8::/64"]


@pytest.mark.parametrize("said", [b"", b"G", HALF_HEAD, LIVEZ + b"GET / HTTP/1.1\r\n"], ids=repr)
async def test_a_head_that_does_not_come_to_its_end_is_answered_408(calls, said):
    connect = await calls(head_s=0.05)
    caller = await connect(said)
    if said.startswith(LIVEZ):
        assert await caller.status() == 200
    assert await caller.status() == 408
    assert await caller.status() == 0


async def test_a_dripping_head_gains_no_time(calls):
    connect = await calls(head_s=0.3)
    caller = await connect(HALF_HEAD)
    drips = 0
    while caller.is_open() and drips < 100:
        with contextlib.suppress(ConnectionError):
            await caller.say(b"x")
        drips += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                if await caller.status() == 408:
                    break
    assert drips < 100


async def test_a_body_that_does_not_come_to_its_end_is_cut_off(calls):
    connect = await calls(body_s=0.05)
    before = refused("body_timeout")
    caller = await connect(b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
    assert await caller.status() == 405  # which needs no body, but the connection waits for it
    assert await caller.status() in (0, 408)
    assert refused("body_timeout") == before + 1


async def test_a_head_without_end_is_431(calls):
    connect = await calls(head_bytes=2000)
    assert await (await connect(LIVEZ.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 1000 + b"\r\n\r\n"))).status() == 200
    caller = await connect(HALF_HEAD)
    with contextlib.suppress(ConnectionError):
        for _ in range(3):
            await caller.say(b"y" * 1000)
    assert await caller.status() in (431, 0)  # 0: it wrote on, and the answer was thrown away with it
    assert refused("head_too_large")


async def test_what_is_no_http_is_counted_and_gets_400(calls):
    connect = await calls()
    before = refused("malformed")
    assert await (await connect(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")).status() == 400
    assert refused("malformed") == before + 1


async def test_an_upgrade_does_not_leave_the_limits(calls):
    connect = await calls(unproven_of_address=2)
    caller = await connect(LIVEZ.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
    assert await caller.status() in (200, 400)
    crowd = [await connect(HALF_HEAD) for _ in range(2)]
    assert await caller.status() == 0
    assert all(one.is_open() for one in crowd)


async def test_a_crowd_is_a_line_a_second_in_the_log_not_a_line_each(calls):
    with capture_logs() as told:
        connect = await calls(unproven_of_address=2)
        for _ in range(12):
            await connect(HALF_HEAD)

        def cut() -> list[int]:
            return [one["too_many_of_address"] for one in told if one["event"] == "web.connections_refused"]

        assert await eventually(lambda: sum(cut()) == 10)
    assert len(cut()) <= 3
    assert {one["latest_address"] for one in told if one["event"] == "web.connections_refused"} == {"127.0.0.1"}


async def test_where_no_credentials_are_asked_for_an_accepted_alert_is_proof_enough(calls):
    connect = await calls(webhook=None, unproven_of_address=2)
    sender = await connect(WHOLE_ALERT)
    assert await sender.status() == 202
    for _ in range(3):
        await connect(HALF_HEAD)
    await sender.say(WHOLE_ALERT)
    assert await sender.status() == 202
