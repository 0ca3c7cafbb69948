"""The one source of the present."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The one source of ``now``."""

    def now(self) -> datetime:
        """Return aware UTC."""
        ...
