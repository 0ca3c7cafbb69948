"""A Messages API (version 2026-10-21) that refuses what the real one refuses, with a keyword analyst for a model."""

import itertools
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from sreops.sandbox.claude.analyst import deterministic_analyst
from sreops.sandbox.claude.cache import PromptCache, count_tokens
from sreops.sandbox.claude.models import MODELS, Model, find_model
from sreops.sandbox.claude.refusals import ApiRefusal, BadRequest, error_type
from sreops.sandbox.claude.replies import Draft, cut_to, draft, sse
from sreops.sandbox.claude.requests import blocks_of, check, prompt_parts
from sreops.sandbox.claude.script import (
    BreakStream,
    CutShort,
    Fail,
    Override,
    Refuse,
    Say,
    Slowly,
    Step,
    UseTools,
)
from sreops.sandbox.clock import Clock, WallClock
from sreops.sandbox.faults import Faults

__all__ = [
    "BreakStream",
    "Claude",
    "CutShort",
    "Fail",
    "Override",
    "RecordedRequest",
    "Refuse",
    "Say",
    "Slowly",
    "Step",
    "UseTools",
    "claude_error",
    "deterministic_analyst",
]

API_VERSION = "2026-10-21"
BODY_BYTES_MAX = 32 * 1024 * 1024
Analyst = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it came in, whatever became of it; `body` is None where it was not a JSON object."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any] | None


def claude_error(status: int) -> tuple[bytes, str]:
    """Report an error as the API does."""
    error = {"type": error_type(status), "message": f"sandbox fault: {status}"}
    return json.dumps({"type": "error", "error": error, "request_id": "req_fault"}).encode(), "application/json"


class Claude:
    """One API with one key; `app` is the server, `faults` breaks its transport, `script` its answers.

    `analyst` gets the request's body and returns the text of the answer. `requests` holds all requests.
    """

    def __init__(self, api_key: str, analyst: Analyst = deterministic_analyst, *, clock: Clock | None = None) -> None:
        self.faults = Faults(claude_error)
        self.requests: list[RecordedRequest] = []
        self._api_key = api_key
        self._analyst = analyst
        self._clock = clock or WallClock()
        self._script: deque[Step] = deque()
        self._cache = PromptCache()
        self._thoughts: dict[str, str] = {}
        self._numbers = itertools.count(1)
        served = Starlette(
            routes=[
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count_tokens, methods=["POST"]),
                Route("/v1/models", self._list_models),
                Route("/v1/models/{name}", self._show_model),
            ],
            exception_handlers={ApiRefusal: self._refuse, 404: self._no_route, 405: self._no_route},
        )
        self.app: ASGIApp = self.faults.wrap(served)

    def script(self, *steps: Step) -> None:
        """Say what the next valid requests to `/v1/messages` are answered; after these the analyst answers again."""
        self._script.extend(steps)

    @property
    def unused_steps(self) -> int:
        """How many scripted steps were not asked for yet."""
        return len(self._script)

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):024d}"

    async def _receive(self, request: Request) -> dict[str, Any]:
        raw = await request.body()
        body: Any = None
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        recorded = body if isinstance(body, dict) else None
        self.requests.append(RecordedRequest(request.method, request.url.path, dict(request.headers), recorded))
        self._authenticate(request)
        if len(raw) > BODY_BYTES_MAX:
            raise ApiRefusal(413, "Request exceeds the maximum allowed number of bytes.")
        if request.method == "GET":
            return {}
        if recorded is None:
            raise BadRequest("The request body is not valid JSON, or not an object")
        return recorded

    def _authenticate(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise ApiRefusal(401, "Authorization header with a Bearer API key is required")
        if given != self._api_key:
            raise ApiRefusal(401, "invalid API key")
        version = request.headers.get("anthropic-version")
        if version is None:
            raise BadRequest("anthropic-version: header is required")
        if version != API_VERSION:
            raise BadRequest(f'anthropic-version: "{version}" is not a valid version')

    def _model(self, name: str) -> Model:
        model = find_model(name)
        if model is None or model.lifecycle(self._clock.now()) == "retired":
            raise ApiRefusal(404, f"model: {name}")
        return model

    def _check(self, body: dict[str, Any], *, counting: bool) -> Model:
        check(body, counting=counting)
        model = self._model(body["model"])
        if not counting and body["max_tokens"] > model.max_tokens:
            raise BadRequest(f"max_tokens: {body['max_tokens']} > {model.max_tokens}, the maximum for {model.id}")
        prompt = sum(count_tokens(part) for part in prompt_parts(body))
        if prompt > model.max_input_tokens:
            raise BadRequest(f"prompt is too long: {prompt} tokens > {model.max_input_tokens} maximum")
        self._check_thoughts(body)
        return model

    def _check_thoughts(self, body: dict[str, Any]) -> None:
        """Thinking must come back as it was given out; in a tool loop that thinks, it must come back at all."""
        thinks = (body.get("thinking") or {}).get("type") == "enabled"
        for number, message in enumerate(body["messages"]):
            if message["role"] != "assistant":
                continue
            blocks = blocks_of(message["content"])
            for at, block in enumerate(blocks):
                known = self._thoughts.get(block.get("signature", ""))
                if block["type"] == "thinking" and known != block.get("thinking"):
                    raise BadRequest(f"messages.{number}.content.{at}: Invalid `signature` in `thinking` block")
            used_tools = any(block["type"] == "tool_use" for block in blocks)
            if thinks and used_tools and blocks[0]["type"] not in ("thinking", "redacted_thinking"):
                raise BadRequest(
                    f"messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, "
                    f"but found `{blocks[0]['type']}`."
                )

    async def _messages(self, request: Request) -> Response:
        body = await self._receive(request)
        model = self._check(body, counting=False)
        step = self._script.popleft() if self._script else None
        if isinstance(step, Fail):
            raise ApiRefusal(step.status, step.message, step.type, step.headers)
        answer = self._analyst(body) if not isinstance(step, Say | Refuse | UseTools) else ""
        reply = draft(step, answer, iter(lambda: self._new_id("toolu"), ""))
        self._think(body, reply)
        message = self._message(body, model, reply)
        headers = self._headers()
        if body.get("stream"):
            return StreamingResponse(sse(message, step), media_type="text/event-stream", headers=headers)
        return JSONResponse(message, headers=headers)

    def _think(self, body: dict[str, Any], reply: Draft) -> None:
        thinking = body.get("thinking") or {}
        if thinking.get("type", "disabled") == "disabled" or reply.stop_reason == "refusal":
            return
        shown = "" if thinking.get("display") == "omitted" else "Reading the evidence in order of what it explains."
        signature = self._new_id("sig")
        self._thoughts[signature] = shown
        reply.content.insert(0, {"type": "thinking", "thinking": shown, "signature": signature})

    def _message(self, body: dict[str, Any], model: Model, reply: Draft) -> dict[str, Any]:
        spent = cut_to(reply, body["max_tokens"])
        usage = self._cache.bill(body, self._clock.now(), model.min_cached_tokens)
        return {
            "id": self._new_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": model.id,
            "content": reply.content,
            "stop_reason": reply.stop_reason,
            "stop_sequence": None,
            "stop_details": reply.stop_details,
            "container": None,
            "usage": {**usage, "output_tokens": spent, "service_tier": "standard"},
        }

    async def _count_tokens(self, request: Request) -> Response:
        body = await self._receive(request)
        self._check(body, counting=True)
        counted = sum(count_tokens(part) for part in prompt_parts(body))
        return JSONResponse({"input_tokens": counted}, headers=self._headers())

    async def _list_models(self, request: Request) -> Response:
        await self._receive(request)
        now = self._clock.now()
        shown = [model.shown(now) for model in sorted(MODELS, key=lambda model: model.created_at, reverse=True)]
        limit = request.query_params.get("limit", "20")
        if not limit.isdigit() or not 1 <= int(limit) <= 1000:
            raise BadRequest("limit: Input should be between 1 and 1000")
        ids = [model["id"] for model in shown]
        after = request.query_params.get("after_id")
        start = ids.index(after) + 1 if after in ids else 0
        page = shown[start : start + int(limit)]
        return JSONResponse(
            {
                "data": page,
                "has_more": start + len(page) < len(shown),
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
            },
            headers=self._headers(),
        )

    async def _show_model(self, request: Request) -> Response:
        await self._receive(request)
        model = find_model(request.path_params["name"])
        if model is None:
            raise ApiRefusal(404, f"model: {request.path_params['name']}")
        return JSONResponse(model.shown(self._clock.now()), headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {
            "request-id": self._new_id("req"),
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            "anthropic-ratelimit-input-tokens-remaining": "1990000",
        }

    async def _refuse(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, ApiRefusal):
            raise error
        request_id = self._new_id("req")
        shown = {"type": error.type, "message": error.message, "details": None}
        return JSONResponse(
            {"type": "error", "error": shown, "request_id": request_id},
            error.status,
            {"request-id": request_id, **error.headers},
        )

    async def _no_route(self, request: Request, error: Exception) -> Response:
        return await self._refuse(request, ApiRefusal(404, f"Not found: {request.method} {request.url.path}"))
