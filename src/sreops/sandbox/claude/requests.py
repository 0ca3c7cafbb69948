"""What a Messages request must look like; everything else is refused as the API refuses it (2026-10-21)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sreops.sandbox.claude.refusals import BadRequest
from sreops.sandbox.claude.schemas import SchemaCheck

Body = Mapping[str, Any]
Block = Mapping[str, Any]

_REMOVED = ("temperature", "top_p", "top_k")
_COUNTABLE = frozenset(
    ["model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"]
)
_TAKEN = _COUNTABLE | frozenset(
    [
        "max_tokens",
        "metadata",
        "stop_sequences",
        "stream",
        "service_tier",
        "speed",
        "container",
        "diagnostics",
        "inference_geo",
        "user_profile_id",
        "workspace_id",
    ]
)
_TOOL_KEYS = frozenset(
    [
        "name",
        "description",
        "input_schema",
        "strict",
        "cache_control",
        "input_examples",
        "defer_loading",
        "allowed_callers",
        "eager_input_streaming",
        "type",
    ]
)
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_THINKING = ("adaptive", "enabled", "disabled", "between_tools")
_BLOCKS = {
    "user": ("text", "image", "document", "tool_result", "search_result"),
    "assistant": ("text", "thinking", "redacted_thinking", "tool_use"),
    "system": ("text",),
}
STRICT_TOOLS_MAX = 20
BREAKPOINTS_MAX = 4


def check(body: Body, *, counting: bool = False) -> None:
    """Raise BadRequest where the API would answer 400; `counting` is for count_tokens."""
    for name in _REMOVED:
        if name in body:
            raise BadRequest(f"{name}: this parameter was removed in API version 2026-10-21")
    unknown = sorted(set(body) - (_COUNTABLE if counting else _TAKEN))
    if unknown:
        raise BadRequest(f"{unknown[0]}: Extra inputs are not permitted")
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if name not in body:
            raise BadRequest(f"{name}: Field required")
    _check_shapes(body)
    if not counting:
        _check_max_tokens(body)
    _check_tools(body)
    _check_tool_choice(body)
    _check_thinking(body)
    _check_output(body)
    _check_messages(body)
    if len(list(breakpoints(body))) > BREAKPOINTS_MAX:
        count = len(list(breakpoints(body)))
        raise BadRequest(f"A maximum of {BREAKPOINTS_MAX} blocks with cache_control may be provided. Found {count}.")


def _check_shapes(body: Body) -> None:
    if not isinstance(body["model"], str):
        raise BadRequest("model: Input should be a valid string")
    for name in ("thinking", "output_config", "tool_choice", "metadata"):
        if body.get(name) is not None and not isinstance(body[name], Mapping):
            raise BadRequest(f"{name}: Input should be a valid dictionary")
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is not None and not isinstance(wanted, Mapping):
        raise BadRequest("output_config.format: Input should be a valid dictionary")
    for name in ("tools", "system", "messages"):
        value = body.get(name)
        if value is None or (name == "system" and isinstance(value, str)):
            continue
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise BadRequest(f"{name}: Input should be a valid list of objects")


def blocks_of(content: object) -> list[Block]:
    """Return content as blocks: a plain string is one block of text."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content) if isinstance(content, list) else []


def prompt_parts(body: Body) -> Iterator[Block]:
    """Yield the prompt's parts in the order in which they are cached: tools, system, messages."""
    yield from body.get("tools") or []
    yield from blocks_of(body.get("system") or [])
    for message in body["messages"]:
        for block in blocks_of(message["content"]):
            yield {"role": message["role"], **block}


def breakpoints(body: Body) -> Iterator[int]:
    """Yield the indices among `prompt_parts` that end a cached prefix."""
    last = -1
    for last, part in enumerate(prompt_parts(body)):
        control = part.get("cache_control")
        if control is not None:
            _check_control(control)
            yield last
    if body.get("cache_control") is not None:
        _check_control(body["cache_control"])
        yield last


def _check_control(control: object) -> None:
    if not isinstance(control, Mapping) or control.get("type") != "ephemeral":
        raise BadRequest("cache_control.type: Input should be 'ephemeral'")
    if control.get("ttl", "5m") not in ("5m", "1h"):
        raise BadRequest("cache_control.ttl: Input should be '5m' or '1h'")


def _check_max_tokens(body: Body) -> None:
    limit = body["max_tokens"]
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise BadRequest("max_tokens: Input should be a valid integer, greater than or equal to 0")


def _check_tools(body: Body) -> None:
    tools = body.get("tools") or []
    names = [tool.get("name") for tool in tools]
    for number, tool in enumerate(tools):
        at = f"tools.{number}"
        if tool.get("type", "custom") != "custom":
            continue
        extra = sorted(set(tool) - _TOOL_KEYS)
        if extra:
            raise BadRequest(f"{at}.custom.{extra[0]}: Extra inputs are not permitted")
        if not isinstance(tool.get("name"), str) or not tool["name"]:
            raise BadRequest(f"{at}.custom.name: Field required")
        schema = tool.get("input_schema")
        if not isinstance(schema, Mapping) or schema.get("type") != "object":
            raise BadRequest(f"{at}.custom.input_schema.type: Input should be 'object'")
        _check_loosely(tool["name"], schema, at)
        if tool.get("strict"):
            SchemaCheck(schema, f"{at}.custom.input_schema").run()
    if len(set(names)) != len(names):
        raise BadRequest("tools: Tool names must be unique.")
    if sum(bool(tool.get("strict")) for tool in tools) > STRICT_TOOLS_MAX:
        raise BadRequest(f"tools: at most {STRICT_TOOLS_MAX} strict tools are supported")


def _check_loosely(name: str, schema: Body, at: str) -> None:
    """Refuse what no tool may have, strict or not (agents-and-tools/tool-use)."""
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name):
        raise BadRequest(f"{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if {"oneOf", "anyOf", "allOf"} & set(schema):
        raise BadRequest(
            f"{at}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
        )
    for key in schema.get("properties") or {}:
        if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", key):
            raise BadRequest(
                f"{at}.custom.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'"
            )


def _check_tool_choice(body: Body) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    tools = body.get("tools") or []
    if choice.get("type") not in ("auto", "any", "none", "tool"):
        raise BadRequest("tool_choice.type: Input should be 'auto', 'any', 'none' or 'tool'")
    if not tools:
        raise BadRequest("tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool" and choice.get("name") not in [tool.get("name") for tool in tools]:
        raise BadRequest(f"Tool '{choice.get('name')}' not found in provided tools")


def _check_thinking(body: Body) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    if kind not in _THINKING:
        raise BadRequest(f"thinking.type: Input should be one of {', '.join(_THINKING)}")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < 1024:
            raise BadRequest("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= body.get("max_tokens", budget + 1):
            raise BadRequest("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if kind != "disabled" and (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise BadRequest("Thinking may not be enabled when tool_choice forces tool use.")


def _check_output(body: Body) -> None:
    config = body.get("output_config")
    if config is None:
        return
    extra = sorted(set(config) - {"effort", "format"})
    if extra:
        raise BadRequest(f"output_config.{extra[0]}: Extra inputs are not permitted")
    if config.get("effort") is not None and config["effort"] not in _EFFORTS:
        raise BadRequest(f"output_config.effort: Input should be one of {', '.join(_EFFORTS)}")
    wanted = config.get("format")
    if wanted is None:
        return
    if wanted.get("type") != "json_schema":
        raise BadRequest("output_config.format.type: Input should be 'json_schema'")
    extra = sorted(set(wanted) - {"type", "schema"})
    if extra:
        raise BadRequest(f"output_config.format.{extra[0]}: Extra inputs are not permitted")
    SchemaCheck(wanted.get("schema"), "output_config.format.schema").run()


def _check_messages(body: Body) -> None:
    messages = body["messages"]
    if not messages:
        raise BadRequest("messages: at least one message is required")
    asked: list[str] = []
    for number, message in enumerate(messages):
        at = f"messages.{number}"
        role = message.get("role")
        if role not in _BLOCKS:
            raise BadRequest(f"{at}.role: Input should be 'user', 'assistant' or 'system'")
        blocks = _check_content(message, at)
        _check_answers(blocks, asked, at, role)
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"] if role == "assistant" else []
    if messages[0]["role"] == "assistant":
        raise BadRequest('messages: first message must use the "user" role')
    if asked:
        raise BadRequest(_unanswered(f"messages.{len(messages) - 1}", asked))
    if messages[-1]["role"] != "user":
        raise BadRequest(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    if not body.get("tools") and any(part["type"] in ("tool_use", "tool_result") for part in _message_blocks(body)):
        raise BadRequest("Requests which include `tool_use` or `tool_result` blocks must define tools")


def _message_blocks(body: Body) -> Iterator[Block]:
    for message in body["messages"]:
        yield from blocks_of(message["content"])


def _check_content(message: Mapping[str, Any], at: str) -> list[Block]:
    content = message.get("content")
    if not isinstance(content, str | list):
        raise BadRequest(f"{at}.content: Field required")
    if not content:
        raise BadRequest(f"{at}: all messages must have non-empty content")
    blocks = blocks_of(content)
    for number, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind not in _BLOCKS[message["role"]]:
            raise BadRequest(f"{at}.content.{number}: `{kind}` blocks are not permitted in {message['role']} turns")
        if kind == "text" and not str(block.get("text", "")).strip():
            raise BadRequest(f"{at}: text content blocks must contain non-whitespace text")
        if kind == "text" and message["role"] == "user" and block.get("citations"):
            raise BadRequest(f"{at}.content.{number}.citations: Extra inputs are not permitted")
        if kind == "tool_use" and not isinstance(block.get("input"), Mapping):
            raise BadRequest(f"{at}.content.{number}.tool_use.input: Input should be a valid dictionary")
    return blocks


def _check_answers(blocks: list[Block], asked: list[str], at: str, role: str) -> None:
    answered = [block.get("tool_use_id") for block in blocks if block["type"] == "tool_result"]
    strange = [str(name) for name in answered if name not in asked]
    if strange:
        raise BadRequest(
            f"{at}.content: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(strange)}. "
            "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
        )
    if len(set(answered)) != len(answered):
        raise BadRequest(f"{at}.content: each tool_use must have a single result")
    open_ids = [name for name in asked if name not in answered]
    if open_ids:
        raise BadRequest(_unanswered(at, open_ids))
    first = [block["type"] for block in blocks[: len(answered)]]
    if any(kind != "tool_result" for kind in first):
        raise BadRequest(f"{at}.content: `tool_result` blocks must come first in the content of the {role} message")


def _unanswered(at: str, ids: list[str]) -> str:
    return (
        f"{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(ids)}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )
