"""Loki and Prometheus through Grafana's data source proxy; the data source is looked up at first use.

Grafana may be away when sreops starts: nothing is asked of it then, and a look-up that fails is tried again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.loki import LokiLogs
from sreops.adapters.observability.prometheus import AlertRule, PrometheusMetrics
from sreops.domain.evidence.evidence import LogLines, SeriesSet, Window
from sreops.domain.evidence.log_selection import LogSelector
from sreops.domain.evidence.metric_selection import MetricSelector
from sreops.errors import QueryRefused, SreopsError
from sreops.ports import Health
from sreops.settings import LokiSettings, PrometheusSettings


class LogsThroughGrafana:
    """Implements ports.Logs through the Loki data source of a Grafana."""

    def __init__(self, grafana: Grafana, settings: LokiSettings) -> None:
        self._grafana = grafana
        self._settings = settings
        self._found: LokiLogs | None = None

    async def _loki(self, timeout_s: float) -> LokiLogs:
        if self._found is None:
            uid = (await self._grafana.data_sources(timeout_s=timeout_s)).loki_uid
            if not uid:
                raise QueryRefused("Grafana has no Loki data source: add one, or set SREOPS_LOKI__URL")
            self._found = self._grafana.loki(uid, self._settings)
        return self._found

    async def lines(
        self,
        labels: Mapping[str, str],
        window: Window,
        *,
        limit: int,
        timeout_s: float,
        contains: Sequence[str] = (),
        excludes: Sequence[str] = (),
    ) -> LogLines:
        """Return lines of the streams that match."""
        loki = await self._loki(timeout_s)
        return await loki.lines(labels, window, limit=limit, timeout_s=timeout_s, contains=contains, excludes=excludes)

    async def streams(self, selector: LogSelector, window: Window, *, timeout_s: float) -> Sequence[Mapping[str, str]]:
        """Return the label sets of the streams that a selector's matchers take in."""
        return await (await self._loki(timeout_s)).streams(selector, window, timeout_s=timeout_s)

    async def select(
        self,
        selector: LogSelector,
        window: Window,
        *,
        limit: int,
        timeout_s: float,
        contains: Sequence[str] = (),
        excludes: Sequence[str] = (),
    ) -> LogLines:
        """Return the lines that a selector finds, oldest first, the newest ``limit`` of the window."""
        loki = await self._loki(timeout_s)
        return await loki.select(
            selector, window, limit=limit, timeout_s=timeout_s, contains=contains, excludes=excludes
        )

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        """Return the stream labels that exist."""
        return await (await self._loki(timeout_s)).label_names(window, timeout_s=timeout_s)

    async def health(self) -> Health:
        """Say whether it answers."""
        try:
            loki = await self._loki(self._grafana.settings.timeout_s)
        except SreopsError as exc:
            return Health(
                "down", str(exc), exc.cure or "check SREOPS_GRAFANA__URL and __TOKEN, or set SREOPS_LOKI__URL"
            )
        return await loki.health()


class MetricsThroughGrafana:
    """Implements ports.Metrics through the Prometheus data source of a Grafana."""

    def __init__(self, grafana: Grafana, settings: PrometheusSettings) -> None:
        self._grafana = grafana
        self._settings = settings
        self._found: PrometheusMetrics | None = None

    async def _prometheus(self, timeout_s: float) -> PrometheusMetrics:
        if self._found is None:
            uid = (await self._grafana.data_sources(timeout_s=timeout_s)).prometheus_uid
            if not uid:
                raise QueryRefused("Grafana has no Prometheus data source: add one, or set SREOPS_PROMETHEUS__URL")
            self._found = self._grafana.prometheus(uid, self._settings)
        return self._found

    async def instant(self, promql: str, *, at: datetime | None, timeout_s: float) -> SeriesSet:
        """Evaluate at one instant."""
        return await (await self._prometheus(timeout_s)).instant(promql, at=at, timeout_s=timeout_s)

    async def range(self, promql: str, window: Window, *, step_s: float, timeout_s: float) -> SeriesSet:
        """Evaluate over a window."""
        prometheus = await self._prometheus(timeout_s)
        return await prometheus.range(promql, window, step_s=step_s, timeout_s=timeout_s)

    async def label_names(self, *, timeout_s: float) -> frozenset[str]:
        """Return the label names that series have."""
        return await (await self._prometheus(timeout_s)).label_names(timeout_s=timeout_s)

    async def names(self, matchers: Mapping[str, str], window: Window, *, timeout_s: float) -> Sequence[str]:
        """Return the metric names that have series with these labels."""
        return await (await self._prometheus(timeout_s)).names(matchers, window, timeout_s=timeout_s)

    async def series(
        self, selector: MetricSelector, window: Window, *, timeout_s: float
    ) -> Sequence[Mapping[str, str]]:
        """Return the labels of the series that a selector gives."""
        return await (await self._prometheus(timeout_s)).series(selector, window, timeout_s=timeout_s)

    async def alert_rules(self, *, timeout_s: float) -> tuple[AlertRule, ...]:
        """Return the alerting rules that it evaluates."""
        return await (await self._prometheus(timeout_s)).alert_rules(timeout_s=timeout_s)

    async def health(self) -> Health:
        """Say whether it answers."""
        try:
            prometheus = await self._prometheus(self._grafana.settings.timeout_s)
        except SreopsError as exc:
            return Health(
                "down", str(exc), exc.cure or "check SREOPS_GRAFANA__URL and __TOKEN, or set SREOPS_PROMETHEUS__URL"
            )
        return await prometheus.health()
