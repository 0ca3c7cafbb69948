"""runbooks simulate over what is recorded: the store's incidents or a folder of cases, before and now."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from sreops.app import configured_runbooks, open_store, read_runbooks
from sreops.commands.case_files import read_file, sets_of
from sreops.commands.terminal import Terminal, shown
from sreops.domain.alerts.alert import AlertEvent, Tier
from sreops.domain.causes.analysis import Analysis
from sreops.domain.causes.conclude import conclude
from sreops.domain.remediation.what_if import WhatIf, verdict_on, what_if
from sreops.domain.runbooks.matching import RULES, offered
from sreops.domain.runbooks.runbook import Plan, Runbook
from sreops.evaluation.brief import study
from sreops.evaluation.case import Baseline, CaseBroken, read_case
from sreops.ports import IncidentStore
from sreops.settings import Settings, load_settings

_PAGE = 50
_MATCHED_ALERTS = 200


@dataclass(frozen=True)
class Row:
    """One recorded incident: what came of it, and what would come of it now."""

    id: str
    alertname: str
    subject: str
    before: WhatIf
    now: WhatIf

    @property
    def changed(self) -> bool:
        """Whether it would be chosen or decided otherwise."""
        return self.now.differs(self.before)

    def shown(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "id": self.id,
            "alertname": self.alertname,
            "subject": self.subject,
            "before": self.before.model_dump(mode="json"),
            "now": self.now.model_dump(mode="json"),
            "changed": self.changed,
        }


@dataclass(frozen=True)
class Books:
    """The runbooks that are tried out, and those that they are compared with (None: what is recorded)."""

    now: Sequence[Runbook]
    shown: str
    before: Sequence[Runbook] | None = None
    compared_with: str = "what is recorded"


def simulate_recorded(
    cases: Path | None, *, file: Path | None, against: Path | None, as_json: bool, fail_on_change: bool, limit: int
) -> int:
    """Print what would be chosen and decided otherwise; exit status 1 on a change where that was asked for.

    ``cases`` is a folder of recorded cases; None: the store's incidents. ``against`` is another runbooks file.
    """
    settings, terminal = load_settings(), Terminal()
    books = _books(settings, file, against, of_cases=cases is not None)
    rows: Sequence[Row]
    broken: Sequence[str] = ()
    if cases is None:
        rows = asyncio.run(_of_store(books, settings, limit))
    else:
        rows, broken = _of_cases(cases, books, settings.policy.max_tier, limit)
    changed = sum(row.changed for row in rows)
    if as_json:
        told = {
            "runbooks": books.shown, "compared_with": books.compared_with, "total": len(rows), "changed": changed,
            "items": [row.shown() for row in rows], "skipped": list(broken),
        }  # fmt: skip
        terminal.block(json.dumps(told, indent=2))
    else:
        _tell(terminal, rows, books, broken)
    return 1 if changed and fail_on_change else 0


def _books(settings: Settings, file: Path | None, against: Path | None, *, of_cases: bool) -> Books:
    in_force, where = configured_runbooks(settings) if file is None or (of_cases and against is None) else ((), "")
    now, path = read_runbooks(file, packaged_fallback=False) if file else (in_force, where)
    if against is not None:
        before, shown_as = read_runbooks(against, packaged_fallback=False)
        return Books(now, path, before, shown_as)
    # a case says nothing of what was done about it: it is compared with the runbooks in force
    return Books(now, path, in_force, where) if of_cases else Books(now, path)


async def _of_store(books: Books, settings: Settings, limit: int) -> list[Row]:
    rows: list[Row] = []
    async with open_store(settings) as store:
        cursor: str | None = None
        while len(rows) < limit:
            page, cursor = await store.incidents(limit=_PAGE, cursor=cursor)
            for found in page[: limit - len(rows)]:
                if (row := await _of_incident(store, found.id, books, settings.policy.max_tier)) is not None:
                    rows.append(row)
            if cursor is None:
                break
    return rows


async def _of_incident(store: IncidentStore, incident_id: str, books: Books, max_tier: Tier) -> Row | None:
    """Return what would come of an incident; None of one that was never analysed."""
    incident = await store.incident(incident_id)
    decision = incident.decision or {}
    if not decision.get("analysis") or not incident.analyst:
        return None
    analysis = Analysis.model_validate(decision["analysis"])
    events = tuple(event for event, _ in reversed(await store.events(incident_id, newest=_MATCHED_ALERTS)))
    evidence = tuple(await store.evidence(incident_id))
    analyst = incident.analyst

    def by(runbooks: Sequence[Runbook]) -> WhatIf:
        return what_if(runbooks, events, analysis, analyst, evidence, max_tier)

    before = by(books.before) if books.before is not None else _recorded(decision, events, max_tier)
    return Row(incident.id, incident.alertname, incident.service, before, by(books.now))


def _recorded(decision: dict[str, Any], events: Sequence[AlertEvent], max_tier: Tier) -> WhatIf:
    """Return what was chosen then; the verdict by the same measure as now's, so that only the runbook's part shows."""
    selection = decision.get("selection") or {}
    if not decision.get("plan"):
        return WhatIf(runbook_id=None, why=str(selection.get("why") or ""))
    plan = Plan.model_validate(decision["plan"])
    verdict, why = verdict_on(plan.autonomy, plan.shadow, events, max_tier)
    return WhatIf(runbook_id=plan.runbook_id, verdict=verdict, why=why)


def _of_cases(folder: Path, books: Books, max_tier: Tier, limit: int) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    broken: list[str] = []
    for path in _files(folder):
        if len(rows) >= limit:
            break
        try:
            case_id, case, _ = read_case(read_file(path))
        except (CaseBroken, OSError, ValueError) as exc:
            broken.append(f"{path.name}: {exc}")
            continue
        # the tier is none of a case's: it is taken to allow all, so that what the runbook says shows
        seen = study(case, Baseline())
        [alert] = seen.brief.alerts
        events = (alert.model_copy(update={"tier": Tier.autonomous, "runbook_id": case.labels.get("runbook_id")}),)

        def by(runbooks: Sequence[Runbook], events: Sequence[AlertEvent] = events, brief: Any = seen.brief) -> WhatIf:
            asked = brief.model_copy(update={"offered": offered(runbooks, events)})
            return what_if(runbooks, events, conclude(asked), RULES, brief.evidence, max_tier)

        rows.append(Row(case_id, events[0].alertname, events[0].service, by(books.before or ()), by(books.now)))
    return rows, broken


def _files(folder: Path) -> Iterator[Path]:
    for group in sets_of(folder):
        yield from group.files


def _tell(terminal: Terminal, rows: Sequence[Row], books: Books, broken: Sequence[str]) -> None:
    table = Table("", "incident", "alert", "before", "now", "why")
    for row in rows:
        cells = (row.id, f"{row.alertname} on {row.subject}", _word(row.before), _word(row.now), row.now.why)
        table.add_row("changed" if row.changed else "", *(shown(cell[:200]) for cell in cells))
    terminal.console.print(table)
    for line in broken:
        terminal.say(f"skipped {line}")
    changed = sum(row.changed for row in rows)
    terminal.say(f"{books.shown}, compared with {books.compared_with}: {changed} of {len(rows)} changed")


def _word(found: WhatIf) -> str:
    return f"{found.runbook_id}: {found.verdict}" if found.runbook_id else "no runbook"
