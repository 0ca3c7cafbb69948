"""The HTTP checks of runbooks."""

from typing import Protocol


class Prober(Protocol):
    """HTTP checks that runbooks name."""

    async def status(self, url: str, *, timeout_s: float) -> int | None:
        """GET without following redirects; the status, or None where nothing answered."""
        ...
