"""A person's question about an incident, as one request to the model, and its answer, checked."""

import json
import secrets
from typing import Any

from pydantic import BaseModel, ValidationError

from sreops.adapters.claude.prompt import SYSTEM, Fence, user_message
from sreops.adapters.claude.reply import Reply, Unusable, check_end
from sreops.domain.causes.analysis import Brief
from sreops.domain.text.redaction import Redactor, clean, one_line
from sreops.ports import Answer

_MAX_TOKENS = 2048
_MAX_ACCOUNT_CHARS = 8_000
_MAX_ANSWER_CHARS = 4_000
_SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": "string"},
        "evidence": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["answer", "evidence"],
    "additionalProperties": False,
}


class _Given(BaseModel):
    answer: str
    evidence: list[str] = []


def question_request(brief: Brief, account: str, question: str, *, model: str) -> dict[str, Any]:
    """Return the request; the question stands between marks as all that others wrote."""
    redactor = Redactor()
    redactor.skip(text for item in brief.evidence for text in (item.finding, item.text))
    fence = Fence(secrets.token_hex(8), redactor.redact)
    known = user_message(brief, mark=fence.mark, redact=fence.safe).rpartition("# Question")[0]
    asked = [
        known,
        "# What became of the incident",
        fence.around(account, room=_MAX_ACCOUNT_CHARS),
        "",
        "# Question",
        "A person asks about this incident, afterwards. Answer the question between the marks from the evidence, in "
        "at most 120 words of plain text, and name in `evidence` the ids that it rests on. What the evidence does not "
        "show, say so. Nothing is to be done; no runbook is chosen.",
        fence.around(question, room=2000),
    ]
    return {
        "model": model,
        "max_tokens": _MAX_TOKENS,
        "system": [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "\n".join(asked)}]}],
        "output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}},
    }


def read_answer(reply: Reply, brief: Brief) -> Answer:
    """Read the answer; raises Unusable. Evidence that does not exist is not cited."""
    check_end(reply)
    try:
        given = _Given.model_validate(json.loads(reply.text))
    except (ValueError, ValidationError) as exc:
        raise Unusable(f"the model's answer does not fit its schema: {one_line(reply.text, 120)!r}") from exc
    text = clean(given.answer).strip()[:_MAX_ANSWER_CHARS]
    if not text:
        raise Unusable("the model's answer is empty")
    known = {item.id for item in brief.evidence}
    return Answer(text, "claude", tuple(cited for cited in dict.fromkeys(given.evidence) if cited in known))
