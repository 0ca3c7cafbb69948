"""eval: how good an analyst is on recorded incidents, set by set, with every label hidden from it."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sreops.app import model_text, open_analyst
from sreops.commands.case_files import CaseSet, read_file, sets_of
from sreops.domain.causes.analysis import Analysis, Brief, OfferedRunbook
from sreops.domain.causes.conclude import conclude
from sreops.domain.runbooks.matching import RULES
from sreops.errors import AnalystRefused, AnalystUnavailable
from sreops.evaluation.answer import CaseAnswer, answered, find_runbook, library_of, offered_actions
from sreops.evaluation.brief import study
from sreops.evaluation.case import Baseline, Case, CaseBroken, Labels, fitting, read_baseline, read_case
from sreops.evaluation.retrieval import Library
from sreops.evaluation.scores import SURE, Bin, JudgedAnswer, Score, reliability, scores
from sreops.ports import Analyst
from sreops.settings import Settings, load_settings
from sreops.telemetry import configure_logging

RETRIEVAL_OFFERED = 8
"""Runbooks that a model may choose from: the best by words."""


@dataclass
class EvalAnalyst:
    """The analyst who is asked, with the time it has; where it does not answer, the rules do."""

    analyst: Analyst
    timeout_s: float
    numbers: Iterator[int] = field(default_factory=itertools.count)
    """Tell the cases of one run apart: budgets are per incident."""

    async def conclude(self, brief: Brief) -> tuple[Analysis, str]:
        """Return the conclusion and who drew it."""
        if self.analyst.name != RULES:
            with contextlib.suppress(AnalystUnavailable, AnalystRefused):
                return (await self.analyst.analyze(brief, timeout_s=self.timeout_s)).analysis, self.analyst.name
        return conclude(brief), RULES


def run(directory: Path, *, out: Path, analyst: str) -> int:
    """Write one line a case to ``out`` and print a table per set; status 0, or 1 where there is nothing to read."""
    console = Console(highlight=False, soft_wrap=True)
    settings = load_settings()
    configure_logging("error", settings.log_format)
    if not directory.is_dir():
        console.print(f"{directory}: there is no such folder; give one whose sub-folders hold cases", markup=False)
        return 1
    return asyncio.run(_Evaluation(console, directory, out, settings).run(analyst))


class _Evaluation:
    """One run over a folder; ``broken`` are the cases that were skipped, with their reason."""

    def __init__(self, console: Console, directory: Path, out: Path, settings: Settings) -> None:
        self.console = console
        self.directory = directory
        self.out = out
        self.settings = settings
        self.broken: list[str] = []

    async def run(self, name: str) -> int:
        """Answer every case, one after another, and tell how well."""
        baselines = self._baselines()
        try:
            out = self.out.open("w", encoding="utf-8")
        except OSError as exc:
            self.console.print(f"{self.out}: can't be written: {exc}", markup=False)
            return 1
        with out:
            async with open_analyst(name, self.settings) as analyst:
                asked = EvalAnalyst(analyst, self.settings.llm.deadline_s)
                groups = sets_of(self.directory)
                answers = [await self._one_set(group, asked, baselines, out) for group in groups]
        for line in self.broken:
            self.console.print(f"skipped {line}", markup=False)
        if not sum(answers):
            told = f"{self.directory}: no case was found in its sub-folders; docs/evaluation.md says how one is written"
            self.console.print(told, markup=False)
            return 1
        self.console.print(f"answers: {self.out}", markup=False)
        return 0

    async def _one_set(self, group: CaseSet, asked: EvalAnalyst, baselines: Sequence[Baseline], out: Any) -> int:
        """Answer the cases of one set and tell how well; return how many they are."""
        judged: list[JudgedAnswer] = []
        if group.alerts is not None:
            async for result in self._retrievals(group.name, group.alerts, asked):
                judged.append(result)
        for path in group.files:
            answered_one = await self._case(group.name, path, asked, baselines)
            if answered_one is not None:
                judged.append(answered_one)
        for result in judged:
            out.write(result.answer.line() + "\n")
        if judged:
            self.console.print(_table(group.name, scores(group.name, judged), judged))
            if bins := reliability(judged):
                self.console.print(_reliability_table(group.name, bins))
        return len(judged)

    def _baselines(self) -> list[Baseline]:
        found = []
        for path in sorted(self.directory.glob("*_baseline/*.json*")):
            try:
                found.append(read_baseline(read_file(path)))
            except (CaseBroken, OSError, ValueError) as exc:
                self.broken.append(f"{path.parent.name}/{path.name}: {exc}")
        return found

    async def _case(
        self, name: str, path: Path, asked: EvalAnalyst, baselines: Sequence[Baseline]
    ) -> JudgedAnswer | None:
        try:
            case_id, case, labels = read_case(read_file(path))
        except (CaseBroken, OSError, ValueError) as exc:  # bad gzip, bad JSON and bad UTF-8 are among these
            self.broken.append(f"{name}/{path.name}: {exc}")
            return None
        answer = await answer_case(name, case_id, case, fitting(case, baselines), asked)
        return JudgedAnswer(answer, labels, sum(len(entry.line) for entry in case.logs))

    async def _retrievals(self, name: str, path: Path, asked: EvalAnalyst) -> AsyncIterator[JudgedAnswer]:
        """Answer each alert of a retrieval set; its id is its place in the list."""
        try:
            alerts = _listed(read_file(path), "alerts")
            documents = _listed(read_file(path.with_name("runbooks.json")), "docs")
            library = library_of(documents)
        except (CaseBroken, OSError, ValueError, KeyError, TypeError) as exc:
            self.broken.append(f"{name}: {exc!r}")
            return
        for number, alert in enumerate(alerts):
            if not isinstance(alert, Mapping):
                self.broken.append(f"{name}/{number}: not a JSON object")
                continue
            gold = alert.get("gold_runbook")
            labels = Labels(runbook=str(gold or "")) if "gold_runbook" in alert else Labels()
            shown = {
                key: alert[key] for key in ("alertname", "labels", "summary", "description", "message") if key in alert
            }
            answer = await answer_alert(name, str(number), shown, library, documents, asked)
            yield JudgedAnswer(answer, labels)


async def answer_case(name: str, case_id: str, case: Case, baseline: Baseline, asked: EvalAnalyst) -> CaseAnswer:
    """Answer one case; where the model does not answer, the answer says that the rules did."""
    start = time.perf_counter()
    seen = study(case, baseline, offered_actions(case), number=next(asked.numbers))
    analysis, by = await asked.conclude(seen.brief)
    fields = answered(case, seen, analysis, by_model=by != RULES)
    seconds = time.perf_counter() - start
    text = model_text(seen.brief)
    return CaseAnswer(
        set=name, id=case_id, **fields, evidence=text, log_excerpt=seen.log_excerpt, evidence_chars=len(text),
        input_chars=case.input_chars, seconds=round(seconds, 4), analyst=by,
    )  # fmt: skip


async def answer_alert(
    name: str,
    number: str,
    alert: Mapping[str, Any],
    library: Library,
    documents: Sequence[Mapping[str, Any]],
    asked: EvalAnalyst,
) -> CaseAnswer:
    """Answer one alert with the runbooks that fit it, best first, or none."""
    start = time.perf_counter()
    found = find_runbook(alert, library)
    best = [document_id for document_id, _ in found.ranked[:RETRIEVAL_OFFERED]]
    texts = {str(item["id"]): str(item.get("text", "")) for item in documents}
    offered = [OfferedRunbook(id=key, when=" ".join(texts[key].split())[:400], action="as it says") for key in best]
    case = Case(
        labels={"alertname": str(alert.get("alertname") or ""), **_strings(alert.get("labels"))},
        annotations=_strings({key: alert[key] for key in ("summary", "description", "message") if key in alert}),
    )
    seen = study(case, Baseline(), offered, number=next(asked.numbers))
    analysis, by = await asked.conclude(seen.brief)
    chosen = best if found.fits else []
    if by != RULES:
        chosen = sorted(best, key=lambda key: key != analysis.runbook_id) if analysis.runbook_id else []
    seconds = time.perf_counter() - start
    text = model_text(seen.brief)
    return CaseAnswer(
        set=name, id=number, ranked=(), action=None, runbook=tuple(chosen), root_cause=_reason(analysis, found.why, by),
        category=analysis.category.value, confidence=analysis.confidence, abstained=not chosen, evidence=text,
        evidence_chars=len(text), input_chars=case.input_chars, seconds=round(seconds, 4), analyst=by,
    )  # fmt: skip


def _reason(analysis: Analysis, why: str, by: str) -> str:
    return analysis.root_cause if by != RULES else f"The best runbook {why}"[:2000]


def _strings(value: object) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, Mapping) else {}


def _listed(raw: object, key: str) -> list[Any]:
    found = raw.get(key) if isinstance(raw, Mapping) else raw
    if not isinstance(found, list):
        raise CaseBroken(f"{key} is no list")
    return found


def _table(name: str, found: Sequence[Score], judged: Sequence[JudgedAnswer]) -> Table:
    seconds = sum(result.answer.seconds for result in judged)
    table = Table(
        title=f"{name}: {len(judged)} cases in {seconds:.1f} s", box=None, pad_edge=False, title_justify="left"
    )
    for column in ("measure", "value", "of", "floor (naive, whole set)", "goal"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for score in found:
        table.add_row(score.measure, _shown(score.value), str(score.count), _shown(score.floor), _shown(score.goal))
    return table


def _reliability_table(name: str, bins: Sequence[Bin]) -> Table:
    """Tell what claims are worth, bin by bin, and what those at ``SURE`` and above are worth together."""
    table = Table(title=f"{name}: what its confidence is worth", box=None, pad_edge=False, title_justify="left")
    for column in ("claimed", "mean", "of", "right"):
        table.add_column(column, justify="left" if column == "claimed" else "right")
    for bin_ in bins:
        claimed = f"{bin_.low:.1f} to {min(bin_.high, 1.0):.1f}"
        table.add_row(claimed, f"{bin_.claimed:.2f}", str(bin_.count), f"{bin_.right / bin_.count:.2f}")
    sure = [bin_ for bin_ in bins if bin_.low >= SURE]
    if count := sum(bin_.count for bin_ in sure):
        right, mean = sum(bin_.right for bin_ in sure) / count, sum(bin_.claimed * bin_.count for bin_ in sure) / count
        table.add_row(f"{SURE} and above", f"{mean:.2f}", str(count), f"{right:.2f}")
    return table


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}".rstrip("0").rstrip(".") if 0 < value < 0.1 else f"{value:.2f}"
