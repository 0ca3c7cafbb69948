"""Where the runbooks are read: the file of the settings, else those that ship with sreops."""

import importlib.resources
from pathlib import Path

from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.in_force import RunbooksInForce, version_of
from sreops.domain.runbooks.runbook import Runbook
from sreops.errors import RunbooksInvalid
from sreops.settings import Settings


def read_runbooks(path: Path, *, packaged_fallback: bool) -> tuple[tuple[Runbook, ...], str]:
    """Read the runbooks; raises RunbooksInvalid with every fault.

    ``packaged_fallback`` is for a file that nobody named: where it is absent, the packaged runbooks are used.
    """
    text, shown = _text_of(path, packaged_fallback=packaged_fallback)
    return load_runbooks(text, path=shown), shown


def _text_of(path: Path, *, packaged_fallback: bool) -> tuple[str, str]:
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except FileNotFoundError as exc:
        if not packaged_fallback:
            raise RunbooksInvalid([f"{path}: there is no such file"]) from exc
        return packaged_runbooks(), "packaged runbooks.yaml"
    except (OSError, UnicodeDecodeError) as exc:
        raise RunbooksInvalid([f"{path}: can't be read: {exc}"]) from exc


def configured_runbooks(settings: Settings) -> tuple[tuple[Runbook, ...], str]:
    """Read the runbooks of the settings; the packaged ones only where no file is named. Raises RunbooksInvalid."""
    text, shown = configured_text(settings)
    return load_runbooks(text, path=shown), shown


def configured_text(settings: Settings) -> tuple[str, str]:
    """Return the text of the runbooks of the settings, and how their file is called. Raises RunbooksInvalid."""
    return _text_of(settings.runbooks, packaged_fallback="runbooks" not in settings.model_fields_set)


def runbooks_in_force(settings: Settings) -> RunbooksInForce:
    """Read the runbooks of the settings, to be replaced when their file changes. Raises RunbooksInvalid."""
    text, shown = configured_text(settings)
    return RunbooksInForce(load_runbooks(text, path=shown), shown=shown, version=version_of(text))


def packaged_runbooks() -> str:
    """Return the text of the runbooks that ship with sreops."""
    packaged = importlib.resources.files("sreops").joinpath("runbooks.yaml")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "runbooks.yaml").read_text(encoding="utf-8")  # an editable install
