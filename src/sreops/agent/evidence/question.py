"""The question that every source of evidence is asked: read only, so that no source can pass data to another by it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sreops.agent.context import Tools
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import Evidence, Window
from sreops.domain.evidence.golden_signals import Signal
from sreops.domain.incidents.incident import Incident
from sreops.domain.suspects.live import Seen
from sreops.domain.text.redaction import Redactor
from sreops.errors import SreopsError

_POINTS = 120  # of a range query: enough to see an onset, small enough to keep
_MIN_STEP_S = 5.0
_HISTORY = 20


@dataclass(frozen=True)
class Question:
    """What is asked: about which alert, in which window, with which tools.

    ``redactor`` is the incident's; it is used on the event loop only: work in a thread gets no redactor.
    """

    tools: Tools
    incident: Incident
    event: AlertEvent
    now: datetime
    window: Window
    excerpt_chars: int
    redactor: Redactor

    @property
    def alert_at(self) -> datetime:
        """When the alert began, within the window."""
        return min(max(self.event.starts_at, self.window.start), self.window.end)


@dataclass(frozen=True)
class Measured:
    """Evidence from metrics, and the series behind it, which the ranking of suspects compares."""

    evidence: Sequence[Evidence] = ()
    seen: Sequence[Seen] = ()


def question_of(tools: Tools, incident: Incident, event: AlertEvent) -> Question:
    """Return what is asked now of an incident's sources, about the alert that opened its episode."""
    settings, now = tools.settings.evidence, tools.clock.now()
    return Question(
        tools=tools,
        incident=incident,
        event=event,
        now=now,
        window=findings.evidence_window(event.starts_at, now, settings.lookback_s, settings.lookahead_s),
        excerpt_chars=settings.excerpt_chars,
        redactor=tools.redactors.of(incident.id),
    )


async def history_of(question: Question) -> Sequence[Incident]:
    """Return the service's earlier incidents."""
    incident = question.incident
    return await question.tools.store.history(incident.service, before=incident.opened_at, limit=_HISTORY)


async def measure(question: Question, service: str, signal: Signal) -> Measured:
    """Ask for one signal around the alert."""
    metrics, settings = question.tools.metrics, question.tools.settings.prometheus
    assert metrics is not None
    end = min(question.now, question.window.end + timedelta(seconds=60))
    span_s = Window(start=question.window.start, end=end).span_s()
    step_s = max(_MIN_STEP_S, math.ceil(span_s / _POINTS))
    # counted back from the end, in whole seconds: the newest value is the one of the end, not up to a step before it
    window = Window(start=end - timedelta(seconds=step_s * max(1, span_s // step_s)), end=end)
    try:
        found = await metrics.range(signal.promql, window, step_s=step_s, timeout_s=settings.timeout_s)
        limit = None
        if signal.limit:
            limit = await metrics.instant(signal.limit, at=window.end, timeout_s=settings.timeout_s)
    except SreopsError as exc:
        return Measured([findings.gap("prometheus", f"{signal.title}: {exc}", "", query=signal.promql)])
    seen = [Seen(service, signal.id, series.points) for series in found.series]
    return Measured([findings.metric(signal, found, question.alert_at, limit=limit)], seen)
