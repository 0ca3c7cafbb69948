"""The subject's golden signals: of a container, a host or a target, by what its series are labelled with."""

import asyncio
from collections.abc import Sequence

from sreops.agent.evidence.question import Measured, Question, measure
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import ContainerState
from sreops.domain.evidence.golden_signals import Signal, choose, merge
from sreops.domain.evidence.identity import identity_of
from sreops.domain.evidence.metric_selection import metric_label_sets
from sreops.errors import SreopsError
from sreops.telemetry import log

LABELS_UNKNOWN = "evidence.metric_labels_unknown"


async def own_metrics(question: Question, state: ContainerState | None) -> Measured:
    """Measure the subject's golden signals around the alert."""
    metrics, settings = question.tools.metrics, question.tools.settings.prometheus
    if metrics is None:
        health = (question.tools.missing or {}).get("prometheus")
        return Measured([findings.gap("prometheus", "not configured", health.cure if health else "")])
    try:
        names = await metrics.label_names(timeout_s=settings.timeout_s) or None
    except SreopsError as exc:
        log.warning(LABELS_UNKNOWN, error=str(exc))
        names = None
    asked = metric_label_sets(identity_of(question.event, state), question.event.labels, names)
    known = await asyncio.gather(
        *(metrics.names(labels, question.window, timeout_s=settings.timeout_s) for labels in asked)
    )
    chosen: list[Sequence[Signal]] = [
        choose(labels, found) for labels, found in zip(asked, known, strict=True) if found
    ]
    signals = merge(chosen)
    if not signals:
        tried = ", ".join(findings.in_braces(labels) for labels in asked) or "no label that the server has"
        why = f"no metric is known of {question.event.subject.kind.value.replace('_', ' ')} {question.event.service}"
        return Measured([findings.gap("prometheus", f"{why} (asked: {tried})", "label its metrics by its name")])
    found = await asyncio.gather(*(measure(question, question.event.service, signal) for signal in signals))
    return Measured([item for one in found for item in one.evidence], [seen for one in found for seen in one.seen])
