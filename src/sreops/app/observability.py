"""Where logs, metrics and alert states are built: direct, or through Grafana."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sreops.adapters.observability.alert_states import BySource, GrafanaAlertStates, PrometheusAlertStates
from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.loki import LokiLogs
from sreops.adapters.observability.prometheus import PrometheusMetrics
from sreops.adapters.observability.silences import Alertmanager, GrafanaSilences
from sreops.adapters.observability.through_grafana import LogsThroughGrafana, MetricsThroughGrafana
from sreops.adapters.trust import client_trust
from sreops.app.assembly import Assembly
from sreops.ports import AlertStates, ChangeNotes, Logs, Metrics, Silences
from sreops.settings import Settings


@dataclass(frozen=True)
class Observability:
    """What answers questions about the alerted service; None where nothing is configured for it."""

    logs: Logs | None
    metrics: Metrics | None
    alert_states: AlertStates | None
    changes: ChangeNotes | None
    silences: Sequence[Silences] = ()


def build_observability(settings: Settings, assembly: Assembly) -> Observability:
    """Return each direct where its URL is set, else through Grafana's data sources."""
    grafana = Grafana(settings.grafana, trust=assembly.trust) if settings.grafana.url else None
    if grafana is not None:
        assembly.built("grafana", grafana.health, grafana.aclose)
    logs = _logs(settings, grafana, assembly)
    metrics = _metrics(settings, grafana, assembly)
    alertmanager = Alertmanager(settings.alertmanager, trust=assembly.trust) if settings.alertmanager.url else None
    if alertmanager is not None:
        assembly.built("alertmanager", alertmanager.health, alertmanager.aclose)
    states: dict[str, list[AlertStates]] = {
        "alertmanager": [
            *([PrometheusAlertStates(metrics)] if metrics is not None else []),
            *([alertmanager] if alertmanager is not None else []),
        ],
        "grafana": [GrafanaAlertStates(grafana)] if grafana is not None else [],
    }
    return Observability(
        logs=logs,
        metrics=metrics,
        alert_states=BySource(states) if any(states.values()) else None,
        changes=grafana,
        silences=[
            *([alertmanager] if alertmanager is not None else []),
            *([GrafanaSilences(grafana)] if grafana is not None else []),
        ],
    )


@asynccontextmanager
async def open_metrics(settings: Settings) -> AsyncIterator[Metrics | None]:
    """Open where metrics are asked, for a command; None where nothing is configured."""
    assembly = Assembly(client_trust(settings.ca_file))
    metrics = build_observability(settings, assembly).metrics
    try:
        yield metrics
    finally:
        for close in assembly.closers:
            await close()


def _logs(settings: Settings, grafana: Grafana | None, assembly: Assembly) -> Logs | None:
    if settings.loki.url:
        direct = LokiLogs(settings.loki, names_kept=True, trust=assembly.trust)
        assembly.built("loki", direct.health, direct.aclose)
        return direct
    if grafana is not None:
        through = LogsThroughGrafana(grafana, settings.loki)
        assembly.built("loki", through.health)
        return through
    assembly.absent("loki", "SREOPS_LOKI__URL or SREOPS_GRAFANA__URL", "no logs as evidence")
    return None


def _metrics(
    settings: Settings, grafana: Grafana | None, assembly: Assembly
) -> PrometheusMetrics | MetricsThroughGrafana | None:
    if settings.prometheus.url:
        direct = PrometheusMetrics(settings.prometheus, trust=assembly.trust)
        assembly.built("prometheus", direct.health, direct.aclose)
        return direct
    if grafana is not None:
        through = MetricsThroughGrafana(grafana, settings.prometheus)
        assembly.built("prometheus", through.health)
        return through
    assembly.absent(
        "prometheus",
        "SREOPS_PROMETHEUS__URL or SREOPS_GRAFANA__URL",
        "no metrics as evidence, and fixes can't be proven",
    )
    return None
