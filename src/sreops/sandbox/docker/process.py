"""What runs in a container of the sandbox's engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class StartFailed(Exception):
    """What a process raises when it can't be started; the engine answers 500 with the text."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command in a container goes: what it writes, its exit code, and how long it takes."""

    lines: Sequence[str] = ()
    exit_code: int = 0
    takes_s: float = 0.0


def no_commands(_words: Sequence[str]) -> Ran | None:
    """Know no command at all."""
    return None


class Process(Protocol):
    """What runs in a container."""

    def started(self) -> None:
        """Begin; raises StartFailed."""
        ...

    def stopped(self) -> None:
        """End, whatever the reason."""
        ...

    def stop_seconds(self) -> float | None:
        """How long it takes to obey SIGTERM; None if it ignores it and must be killed."""
        ...

    def usage(self) -> tuple[float, int, int]:
        """CPU seconds used so far, and bytes of memory with and without inactive file cache."""
        ...


class Idle:
    """A process that runs, obeys and does nothing; ``refuses_to_start`` says why it can't be started."""

    def __init__(self, *, stop_s: float | None = 0.0, refuses_to_start: str = "") -> None:
        self.stop_s = stop_s
        self.refuses_to_start = refuses_to_start
        self.starts = 0
        self.running = False

    def started(self) -> None:
        """Count the start, or refuse it."""
        if self.refuses_to_start:
            raise StartFailed(self.refuses_to_start)
        self.starts += 1
        self.running = True

    def stopped(self) -> None:
        """Note the end."""
        self.running = False

    def stop_seconds(self) -> float | None:
        """Obey as it was told to."""
        return self.stop_s

    def usage(self) -> tuple[float, int, int]:
        """Use next to nothing."""
        return 0.5, 8 << 20, 6 << 20
