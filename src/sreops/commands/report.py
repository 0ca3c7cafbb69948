"""report shadow: what would have been done, what people then did, and whether it helped."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Table

from sreops.app import open_store
from sreops.app.store import missing_file
from sreops.commands.terminal import Terminal, complaints, shown
from sreops.domain.incidents.incident import Incident
from sreops.domain.incidents.search import Search
from sreops.domain.records.hindsight import (
    COMES_BACK_WITHIN_S,
    Afterwards,
    Comparison,
    Hindsight,
    Told,
    afterwards_in,
    compare,
    course_of,
    shown_as,
    tally,
    told_of,
)
from sreops.domain.records.record import Record, RecordKind
from sreops.domain.remediation.policy import Verdict
from sreops.ports import IncidentStore
from sreops.settings import Settings, load_settings

_PAGE = 50
_RECORDS = 500
_BY_PEOPLE = ("acknowledge", "close", "feedback", "rerun")
_LONGEST_DAYS = 3650
_WOULD = {Verdict.allow: "done alone", Verdict.needs_approval: "asked about", Verdict.deny: "not done all the same"}


@dataclass(frozen=True)
class Row:
    """One plan that was only told, and what came of its incident; ``notes`` is what people said of it."""

    incident: Incident
    told: Told
    after: Afterwards
    found: Hindsight
    notes: Sequence[dict[str, Any]]

    def shown(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        incident = self.incident
        told = incident.model_dump(mode="json", include={"alertname", "service", "severity", "status", "cleared_at"})
        return {"id": incident.id, **told, **shown_as(self.told, self.after, self.found), "notes": list(self.notes)}


def shadow(*, days: float, runbook: str, limit: int, as_json: bool) -> int:
    """Print the comparison of the newest plans that were only told; exit status 2 for a bad argument."""
    terminal, wrong = Terminal(), complaints()
    if not 0 < days <= _LONGEST_DAYS:
        wrong.say(f"--days {days:g}: give more than 0 and at most {_LONGEST_DAYS}")
        return 2
    if limit < 1:
        wrong.say(f"--limit {limit}: give at least 1")
        return 2
    now = datetime.now(UTC)
    since = now - timedelta(days=days)
    settings = load_settings()
    if (file := missing_file(settings)) is not None:
        wrong.say(f"{file}: there is no such database (SREOPS_DATA_DIR names the folder that sreops writes to)")
        seen, rows = 0, list[Row]()
    else:
        seen, rows = asyncio.run(_rows(settings, now, since, runbook, limit))
    if as_json:
        terminal.block(json.dumps(_as_json(rows, seen, now, since), indent=2))
    else:
        _tell(terminal, rows, seen, since, runbook)
    return 0


async def _rows(settings: Settings, now: datetime, since: datetime, runbook: str, limit: int) -> tuple[int, list[Row]]:
    """Return how many incidents were looked at, and the plans that were only told, the newest first."""
    opened: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    rows: list[Row] = []
    seen = 0
    async with open_store(settings) as store:
        cursor: str | None = None
        while len(rows) < limit:
            page, cursor = await store.incidents(search=Search(since=since), limit=_PAGE, cursor=cursor)
            for incident in page:  # the newest first, so that what came back later is known
                seen += 1
                told = told_of(incident)
                if told is not None and runbook in ("", told.runbook_id) and len(rows) < limit:
                    rows.append(await _row(store, incident, told, opened[incident.alertname, incident.service], now))
                opened[incident.alertname, incident.service].append(incident.opened_at)
            if cursor is None:
                break
    return seen, rows


async def _row(store: IncidentStore, incident: Incident, told: Told, later: Sequence[datetime], now: datetime) -> Row:
    records = await store.records(incident_id=incident.id, limit=_RECORDS, newest=True)
    after = afterwards_in(records, told)
    found = compare(told, after, course_of(incident, later), now)
    return Row(incident, told, after, found, [_note(record) for record in records if _is_note(record)])


def _is_note(record: Record) -> bool:
    return record.kind is RecordKind.action and record.body.get("action") in _BY_PEOPLE


def _note(record: Record) -> dict[str, Any]:
    body, data = record.body, record.body.get("data") or {}
    words = {"at": record.at.isoformat(), "by": body.get("by"), "what": body.get("action"), "text": body.get("detail")}
    return words | {name: data[name] for name in ("was", "right", "cause") if name in data}


def _as_json(rows: Sequence[Row], seen: int, now: datetime, since: datetime) -> dict[str, Any]:
    return {
        "at": now.isoformat(),
        "since": since.isoformat(),
        "incidents": seen,
        "total": len(rows),
        "runbooks": [
            {
                "runbook_id": runbook_id,
                "plans": counts.total(),
                **{comparison.value: counts[comparison] for comparison in Comparison},
            }
            for runbook_id, counts in _tally(rows).items()
        ],
        "items": [row.shown() for row in rows],
    }


def _tally(rows: Sequence[Row]) -> dict[str, Any]:
    return tally((row.told.runbook_id, row.found.comparison) for row in rows)


def _tell(terminal: Terminal, rows: Sequence[Row], seen: int, since: datetime, runbook: str) -> None:
    if not rows:
        of = f" of runbook {runbook}" if runbook else ""
        found = "no incident" if not seen else f"{seen} incident{'s' if seen > 1 else ''}, and no plan{of} only told"
        terminal.say(f"since {since:%Y-%m-%d %H:%M} UTC: {found}")
        terminal.say("a runbook with `shadow: true` is planned and told, never carried out; SREOPS_DRY_RUN all of them")
        return
    table = Table("when (UTC)", "alert", "would have been", "steps", "", "why, and what people said")
    for row in rows:
        cells = (
            f"{row.told.at:%m-%d %H:%M}",
            f"{row.incident.alertname} on {row.incident.service}",
            _WOULD[row.told.would] if row.told.would is not None else "done or asked about",
            f"{row.told.runbook_id}: {', '.join(f'{action.value} {target}' for action, target in row.told.steps)}",
            row.found.comparison.value.replace("_", " "),
            "; ".join([row.found.why, *(_in_words(note) for note in row.notes)]),
        )
        table.add_row(*(shown(cell[:300]) for cell in cells))
    terminal.console.print(table)
    for runbook_id, counts in _tally(rows).items():
        told = ", ".join(
            f"{counts[comparison]} {comparison.value.replace('_', ' ')}"
            for comparison in Comparison
            if counts[comparison]
        )
        terminal.say(f"{runbook_id}: {counts.total()} told, {told}")
    terminal.say(
        "confirmed: people did the same, and it helped; in vain: the same, and it did not; otherwise: something else "
        f"helped; needless: it went over untouched. What fires again within {COMES_BACK_WITHIN_S / 60:.0f} min "
        "was not over."
    )


def _in_words(note: dict[str, Any]) -> str:
    remarks = [f"as {note['was']}"] if "was" in note else []
    remarks += ["the cause was " + ("right" if note["right"] else "wrong")] if "right" in note else []
    remarks += [str(note[name]) for name in ("text", "cause") if note.get(name)]
    return f"{note['by']} ({note['what']}): {', '.join(remarks)}"
