"""What happened to a container, as the sandbox's engine tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sreops.sandbox.clock import NS
from sreops.sandbox.docker.container import Version


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a container."""

    ts_ns: int
    action: str
    container: str
    attributes: Mapping[str, str]

    def shown(self, version: Version) -> dict[str, Any]:
        """Return it as ``/events`` streams it; 1.52 dropped ``status``, ``id`` and ``from``."""
        shown: dict[str, Any] = {
            "Type": "container",
            "Action": self.action,
            "Actor": {"ID": self.container, "Attributes": dict(self.attributes)},
            "scope": "local",
            "time": self.ts_ns // NS,
            "timeNano": self.ts_ns,
        }
        if version < (1, 52):
            image = self.attributes["image"]
            shown |= {"status": self.action, "id": self.container, "from": image}
        return shown
