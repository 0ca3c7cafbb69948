"""Where the runbooks are read: the file of the settings, else those that ship with sreops."""

import importlib.resources
from pathlib import Path

from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.runbook import Runbook
from sreops.errors import RunbooksInvalid


def read_runbooks(path: Path, *, packaged_fallback: bool = True) -> tuple[tuple[Runbook, ...], str]:
    """Read the runbooks; where the file is absent, the packaged ones. Raises RunbooksInvalid with every fault."""
    shown, text = str(path), ""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        if not packaged_fallback:
            raise RunbooksInvalid([f"{path}: there is no such file"]) from exc
        shown, text = "packaged runbooks.yaml", packaged_runbooks()
    except (OSError, UnicodeDecodeError) as exc:
        raise RunbooksInvalid([f"{path}: can't be read: {exc}"]) from exc
    return load_runbooks(text, path=shown), shown


def packaged_runbooks() -> str:
    """Return the text of the runbooks that ship with sreops."""
    packaged = importlib.resources.files("sreops").joinpath("runbooks.yaml")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "runbooks.yaml").read_text(encoding="utf-8")  # an editable install
