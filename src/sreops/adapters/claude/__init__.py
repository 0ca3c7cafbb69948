"""The model: Anthropic's Messages API as an analyst."""

from sreops.adapters.claude.analyst import ClaudeAnalyst

__all__ = ["ClaudeAnalyst"]
