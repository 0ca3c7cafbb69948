"""Who draws the conclusion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sreops.domain.causes.analysis import Analysis, Brief
from sreops.ports.health import Health
from sreops.ports.tools import Inquiry


@dataclass(frozen=True)
class AnalystAnswer:
    """An analysis and what it took; ``notes`` say what went otherwise than planned (a limit, a second try)."""

    analysis: Analysis
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """An answer to a person's question about an incident; ``evidence`` are the ids that it rests on."""

    text: str
    analyst: str
    evidence: Sequence[str] = ()


class Analyst(Protocol):
    """Who draws the conclusion. ``name`` is ``claude`` or ``rules``."""

    name: str

    async def analyze(self, brief: Brief, *, timeout_s: float, inquiry: Inquiry | None = None) -> AnalystAnswer:
        """Conclude from the brief, and from what ``inquiry`` answers. Raises AnalystUnavailable or AnalystRefused."""
        ...

    async def answer(self, brief: Brief, account: str, question: str, *, timeout_s: float) -> Answer:
        """Answer from the brief and from ``account``, which says how it ended. Raises as ``analyze`` does."""
        ...

    async def health(self) -> Health:
        """Say whether it could answer."""
        ...
