"""Whether an alert fires now: asked of the system that fired it, since a rule of that name elsewhere says nothing.

Sources: Prometheus web/api/v1/api.go (``/rules``: labels are those before external labels and alert relabelling),
cmd/prometheus/main.go (generatorURL holds the rule's expression), Grafana's alertmanager and rules APIs.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import parse_qs, urlsplit

from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.prometheus import AlertRule, read_rules
from sreops.domain.alerts.alert import AlertEvent
from sreops.errors import MetricsUnavailable, QueryRefused, SreopsError
from sreops.ports import AlertStates
from sreops.telemetry import log

STATE_UNKNOWN: Final = "alert_state.source_failed"


def _public(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if not name.startswith("__") and name != "alertstate"}


def _same(labels: Mapping[str, str], event: AlertEvent) -> bool:
    """Say whether these are the event's labels, less those that are added on the way to the alertmanager."""
    return _public(labels).items() <= event.labels.items()


def _compatible(labels: Mapping[str, str], event: AlertEvent) -> bool:
    """Say whether no label that both have differs: where labels are rewritten on the way it may be the event's."""
    return all(event.labels.get(name, value) == value for name, value in _public(labels).items())


def _by_rules(named: Sequence[AlertRule], its_own: Sequence[AlertRule], event: AlertEvent) -> bool | None:
    """Judge by the rules of that name: firing, surely not, or None.

    ``its_own`` are those that are known to be the event's rule: that none of its alerts fires says so only of them.
    """
    if any(_same(labels, event) for rule in named for labels in rule.firing):
        return True
    if any(_compatible(labels, event) for rule in named for labels in (*rule.firing, *rule.pending)):
        return None  # it may be this one; or its condition holds (again), and it does not fire yet
    if not its_own or not all(rule.healthy for rule in its_own):
        return None  # a rule that can't be evaluated makes no alerts, whatever the state of the world
    return False


def expression_of(event: AlertEvent) -> str:
    """Return the expression in a Prometheus' generatorURL, spaces made one; empty where there is none."""
    try:
        told = parse_qs(urlsplit(event.generator_url).query).get("g0.expr", [""])[0]
    except ValueError:
        return ""
    return " ".join(told.split())


class EvaluatesRules(Protocol):
    """A Prometheus, direct or through Grafana, that also tells which alerting rules it evaluates."""

    async def alert_rules(self, *, timeout_s: float) -> Sequence[AlertRule]:
        """Return the alerting rules."""
        ...


class PrometheusAlertStates:
    """Implements ports.AlertStates with the rules of a Prometheus, for alerts that came by an Alertmanager."""

    def __init__(self, metrics: EvaluatesRules) -> None:
        self._metrics = metrics

    async def firing(self, event: AlertEvent, *, timeout_s: float) -> bool | None:
        """Say whether this very alert fires now; None where this Prometheus is not known to be the one that fired it.

        It is where it holds this label set, or evaluates a rule of that name with the expression that the alert names.
        """
        if not event.labels.get("alertname"):
            return None
        named = [rule for rule in await self._metrics.alert_rules(timeout_s=timeout_s) if rule.name == event.alertname]
        expression = expression_of(event)
        its_own = [rule for rule in named if expression and " ".join(rule.query.split()) == expression]
        return _by_rules(named, its_own, event)


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
        if not isinstance(data, dict):
            return None
        folder = event.labels.get("grafana_folder")  # rules of one name in several folders are several rules
        named = [
            rule for rule in read_rules(data) if rule.name == event.alertname and folder in (None, "", rule.folder)
        ]
        return _by_rules(named, named, event)


class BySource:
    """Implements ports.AlertStates: asks those that an alert's source names, in order; the first that knows decides."""

    def __init__(self, sources: Mapping[str, Sequence[AlertStates]]) -> None:
        self._sources = dict(sources)

    async def firing(self, event: AlertEvent, *, timeout_s: float) -> bool | None:
        """Say whether this very alert fires now; None where nobody who may know it does."""
        for source in self._sources.get(event.source, ()):
            try:
                known = await source.firing(event, timeout_s=timeout_s)
            except SreopsError as exc:
                log.warning(STATE_UNKNOWN, source=type(source).__name__, error=type(exc).__name__, detail=str(exc))
                continue
            if known is not None:
                return known
        return None
