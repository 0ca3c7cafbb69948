"""Folders of recorded cases, and their files, packed or not."""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sreops.evaluation.case import CaseBroken

_MAX_FILE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class CaseSet:
    """One set: its name, and its cases as files, or its alerts and runbooks."""

    name: str
    files: Sequence[Path]
    alerts: Path | None = None


def sets_of(directory: Path) -> Iterator[CaseSet]:
    """Yield the sets of cases in a folder: its own, and those of its folders."""
    for folder in (directory, *sorted(path for path in directory.iterdir() if path.is_dir())):
        alerts = folder / "alerts.json"
        if alerts.is_file():
            yield CaseSet(folder.name, (), alerts)
        elif not folder.name.endswith("_baseline") and not (folder / "index.json").is_file():
            files = sorted((*folder.glob("*.json"), *folder.glob("*.json.gz")))
            if files:
                yield CaseSet(folder.name, files)


def read_file(path: Path) -> object:
    """Read JSON, packed or not. Raises OSError and ValueError (EOF in a packed file is made one)."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            body = file.read(_MAX_FILE_BYTES + 1)
    except EOFError as exc:
        raise CaseBroken("the gzip file ends too early") from exc
    except zlib.error as exc:
        raise CaseBroken(f"the gzip file is damaged: {exc}") from exc
    if len(body) > _MAX_FILE_BYTES:
        raise CaseBroken(f"more than {_MAX_FILE_BYTES} bytes unpacked")
    try:
        found = json.loads(body)
        # half a surrogate pair is no text, and can't be written again
        return json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")) if b"\\u" in body else found
    except RecursionError as exc:
        raise CaseBroken("it is nested too deeply") from exc
