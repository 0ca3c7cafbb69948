"""A file by which automation is paused where nothing else can be reached."""

from typing import Protocol


class PauseFile(Protocol):
    """The kill switch for who has nothing but a shell on the machine."""

    async def reason(self) -> str | None:
        """Return why automation is paused by the file; None where there is none."""
        ...
