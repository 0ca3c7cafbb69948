"""The subject's golden signals: of a container, a host or a target, by the series that are its own."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sreops.agent.evidence.question import Measured, Question, measure
from sreops.domain.alerts.subject import SubjectKind
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import ContainerState, Window
from sreops.domain.evidence.golden_signals import Signal, choose, merge
from sreops.domain.evidence.identity import Identity, identity_of
from sreops.domain.evidence.log_selection import TriedSelector
from sreops.domain.evidence.metric_selection import (
    JudgedSeries,
    MetricSelector,
    OwnSeries,
    judge_series,
    metric_selectors,
)
from sreops.errors import SreopsError
from sreops.ports import Metrics
from sreops.ports.metrics import MOST_SERIES
from sreops.telemetry import log

LABELS_UNKNOWN: Final = "evidence.metric_labels_unknown"


@dataclass(frozen=True)
class SelectedMetrics:
    """The series that are the subject's own, and what was asked on the way, in order."""

    own: Sequence[OwnSeries] = ()
    asked: Sequence[TriedSelector] = ()


async def own_metrics(question: Question, state: ContainerState | None) -> Measured:
    """Measure the subject's golden signals around the alert."""
    metrics, settings = question.tools.metrics, question.tools.settings.prometheus
    if metrics is None:
        health = (question.tools.missing or {}).get("prometheus")
        return Measured([findings.gap("prometheus", "not configured", health.cure if health else "")])
    identity = identity_of(question.event, state)
    selected = await select_series(metrics, identity, question.event.labels, question.window, settings.timeout_s)
    signals = signals_of(selected.own)
    tried = findings.tried(selected.asked, question.redactor)
    if not signals:
        asked = ", ".join(selector.query for selector in selected.asked) or "no label that the server has"
        why = f"no metric is known of {identity.kind.value.replace('_', ' ')} {question.event.service}"
        return Measured([findings.gap("prometheus", f"{why} (asked: {asked})", _cure(identity), tried=tried)])
    found = await asyncio.gather(*(measure(question, question.event.service, signal) for signal in signals))
    evidence = [item for measured in found for item in measured.evidence]
    first = evidence[0].model_copy(update={"data": {**evidence[0].data, "tried": tried}})
    return Measured([first, *evidence[1:]], [seen for measured in found for seen in measured.seen])


def signals_of(own: Sequence[OwnSeries]) -> Sequence[Signal]:
    """Return the golden signals that these series can answer, each once."""
    chosen = [choose(series.selector.labels, series.names, patterns=series.selector.patterns) for series in own]
    return merge(chosen)


async def select_series(
    metrics: Metrics, identity: Identity, said: Mapping[str, str], window: Window, timeout_s: float
) -> SelectedMetrics:
    """Ask by one selector after the other, and keep of each the series that are the subject's own."""
    try:
        names = await metrics.label_names(timeout_s=timeout_s) or None
    except SreopsError as exc:
        log.warning(LABELS_UNKNOWN, error=str(exc))
        names = None
    selectors = metric_selectors(identity, said, names)
    judged = await asyncio.gather(*(_judged(metrics, selector, identity, window, timeout_s) for selector in selectors))
    if judged and all(isinstance(answer, SreopsError) for answer in judged):
        assert isinstance(judged[0], SreopsError)
        raise judged[0]
    own: list[OwnSeries] = []
    asked: list[TriedSelector] = []
    further: list[MetricSelector] = []
    for selector, answer in zip(selectors, judged, strict=True):
        _keep(selector, answer, own, asked)
        further += answer.follow if isinstance(answer, JudgedSeries) else ()
    for selector in further:
        if selector in selectors:
            continue
        selectors += (selector,)
        _keep(selector, await _judged(metrics, selector, identity, window, timeout_s), own, asked)
    return SelectedMetrics(own, asked)


async def _judged(
    metrics: Metrics, selector: MetricSelector, identity: Identity, window: Window, timeout_s: float
) -> JudgedSeries | SreopsError:
    try:
        series = await metrics.series(selector, window, timeout_s=timeout_s)
        judged = judge_series(selector, series, identity)
        if len(series) < MOST_SERIES or not judged.use:
            return judged
        # whose they are is told by these; what metrics there are, is not
        names = [await metrics.names(own.selector.labels, window, timeout_s=timeout_s) for own in judged.use]
    except SreopsError as exc:
        return exc
    use = tuple(
        OwnSeries(own.selector, tuple(sorted({*own.names, *more}))) for own, more in zip(judged.use, names, strict=True)
    )
    return JudgedSeries(f"{judged.why}, by the first {MOST_SERIES}", use)


def _keep(
    selector: MetricSelector, judged: JudgedSeries | SreopsError, own: list[OwnSeries], asked: list[TriedSelector]
) -> None:
    if isinstance(judged, SreopsError):
        asked.append(TriedSelector(selector.promql, False, str(judged)[:200]))
        return
    asked.append(TriedSelector(selector.promql, bool(judged.use), judged.why))
    own += [series for series in judged.use if series not in own]


def _cure(identity: Identity) -> str:
    if identity.kind is SubjectKind.host:
        return f"scrape a node exporter on {identity.name}, with instance {identity.name}:9100"
    if identity.kind is SubjectKind.target:
        return f"let a blackbox exporter probe it, and relabel instance to {identity.name}"
    if identity.kind is SubjectKind.rule:
        return "let the alert's query keep a label that names whom it is about"
    return f"scrape cAdvisor (name={identity.name}), or give its own metrics job={identity.name}"
