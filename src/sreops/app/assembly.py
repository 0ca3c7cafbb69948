"""What every part brings along when it is built."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sreops.ports import Health

Check = Callable[[], Awaitable[Health]]
Closer = Callable[[], Awaitable[object]]


@dataclass
class Assembly:
    """The checks of what is built, how it is closed (in order of building), and what is missing, with its cure."""

    trust: ssl.SSLContext  # of every client
    checks: dict[str, Check] = field(default_factory=dict)
    missing: dict[str, Health] = field(default_factory=dict)
    closers: list[Closer] = field(default_factory=list)

    def built(self, name: str, check: Check, close: Closer | None = None) -> None:
        """Note a part that ``/health`` shows under this name."""
        self.checks[name] = check
        if close is not None:
            self.closers.append(close)

    def absent(self, name: str, setting: str, consequence: str) -> None:
        """Note a part that the settings do not ask for."""
        self.missing[name] = Health("not_configured", f"not configured: {consequence}", f"set {setting}")
