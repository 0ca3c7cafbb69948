"""The runbooks in force: a sequence that may be replaced as a whole, while what is in flight keeps its version."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import overload

from sreops.domain.runbooks.runbook import Runbook

_VERSIONS_KEPT = 20


def version_of(text: str) -> str:
    """Return the name of a file's content: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class RunbooksInForce(Sequence[Runbook]):
    """The newest runbooks that could be read; ``fault`` says what is wrong with the file as it is now, if so."""

    def __init__(self, runbooks: Sequence[Runbook], *, shown: str, version: str) -> None:
        self.shown = shown
        self.version = version
        self.fault = ""
        self._versions: dict[str, tuple[Runbook, ...]] = {version: tuple(runbooks)}

    def take(self, runbooks: Sequence[Runbook], *, shown: str, version: str) -> None:
        """Put these in force, and mend what was wrong."""
        self._versions.pop(version, None)
        self._versions[version] = tuple(runbooks)
        while len(self._versions) > _VERSIONS_KEPT:
            del self._versions[next(iter(self._versions))]
        self.shown, self.version, self.fault = shown, version, ""

    def refuse(self, fault: str) -> None:
        """Keep those in force, and say why the file's are not."""
        self.fault = fault

    def of(self, version: str | None) -> Sequence[Runbook]:
        """Return the runbooks of a version, for what began with it; those in force where it is not kept."""
        return self._versions.get(version or "", self._versions[self.version])

    @overload
    def __getitem__(self, index: int) -> Runbook: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Runbook]: ...
    def __getitem__(self, index: int | slice) -> Runbook | Sequence[Runbook]:
        """Return one of them, in file order."""
        return self._versions[self.version][index]

    def __len__(self) -> int:
        """Count them."""
        return len(self._versions[self.version])

    def __iter__(self) -> Iterator[Runbook]:
        """Go through one version, though it be replaced meanwhile."""
        return iter(self._versions[self.version])
