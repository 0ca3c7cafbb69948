"""Where the runbooks are read: the file of the settings, else those that ship with sreops."""

import importlib.resources
from pathlib import Path

from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.runbook import Runbook
from sreops.errors import RunbooksInvalid
from sreops.settings import Settings


def read_runbooks(path: Path, *, packaged_fallback: bool) -> tuple[tuple[Runbook, ...], str]:
    """Read the runbooks; raises RunbooksInvalid with every fault.

    ``packaged_fallback`` is for a file that nobody named: where it is absent, the packaged runbooks are used.
    """
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


def configured_runbooks(settings: Settings) -> tuple[tuple[Runbook, ...], str]:
    """Read the runbooks of the settings; the packaged ones only where no file is named. Raises RunbooksInvalid."""
    return read_runbooks(settings.runbooks, packaged_fallback="runbooks" not in settings.model_fields_set)


def packaged_runbooks() -> str:
    """Return the text of the runbooks that ship with sreops."""
    packaged = importlib.resources.files("sreops").joinpath("runbooks.yaml")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "runbooks.yaml").read_text(encoding="utf-8")  # an editable install
