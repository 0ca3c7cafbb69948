"""The kill switch as a file in the data directory: while it is there, nothing is done."""

import asyncio
from pathlib import Path
from typing import Final

NAME: Final = "PAUSE"
_READ_CHARS = 200


class DataDirPauseFile:
    """Implements ports.PauseFile: a file named PAUSE, in any case of letters; its first line is the reason."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def reason(self) -> str | None:
        """Return the file's reason, or None without one; a directory that can't be read counts as paused."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> str | None:
        try:
            there = next((path for path in self._directory.iterdir() if path.name.upper() in (NAME, "PAUSED")), None)
            if there is None:
                return None
            with there.open(encoding="utf-8", errors="replace") as file:
                reason = file.readline(_READ_CHARS).strip()
        except FileNotFoundError:  # the directory is made at start; a file may go between two looks
            return None
        except OSError as exc:
            return f"{self._directory} can't be looked at for a file {NAME}: {exc.strerror}"
        return reason or f"there is a file {there.name} in {self._directory}"
