"""A dependency that means ill, or a broken proxy before one: raw answers over a socket, each on a port of its own."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

MIB = 1024 * 1024
Write = Callable[[bytes], Awaitable[None]]
Behaviour = Callable[[Write], Awaitable[None]]

BEHAVIOURS: dict[str, Behaviour] = {}


def behaviour(told: Behaviour) -> Behaviour:
    BEHAVIOURS[told.__name__] = told
    return told


def head(*lines: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", *lines, "", ""]).encode()


async def whole(write: Write, body: bytes, *lines: str, status: str = "200 OK") -> None:
    await write(head(f"Content-Length: {len(body)}", *lines, status=status))
    for start in range(0, len(body), MIB):
        await write(body[start : start + MIB])


async def for_ever(write: Write, piece: bytes) -> None:
    while True:
        await write(piece)


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


@cache
def bomb() -> bytes:
    return gzip.compress(b'"' + b" " * (300 * MIB), 1)


@cache
def bomb_of_bombs() -> bytes:
    return gzip.compress(gzip.compress(bomb()))


@behaviour
async def gzip_bomb(write: Write) -> None:
    await whole(write, bomb(), "Content-Encoding: gzip")


@behaviour
async def gzip_of_gzip(write: Write) -> None:
    await whole(write, bomb_of_bombs(), "Content-Encoding: gzip, gzip")


@behaviour
async def codings_in_two_headers(write: Write) -> None:
    await whole(write, bomb_of_bombs(), "Content-Encoding: identity", "Content-Encoding: gzip")


@behaviour
async def deflate_bomb(write: Write) -> None:
    await whole(write, zlib.compress(b" " * (30 * MIB), 1), "Content-Encoding: deflate")


@behaviour
async def brotli_unasked(write: Write) -> None:
    await whole(write, b"\x8f\x00\x80\x03", "Content-Encoding: br")


@behaviour
async def zstd_unasked(write: Write) -> None:
    await whole(write, b"(\xb5/\xfd\x00X\x00\x00", "Content-Encoding: zstd")


@behaviour
async def endless_body(write: Write) -> None:
    await write(head("Transfer-Encoding: chunked") + chunk(b'{"status":"'))
    await for_ever(write, chunk(b"a" * MIB))


@behaviour
async def endless_body_of_single_bytes(write: Write) -> None:
    await write(head("Transfer-Encoding: chunked"))
    await for_ever(write, chunk(b" ") * 10_000)


@behaviour
async def body_until_close(write: Write) -> None:
    await write(head("Connection: close"))
    await for_ever(write, b" " * MIB)


@behaviour
async def endless_headers(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\n")
    await for_ever(write, b"X-More: and more\r\n" * 1_000)


@behaviour
async def endless_header_line(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\nX-More: ")
    await for_ever(write, b"a" * MIB)


@behaviour
async def endless_trailers(write: Write) -> None:
    await write(head("Transfer-Encoding: chunked") + chunk(b"[]") + b"0\r\n")
    await for_ever(write, b"X-More: and more\r\n" * 1_000)


@behaviour
async def flood_of_early_hints(write: Write) -> None:
    await for_ever(write, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2_000)


@behaviour
async def a_byte_now_and_then(write: Write) -> None:
    await write(head("Content-Length: 1000000"))
    while True:
        await write(b" ")
        await asyncio.sleep(0.2)


@behaviour
async def a_byte_of_the_head_now_and_then(write: Write) -> None:
    while True:
        for letter in b"HTTP/1.1 200 OK\r\nX: 1":
            await write(bytes([letter]))
            await asyncio.sleep(0.2)


@behaviour
async def silence(write: Write) -> None:
    await asyncio.Event().wait()


@behaviour
async def deep_nesting(write: Write) -> None:
    await whole(write, b"[" * (4 * MIB))


@behaviour
async def huge_numbers(write: Write) -> None:
    await whole(write, b'{"status":"success","data":[' + b"1" * (2 * MIB) + b", 1e999999, -1" + b"0" * 4000 + b"]}")


@behaviour
async def many_small_values(write: Write) -> None:
    await whole(write, b'{"status":"success","data":[' + b"{}," * (2 * MIB) + b"{}]}")


@behaviour
async def fewer_small_values(write: Write) -> None:
    await whole(write, b'{"jsonrpc":"2.0","id":0,"result":[' + b"{}," * (600_000) + b"{}]}")


@behaviour
async def few_small_values(write: Write) -> None:
    await whole(write, b'{"jsonrpc":"2.0","id":0,"result":[' + b"{}," * (340_000) + b"{}]}")


@behaviour
async def many_numbers(write: Write) -> None:
    await whole(write, b'{"jsonrpc":"2.0","id":0,"result":[' + b"1," * (500_000) + b"1]}")


@behaviour
async def half_characters(write: Write) -> None:
    await whole(write, b'{"status":"success","data":["\\ud800\\u0000' + b"\\ud83d" * 500_000 + b'"]}')


@behaviour
async def endless_error(write: Write) -> None:
    await write(head("Transfer-Encoding: chunked", status="500 Oops") + chunk(b'{"message":"'))
    await for_ever(write, chunk(b"a" * MIB))


@behaviour
async def endless_refusal(write: Write) -> None:
    await write(head("Transfer-Encoding: chunked", status="400 Bad Request") + chunk(b'{"message":"'))
    await for_ever(write, chunk(b"a" * MIB))


@behaviour
async def compressed_refusal(write: Write) -> None:
    await whole(write, bomb(), "Content-Encoding: gzip", status="404 Not Found")


@behaviour
async def endless_events(write: Write) -> None:
    await write(head(kind="text/event-stream"))
    await for_ever(write, b'event: ping\ndata: {"type": "ping"}\n\n' * 2_000)


@behaviour
async def endless_answer_in_events(write: Write) -> None:
    started: dict[str, Any] = {
        "type": "message_start",
        "message": {
            "id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "stop_reason": None,
            "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
        },
    }  # fmt: skip
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a" * 20}}
    await write(head(kind="text/event-stream") + _events(started, block))
    await for_ever(write, _events(delta) * 1_000)


def _events(*bodies: dict[str, Any]) -> bytes:
    return b"".join(f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode() for body in bodies)


@behaviour
async def an_event_without_end(write: Write) -> None:
    await write(head(kind="text/event-stream"))
    await for_ever(write, b"data: a\n" * 10_000)


@behaviour
async def an_event_of_one_line_without_end(write: Write) -> None:
    await write(head(kind="text/event-stream") + b"data: ")
    await for_ever(write, b"a" * MIB)


@behaviour
async def broken_chunks(write: Write) -> None:
    await write(head("Transfer-Encoding: chunked") + b"zz\r\nhello\r\n")


@behaviour
async def chunk_size_without_end(write: Write) -> None:
    await write(head("Transfer-Encoding: chunked"))
    await for_ever(write, b"0" * MIB)


@behaviour
async def half_an_answer(write: Write) -> None:
    await write(head("Content-Length: 1000") + b'{"status":')


@behaviour
async def redirect_to_itself(write: Write) -> None:
    await write(head("Location: /", "Content-Length: 0", status="302 Found"))


@behaviour
async def no_http(write: Write) -> None:
    await for_ever(write, b"SSH-2.0-OpenSSH_9.2\n" * 1_000)


def honest(path: str) -> bytes | None:
    """What even this engine of containers says truly: without its version nothing else is asked."""
    if path == "/version":
        body = b'{"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "26"}'
        return head(f"Content-Length: {len(body)}", "Connection: close") + body
    return None


@asynccontextmanager
async def ill_willed(names: Iterator[str] | list[str]) -> AsyncIterator[dict[str, int]]:
    """Serve behaviours, each on its own port of loopback."""
    await asyncio.to_thread(bomb_of_bombs)
    servers = []
    ports: dict[str, int] = {}
    for name in names:
        server = await asyncio.start_server(_serving(BEHAVIOURS[name]), "127.0.0.1", 0)
        servers.append(server)
        ports[name] = server.sockets[0].getsockname()[1]
    try:
        yield ports
    finally:
        for server in servers:
            server.close()


def _serving(behave: Behaviour) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(raw: bytes) -> None:
            writer.write(raw)
            await writer.drain()

        gone: asyncio.Task[bytes] | None = None
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            answer = honest(request.split(b" ", 2)[1].decode())
            if answer is not None:
                await write(answer)
                return
            gone = asyncio.create_task(reader.read())  # ends with the connection
            acting = asyncio.ensure_future(behave(write))
            await asyncio.wait([gone, acting], return_when=asyncio.FIRST_COMPLETED)
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if gone is not None:
                gone.cancel()
            writer.close()

    return serve
