"""Grafana: its data sources as Loki and Prometheus, and the state of alerts.

Source: Grafana docs/sources/developers/http_api/data_source.md, alerting's Prometheus-compatible API
(``/api/prometheus/grafana/api/v1/rules``) and alertmanager API (``/api/alertmanager/grafana/api/v2/alerts``);
annotations.md for what was changed (``/api/annotations``).
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from urllib.parse import quote

import httpx

from sreops.adapters.http import Answer, HttpRoom
from sreops.adapters.observability.loki import LokiLogs
from sreops.adapters.observability.prometheus import AlertRule, PrometheusMetrics, read_rules
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.changes import NotedChange
from sreops.domain.evidence.evidence import SeriesSet, Window
from sreops.domain.text.quoting import promql_selector
from sreops.errors import MetricsUnavailable, QueryRefused, SreopsError
from sreops.ports import AlertStates, Health
from sreops.settings import GrafanaSettings, LokiSettings, PrometheusSettings
from sreops.telemetry import log

STATE_UNKNOWN = "alert_state.source_failed"
_MAX_NOTES = 200
_MAX_NOTE_CHARS = 2000


@dataclass(frozen=True)
class DataSources:
    """The uids to go through; empty where Grafana has none of that type."""

    loki_uid: str = ""
    prometheus_uid: str = ""


class Grafana:
    """Grafana's HTTP API with a service account's token."""

    def __init__(
        self,
        settings: GrafanaSettings,
        *,
        attempts: int = 3,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self._trust = trust
        self._room = HttpRoom(
            "grafana",
            settings.url or "",
            unavailable=MetricsUnavailable,
            token=settings.token,
            attempts=attempts,
            trust=trust,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._room.aclose()

    async def get(self, path: str, params: Sequence[tuple[str, str]] = (), *, timeout_s: float) -> Any:
        """Return the parsed answer; raises MetricsUnavailable or QueryRefused."""
        allowed_s = min(timeout_s, self.settings.timeout_s)
        answer = await self._room.request("GET", path, params=list(params), timeout_s=allowed_s)
        if answer.status >= 500 or answer.status in (408, 429):
            raise self._room.unavailable(path, answer, "Grafana cannot answer now")
        if not answer.ok:
            raise QueryRefused(
                f"grafana: {self._room.shown_url}{path}: status {answer.status}: {answer.shown}; " + _cure(answer),
                status=answer.status,
            )
        try:
            return await answer.parsed()
        except ValueError as exc:
            raise self._room.unavailable(path, answer, f"the answer is not JSON ({exc})") from exc

    async def data_sources(self, *, timeout_s: float) -> DataSources:
        """Find the data sources to query through: the uids that are set, else Grafana's default or first of each type.

        Raises MetricsUnavailable or QueryRefused where Grafana has to be asked and does not say.
        """
        loki_uid, prometheus_uid = self.settings.loki_uid, self.settings.prometheus_uid
        if not (loki_uid and prometheus_uid):
            listed = await self.get("/api/datasources", timeout_s=timeout_s)
            if not isinstance(listed, list):
                raise MetricsUnavailable(f"grafana: {self._room.shown_url}/api/datasources did not answer with a list")
            loki_uid = loki_uid or _first(listed, "loki")
            prometheus_uid = prometheus_uid or _first(listed, "prometheus")
        return DataSources(loki_uid, prometheus_uid)

    async def noted(self, window: Window, *, timeout_s: float) -> Sequence[NotedChange]:
        """Implements ports.ChangeNotes: the annotations of the window, newest first, less those that alerts made."""
        span = [("from", f"{window.start.timestamp() * 1000:.0f}"), ("to", f"{window.end.timestamp() * 1000:.0f}")]
        params = [*span, ("type", "annotation"), ("limit", str(_MAX_NOTES))]
        listed = await self.get("/api/annotations", params, timeout_s=timeout_s)
        if not isinstance(listed, list):
            raise MetricsUnavailable(f"grafana: {self._room.shown_url}/api/annotations did not answer with a list")
        return tuple(note for item in listed[:_MAX_NOTES] if (note := _note(item)) is not None)

    def _proxy(self, uid: str) -> str:
        return f"{self._room.base_url}/api/datasources/proxy/uid/{quote(uid, safe='')}"

    def loki(self, uid: str, settings: LokiSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> LokiLogs:
        """Return Loki through this data source; of ``settings`` only the limits hold."""
        through = settings.model_copy(
            update={
                "url": self._proxy(uid), "token": self.settings.token, "username": "", "password": None, "tenant": "",
                "timeout_s": self.settings.timeout_s,
            }
        )  # fmt: skip
        return LokiLogs(through, via=f"Grafana's data source {uid}", trust=self._trust, transport=transport)

    def prometheus(
        self, uid: str, settings: PrometheusSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> PrometheusMetrics:
        """Return Prometheus through this data source; of ``settings`` only the limits hold."""
        through = settings.model_copy(
            update={
                "url": self._proxy(uid), "token": self.settings.token, "username": "", "password": None, "tenant": "",
                "timeout_s": self.settings.timeout_s,
            }
        )  # fmt: skip
        return PrometheusMetrics(through, via=f"Grafana's data source {uid}", trust=self._trust, transport=transport)

    async def health(self) -> Health:
        """List the data sources: proves address and token."""
        where = self._room.shown_url
        try:
            found = await self.data_sources(timeout_s=self.settings.timeout_s)
            listed = await self.get("/api/datasources", timeout_s=self.settings.timeout_s)
        except QueryRefused as exc:
            if exc.status == 403 and self.settings.loki_uid and self.settings.prometheus_uid:
                told = "the token may not list the data sources, and need not: both uids are set"
                return Health("up", f"Grafana at {where}: {told}")
            return Health("down", str(exc), "set SREOPS_GRAFANA__TOKEN to a service account's token (role Viewer)")
        except SreopsError as exc:
            return Health("down", str(exc), exc.cure or f"start Grafana, or correct SREOPS_GRAFANA__URL ({where})")
        count = len(listed) if isinstance(listed, list) else 0
        names = f"loki: {found.loki_uid or 'none'}, prometheus: {found.prometheus_uid or 'none'}"
        return Health("up", f"Grafana at {where}, {count} data sources ({names})")


def _cure(answer: Answer) -> str:
    if answer.status in (401, 403):
        return "set SREOPS_GRAFANA__TOKEN to a service account's token (role Viewer; datasources:read and :query)"
    return "check SREOPS_GRAFANA__URL: the base URL, without a redirect"


def _note(item: object) -> NotedChange | None:
    """Read one annotation; None where it is none."""
    if not isinstance(item, dict) or isinstance(item.get("time"), bool) or not isinstance(item.get("time"), int):
        return None
    text, tags = item.get("text"), item.get("tags")
    try:
        at = datetime.fromtimestamp(item["time"] / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return NotedChange(
        at=at,
        text=text[:_MAX_NOTE_CHARS] if isinstance(text, str) else "",
        tags=tuple(tag[:200] for tag in tags[:20] if isinstance(tag, str)) if isinstance(tags, list) else (),
    )


def _first(listed: Sequence[object], kind: Literal["loki", "prometheus"]) -> str:
    """Return the uid of Grafana's default of this type, else of the first one."""
    fitting = [item for item in listed if isinstance(item, dict) and item.get("type") == kind and item.get("uid")]
    fitting.sort(key=lambda item: not item.get("isDefault"))
    return str(fitting[0]["uid"]) if fitting else ""


def _public(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if not name.startswith("__")}


def _compatible(labels: Mapping[str, str], event: AlertEvent) -> bool:
    """Say whether a firing alert may be the event's: no label that both have differs.

    An alertmanager sees labels that the rule does not (external labels), and may lack some (relabelling), so
    equality would read "not firing" where it fires.
    """
    return all(
        event.labels.get(name, value) == value for name, value in _public(labels).items() if name != "alertstate"
    )


def _by_rules(rules: Sequence[AlertRule], event: AlertEvent) -> bool | None:
    """Judge by the rules of that name: firing, surely not, or None where no healthy rule of that name is known."""
    named = [rule for rule in rules if rule.name == event.alertname]
    if any(_compatible(labels, event) for rule in named for labels in rule.firing):
        return True
    if any(_compatible(labels, event) for rule in named for labels in rule.pending):
        return None  # its condition holds again, and it does not fire yet: neither answer would be true
    if not named or not all(rule.healthy for rule in named):
        return None  # a rule that cannot be evaluated makes no alerts, whatever the state of the world
    return False


class EvaluatesRules(Protocol):
    """A Prometheus, direct or through Grafana, that also tells which alerting rules it evaluates."""

    async def instant(self, promql: str, *, at: datetime | None, timeout_s: float) -> SeriesSet:
        """Evaluate at one instant."""
        ...

    async def alert_rules(self, *, timeout_s: float) -> Sequence[AlertRule]:
        """Return the alerting rules."""
        ...


class PrometheusAlertStates:
    """Implements ports.AlertStates with ``ALERTS`` and the rules of a Prometheus."""

    def __init__(self, metrics: EvaluatesRules) -> None:
        self._metrics = metrics

    async def firing(self, event: AlertEvent, *, timeout_s: float) -> bool | None:
        """Say whether this very alert fires now; None where this Prometheus does not know its rule."""
        if not event.labels.get("alertname"):
            return None
        selector = promql_selector("ALERTS", {"alertname": event.alertname, "alertstate": "firing"})
        found = await self._metrics.instant(selector, at=None, timeout_s=timeout_s)
        if any(_compatible(series.labels, event) for series in found.series):
            return True
        # ALERTS is absent when resolved, and as absent where nobody evaluates the rule: only the rules tell.
        return _by_rules(await self._metrics.alert_rules(timeout_s=timeout_s), event)


class GrafanaAlertStates:
    """Implements ports.AlertStates with Grafana's own alertmanager, and its rules where that is silent."""

    def __init__(self, grafana: Grafana) -> None:
        self._grafana = grafana

    async def firing(self, event: AlertEvent, *, timeout_s: float) -> bool | None:
        """Say whether this very alert fires now; None where Grafana does not know its rule."""
        path = "/api/alertmanager/grafana/api/v2/alerts"
        listed = await self._grafana.get(path, timeout_s=timeout_s)
        if not isinstance(listed, list):
            raise MetricsUnavailable(f"grafana: {path} did not answer with a list")
        alerts = [item for item in listed if isinstance(item, dict)]
        if any(item.get("fingerprint") == event.fingerprint for item in alerts):
            return True
        wanted = _public(event.labels)
        for item in alerts:
            labels = item.get("labels")
            if isinstance(labels, dict) and _public(labels) == wanted:
                return True
        try:
            rules = await self._grafana.get("/api/prometheus/grafana/api/v1/rules", timeout_s=timeout_s)
        except QueryRefused:
            return None  # the token may not read rules: then nobody says that the rule is known
        data = rules.get("data") if isinstance(rules, dict) else None
        return _by_rules(read_rules(data), event) if isinstance(data, dict) else None


class FirstKnown:
    """Asks several sources in order; the first that knows the alert decides."""

    def __init__(self, sources: Sequence[AlertStates]) -> None:
        self._sources = tuple(sources)

    async def firing(self, event: AlertEvent, *, timeout_s: float) -> bool | None:
        """Say whether this very alert fires now; None where nobody who answers knows it."""
        for source in self._sources:
            try:
                known = await source.firing(event, timeout_s=timeout_s)
            except SreopsError as exc:
                log.warning(STATE_UNKNOWN, source=type(source).__name__, error=type(exc).__name__, detail=str(exc))
                continue
            if known is not None:
                return known
        return None
