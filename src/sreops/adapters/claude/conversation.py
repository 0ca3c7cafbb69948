"""One incident's conversation with the model: the request as it grows, and the questions that were answered."""

import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

from sreops.adapters.claude.prompt import SYSTEM, Fence, shown_evidence, user_message
from sreops.adapters.claude.reply import Cure, Reply, ToolUse, Unusable
from sreops.adapters.claude.schema import answer_schema
from sreops.domain.causes.analysis import Brief
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.model.cost import TokenCount, worst_case
from sreops.domain.text.redaction import Redactor, one_line
from sreops.errors import QueryRefused
from sreops.ports import Inquiry
from sreops.settings import LLMSettings
from sreops.telemetry import MODEL_TOOL_CALLS, log

QUESTION_REFUSED: Final = "model.question_refused"

MOST_OUTPUT = 21_000
"""Tokens that an answer has room for, also where it is asked for again."""
MOST_AT_ONCE = 4
"""Questions of one step that are answered."""
_ENOUGH = "No question is left: give the final answer now, from what you have, at the confidence which that bears."


class Conversation:
    """Builds the requests; ``asked`` counts the questions, ``found`` is the evidence that they gave."""

    def __init__(self, settings: LLMSettings, brief: Brief, inquiry: Inquiry | None) -> None:
        self._settings = settings
        self._brief = brief
        self._inquiry = inquiry if inquiry is not None and inquiry.tools and settings.max_steps else None
        redact = inquiry.redact if inquiry else _fresh(brief).redact
        self._fence = Fence(secrets.token_hex(8), redact)
        self._max_tokens = settings.max_tokens
        self.found: list[Evidence] = []
        self.asked = 0
        self._messages: list[dict[str, Any]] = [self._opening(findings_only=False)]
        may_come = _next_ids(brief, settings.max_tool_calls) if self._inquiry else ()
        self._schema = answer_schema(brief, may_come)

    @property
    def may_ask(self) -> bool:
        """Whether there are tools, and questions left."""
        return self._inquiry is not None and self.asked < self._settings.max_tool_calls

    @property
    def evidence_ids(self) -> frozenset[str]:
        """What may be cited."""
        return frozenset(item.id for item in (*self._brief.evidence, *self.found))

    def _opening(self, *, findings_only: bool) -> dict[str, Any]:
        scope = self._inquiry.scope() if self._inquiry else ""
        text = user_message(
            self._brief, mark=self._fence.mark, redact=self._fence.safe, scope=scope, findings_only=findings_only
        )
        return {"role": "user", "content": [{"type": "text", "text": text}]}

    def request(self, *, final: bool) -> dict[str, Any]:
        """Return the next request; a ``final`` one lets the model answer only."""
        request: dict[str, Any] = {
            "model": self._settings.model,
            "max_tokens": self._max_tokens,
            # The fixed part (tools and system) ends a cached prefix: an incident storm pays for it once.
            "system": [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}],
            "messages": self._messages,
            "output_config": {"format": {"type": "json_schema", "schema": self._schema}},
        }
        if self._inquiry is not None:
            request["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.schema,
                    **({"strict": True} if tool.strict else {}),
                }
                for tool in self._inquiry.tools
            ]
            request["tool_choice"] = {"type": "none"} if final else {"type": "auto"}
            request["messages"] = _cached_to_the_end(self._messages)
        return request

    def last_request(self) -> dict[str, Any]:
        """Return about what the final request will be, to keep room for it under the ceilings."""
        return self.request(final=True)

    def room_for_results(self) -> TokenCount:
        """Return what the answers to the next questions may add to the prompt."""
        return worst_case(MOST_AT_ONCE * self._settings.max_result_chars, 0)

    async def answer(self, reply: Reply, *, until_s: float) -> None:
        """Answer the model's questions, in the order in which it put them; all results make one message.

        ``until_s`` (monotonic seconds) is for all of them together.
        """
        questions = reply.questions
        results = [await self._result(question, until_s) for question in questions[:MOST_AT_ONCE]]
        over = f"not answered: at most {MOST_AT_ONCE} questions at once"
        results += [_tool_result(question, over, failed=True) for question in questions[MOST_AT_ONCE:]]
        self._go_on(reply, results if self.may_ask else [*results, {"type": "text", "text": _ENOUGH}])

    async def _result(self, question: ToolUse, until_s: float) -> dict[str, Any]:
        assert self._inquiry is not None
        timeout_s = until_s - time.monotonic()
        if not self.may_ask or timeout_s <= 0:
            return _tool_result(question, _ENOUGH, failed=True)
        self.asked += 1
        try:
            item = await self._inquiry.ask(question.name, question.input, timeout_s=timeout_s)
        except QueryRefused as exc:
            MODEL_TOOL_CALLS.labels(self._known(question), "refused").inc()
            log.info(QUESTION_REFUSED, tool=one_line(question.name, 60), error=str(exc))
            return _tool_result(question, self._fence.around(str(exc)[:1000]), failed=True)
        outcome = "gap" if item.kind is EvidenceKind.gap else "answered"
        MODEL_TOOL_CALLS.labels(self._known(question), outcome).inc()
        self.found.append(item)
        shown = shown_evidence(item, self._fence, room=self._settings.max_result_chars)
        return _tool_result(question, shown)

    def _known(self, question: ToolUse) -> str:
        """Return the tool's name for a metric's label; one that was made up must not become a series."""
        assert self._inquiry is not None
        return question.name if any(question.name == tool.name for tool in self._inquiry.tools) else "unknown"

    def try_again(self, reply: Reply, problem: Unusable) -> None:
        """Prepare the second try after an answer that can't be used."""
        if problem.repair is Cure.findings_only:
            # A refusal stays one while the text that caused it stands there.
            self.shorten()
            return
        if problem.repair is Cure.more_room:
            self._max_tokens = min(self._max_tokens * 2, MOST_OUTPUT)
            self._messages[-1]["content"].append(
                {"type": "text", "text": "Answer briefly: the reasoning in at most 150 words."}
            )
            return
        why = f"That can't be used: {_without_quotes(str(problem))}. Give the whole answer again, as the schema has it."
        results = [_tool_result(question, _ENOUGH, failed=True) for question in reply.questions]
        # where there are no tools at all, a question can't be told back either
        self._go_on(reply, [*(results if self._inquiry else []), {"type": "text", "text": why}])

    def shorten(self) -> None:
        """Begin anew on findings alone: no raw text, neither of the brief nor of what was answered since."""
        self._messages = [self._opening(findings_only=True)]
        for item in self.found:
            text = shown_evidence(item.model_copy(update={"text": ""}), self._fence)
            self._messages[0]["content"].append({"type": "text", "text": text})

    def _go_on(self, reply: Reply, content: list[dict[str, Any]]) -> None:
        """Append the model's turn, exactly as it came (its thinking is signed), and ours."""
        blocks = [
            block
            for block in reply.content
            if (block["text"].strip() if block["type"] == "text" else self._inquiry or block["type"] != "tool_use")
        ]
        if blocks:
            self._messages.append({"role": "assistant", "content": blocks})
            self._messages.append({"role": "user", "content": content})
        else:
            self._messages[-1]["content"].extend(content)


def _fresh(brief: Brief) -> Redactor:
    redactor = Redactor()
    redactor.skip(text for item in brief.evidence for text in (item.finding, item.text))
    return redactor


def _tool_result(question: ToolUse, text: str, *, failed: bool = False) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": question.id, "content": text, "is_error": failed}


def _without_quotes(problem: str) -> str:
    """Return what was wrong without the model's own words, which may be somebody else's."""
    return problem.partition(": '")[0].partition(': "')[0][:300]


def _next_ids(brief: Brief, most: int) -> Sequence[str]:
    taken = [int(item.id[1:]) for item in brief.evidence if item.id[:1] == "E" and item.id[1:].isdecimal()]
    first = max(taken, default=0) + 1
    return [f"E{number}" for number in range(first, first + most)]


def _cached_to_the_end(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages with a cache mark on the last block: the next step reads all of this from the cache."""
    *earlier, last = messages
    *blocks, block = last["content"]
    marked = {**block, "cache_control": {"type": "ephemeral"}}
    return [*earlier, {**last, "content": [*blocks, marked]}]
