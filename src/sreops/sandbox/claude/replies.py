"""From what is to be said to a message, and from a message to the events of a stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sreops.sandbox.claude import script
from sreops.sandbox.claude.cache import count_tokens


@dataclass
class Draft:
    """A reply before it is cut to `max_tokens` and billed."""

    content: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str = "end_turn"
    stop_details: dict[str, Any] | None = None


def draft(step: script.Step | None, answer: str, new_id: "Iterator[str]") -> Draft:
    """Return what the scripted step says, or the analyst's answer where nothing is scripted."""
    match step:
        case script.Say(content=content, stop_reason=reason):
            text = content if isinstance(content, str) else json.dumps(content)
            return Draft([_text(text)], reason)
        case script.Refuse(category=category, explanation=explanation, text=text):
            details = {"type": "refusal", "category": category, "explanation": explanation}
            return Draft([_text(text)] if text else [], "refusal", details)
        case script.UseTools(calls=calls, text=text):
            used = [
                {"type": "tool_use", "id": next(new_id), "name": name, "input": dict(given)} for name, given in calls
            ]
            return Draft([_text(text), *used] if text else used, "tool_use")
        case script.CutShort(keep=keep):
            return Draft([_text(answer[: int(len(answer) * keep)])], "max_tokens")
        case script.Override(fields=fields):
            return Draft([_text(json.dumps({**json.loads(answer), **fields}))])
    return Draft([_text(answer)])


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def cut_to(reply: Draft, max_tokens: int) -> int:
    """Cut the reply where it exceeds `max_tokens`; return its length in tokens."""
    spent = 0
    for number, block in enumerate(reply.content):
        cost = count_tokens(block.get("text") or block.get("thinking") or block.get("input") or "")
        if spent + cost > max_tokens:
            left = (max_tokens - spent) * 4
            if block["type"] == "text" and left > 0:
                block["text"] = block["text"][:left]
                reply.content = reply.content[: number + 1]
            else:
                reply.content = reply.content[:number]
            reply.stop_reason = "max_tokens"
            return max_tokens
        spent += cost
    return spent


def stream_events(message: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a streamed message; the first one's content must be empty."""
    opening = {**message, "content": [], "stop_reason": None, "stop_details": None}
    opening["usage"] = {**message["usage"], "output_tokens": 1}
    yield "message_start", {"message": opening}
    for index, block in enumerate(message["content"]):
        yield from _block_events(index, block)
        if index == 0:
            yield "ping", {}
    delta = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield "message_delta", {"delta": delta, "usage": {"output_tokens": message["usage"]["output_tokens"]}}
    yield "message_stop", {}


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    def delta(**fields: str) -> tuple[str, dict[str, Any]]:
        return "content_block_delta", {"index": index, "delta": fields}

    match block["type"]:
        case "text":
            yield "content_block_start", {"index": index, "content_block": {"type": "text", "text": ""}}
            for start in range(0, len(block["text"]), 24):
                yield delta(type="text_delta", text=block["text"][start : start + 24])
        case "tool_use":
            yield "content_block_start", {"index": index, "content_block": {**block, "input": {}}}
            raw = json.dumps(block["input"])
            for start in range(0, len(raw), 24):
                yield delta(type="input_json_delta", partial_json=raw[start : start + 24])
        case "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            yield "content_block_start", {"index": index, "content_block": empty}
            if block["thinking"]:
                yield delta(type="thinking_delta", thinking=block["thinking"])
            yield delta(type="signature_delta", signature=block["signature"])
    yield "content_block_stop", {"index": index}


async def sse(message: Mapping[str, Any], step: script.Step | None) -> AsyncIterator[bytes]:
    """Yield the stream's frames, slowly or ending early where the script says so."""
    for number, (name, fields) in enumerate(stream_events(message)):
        if isinstance(step, script.Slowly):
            await asyncio.sleep(step.pause_s)
        if isinstance(step, script.BreakStream) and number >= step.events:
            if step.error is not None:
                error = {"type": step.error, "message": "scripted failure in the stream"}
                yield _frame("error", {"error": error, "request_id": message["id"]})
            return
        yield _frame(name, fields)


def _frame(name: str, fields: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()
