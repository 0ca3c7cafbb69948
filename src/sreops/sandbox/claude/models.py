"""The models that this API knows: who answers, who is about to retire, who has."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_EFFORTS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True)
class Model:
    """One model; times are aware UTC."""

    id: str
    display_name: str
    line: str
    created_at: datetime
    retires_at: datetime | None = None
    deprecated_at: datetime | None = None
    max_input_tokens: int = 1_000_000
    max_tokens: int = 128_000
    min_cached_tokens: int = 1_024

    def lifecycle(self, now: datetime) -> str:
        """Return active, deprecated or retired, as of `now`."""
        if self.retires_at is not None and self.retires_at <= now:
            return "retired"
        return "deprecated" if self.deprecated_at is not None and self.deprecated_at <= now else "active"

    def shown(self, now: datetime) -> dict[str, Any]:
        """Return the model as `/v1/models` shows it."""
        lifecycle = self.lifecycle(now)
        yes = {"supported": True}
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.display_name,
            "line": self.line,
            "created_at": _stamp(self.created_at),
            "lifecycle": lifecycle,
            "deprecated_at": None if lifecycle == "active" else _stamp(self.deprecated_at),
            "retires_at": None if lifecycle == "active" else _stamp(self.retires_at),
            "max_input_tokens": self.max_input_tokens,
            "max_tokens": self.max_tokens,
            "capabilities": {
                "batch": yes,
                "citations": yes,
                "code_execution": yes,
                "context_management": yes,
                "effort": {**yes, **dict.fromkeys(_EFFORTS, yes)},
                "image_input": yes,
                "pdf_input": yes,
                "server_tools": yes,
                "structured_outputs": yes,
                "thinking": {**yes, "types": {"adaptive": yes, "enabled": yes}},
            },
        }


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


MODELS = (
    Model("claude-fable-5-2", "Claude Fable 5.2", "fable", _day(2026, 11, 10)),
    Model("claude-haiku-5-5", "Claude Haiku 5.5", "haiku", _day(2026, 10, 14), max_input_tokens=200_000),
    Model("claude-sonnet-5-5", "Claude Sonnet 5.5", "sonnet", _day(2026, 10, 14)),
    Model("claude-opus-5-5", "Claude Opus 5.5", "opus", _day(2026, 9, 30)),
    Model("claude-sonnet-5", "Claude Sonnet 5", "sonnet", _day(2026, 6, 30)),
    Model("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "haiku", _day(2025, 10, 1), max_input_tokens=200_000,
          max_tokens=64_000, min_cached_tokens=4_096),
    Model("claude-mythos-preview", "Claude Mythos Preview", "mythos", _day(2026, 3, 1), _day(2026, 6, 30),
          _day(2026, 5, 1)),
    Model("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "sonnet", _day(2025, 9, 29), _day(2026, 11, 30),
          _day(2026, 8, 1), 200_000, 64_000),
    Model("claude-opus-4-20250514", "Claude Opus 4", "opus", _day(2025, 5, 14), _day(2026, 6, 15), _day(2026, 4, 1),
          200_000, 32_000),
    Model("claude-sonnet-4-20250514", "Claude Sonnet 4", "sonnet", _day(2025, 5, 14), _day(2026, 6, 15),
          _day(2026, 4, 1), 200_000, 64_000),
)  # fmt: skip
ALIASES = {
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-sonnet-4-0": "claude-sonnet-4-20250514",
    "claude-opus-4-0": "claude-opus-4-20250514",
}


def find_model(name: str) -> Model | None:
    """Return the model of that id or alias."""
    wanted = ALIASES.get(name, name)
    return next((model for model in MODELS if model.id == wanted), None)
