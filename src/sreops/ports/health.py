"""What a check of anything outside the process says, and the clock."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol


@dataclass(frozen=True)
class Health:
    """One check's state as ``/health`` and ``check`` show it; ``cure`` says what to do where it is not up."""

    status: Literal["up", "down", "not_configured"]
    detail: str = ""
    cure: str = ""


class Clock(Protocol):
    """The one source of ``now``."""

    def now(self) -> datetime:
        """Return aware UTC."""
        ...
