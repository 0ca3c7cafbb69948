"""incidents export: an ended incident as a case that ``eval`` reads."""

import asyncio
import gzip
import json
from pathlib import Path

from rich.console import Console

from sreops.app import open_store
from sreops.evaluation.export import case_of
from sreops.settings import load_settings

SET = "incidents"
"""The sub-folder, which is what ``eval`` calls a set."""


def export(incident_id: str, *, out: Path) -> int:
    """Write the case to ``out/incidents/ID.json.gz``; exit status 1 where it has not ended or can't be written."""
    return asyncio.run(_export(incident_id, out))


async def _export(incident_id: str, out: Path) -> int:
    console = Console(highlight=False, soft_wrap=True)
    async with open_store(load_settings()) as store:
        incident = await store.incident(incident_id)
        events = [event for event, _ in await store.events(incident.id)]
        evidence = await store.evidence(incident.id)
    if not incident.status.ended:
        console.print(
            f"{incident.id} is {incident.status.value}: how it ends is not known yet; export it afterwards",
            markup=False,
        )
        return 1
    text = json.dumps(case_of(incident, events, evidence), ensure_ascii=False)
    path = out / SET / f"{incident.id}.json.gz"
    try:
        await asyncio.to_thread(_write, path, text)
    except OSError as exc:
        console.print(f"{path}: can't be written: {exc}; give another folder with --out", markup=False)
        return 1
    console.print(f"{path} (python -m sreops eval {out})", markup=False)
    return 0


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode("utf-8", "replace")))
