"""runbooks lint and schema: what is wrong with a runbooks file, and how editors may check it."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sreops.app import configured_runbooks, open_metrics, read_runbooks
from sreops.commands.terminal import Terminal
from sreops.domain.evidence.evidence import Window
from sreops.domain.runbooks.json_schema import json_schema
from sreops.domain.runbooks.lint import Remark, queries_of, remarks
from sreops.domain.runbooks.promql import Selector, selectors_of
from sreops.domain.runbooks.runbook import Runbook
from sreops.errors import RunbooksInvalid, SreopsError
from sreops.ports import Metrics
from sreops.settings import Settings, load_settings

_LOOKED_BACK = timedelta(hours=1)
_TIMEOUT_S = 10.0


def lint(file: Path | None) -> int:
    """Print what is wrong with the file, or that nothing is; exit status 0 good, 1 found wrong.

    Where a Prometheus is configured, it is asked whether it has the metrics and labels that the queries name.
    """
    terminal = Terminal()
    settings = load_settings()
    try:
        runbooks, path = read_runbooks(file, packaged_fallback=False) if file else configured_runbooks(settings)
    except RunbooksInvalid as exc:
        for problem in exc.problems:
            terminal.say(problem)
        return 1
    found = [*remarks(runbooks), *asyncio.run(_not_there(runbooks, settings))]
    for remark in found:
        terminal.say(f"{path}: {remark.runbook_id}: {'' if remark.wrong else 'look: '}{remark.what}")
    if any(remark.wrong for remark in found):
        return 1
    examples = sum(len(runbook.examples) for runbook in runbooks)
    terminal.say(f"{path}: {len(runbooks)} runbooks, {examples} examples, nothing wrong")
    return 0


def schema() -> int:
    """Print the JSON Schema of the file (``# yaml-language-server: $schema=FILE`` names it to editors)."""
    Terminal().block(json.dumps(json_schema(), indent=2))
    return 0


async def _not_there(runbooks: Sequence[Runbook], settings: Settings) -> list[Remark]:
    """Ask the configured Prometheus for each metric and label once; what it lacks makes a verdict unknown."""
    async with open_metrics(settings) as metrics:
        if metrics is None:
            return []
        known: dict[Selector, str] = {}
        found: dict[tuple[str, str], Remark] = {}
        for runbook, selector in _selectors(runbooks):
            if selector not in known:
                known[selector] = await _lacking(selector, metrics)
            if what := known[selector]:
                found[runbook.id, what] = Remark(runbook_id=runbook.id, what=what, wrong=False)
        return list(found.values())


def _selectors(runbooks: Sequence[Runbook]) -> Iterator[tuple[Runbook, Selector]]:
    for runbook in runbooks:
        for query in queries_of(runbook):
            yield from ((runbook, selector) for selector in selectors_of(query) if selector.metric)


async def _lacking(selector: Selector, metrics: Metrics) -> str:
    """Return what Prometheus lacks of a selector, or nothing."""
    now = datetime.now(UTC)
    window = Window(start=now - _LOOKED_BACK, end=now)
    try:
        if not await metrics.names({"__name__": selector.metric}, window, timeout_s=_TIMEOUT_S):
            return f"Prometheus has had no {selector.metric} within an hour"
        for label in selector.labels:
            query = f'count({selector.metric}{{{label}!=""}})'
            if not (await metrics.instant(query, at=None, timeout_s=_TIMEOUT_S)).series:
                return f"Prometheus has {selector.metric}, and none with the label {label}"
    except SreopsError as exc:
        return f"Prometheus could not be asked for {selector.metric}: {exc}"
    return ""
