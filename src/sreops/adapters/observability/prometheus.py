"""Prometheus over HTTP: instant and range queries, direct or through Grafana's data source proxy.

Source: Prometheus docs/querying/api.md and web/api/v1/api.go.
"""

import math
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from sreops.adapters.answers import read_aside
from sreops.adapters.http import HttpAnswer, HttpRoom
from sreops.domain.evidence.evidence import Series, SeriesSet, Window
from sreops.domain.evidence.metric_selection import MetricSelector
from sreops.domain.text.quoting import promql_selector
from sreops.errors import MetricsUnavailable, QueryRefused, SreopsError
from sreops.ports import Health
from sreops.ports.metrics import MOST_SERIES
from sreops.settings import PrometheusSettings

NAMES_KEPT_S = 120.0
"""So long the label names that exist are kept: each incident asks for them."""
MAX_POINTS = 11_000
"""Points per series that Prometheus gives at most; more is a 400."""
_API = "/api/v1"
_LATER = frozenset({408, 429, 499})  # 4xx that say "not now", not "not so"


@dataclass(frozen=True)
class AlertRule:
    """An alerting rule as the server evaluates it: ``firing`` and ``pending`` are its alerts' labels.

    ``folder`` is Grafana's (Prometheus has a file's path there). An alert that is kept firing (``keep_firing_for``)
    though its condition holds no more is neither: it counts as pending.
    """

    name: str
    healthy: bool
    firing: tuple[Mapping[str, str], ...]
    pending: tuple[Mapping[str, str], ...]
    query: str = ""
    folder: str = ""


def unix(at: datetime) -> str:
    """Return unix seconds with milliseconds, which is what Prometheus stores."""
    return f"{at.timestamp():.3f}"


class PrometheusMetrics:
    """Implements ports.Metrics. ``via`` names Grafana's data source where the URL is its proxy."""

    def __init__(
        self,
        settings: PrometheusSettings,
        *,
        via: str = "",
        attempts: int = 3,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._via = via
        self._names: frozenset[str] | None = None
        self._names_at = 0.0
        self._room = HttpRoom(
            "prometheus",
            settings.url or "",
            unavailable=MetricsUnavailable,
            token=settings.token,
            username=settings.username,
            password=settings.password,
            headers={"X-Scope-OrgID": settings.tenant} if settings.tenant else None,
            max_response_bytes=settings.max_response_bytes,
            attempts=attempts,
            trust=trust,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._room.aclose()

    async def instant(self, promql: str, *, at: datetime | None, timeout_s: float) -> SeriesSet:
        """Evaluate at one instant (None: now); each series has one point. A scalar is a series without labels."""
        form = {"query": promql}
        if at is not None:
            form["time"] = unix(at)
        return await self._query("query", promql, form, timeout_s, ())

    async def range(self, promql: str, window: Window, *, step_s: float, timeout_s: float) -> SeriesSet:
        """Evaluate over a window; a step that would make more than 11,000 points is widened and noted."""
        if not (step_s > 0 and math.isfinite(step_s)):
            raise QueryRefused(f"prometheus: a step of {step_s} s cannot be evaluated: it must be above 0")
        notes: tuple[str, ...] = ()
        smallest_s = window.span_s() / (MAX_POINTS - 1)
        if step_s < smallest_s:
            step_s = math.ceil(smallest_s * 1000) / 1000
            notes = (f"the step was widened to {step_s:g} s: Prometheus gives {MAX_POINTS} points at most",)
        form = {"query": promql, "start": unix(window.start), "end": unix(window.end), "step": f"{step_s:.3f}"}
        return await self._query("query_range", promql, form, timeout_s, notes)

    async def _query(
        self, endpoint: str, promql: str, form: dict[str, str], timeout_s: float, notes: tuple[str, ...]
    ) -> SeriesSet:
        allowed_s = min(timeout_s, self._settings.timeout_s)
        path = f"{_API}/{endpoint}"
        # Prometheus gives up a little before we do, so that the reason arrives instead of a silence.
        form["timeout"] = f"{max(1, round(allowed_s * 900))}ms"
        answer = await self._room.request("POST", path, form=form, timeout_s=allowed_s)
        return await read_aside(len(answer.text), self._read_series, path, answer, promql, notes)

    def _read_series(self, path: str, answer: HttpAnswer, promql: str, notes: tuple[str, ...]) -> SeriesSet:
        body = self._body(path, answer, promql)
        data = body.get("data")
        if not isinstance(data, dict):
            raise self._room.unavailable(path, answer, "the answer is JSON, but has no data")
        if data.get("resultType") == "string":
            raise QueryRefused(f"prometheus: {promql} gives a string, not numbers", status=answer.status)
        read = _result(data)
        if read is None:
            raise self._room.unavailable(path, answer, "the answer is JSON, but not a result of Prometheus")
        series, skipped = read
        warnings, infos = _texts(body.get("warnings")), _texts(body.get("infos"))
        if body.get("isPartial") is True:  # VictoriaMetrics' word for it, where a storage node is away
            warnings.append("the server says that its answer is partial (isPartial)")
        told = [*notes, *skipped, *warnings, *infos]
        if cut := body.get("isPartial") is True:  # VictoriaMetrics: a storage node was away
            told.append("the server says that its answer is partial")
        partial = bool(warnings or skipped or cut)
        return SeriesSet(query=promql, series=tuple(series), partial=partial, notes=tuple(told))

    async def names(self, matchers: Mapping[str, str], window: Window, *, timeout_s: float) -> Sequence[str]:
        """Return the metric names that have series with these labels, sorted."""
        path = f"{_API}/label/__name__/values"
        selector = promql_selector(None, matchers, utf8=True)
        params = [("match[]", selector), ("start", unix(window.start)), ("end", unix(window.end))]
        data = await self._get(path, params, selector, timeout_s)
        if not isinstance(data, list | None):
            raise MetricsUnavailable(f"prometheus: {self._room.shown_url}{path}: the answer is not a list of names")
        return sorted(name for name in data or () if isinstance(name, str))

    async def series(
        self, selector: MetricSelector, window: Window, *, timeout_s: float
    ) -> Sequence[Mapping[str, str]]:
        """Return the labels of the series that a selector gives; older servers know no ``limit``, and give all."""
        path = f"{_API}/series"
        params = [("match[]", selector.promql), ("start", unix(window.start)), ("end", unix(window.end))]
        data = await self._get(path, [*params, ("limit", str(MOST_SERIES))], selector.promql, timeout_s)
        if not isinstance(data, list | None):
            raise MetricsUnavailable(f"prometheus: {self._room.shown_url}{path}: the answer is not a list of series")
        return [
            {name: value for name, value in labels.items() if isinstance(value, str)}
            for labels in (data or ())[:MOST_SERIES]
            if isinstance(labels, dict)
        ]

    async def label_names(self, *, timeout_s: float) -> frozenset[str]:
        """Return the label names that series have; a server that takes names with dots has some."""
        if self._names is None or time.monotonic() - self._names_at > NAMES_KEPT_S:
            data = await self._get(f"{_API}/labels", [], "label names", timeout_s)
            found = frozenset(name for name in data or () if isinstance(name, str)) if isinstance(data, list) else None
            if not found:
                return frozenset()
            self._names, self._names_at = found, time.monotonic()
        return self._names

    async def alert_rules(self, *, timeout_s: float) -> tuple[AlertRule, ...]:
        """Return the alerting rules that this server evaluates, with their alerts."""
        path = f"{_API}/rules"
        data = await self._get(path, [("type", "alert")], "alerting rules", timeout_s)
        if not isinstance(data, dict) or not isinstance(data.get("groups"), list | None):
            raise MetricsUnavailable(f"prometheus: {self._room.shown_url}{path}: the answer is not a list of rules")
        return read_rules(data)

    async def _get(self, path: str, params: list[tuple[str, str]], what: str, timeout_s: float) -> Any:
        allowed_s = min(timeout_s, self._settings.timeout_s)
        answer = await self._room.request("GET", path, params=params, timeout_s=allowed_s)
        body = await read_aside(len(answer.text), self._body, path, answer, what)
        return body.get("data")

    def _body(self, path: str, answer: HttpAnswer, what: str) -> dict[str, Any]:
        """Judge status and envelope; text comes first, since proxies answer HTML."""
        if answer.cut and answer.ok:
            limit = self._settings.max_response_bytes
            raise self._room.unavailable(
                path, answer, f"{what}: the answer is over {limit} bytes, or too dense; aggregate, or widen the step"
            )
        try:
            body = answer.json()
        except ValueError as exc:
            if answer.ok:
                raise self._room.unavailable(path, answer, f"the answer is not JSON ({exc})") from exc
            body = {}
        if answer.status >= 500 or answer.status in _LATER:
            raise self._room.unavailable(path, answer, f"Prometheus cannot answer {what} now")
        if not answer.ok or (isinstance(body, dict) and body.get("status") == "error"):
            told = str(body["error"])[:500] if isinstance(body, dict) and body.get("error") else answer.shown
            raise QueryRefused(
                f"prometheus: {self._room.shown_url}{path} refused {what}: status {answer.status}: {told}"
                + self._cure(answer.status, told, prefix="; "),
                status=answer.status,
            )
        if not isinstance(body, dict) or body.get("status") != "success":
            raise self._room.unavailable(path, answer, "the answer is JSON, but not Prometheus'")
        return body

    def _cure(self, status: int, text: str, *, prefix: str = "") -> str:
        setting = "SREOPS_GRAFANA__" if self._via else "SREOPS_PROMETHEUS__"
        if "no org id" in text:
            cure = f"set the tenant header on {self._via}" if self._via else f"set {setting}TENANT (X-Scope-OrgID)"
        elif status in (401, 403):
            cure = f"set {setting}TOKEN" + ("" if self._via else ", or SREOPS_PROMETHEUS__USERNAME and __PASSWORD")
        elif status == 404 or 300 <= status < 400:
            cure = f"set {setting}URL to the base URL, without /api/v1 and without a redirect"
        else:
            return ""
        return prefix + cure

    async def health(self) -> Health:
        """Evaluate a constant: proves address, credentials and that queries are answered."""
        try:
            await self.instant("vector(1)", at=None, timeout_s=self._settings.timeout_s)
        except QueryRefused as exc:
            return Health("down", str(exc), self._cure(exc.status, str(exc)) or "check SREOPS_PROMETHEUS__URL")
        except SreopsError as exc:
            setting = "SREOPS_GRAFANA__URL" if self._via else "SREOPS_PROMETHEUS__URL"
            return Health(
                "down", str(exc), exc.cure or f"start Prometheus, or correct {setting} (now {self._room.shown_url})"
            )
        return Health("up", f"Prometheus at {self._via or self._room.shown_url}")


def _texts(value: object) -> list[str]:
    return [str(item)[:500] for item in value] if isinstance(value, list) else []


def _point(value: object) -> tuple[float, float] | None:
    """Read ``[seconds, "value"]``; ``"NaN"`` and ``"+Inf"`` are values."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    try:
        return float(value[0]), float(value[1])
    except (TypeError, ValueError, OverflowError):
        return None


def _result(data: dict[str, Any]) -> tuple[list[Series], list[str]] | None:
    """Return the series and notes on what was left out; None where the shape is not Prometheus'."""
    kind, result = data.get("resultType"), data.get("result")
    if not isinstance(result, list | None):
        return None
    if kind == "scalar":
        point = _point(result)
        return None if point is None else ([Series(labels={}, points=(point,))], [])
    if kind not in ("vector", "matrix"):
        return None
    series, histograms, unreadable = [], 0, 0
    for item in result or ():
        if not isinstance(item, dict) or not isinstance(item.get("metric", {}), dict):
            return None
        if "histogram" in item or "histograms" in item:
            histograms += 1
        values = [item["value"]] if "value" in item else item.get("values")
        if not isinstance(values, list):
            unreadable += "histogram" not in item and "histograms" not in item
            continue
        points = [point for point in map(_point, values) if point is not None]
        unreadable += len(values) - len(points)
        labels = {str(name): str(value) for name, value in item.get("metric", {}).items()}
        series.append(Series.model_construct(labels=labels, points=tuple(points)))
    notes = [f"{histograms} native histograms were left out"] if histograms else []
    if unreadable:
        notes.append(f"{unreadable} samples could not be read and were left out")
    return series, notes


def read_rules(data: Mapping[str, Any]) -> tuple[AlertRule, ...]:
    """Read ``groups[].rules[]`` of Prometheus, and of Grafana, which has the same shape with other state names."""
    rules = []
    for group in data.get("groups") or ():
        for rule in (group.get("rules") or ()) if isinstance(group, dict) else ():
            if not isinstance(rule, dict) or not isinstance(rule.get("name"), str):
                continue
            states: dict[str, list[Mapping[str, str]]] = {"firing": [], "pending": []}
            for alert in rule.get("alerts") or ():
                state = str(alert.get("state", "")).lower() if isinstance(alert, dict) else ""
                labels = alert.get("labels") if isinstance(alert, dict) else None
                if isinstance(labels, dict):
                    kind = "firing" if state.startswith(("firing", "alerting", "recovering")) else state
                    kind = "pending" if alert.get("keepFiringSince") else kind
                    states.setdefault(kind, []).append({str(k): str(v) for k, v in labels.items()})
            healthy = str(rule.get("health", "ok")).lower() == "ok" and not rule.get("lastError")
            firing, pending = tuple(states["firing"]), tuple(states["pending"])
            query, folder = str(rule.get("query", "")), str(group.get("file", ""))
            rules.append(AlertRule(rule["name"], healthy, firing, pending, query, folder))
    return tuple(rules)
