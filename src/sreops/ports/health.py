"""What a check of anything outside the process says."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Health:
    """One check's state as ``/health`` and ``check`` show it; ``cure`` says what to do where it is not up."""

    status: Literal["up", "down", "not_configured"]
    detail: str = ""
    cure: str = ""
