"""What a test may put in the model's mouth, in the order of the requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RefusalCategory = Literal["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"]


@dataclass(frozen=True)
class Say:
    """Answer with this text, or this object as JSON, whether or not it fits the schema that was asked for."""

    content: str | Mapping[str, Any]
    stop_reason: str = "end_turn"


@dataclass(frozen=True)
class Refuse:
    """Refuse with status 200: `stop_reason` is refusal, and there may be text before it."""

    category: RefusalCategory | None = "cyber"
    explanation: str | None = "This request was declined."
    text: str = ""


@dataclass(frozen=True)
class UseTools:
    """Call tools: (name, input) each; `text` comes first where it is given."""

    calls: tuple[tuple[str, Mapping[str, Any]], ...]
    text: str = ""


@dataclass(frozen=True)
class CutShort:
    """Answer as the analyst would, but stop at `keep` of it with `stop_reason` max_tokens."""

    keep: float = 0.5


@dataclass(frozen=True)
class Override:
    """Answer as the analyst would, with these top-level fields of the structured answer replaced."""

    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Fail:
    """Answer with an API error; `type` follows from the status unless given."""

    status: int
    message: str = "scripted failure"
    type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BreakStream:
    """Answer as the analyst would, but end the stream after `events` events.

    With `error`, an `error` event of that type is the last one; without, the stream just ends, cleanly.
    """

    events: int = 3
    error: str | None = None


@dataclass(frozen=True)
class Slowly:
    """Answer as the analyst would, with `pause_s` (wall seconds) before each event of the stream."""

    pause_s: float


Step = Say | Refuse | UseTools | CutShort | Override | Fail | BreakStream | Slowly
