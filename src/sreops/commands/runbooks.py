"""runbooks lint: every fault of a runbooks file, with its line."""

from pathlib import Path

from sreops.app import configured_runbooks, read_runbooks
from sreops.commands.terminal import Terminal
from sreops.errors import RunbooksInvalid
from sreops.settings import load_settings


def lint(file: Path | None) -> int:
    """Print what is wrong with the file, or that nothing is; exit status 0 good, 1 found wrong."""
    terminal = Terminal()
    try:
        runbooks, path = read_runbooks(file, packaged_fallback=False) if file else configured_runbooks(load_settings())
    except RunbooksInvalid as exc:
        for problem in exc.problems:
            terminal.say(problem)
        return 1
    terminal.say(f"{path}: {len(runbooks)} runbooks, nothing wrong")
    return 0
