"""The answer that is asked of the model, as the JSON Schema subset of structured outputs.

Source: platform.claude.com/docs, build-with-claude/structured-outputs: objects are closed and all their fields
required; lengths and ranges are not enforced there, so pydantic checks them afterwards.
"""

from collections.abc import Sequence
from typing import Any

from sreops.domain.analysis import Brief, Category, RecommendedAction


def answer_schema(brief: Brief, may_come: Sequence[str] = ()) -> dict[str, Any]:
    """Return the schema for one brief: it can name only runbooks on offer and evidence that exists, or ``may_come``.

    It stays the same over a conversation, which would otherwise lose its cached prefix at each step. Fields stand
    in the order in which they are best written: what was seen before what is concluded from it.
    """
    runbooks = [offered.id for offered in brief.offered]
    evidence: dict[str, Any] = {"type": "string"}
    ids = list(dict.fromkeys([*(item.id for item in brief.evidence), *may_come]))
    if ids:
        evidence["enum"] = ids
    null = {"type": "null"}
    properties: dict[str, Any] = {
        "evidence": {
            "type": "array",
            "items": evidence,
            "description": "Ids of the evidence that the conclusion rests on.",
        },
        "reasoning": {"type": "string", "description": "From the evidence to the cause, and what speaks against it."},
        "root_cause": {"type": "string", "description": "One sentence that names the cause and its decisive sign."},
        "category": {"type": "string", "enum": [member.value for member in Category]},
        "confidence": {"type": "number", "description": "0 to 1: how likely it is that this cause is right."},
        "recommended_action": {"type": "string", "enum": [member.value for member in RecommendedAction]},
        "runbook_id": {"anyOf": [{"type": "string", "enum": runbooks}, null]} if runbooks else null,
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
