"""The answer that is asked of the model, as the JSON Schema subset of structured outputs.

Source: platform.claude.com/docs, build-with-claude/structured-outputs: objects are closed and all their fields
required; lengths and ranges are not enforced there, so pydantic checks them afterwards.
"""

from collections.abc import Sequence
from typing import Any

from sreops.domain.causes.analysis import Brief, Category, RecommendedAction

_BLOCK = 32
"""Evidence of an incident and answers to its questions are seldom more."""


def answer_schema(brief: Brief, may_come: Sequence[str] = ()) -> dict[str, Any]:
    """Return the schema for one brief: it can name only runbooks on offer, and ids that evidence has or ``may_come``.

    The API counts the schema to the prompt's beginning: another schema is another prefix, compiled and cached anew.
    So ids are enumerated by whole blocks, the same for nearly all incidents; whether one exists is checked when the
    answer is there. Fields stand in the order in which they are best written: what was seen before what is
    concluded from it.
    """
    runbooks = [offered.id for offered in brief.offered]
    evidence = {"type": "string", "enum": _ids([*(item.id for item in brief.evidence), *may_come])}
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


def _ids(needed: Sequence[str]) -> list[str]:
    """Return E1, E2, … to the end of the last block that is needed, and whatever is named otherwise."""
    numbers = [int(name[1:]) for name in needed if name[:1] == "E" and name[1:].isdecimal()]
    blocks = -(-max(numbers, default=1) // _BLOCK)
    ids = [f"E{number}" for number in range(1, blocks * _BLOCK + 1)]
    return list(dict.fromkeys([*ids, *needed]))
