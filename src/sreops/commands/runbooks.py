"""runbooks lint: every fault of a runbooks file, with its line."""

from pathlib import Path

from rich.console import Console

from sreops.app import read_runbooks
from sreops.errors import RunbooksInvalid
from sreops.settings import load_settings


def lint(file: Path | None) -> int:
    """Print what is wrong with the file, or that nothing is; exit status 0 good, 1 found wrong."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        runbooks, path = read_runbooks(file or load_settings().runbooks, packaged_fallback=file is None)
    except RunbooksInvalid as exc:
        for problem in exc.problems:
            console.print(problem, markup=False)
        return 1
    console.print(f"{path}: {len(runbooks)} runbooks, nothing wrong", markup=False)
    return 0
