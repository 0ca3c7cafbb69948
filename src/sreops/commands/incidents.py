"""incidents export: an ended incident as a case that ``eval`` reads."""

import asyncio
import gzip
import json
import os
import tempfile
from pathlib import Path

from sreops.app import open_store
from sreops.commands.terminal import Terminal
from sreops.evaluation.export import case_of
from sreops.settings import load_settings

SET = "incidents"
"""The sub-folder, which is what ``eval`` calls a set."""


def export(incident_id: str, *, out: Path) -> int:
    """Write the case to ``out/incidents/ID.json.gz``; exit status 1 where it has not ended or can't be written."""
    return asyncio.run(_export(incident_id, out))


async def _export(incident_id: str, out: Path) -> int:
    terminal = Terminal()
    async with open_store(load_settings()) as store:
        incident = await store.incident(incident_id)
        events = [event for event, _ in await store.events(incident.id)]
        evidence = await store.evidence(incident.id)
    if not incident.status.ended:
        terminal.say(f"{incident.id} is {incident.status.value}: how it ends is not known yet; export it afterwards")
        return 1
    text = json.dumps(case_of(incident, events, evidence), ensure_ascii=False)
    path = out / SET / f"{incident.id}.json.gz"
    try:
        await asyncio.to_thread(_write, path, text)
    except OSError as exc:
        terminal.say(f"{path}: can't be written: {exc}; give another folder with --out")
        return 1
    terminal.say(f"{path} (python -m sreops eval {out})")
    return 0


def _write(path: Path, text: str) -> None:
    """Write the file for its owner's eyes only, in place of whatever has its name, and never through a link.

    It holds log lines and labels; a link that somebody else put there would send them elsewhere.
    """
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink():
        raise NotADirectoryError(f"{folder} is a link: name the folder that it leads to")
    handle, made = tempfile.mkstemp(dir=folder, prefix=".export-")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(gzip.compress(text.encode("utf-8", "replace")))
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise
