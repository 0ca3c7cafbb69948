"""The circuit breaker before the model: open after repeated failures, half open by itself, closed by a success."""

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half-open"]
LONGEST_OPEN_S = 600.0


@dataclass
class Breaker:
    """Counts failures in a row; ``now_s`` is a monotonic clock's reading in seconds, as in every method.

    Open, it lets nothing through for ``open_s``, doubled with each probe that fails; then one probe at a time.
    """

    failures: int
    open_s: float
    in_a_row: int = 0
    last_error: str = ""
    _open_until_s: float | None = None
    _opened: int = 0
    _probe_until_s: float | None = None

    def state(self, now_s: float) -> State:
        """Say how it stands."""
        if self._open_until_s is None:
            return "closed"
        return "open" if now_s < self._open_until_s else "half-open"

    def wait_s(self, now_s: float) -> float:
        """Return how long it stays open."""
        return max(0.0, (self._open_until_s or now_s) - now_s)

    def admits(self, now_s: float, probe_s: float) -> bool:
        """Say whether a call may go; half open, the one that may is the probe, for ``probe_s`` at most."""
        state = self.state(now_s)
        if state == "closed":
            return True
        if state == "open" or (self._probe_until_s is not None and now_s < self._probe_until_s):
            return False
        self._probe_until_s = now_s + probe_s
        return True

    def succeeded(self) -> None:
        """Close."""
        self.in_a_row, self._opened, self.last_error = 0, 0, ""
        self._open_until_s = self._probe_until_s = None

    def failed(self, now_s: float, error: str, *, retry_after_s: float = 0.0) -> bool:
        """Count a failure; return whether it has just opened. The server's own wait is kept where it is longer."""
        self.in_a_row += 1
        self.last_error = error
        state = self.state(now_s)
        if state == "open" or (state == "closed" and self.in_a_row < self.failures):
            return False
        own_s = min(self.open_s * 2**self._opened, LONGEST_OPEN_S)
        self._opened = min(self._opened + 1, 16)
        self._open_until_s = now_s + min(max(own_s, retry_after_s), LONGEST_OPEN_S)
        self._probe_until_s = None
        return True

    def gave_up(self) -> None:
        """End a probe that came to no call."""
        self._probe_until_s = None
