"""Whatever text a dependency sends, what its adapter returns can be held by UTF-8, JSON and PostgreSQL."""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel, SecretStr

from sreops.adapters.claude.api import Api
from sreops.adapters.claude.reply import read_reply
from sreops.adapters.docker import DockerContainers
from sreops.adapters.gitlab import GitLabIssues
from sreops.adapters.gitlab.marks import issue_comment
from sreops.adapters.mcp_tools import result_text
from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.loki import LokiLogs
from sreops.adapters.observability.prometheus import PrometheusMetrics
from sreops.domain.evidence.evidence import Window
from sreops.domain.text.unicode import whole
from sreops.errors import IssuesRefused
from sreops.settings import (
    DockerSettings,
    GitLabSettings,
    GrafanaSettings,
    LLMSettings,
    LokiSettings,
    PrometheusSettings,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(start=NOW - timedelta(minutes=5), end=NOW)
ID = "a" * 64
HALF, PAIR, ODD = "\ud83d", "\ud83d\ude00", "\x00\x1b[31m\u202e\u200b\ufeff\u0085\u2028\x7f"
anything = st.text(st.characters(), max_size=60)  # lone surrogates too
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def hostile(test: Callable[..., Any]) -> Callable[..., Any]:
    """Arbitrary text, as escapes and as raw bytes, and what breaks most readers."""
    for text in (HALF, PAIR, ODD, f"{ODD}{HALF}" * 70_000):
        test = example(text=text, escaped=True)(test)
    return few(given(text=anything, escaped=st.booleans())(example(text=HALF, escaped=False)(test)))


def wire(body: object, *, escaped: bool) -> bytes:
    if escaped:
        return json.dumps(body).encode()
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


def holds(value: object) -> None:
    """Check that every text in it is whole."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    text = json.dumps(value, ensure_ascii=False, default=str)
    text.encode()
    assert "\\u0000" not in text


def answering(body: object, *, escaped: bool, status: int = 200) -> httpx.MockTransport:
    raw = wire(body, escaped=escaped)
    return httpx.MockTransport(lambda _: httpx.Response(status, content=raw))


@hostile
async def test_logs(text: str, escaped: bool) -> None:
    short = text[:200]
    stream = {"stream": {"service": short, short: "x"}, "values": [["1767225600000000000", text]]}
    body = {"status": "success", "data": {"resultType": "streams", "result": [stream]}, "warnings": [short]}
    loki = LokiLogs(LokiSettings(url="http://loki"), transport=answering(body, escaped=escaped))
    found = await loki.lines({"service": "a"}, WINDOW, limit=10, timeout_s=5)
    holds(found)
    assert len(found.lines) == 1
    body = {"status": "success", "data": [short]}
    loki = LokiLogs(LokiSettings(url="http://loki"), transport=answering(body, escaped=escaped))
    holds(sorted(await loki.label_names(WINDOW, timeout_s=5)))


@hostile
async def test_metrics(text: str, escaped: bool) -> None:
    text = text[:50_000]
    series = {"metric": {"__name__": text, text: text}, "value": [1, "1"]}
    body = {"status": "success", "data": {"resultType": "vector", "result": [series]}, "warnings": [text]}
    metrics = PrometheusMetrics(PrometheusSettings(url="http://p"), transport=answering(body, escaped=escaped))
    found = await metrics.instant("up", at=None, timeout_s=5)
    holds(found)
    assert len(found.series) == 1


@hostile
async def test_notes_of_changes(text: str, escaped: bool) -> None:
    body = [{"time": 1767225600000, "text": text, "tags": [text[:200]]}]
    grafana = Grafana(GrafanaSettings(url="http://g"), transport=answering(body, escaped=escaped))
    [note] = await grafana.noted(WINDOW, timeout_s=5)
    holds([note.text, *note.tags])


@hostile
async def test_issues(text: str, escaped: bool) -> None:
    gitlab = GitLabSettings(url="http://g", token=SecretStr("t"), project="a/b")
    text = text[:50_000]
    found: list[object] = [{"iid": 1, "web_url": text, "description": issue_comment("m") + text}]
    issue = await GitLabIssues(gitlab, transport=answering(found, escaped=escaped)).find("m", timeout_s=5)
    assert issue is not None
    holds(issue.url)
    refusal = answering({"message": {"base": [text]}}, escaped=escaped, status=400)
    with pytest.raises(IssuesRefused) as refused:
        await GitLabIssues(gitlab, transport=refusal).find("m", timeout_s=5)
    holds(str(refused.value))


@asynccontextmanager
async def engine(answers: dict[str, bytes]) -> Any:
    """An engine that gives these bodies; by the end of the path."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode().partition("?")[0]
        body = next(body for end, body in answers.items() if path.endswith(end))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    containers = DockerContainers(DockerSettings(host=f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    try:
        yield containers
    finally:
        await containers.close()
        server.close()


def inspected(text: str) -> dict[str, Any]:
    text = text[:2_000]
    health = {"Status": "unhealthy", "Log": [{"ExitCode": 1, "Output": text}]}
    return {
        "Id": ID,
        "Name": f"/{text}",
        "Image": text,
        "State": {"Status": text, "Running": True, "Error": text, "Health": health},
        "Config": {"Image": text, "Labels": {text: text}, "Env": [text], "Cmd": [text]},
        "HostConfig": {"RestartPolicy": {"Name": text}},
        "NetworkSettings": {"Networks": {text: {}}},
    }


@hostile
async def test_the_engine(text: str, escaped: bool) -> None:
    raw, short = text.encode("utf-8", "surrogatepass"), text[:2_000]
    event = {
        "Type": "container", "Action": "die", "timeNano": 1767225600000000000,
        "Actor": {"ID": short, "Attributes": {"name": "web", "image": short, "exitCode": short}},
    }  # fmt: skip
    answers = {
        "/version": b'{"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "26"}',
        f"{ID}/json": wire(inspected(text), escaped=escaped),
        "/logs": bytes([1, 0, 0, 0]) + len(raw).to_bytes(4, "big") + raw,
        "/events": wire(event, escaped=escaped),
    }
    async with engine(answers) as containers:
        state = await containers.inspect(ID, timeout_s=5)
        assert state is not None
        holds(state)
        holds(await containers.logs(ID, since=NOW, limit=10, timeout_s=5))
        happened = await containers.events(["web"], WINDOW, limit=10, timeout_s=5)
        assert len(happened.events) == 1
        holds(happened)


def streamed(texts: list[str]) -> bytes:
    message = {
        "id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    events.append({"type": "content_block_stop", "index": 0})
    done = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    events += [{**done, "usage": {"output_tokens": 1}}, {"type": "message_stop"}]
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events)


@few
@example(texts=[HALF, "\ude00"])
@example(texts=[ODD * 1000])
@given(texts=st.lists(anything, min_size=1, max_size=4))
async def test_the_model(texts: list[str]) -> None:
    body = streamed(texts)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    api = Api(LLMSettings(base_url=url, model="m"), SecretStr("sk-ant-k"))
    request = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
    try:
        reply = read_reply(await api.message(request, timeout_s=10, silence_s=10))
    finally:
        await api.aclose()
        server.close()
    holds(reply)
    assert reply.text == whole("".join(texts)), "a pair that came in two events is one character"


@few
@example(text=HALF + ODD)
@given(text=anything)
def test_tools_of_others(text: str) -> None:
    holds(result_text(CallToolResult(content=[TextContent.model_construct(type="text", text=text)])))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (PAIR, "\U0001f600"),
        (HALF, "\ufffd"),
        (f"a{HALF}\x00b", "a\ufffd\ufffdb"),
        ("\u202eabc\x1b[0m", "\u202eabc\x1b[0m"),
    ],
)
def test_pairs_are_joined_halves_and_nuls_replaced_and_the_rest_is_data(given: str, kept: str) -> None:
    assert whole(given) == kept
