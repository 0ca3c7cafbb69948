"""The questions that an analyst may ask, and who answers them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sreops.domain.evidence.evidence import Evidence


@dataclass(frozen=True)
class ToolSpec:
    """A question that an analyst may ask: ``schema`` is JSON Schema of its arguments, the same for every incident.

    ``strict``: the schema is of the subset that the model's API can enforce.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool = True


class ExtraTools(Protocol):
    """Read-only tools from elsewhere (MCP servers that the settings name)."""

    async def specs(self) -> Sequence[ToolSpec]:
        """Return those that are allowed; a server that does not answer has none."""
        ...

    async def call(self, name: str, arguments: Mapping[str, Any], *, timeout_s: float) -> str:
        """Return what the tool says. Raises QueryRefused (it says no) or ToolUnavailable."""
        ...


class Inquiry(Protocol):
    """Read-only questions about one incident; each answer is evidence with an id of its own."""

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """Return the tools that have something to answer from."""
        ...

    def scope(self) -> str:
        """Say what the questions may name; the text holds what others wrote."""
        ...

    def redact(self, text: str) -> str:
        """Mask secrets as the incident's evidence does: the same value has the same placeholder."""
        ...

    async def ask(self, name: str, arguments: object, *, timeout_s: float) -> Evidence:
        """Answer; a source that fails gives a ``gap``. Raises QueryRefused for what may not be asked, or was before."""
        ...
