"""Chores that one replica at a time does for all."""

from datetime import datetime
from typing import Protocol


class Turns(Protocol):
    """Whose turn it is at a chore."""

    async def take_turn(self, name: str, owner: str, *, now: datetime, lease_s: float) -> bool:
        """Take or keep the turn at a chore for ``lease_s``; False while another owner has it."""
        ...

    async def end_turn(self, name: str, owner: str) -> None:
        """Give the turn up; a no-op where it is not ours."""
        ...
