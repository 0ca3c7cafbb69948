"""Tools of MCP servers that the settings name: allowed ones, read-only ones, their answers as plain text.

Source: the official SDK `mcp` 2.3 (`mcp.Client`). A connection is made for each use: nothing is shared between
incidents, and a server that hangs or dies takes nothing with it.
"""

import asyncio
import json
import os
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
import jsonschema  # type: ignore[import-untyped]  # no stubs
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent, Tool

from sreops.adapters.bounded_http import HEADERS, hooks
from sreops.adapters.trust import DIRECT, handshake_cure
from sreops.domain.text.patterns import glob_matches
from sreops.domain.text.redaction import clean, one_line
from sreops.domain.text.unicode import whole
from sreops.domain.text.urls import without_userinfo_in
from sreops.errors import QueryRefused, SreopsError, ToolUnavailable
from sreops.ports import Health, ToolSpec
from sreops.settings import McpServer, McpSettings
from sreops.telemetry import log

TOOLS_CUT: Final = "mcp.tools_cut"
SERVER_FAILED: Final = "mcp.server_failed"
TOOL_LEFT_OUT: Final = "mcp.tool_left_out"

BETWEEN = "__"
MAX_TOOLS = 20
MAX_DESCRIPTION = 1_000
MAX_ARGUMENT_CHARS = 10_000
MAX_SCHEMA_CHARS = 8_000
MAX_RESULT_CHARS = 200_000
MAX_ANSWER_BYTES = 1024 * 1024
"""Of one answer over HTTP, five times what is kept of it; the SDK makes 150 bytes and more of each byte."""
MAX_VALUES = 100_000
"""Of one answer; the SDK takes a microsecond and more for each, and the loop stands still meanwhile."""
KEPT_S = 300.0
_MAX_NAME = 64
_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


class McpTools:
    """Implements ``ports.ExtraTools``; a tool is called ``server__tool``."""

    def __init__(self, settings: McpSettings, trust: ssl.SSLContext | None = None) -> None:
        self._trust = trust
        self._servers = settings.servers
        self._kept: dict[str, tuple[float, list[ToolSpec]]] = {}
        self._told_of_cut = False

    async def specs(self) -> Sequence[ToolSpec]:
        """Return the allowed tools of all servers that answer; asked again every five minutes."""
        found = await asyncio.gather(*(self._or_none(name) for name in self._servers))
        offered = [spec for specs in found for spec in specs]
        if len(offered) > MAX_TOOLS and not self._told_of_cut:
            self._told_of_cut = True
            log.warning(TOOLS_CUT, allowed=len(offered), offered=MAX_TOOLS, cure="narrow `tools` of the servers")
        return offered[:MAX_TOOLS]

    async def _or_none(self, name: str) -> list[ToolSpec]:
        try:
            return await self._specs_of(name)
        except SreopsError as exc:
            log.warning(SERVER_FAILED, server=name, error=str(exc))
            return []

    async def _specs_of(self, name: str) -> list[ToolSpec]:
        kept = self._kept.get(name)
        if kept is not None and time.monotonic() - kept[0] < KEPT_S:
            return kept[1]
        server = self._servers[name]
        tools: list[Tool] = []
        async with self._connected(name, server.timeout_s) as client:
            cursor = None
            while len(tools) < 1_000:
                page = await client.list_tools(cursor=cursor)
                tools += page.tools
                cursor = page.next_cursor
                if not cursor:
                    break
        specs = []
        for tool in {tool.name: tool for tool in tools if allowed(server, tool)}.values():  # a name twice is refused
            try:
                specs.append(_spec(name, tool))
            except ToolUnavailable as exc:
                log.warning(TOOL_LEFT_OUT, server=name, error=str(exc))
        self._kept[name] = (time.monotonic(), specs)
        return specs

    async def call(self, name: str, arguments: Mapping[str, Any], *, timeout_s: float) -> str:
        """Return the tool's text. Raises QueryRefused for what is not allowed or went wrong, or ToolUnavailable."""
        server_name, _, tool = name.partition(BETWEEN)
        if server_name not in self._servers:
            raise QueryRefused("there is no such tool")
        if not any(spec.name == name for spec in await self._specs_of(server_name)):
            raise QueryRefused("there is no such tool")
        if len(json.dumps(arguments)) > MAX_ARGUMENT_CHARS:
            raise QueryRefused(f"{name}: the arguments are longer than {MAX_ARGUMENT_CHARS} characters")
        server = self._servers[server_name]
        async with self._connected(server_name, min(timeout_s, server.timeout_s)) as client:
            result = await client.call_tool(tool, dict(arguments))
        text = result_text(result)
        if result.is_error:
            raise QueryRefused(f"{name} says: {one_line(text, 500)}")
        return text

    async def health(self) -> Health:
        """Say which servers answer, and how many tools they give."""
        answering, missing = [], []
        for name in self._servers:
            try:
                answering.append(f"{name}: {len(await self._specs_of(name))} tools")
            except SreopsError as exc:
                missing.append(str(exc))
        if missing:
            return Health("down", "; ".join(missing), "check SREOPS_MCP__SERVERS; the model does without meanwhile")
        return Health("up", "; ".join(answering))

    @asynccontextmanager
    async def _connected(self, name: str, timeout_s: float) -> AsyncIterator[Client]:
        where = f"MCP server {name}"
        try:
            async with asyncio.timeout(timeout_s), _client(self._servers[name], self._trust) as client:
                yield client
        except BaseException as exc:
            raise _translated(where, exc, timeout_s) from exc


@asynccontextmanager
async def _client(server: McpServer, trust: ssl.SSLContext | None) -> AsyncIterator[Client]:
    if server.url:
        token = server.token.get_secret_value() if server.token else ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            await asyncio.to_thread(_http, headers, server.timeout_s, trust) as http,
            Client(streamable_http_client(server.url, http_client=http)) as client,
        ):
            yield client
        return
    command, *arguments = server.command
    env = {name: value.get_secret_value() for name, value in server.env.items()}  # nothing else is inherited
    parameters = StdioServerParameters(command=command, args=arguments, env=env)
    # what it writes to stderr is its own log, not ours
    with await asyncio.to_thread(open, os.devnull, "w", encoding="utf-8") as unread:
        async with Client(stdio_client(parameters, errlog=unread)) as client:
            yield client


def _http(headers: dict[str, str], timeout_s: float, trust: ssl.SSLContext | None) -> httpx2.AsyncClient:
    """Build the client; in a thread, because it reads the CA certificates from disk."""
    bounded = hooks(MAX_ANSWER_BYTES, max_values=MAX_VALUES)
    return httpx2.AsyncClient(
        headers=HEADERS | headers,
        timeout=timeout_s,
        follow_redirects=False,
        verify=trust or True,
        mounts=dict.fromkeys(DIRECT),
        event_hooks=bounded,
    )


def _translated(where: str, exc: BaseException, timeout_s: float) -> BaseException:
    """Return our error for theirs; the SDK's task groups wrap what went wrong."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    if isinstance(exc, SreopsError | asyncio.CancelledError | GeneratorExit | KeyboardInterrupt | SystemExit):
        return exc
    if isinstance(exc, TimeoutError):
        return ToolUnavailable(f"{where} did not answer within {timeout_s:g} s")
    if isinstance(exc, MCPError):
        return QueryRefused(f"{where} refused: {one_line(without_userinfo_in(str(exc)), 300)}")
    cure = handshake_cure(exc)
    if cure:
        return ToolUnavailable(f"{where} can't be reached: {cure}", cure=cure)
    return ToolUnavailable(f"{where} can't be used: {one_line(without_userinfo_in(repr(exc)), 300)}")


def allowed(server: McpServer, tool: Tool) -> bool:
    """Say whether a tool may be offered: named in full, or matched by a glob and annotated as read-only."""
    if not tool.name.replace("_", "").replace("-", "").isalnum() or not tool.name.isascii():
        return False
    if len(tool.name) > _MAX_NAME:
        return False
    if tool.name in server.tools:
        return True
    hints = tool.annotations
    reads_only = hints is not None and hints.read_only_hint is True and hints.destructive_hint is not True
    return reads_only and any(glob_matches(glob, tool.name) for glob in server.tools)


def _spec(server: str, tool: Tool) -> ToolSpec:
    described = f"(from {server}, in its words) {one_line(tool.description or tool.title or '', MAX_DESCRIPTION)}"
    schema = _schema(f"tool {one_line(tool.name, _MAX_NAME)}", tool.input_schema)
    return ToolSpec(f"{server}{BETWEEN}{tool.name}", described, schema, strict=False)


def _schema(whose: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments' schema, its texts cleaned. Raises ToolUnavailable for one that the model's API refuses.

    One bad schema would have every request refused, and a long one be paid for by every incident. Source: Messages
    API, ``tools[].input_schema``: draft 2020-12, no union at its top, plain names of properties.
    """
    schema = {**given, "type": "object"}
    try:
        size = len(json.dumps(schema))
        jsonschema.Draft202012Validator.check_schema(schema)
    except (jsonschema.SchemaError, ValueError, TypeError, RecursionError) as exc:
        raise ToolUnavailable(f"{whose} is left out: its schema is none: {one_line(str(exc), 200)}") from exc
    if size > MAX_SCHEMA_CHARS:
        raise ToolUnavailable(f"{whose} is left out: its schema has {size} characters; {MAX_SCHEMA_CHARS} are taken")
    unions = sorted({"oneOf", "anyOf", "allOf"} & set(schema))
    if unions:
        raise ToolUnavailable(f"{whose} is left out: its schema has {', '.join(unions)} at its top")
    odd = [name for name in schema.get("properties", {}) if not _PROPERTY.fullmatch(name)]
    if odd:
        raise ToolUnavailable(f"{whose} is left out: the model's API takes no argument named {one_line(odd[0], 60)!r}")
    return {name: _cleaned(value) for name, value in schema.items()}


def _cleaned(value: Any) -> Any:
    """Return a schema's value without hidden characters in its texts: all of it is read by the model."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(name): _cleaned(part) for name, part in value.items()}
    return [_cleaned(part) for part in value] if isinstance(value, list) else value


def result_text(result: CallToolResult) -> str:
    """Return what a tool said as clean text, and how many parts of it were no text."""
    parts = [part.text for part in result.content if isinstance(part, TextContent)]
    if not parts and result.structured_content is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False, default=str)]
    left_out = sum(not isinstance(part, TextContent) for part in result.content)
    text = clean(whole("\n".join(parts)[:MAX_RESULT_CHARS]))
    return text + (f"\n[{left_out} parts that are no text were left out]" if left_out else "")
