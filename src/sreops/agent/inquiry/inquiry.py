"""The inquiry: what the model may ask about an incident while it analyses, answered read-only, as evidence with ids."""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sreops.agent.analysis_thread import in_analysis_thread
from sreops.agent.inquiry.scopes import find_scopes
from sreops.agent.visit import Visit
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import Evidence, Series, SeriesSet
from sreops.domain.evidence.golden_signals import Signal, Unit
from sreops.domain.evidence.log_mining import excerpt
from sreops.domain.model.questions import (
    TOOLS,
    ContainerQuestion,
    HistoryQuestion,
    LogQuestion,
    MetricQuestion,
    Question,
    Scopes,
    View,
    promql_of,
    read_question,
    window_of,
)
from sreops.domain.text.redaction import Redactor, clean, one_line
from sreops.errors import QueryRefused, SreopsError
from sreops.ports import ToolSpec
from sreops.telemetry import log

SOURCE_FAILED: Final = "inquiry.source_failed"

_SERIES = 12
_POINTS = 120
_HISTORY = 20


class IncidentInquiry:
    """Implements ``ports.Inquiry`` for one visit; ``found`` is what was answered, to be kept with the incident."""

    def __init__(
        self,
        visit: Visit,
        scopes: Scopes,
        redactor: Redactor,
        evidence: Sequence[Evidence],
        extra: Sequence[ToolSpec] = (),
    ) -> None:
        self._visit = visit
        self._scopes = scopes
        self._redactor = redactor
        self._next = _highest(evidence) + 1
        self._asked: dict[str, str] = {}
        self.found: list[Evidence] = []
        self._extra = frozenset(spec.name for spec in extra)
        self.tools = (*(ToolSpec(*tool) for tool in TOOLS if self._can(tool[0])), *extra)

    def _can(self, name: str) -> bool:
        usable = {
            "query_logs": bool(self._scopes.logs),
            "query_metrics": any(self._scopes.names),
            "describe_container": bool(self._scopes.containers),
        }
        return usable.get(name, True)

    def scope(self) -> str:
        """Say what may be named."""
        return self._scopes.told()

    def redact(self, text: str) -> str:
        """Mask as the incident's evidence is masked."""
        return self._redactor.redact(text)

    async def ask(self, name: str, arguments: object, *, timeout_s: float) -> Evidence:
        """Answer one question; raises QueryRefused for what may not be asked, or was asked before."""
        if not any(name == tool.name for tool in self.tools):
            raise QueryRefused(f"there is no such tool; there are {', '.join(tool.name for tool in self.tools)}")
        if name in self._extra:
            key, answer = self._extra_question(name, arguments, timeout_s)
        else:
            question = read_question(name, arguments, self._scopes)
            key = json.dumps([name, question.model_dump(mode="json")], sort_keys=True)
            answer = self._answer(question, timeout_s)
        if key in self._asked:
            answer.close()
            raise QueryRefused(f"this was asked before, and {self._asked[key]} is the answer: it would be the same")
        item = await self._answered(name, answer, timeout_s)
        [item] = findings.number([item], start=self._next)
        self._next += 1
        self._asked[key] = item.id
        self.found.append(item)
        self._visit.think(f"{item.id} asked {name}: {item.finding}", evidence=item.id)
        return item

    def _extra_question(
        self, name: str, arguments: object, timeout_s: float
    ) -> tuple[str, Coroutine[Any, Any, Evidence]]:
        if not isinstance(arguments, Mapping):
            raise QueryRefused(f"{name}: the arguments are no object")
        return json.dumps([name, arguments], sort_keys=True), self._extra_answer(name, arguments, timeout_s)

    async def _extra_answer(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> Evidence:
        extra, settings = self._visit.tools.extra, self._visit.tools.settings
        assert extra is not None
        text = self.redact(clean(await extra.call(name, arguments, timeout_s=timeout_s)))
        asked = self.redact(one_line(json.dumps(arguments, ensure_ascii=False), 400))
        return findings.tool(name, asked, text, settings.llm.max_result_chars)

    async def _answered(self, name: str, answer: Coroutine[Any, Any, Evidence], timeout_s: float) -> Evidence:
        source = {"query_logs": "loki", "query_metrics": "prometheus", "describe_container": "docker"}.get(name, name)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return findings.gap(source, f"no answer within {timeout_s:.0f} s")
        except SreopsError as exc:
            log.warning(SOURCE_FAILED, tool=name, error=str(exc))
            return findings.gap(source, self.redact(str(exc)))

    async def _answer(self, question: Question, timeout_s: float) -> Evidence:
        match question:
            case LogQuestion():
                return await self._logs(question, timeout_s)
            case MetricQuestion():
                return await self._metric(question, timeout_s)
            case ContainerQuestion():
                return await self._container(question, timeout_s)
            case HistoryQuestion():
                return await self._history(question)

    @property
    def _alert_at(self) -> datetime:
        return min(self._visit.event.starts_at, self._visit.now())

    async def _logs(self, question: LogQuestion, timeout_s: float) -> Evidence:
        logs, settings = self._visit.tools.logs, self._visit.tools.settings
        assert logs is not None  # a scope of logs exists only where there are some
        found = await logs.select(
            self._scopes.logs[_place(question.scope)],
            window_of(question, self._alert_at, self._visit.now()),
            limit=settings.loki.max_lines,
            timeout_s=timeout_s,
            contains=question.contains,
            excludes=question.excludes,
        )
        chosen = await in_analysis_thread(excerpt, found.lines, self._alert_at, settings.llm.max_result_chars)
        service = self._scopes.owner(question.scope) or self._visit.event.service
        return findings.logs_told(found, chosen, service, self._redactor)

    async def _metric(self, question: MetricQuestion, timeout_s: float) -> Evidence:
        metrics = self._visit.tools.metrics
        assert metrics is not None
        window = window_of(question, self._alert_at, self._visit.now())
        promql = promql_of(question, self._scopes.metrics[_place(question.scope)], window)
        found = await metrics.range(promql, window, step_s=max(5.0, window.span_s() / _POINTS), timeout_s=timeout_s)
        title = f"{question.metric} ({question.view.value})"
        signal = Signal(f"asked:{question.metric}", title, _unit(question), promql, 50, worse="either")
        item = findings.metric(signal, found, self._alert_at)
        return item.model_copy(update={"text": self.redact(_table(found))}) if question.by else item

    async def _container(self, question: ContainerQuestion, timeout_s: float) -> Evidence:
        containers = self._visit.tools.containers
        assert containers is not None
        name = self._scopes.containers[_place(question.scope)]
        seen = await containers.find(name, timeout_s=timeout_s)
        if seen is None:
            return findings.gap("docker", f"no container is named {name}")
        return findings.container(seen, self._visit.now(), self._redactor)

    async def _history(self, question: HistoryQuestion) -> Evidence:
        incident, now = self._visit.incident, self._visit.now()
        service = self._scopes.services[_place(question.scope)]
        earlier = await self._visit.tools.store.history(service, before=incident.opened_at, limit=_HISTORY)
        since = now - timedelta(days=question.days)
        found = [incident for incident in earlier if incident.opened_at >= since]
        of = "this service" if service == incident.service else f"its neighbour {one_line(service, 80)}"
        item = findings.history(found, now, of=of)
        return item.model_copy(update={"finding": self.redact(item.finding), "text": self.redact(item.text)})


async def open_inquiry(visit: Visit, evidence: Sequence[Evidence]) -> IncidentInquiry:
    """Find out what may be asked about: label sets that exist, and metric names; of the service and its neighbours."""
    redactor = visit.tools.redactors.of(visit.incident.id)
    redactor.skip(text for item in evidence for text in (item.finding, item.text))
    scopes = await find_scopes(visit, evidence)
    extra = await visit.tools.extra.specs() if visit.tools.extra is not None else ()
    return IncidentInquiry(visit, scopes, redactor, evidence, extra)


def _highest(evidence: Sequence[Evidence]) -> int:
    return max((int(item.id[1:]) for item in evidence if item.id[:1] == "E" and item.id[1:].isdecimal()), default=0)


def _place(scope: str) -> int:
    return int(scope[1:]) - 1


def _unit(question: MetricQuestion) -> Unit:
    """Guess the unit from the name, by Prometheus' own naming rules."""
    name = question.metric.removesuffix("_bucket")
    if question.view is View.rate:
        return "/s"
    if question.view is View.increase:
        return "count"
    if name.endswith("_bytes"):
        return "bytes"
    if name.endswith("_seconds"):
        return "s"
    return "ratio" if name.endswith("_ratio") else "count"


def _table(found: SeriesSet) -> str:
    lines = []
    for series in found.series[:_SERIES]:
        labels = ", ".join(f"{name}={one_line(value, 80)}" for name, value in sorted(series.labels.items()))
        lines.append(f"{labels or 'all'}: {_course(series)}")
    left = len(found.series) - _SERIES
    return "\n".join([*lines, *([f"… and {left} more series"] if left > 0 else [])])


def _course(series: Series) -> str:
    values = [value for _, value in series.points]
    if not values:
        return "no value"
    return f"first {values[0]:.4g}, least {min(values):.4g}, most {max(values):.4g}, last {values[-1]:.4g}"
