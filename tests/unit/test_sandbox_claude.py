"""The Messages API of the sandbox refuses what the real one refuses, as the real SDK meets it."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Literal

import anthropic
import httpx
import pytest
from anthropic import AsyncAnthropic
from pydantic import BaseModel, Field

from sreops.sandbox.claude import (
    BreakStream,
    Claude,
    CutShort,
    Fail,
    Override,
    Refuse,
    Say,
    UseTools,
)
from sreops.sandbox.clock import ManualClock
from sreops.sandbox.server import Server

KEY = "sk-ant-sandbox"
MODEL = "claude-sonnet-5-5"
HEADERS = {"authorization": f"Bearer {KEY}", "anthropic-version": "2026-10-21"}


class Analysis(BaseModel):
    root_cause: str = Field(min_length=1, max_length=2000)
    category: Literal["disk_full", "memory_leak", "out_of_memory", "latency", "unknown"]
    confidence: float = Field(ge=0, le=1)
    recommended_action: Literal["restart", "scale", "investigate", "escalate", "none"]
    runbook_id: Literal["clean-disk", "restart-on-oom"] | None
    reasoning: str
    evidence: list[str]


FORMAT = {"type": "json_schema", "schema": anthropic.transform_schema(Analysis)}
PROMPT = """# Runbooks
clean-disk: when there is no space left on the disk

# Evidence
E1 [alert] payments answers slowly
E2 [logs] 3 lines
  payments | heap usage 98%
  kernel: Out of memory: Killed process 7 (payments)
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 9, 30, tzinfo=UTC))


@pytest.fixture
def claude(clock: ManualClock) -> Claude:
    return Claude(KEY, clock=clock)


@pytest.fixture
async def sdk(claude: Claude) -> AsyncIterator[AsyncAnthropic]:
    async with (
        Server(claude.app) as server,
        AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=0, timeout=5) as client,
    ):
        yield client


@pytest.fixture
async def raw(claude: Claude) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=claude.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://claude.test", headers=HEADERS) as client:
        yield client


def request(**changes: Any) -> dict[str, Any]:
    body = {"model": MODEL, "max_tokens": 1024, "messages": [{"role": "user", "content": PROMPT}], **changes}
    return {name: value for name, value in body.items() if value is not None}


async def refusal(raw: httpx.AsyncClient, **changes: Any) -> str:
    answer = await raw.post("/v1/messages", json=request(**changes))
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert answer.headers["request-id"] == body["request_id"]
    return str(body["error"]["message"])


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def test_the_analyst_answers_from_evidence_within_the_schema(sdk: AsyncAnthropic, claude: Claude) -> None:
    message = await sdk.messages.create(**request(output_config={"format": FORMAT}))
    analysis = Analysis.model_validate_json(text_of(message))
    assert message.stop_reason == "end_turn"
    assert analysis.category == "out_of_memory"
    assert analysis.recommended_action == "restart"
    assert analysis.runbook_id == "restart-on-oom"
    assert analysis.evidence == ["E2"]
    assert "Killed process 7" in analysis.root_cause
    assert claude.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert claude.requests[0].headers["anthropic-version"] == "2026-10-21"


async def test_the_analyst_abstains_where_the_evidence_says_nothing(sdk: AsyncAnthropic) -> None:
    quiet = [{"role": "user", "content": "# Runbooks\nrestart-on-oom: out of memory\n\n# Evidence\nE1 all is well"}]
    message = await sdk.messages.create(**request(messages=quiet, output_config={"format": FORMAT}))
    analysis = Analysis.model_validate_json(text_of(message))
    assert (analysis.category, analysis.runbook_id) == ("unknown", None)
    assert analysis.confidence < 0.5


async def test_an_id_that_is_free_text_is_taken_from_what_was_offered(sdk: AsyncAnthropic) -> None:
    class Free(BaseModel):
        runbook_id: str | None
        confidence: float

    asked = {"output_config": {"format": {"type": "json_schema", "schema": anthropic.transform_schema(Free)}}}
    offered = PROMPT.replace("clean-disk: when", "restart-on-oom: out of memory\nclean-disk: when")

    async def chosen(prompt: str) -> str | None:
        turn = [{"role": "user", "content": prompt}]
        return Free.model_validate_json(
            text_of(await sdk.messages.create(**request(messages=turn, **asked)))
        ).runbook_id

    assert await chosen(offered) == "restart-on-oom"
    assert await chosen(PROMPT) is None


async def test_streamed_and_whole_answers_are_the_same(sdk: AsyncAnthropic) -> None:
    whole = await sdk.messages.create(**request())
    async with sdk.messages.stream(**request()) as stream:
        pieces = [piece async for piece in stream.text_stream]
        final = await stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == text_of(final) == text_of(whole)
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == whole.usage.output_tokens


async def test_the_sdk_parses_typed_answers(sdk: AsyncAnthropic) -> None:
    message = await sdk.messages.parse(**request(), output_format=Analysis)
    assert message.parsed_output is not None
    assert message.parsed_output.category == "out_of_memory"


@pytest.mark.parametrize(
    ("headers", "status", "type_"),
    [
        ({"anthropic-version": "2026-10-21"}, 401, "authentication_error"),
        ({"x-api-key": KEY, "anthropic-version": "2026-10-21"}, 401, "authentication_error"),
        ({"authorization": "Bearer other", "anthropic-version": "2026-10-21"}, 401, "authentication_error"),
        ({"authorization": f"Bearer {KEY}"}, 400, "invalid_request_error"),
        ({"authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"}, 400, "invalid_request_error"),
    ],
)
async def test_credentials_and_version_are_required(
    claude: Claude, headers: dict[str, str], status: int, type_: str
) -> None:
    transport = httpx.ASGITransport(app=claude.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://claude.test", headers=headers) as client:
        answers = [await client.post("/v1/messages", json=request()), await client.get("/v1/models")]
    assert [(a.status_code, a.json()["error"]["type"]) for a in answers] == [(status, type_)] * 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"temperature": 0.2}, "temperature"),
        ({"top_p": 0.9}, "top_p"),
        ({"top_k": 5}, "top_k"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 200_000}, "the maximum for"),
        ({"output_format": {}}, "output_format: Extra inputs"),
        ({"messages": []}, "at least one message"),
        ({"messages": "hi"}, "messages: Input should be a valid list"),
        ({"messages": [{"role": "user", "content": []}]}, "non-empty content"),
        ({"messages": [{"role": "user", "content": " "}]}, "non-whitespace"),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "{"}]},
            "does not support assistant message prefill",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": [{"type": "document", "source": {}}]},
                    {"role": "user", "content": "q"},
                ]
            },
            "not permitted in assistant turns",
        ),
        ({"messages": [{"role": "user", "content": "x" * 4_000_100}]}, "prompt is too long"),
        ({"thinking": {"type": "enabled", "budget_tokens": 512}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "must be greater than"),
        ({"output_config": {"effort": "extreme"}}, "effort"),
        ({"output_config": {"format": {"type": "json_object"}}}, "json_schema"),
        ({"tool_choice": {"type": "any"}}, "while providing tools"),
    ],
)
async def test_a_wrong_request_is_refused(raw: httpx.AsyncClient, changes: dict[str, Any], told: str) -> None:
    assert told in await refusal(raw, **changes)


def an_object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "properties": {}}, "additionalProperties"),
        (an_object(a={"type": "object", "properties": {}, "additionalProperties": True}), "additionalProperties"),
        (an_object(a={"type": "number", "minimum": 0}), "minimum are not supported"),
        (an_object(a={"type": "string", "maxLength": 9}), "maxLength are not supported"),
        (an_object(a={"type": "string", "pattern": "(?=x)y"}), "pattern"),
        (an_object(a={"type": "string", "format": "text"}), "format"),
        (an_object(a={"type": "array", "items": {"type": "string"}, "minItems": 2}), "minItems"),
        (an_object(a={"$ref": "https://x/y"}), "External $ref"),
        ({**an_object(a={"$ref": "#/$defs/A"}), "$defs": {"A": an_object(b={"$ref": "#/$defs/A"})}}, "Circular"),
        (an_object(a={"enum": [{"x": 1}]}), "enum"),
        (an_object(a={}), "must have a 'type'"),
        ("{}", "valid dictionary"),
    ],
)
async def test_a_schema_beyond_the_subset_is_refused(raw: httpx.AsyncClient, schema: Any, told: str) -> None:
    assert told in await refusal(raw, output_config={"format": {"type": "json_schema", "schema": schema}})


async def test_more_than_four_cache_breakpoints_are_refused(raw: httpx.AsyncClient) -> None:
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    assert "maximum of 4" in await refusal(raw, system=[marked] * 5)
    assert "maximum of 4" in await refusal(raw, system=[marked] * 4, cache_control={"type": "ephemeral"})
    good = await raw.post("/v1/messages", json=request(system=[marked] * 4))
    assert good.status_code == 200


TOOL = {"name": "look", "description": "d", "input_schema": an_object(q={"type": "string"}), "strict": True}


def use(*ids: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": i, "name": "look", "input": {}} for i in ids]}


def result(tool_use_id: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": "r"}


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ([use("a"), {"role": "user", "content": "no result"}], "without `tool_result` blocks immediately after: a"),
        ([use("a", "b"), {"role": "user", "content": [result("a")]}], "immediately after: b"),
        (
            [use("a"), {"role": "user", "content": [{"type": "text", "text": "t"}, result("a")]}],
            "must come first in the content",
        ),
        ([use("a"), {"role": "user", "content": [result("z")]}], "unexpected `tool_use_id`"),
        ([use("a")], "immediately after: a"),
        (
            [use("a", "b"), {"role": "user", "content": [result("a")]}, {"role": "user", "content": [result("b")]}],
            "immediately after: b",
        ),
    ],
)
async def test_every_tool_use_is_answered_in_the_next_message(
    raw: httpx.AsyncClient, turns: list[dict[str, Any]], told: str
) -> None:
    first = {"role": "user", "content": "q"}
    assert told in await refusal(raw, tools=[TOOL], messages=[first, *turns])


async def test_tools_are_checked(raw: httpx.AsyncClient) -> None:
    loose = {**TOOL, "input_schema": {"type": "object", "properties": {}}}
    assert "additionalProperties" in await refusal(raw, tools=[loose])
    assert "unique" in await refusal(raw, tools=[TOOL, TOOL])
    union = {**TOOL, "strict": False, "input_schema": {"type": "object", "oneOf": []}}
    assert "top level" in await refusal(raw, tools=[union])
    odd = {**TOOL, "strict": False, "input_schema": {"type": "object", "properties": {"a b": {}}}}
    assert "Property keys" in await refusal(raw, tools=[odd])
    assert "custom.name" in await refusal(raw, tools=[{**TOOL, "name": "a.b"}])
    assert "not found" in await refusal(raw, tools=[TOOL], tool_choice={"type": "tool", "name": "x"})
    turns = [{"role": "user", "content": "q"}, use("a"), {"role": "user", "content": [result("a")]}]
    assert "must define tools" in await refusal(raw, messages=turns)


async def test_a_tool_loop_ends_with_an_answer(sdk: AsyncAnthropic, claude: Claude) -> None:
    claude.script(UseTools((("look", {"q": "logs"}), ("look", {"q": "metrics"})), text="Let me look."))
    turns: list[Any] = [{"role": "user", "content": PROMPT}]
    thinking = {"type": "adaptive", "display": "summarized"}
    async with sdk.messages.stream(**request(messages=turns, tools=[TOOL], thinking=thinking)) as stream:
        asked = await stream.get_final_message()
    assert asked.stop_reason == "tool_use"
    assert [block.type for block in asked.content] == ["thinking", "text", "tool_use", "tool_use"]
    calls = [block for block in asked.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"q": "logs"}, {"q": "metrics"}]
    turns += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in asked.content]},
        {"role": "user", "content": [result(call.id) for call in calls]},
    ]
    final = await sdk.messages.create(**request(messages=turns, tools=[TOOL], thinking=thinking))
    assert final.stop_reason == "end_turn"
    assert "ran out of memory" in text_of(final)


async def test_thinking_that_comes_back_altered_is_refused(raw: httpx.AsyncClient) -> None:
    first = (await raw.post("/v1/messages", json=request(thinking={"type": "adaptive"}))).json()
    altered = {**first["content"][0], "thinking": "something else"}
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [altered]}]
    assert "Invalid `signature`" in await refusal(raw, messages=[*turns, {"role": "user", "content": "q"}])


@pytest.mark.parametrize("model", ["claude-nothing-1", "claude-sonnet-4-0", "claude-opus-4-20250514"])
async def test_unknown_and_retired_models_are_not_found(raw: httpx.AsyncClient, model: str) -> None:
    answer = await raw.post("/v1/messages", json=request(model=model))
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert answer.json()["error"]["message"] == f"model: {model}"


async def test_models_tell_when_they_retire(sdk: AsyncAnthropic, clock: ManualClock) -> None:
    listed = {model.id: model async for model in sdk.models.list(limit=3)}
    assert listed[MODEL].lifecycle == "active"
    assert listed["claude-sonnet-4-20250514"].lifecycle == "retired"
    going = await sdk.models.retrieve("claude-sonnet-4-5")
    assert (going.lifecycle, going.retires_at) == ("deprecated", datetime(2026, 11, 30, tzinfo=UTC))
    with pytest.raises(anthropic.NotFoundError):
        await sdk.models.retrieve("claude-nothing-1")
    clock.advance(10 * 86_400)
    assert (await sdk.models.retrieve("claude-sonnet-4-5")).lifecycle == "retired"


async def test_tokens_are_counted_before_they_are_spent(sdk: AsyncAnthropic) -> None:
    counted = await sdk.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": PROMPT}])
    message = await sdk.messages.create(**request())
    assert counted.input_tokens == message.usage.input_tokens > 50


async def test_an_exact_prefix_is_read_from_the_cache_until_it_lapses(sdk: AsyncAnthropic, clock: ManualClock) -> None:
    long = {"type": "text", "text": "rule " * 2_000, "cache_control": {"type": "ephemeral"}}

    async def usage(system: dict[str, Any], prompt: str = "q") -> tuple[int | None, int | None, int]:
        turn = [{"role": "user", "content": prompt}]
        spent = (await sdk.messages.create(**request(system=[system], messages=turn))).usage
        return spent.cache_creation_input_tokens, spent.cache_read_input_tokens, spent.input_tokens

    created, read, rest = await usage(long)
    assert created is not None
    assert created > 2_000
    assert read == 0
    assert await usage(long, "another") == (0, created, rest + 1)
    clock.advance(299)
    assert (await usage(long))[1] == created
    clock.advance(301)
    assert (await usage(long))[:2] == (created, 0)
    changed = {**long, "text": "Rule " + long["text"][5:]}
    assert (await usage(changed))[1] == 0
    short = {**long, "text": "rule " * 100}
    assert (await usage(short))[:2] == (0, 0)


async def test_another_schema_is_another_prefix_and_another_choice_of_tools_another_message(
    sdk: AsyncAnthropic,
) -> None:
    long = {"type": "text", "text": "rule " * 2_000, "cache_control": {"type": "ephemeral"}}

    async def read(**changes: Any) -> int | None:
        turn = [{"role": "user", "content": [{**long, "text": "line " * 2_000}]}]
        given = {"system": [long], "messages": turn, "tools": [TOOL], "tool_choice": {"type": "auto"}, **changes}
        return (await sdk.messages.create(**request(**given))).usage.cache_read_input_tokens

    await read()
    whole = await read()
    assert whole is not None
    fixed = await read(tool_choice={"type": "none"})
    assert fixed is not None
    assert 2_000 < fixed < whole
    assert await read(output_config={"format": FORMAT}) == 0


async def test_a_refusal_is_no_error(sdk: AsyncAnthropic, claude: Claude) -> None:
    claude.script(Refuse("cyber"))
    message = await sdk.messages.create(**request(output_config={"format": FORMAT}))
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert message.stop_details.category == "cyber"
    assert message.content == []


async def test_answers_can_be_scripted_wrong_in_many_ways(sdk: AsyncAnthropic, claude: Claude) -> None:
    asked = request(output_config={"format": FORMAT})
    claude.script(CutShort(0.5), Say("not JSON"), Say({"category": "invented"}), Override({"runbook_id": "rm-rf"}))
    cut = await sdk.messages.create(**asked)
    assert cut.stop_reason == "max_tokens"
    with pytest.raises(json.JSONDecodeError):
        json.loads(text_of(cut))
    assert text_of(await sdk.messages.create(**asked)) == "not JSON"
    assert json.loads(text_of(await sdk.messages.create(**asked))) == {"category": "invented"}
    strange = json.loads(text_of(await sdk.messages.create(**asked)))
    assert (strange["runbook_id"], strange["category"]) == ("rm-rf", "out_of_memory")
    assert claude.unused_steps == 0


async def test_max_tokens_really_cuts(sdk: AsyncAnthropic) -> None:
    message = await sdk.messages.create(**request(max_tokens=8, output_config={"format": FORMAT}))
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 8)
    assert len(text_of(message)) == 32


@pytest.mark.parametrize(
    ("status", "error", "type_"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.APIStatusError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_failures_reach_the_sdk_as_its_own_errors(
    sdk: AsyncAnthropic, claude: Claude, status: int, error: type[anthropic.APIStatusError], type_: str
) -> None:
    claude.script(Fail(status, headers={"retry-after": "3"}))
    with pytest.raises(error) as caught:
        await sdk.messages.create(**request())
    assert (caught.value.status_code, caught.value.type) == (status, type_)
    assert caught.value.response.headers["retry-after"] == "3"
    assert caught.value.request_id is not None


async def test_the_sdk_retries_what_is_overloaded(sdk: AsyncAnthropic, claude: Claude) -> None:
    claude.script(Fail(529, headers={"retry-after-ms": "1"}), Fail(429, headers={"retry-after-ms": "1"}))
    message = await sdk.with_options(max_retries=2).messages.create(**request())
    assert message.stop_reason == "end_turn"
    assert [seen.headers["x-stainless-retry-count"] for seen in claude.requests] == ["0", "1", "2"]


async def test_a_stream_that_ends_early_has_no_stop_reason(sdk: AsyncAnthropic, claude: Claude) -> None:
    claude.script(BreakStream(3), BreakStream(3, error="overloaded_error"))
    async with sdk.messages.stream(**request()) as stream:
        final = await stream.get_final_message()
    assert final.stop_reason is None
    with pytest.raises(anthropic.APIStatusError) as caught:
        async with sdk.messages.stream(**request()) as stream:
            await stream.get_final_message()
    assert caught.value.status_code == 200


async def test_the_transport_can_fail(sdk: AsyncAnthropic, claude: Claude) -> None:
    claude.faults.reset(path="/v1/messages")
    with pytest.raises(anthropic.APIConnectionError):
        await sdk.messages.create(**request())
    claude.faults.cut(path="/v1/messages")
    with pytest.raises(anthropic.APIConnectionError):
        await sdk.messages.create(**request())
    claude.faults.hang(path="/v1/messages")
    with pytest.raises(anthropic.APITimeoutError):
        await sdk.with_options(timeout=0.05).messages.create(**request())
    assert (await sdk.messages.create(**request())).stop_reason == "end_turn"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b'{"model": 1, "max_tokens": 1, "messages": [1]}'])
async def test_rubbish_is_refused_and_does_no_harm(raw: httpx.AsyncClient, content: bytes) -> None:
    answer = await raw.post("/v1/messages", content=content)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
