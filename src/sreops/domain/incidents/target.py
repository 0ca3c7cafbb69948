"""What the engine says an incident's target is: known from its first look, so that other names for it meet it."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class KnownTarget(BaseModel):
    """The target's standing identity, every name that means it alone, and what the engine says of its scope."""

    model_config = ConfigDict(frozen=True)
    standing: str
    names: frozenset[str] = frozenset()
    scope: dict[str, str] = {}

    def is_called(self, name: str, scope: Mapping[str, str]) -> bool:
        """Whether an alert of this subject means it: by one of its names, and within its scope where both say one."""
        return name in self.names and all(self.scope.get(key, value) == value for key, value in scope.items())
