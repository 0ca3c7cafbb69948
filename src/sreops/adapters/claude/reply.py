"""What comes back from the Messages API, read and checked before anything in it is believed."""

import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ValidationError

from sreops.adapters.answers import mended
from sreops.domain.causes.analysis import Analysis
from sreops.domain.model.cost import TokenCount
from sreops.domain.text.redaction import clean, one_line
from sreops.errors import AnalystRefused

MAX_ANSWER_CHARS = 400_000


class Cure(StrEnum):
    """What a second try needs, after an answer that can't be used."""

    say_why = "say_why"
    more_room = "more_room"
    findings_only = "findings_only"


class Unusable(AnalystRefused):
    """The model answered, and the answer can't be used; ``repair`` is what may help when it is asked again."""

    def __init__(self, message: str, cure: Cure = Cure.say_why) -> None:
        self.repair = cure
        super().__init__(message)


class _Usage(BaseModel):
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cache_creation_input_tokens: int | None = 0
    cache_read_input_tokens: int | None = 0


class _Block(BaseModel):
    type: str
    text: str = ""


class ToolUse(BaseModel):
    """A question as the model put it: nothing in it is checked yet."""

    id: str
    name: str
    input: Any = None


class Reply(BaseModel):
    """The part of a message that is read; Messages API, version 2026-10-21. ``content`` goes back as it came."""

    model: str = ""
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_details: dict[str, Any] | None = None
    usage: _Usage = _Usage()

    @property
    def tokens(self) -> TokenCount:
        """What it took."""
        return TokenCount(
            input=max(0, self.usage.input_tokens or 0),
            cache_write=max(0, self.usage.cache_creation_input_tokens or 0),
            cache_read=max(0, self.usage.cache_read_input_tokens or 0),
            output=max(0, self.usage.output_tokens or 0),
        )

    @property
    def text(self) -> str:
        """All its text."""
        return "".join(block["text"] for block in self.content if block["type"] == "text")

    @property
    def questions(self) -> list[ToolUse]:
        """The tools it would use."""
        return [ToolUse.model_validate(block) for block in self.content if block["type"] == "tool_use"]


def read_reply(text: str) -> Reply:
    """Read a message; raises Unusable for what is none."""
    if len(text) > MAX_ANSWER_CHARS:
        raise Unusable(f"the model's answer is {len(text)} characters long; {MAX_ANSWER_CHARS} are read")
    try:
        reply = Reply.model_validate_json(mended(text))
        for block in reply.content:
            (ToolUse if block.get("type") == "tool_use" else _Block).model_validate(block)
    except ValidationError as exc:
        raise Unusable(f"the answer is not a message of the Messages API: {one_line(text, 120)!r}") from exc
    return reply


def check_end(reply: Reply) -> None:
    """Raise Unusable for a message that ended otherwise than with an answer."""
    reason = one_line(str(reply.stop_reason), 60)
    if reply.stop_reason == "refusal":
        category = one_line(str((reply.stop_details or {}).get("category")), 40)
        raise Unusable(f"the model refused to answer (category {category})", Cure.findings_only)
    if reply.stop_reason in ("max_tokens", "model_context_window_exceeded"):
        cure = Cure.more_room if reply.stop_reason == "max_tokens" else Cure.findings_only
        raise Unusable(f"the answer was cut off (stop_reason {reason})", cure)
    if reply.stop_reason not in ("end_turn", "stop_sequence"):
        raise Unusable(f"the answer was cut off (stop_reason {reason})")


def _named(runbook_id: str | None) -> str | None:
    """Return the id as it was given, or quoted where it is not fit to show: cleaned it could become one on offer."""
    if runbook_id is None or runbook_id == one_line(runbook_id, 200):
        return runbook_id
    return json.dumps(runbook_id)[:200]


def read_analysis(reply: Reply, evidence_ids: frozenset[str]) -> Analysis:
    """Check the answer against schema and evidence; an unknown runbook id is let through, for it escalates by name."""
    check_end(reply)
    text = reply.text
    try:
        found = Analysis.model_validate_json(mended(text))
        analysis = Analysis(
            **{
                **found.model_dump(),
                "root_cause": clean(found.root_cause).strip(),
                "reasoning": clean(found.reasoning),
                "runbook_id": _named(found.runbook_id),
                "evidence": tuple(dict.fromkeys(found.evidence)),
            }
        )
    except ValidationError as exc:
        where = ", ".join(".".join(str(part) for part in error["loc"]) or "the whole" for error in exc.errors()[:5])
        raise Unusable(f"the model's answer does not fit its schema ({where}): {one_line(text, 120)!r}") from exc
    unknown = [cited for cited in analysis.evidence if cited not in evidence_ids]
    if unknown:
        raise Unusable(f"the model cites evidence that does not exist: {one_line(', '.join(unknown), 120)}")
    if evidence_ids and not analysis.evidence:
        # also one that would do nothing, or says it does not know: what it rests on can't be looked at
        raise Unusable(f"the model concludes {analysis.category.value} and cites no evidence for it, by no id")
    if analysis.recommended_action.acts and not analysis.evidence:
        raise Unusable(f"the model recommends to {analysis.recommended_action.value}, and there is no evidence at all")
    return analysis
