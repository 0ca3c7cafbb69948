"""A Prometheus for the sandbox: it scrapes callables, evaluates alert rules and keeps their samples.

``record`` puts single samples in; ``add_target`` registers a source, which ``scrape`` (or ``run``, at every
interval) samples with the ``job`` and ``instance`` labels, ``up``, and stale markers of the real one. The HTTP
side is ``prometheus_api``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sreops.sandbox.clock import Clock
from sreops.sandbox.faults import Faults
from sreops.sandbox.prometheus.reply import fault_body
from sreops.sandbox.prometheus.rules import Alert, AlertRule, AlertState, record
from sreops.sandbox.prometheus.series import STALE, SeriesStore
from sreops.sandbox.promql.operators import ExecutionError

Exposed = tuple[str, Mapping[str, str], float]
"""Name, labels and value, as a target exposes them."""
Source = Callable[[], Iterable[Exposed]]


class TargetDown(Exception):
    """What a source raises when nothing answers there: ``up`` becomes 0 and its series end."""


@dataclass(slots=True)
class Target:
    """Something that is scraped."""

    job: str
    instance: str
    source: Source
    last: dict[tuple[str, tuple[tuple[str, str], ...]], None] = field(default_factory=dict)
    """The series of the last scrape, so that what is gone can be marked stale."""

    @property
    def labels(self) -> dict[str, str]:
        """The labels that Prometheus adds to each of its series."""
        return {"job": self.job, "instance": self.instance}


class Prometheus:
    """Prometheus in a process, served by ``prometheus_api``; ``faults`` breaks that, ``store`` holds the samples."""

    def __init__(self, clock: Clock, *, scrape_interval_s: float = 15.0) -> None:
        self.clock = clock
        self.scrape_interval_s = scrape_interval_s
        self.store = SeriesStore()
        self.rules: list[AlertRule] = []
        self.metadata: dict[str, tuple[str, str]] = {}
        """Type and help per metric, for ``/api/v1/metadata``."""
        self._targets: list[Target] = []
        self._manual: dict[tuple[tuple[str, str], ...], Alert] = {}
        self.faults = Faults(fault_body)

    def record(self, name: str, labels: Mapping[str, str], value: float, ts: float | None = None) -> None:
        """Add one sample, now or at ``ts`` (unix seconds)."""
        self.store.add(name, labels, self.clock.time() if ts is None else ts, value)

    def add_target(self, job: str, instance: str, source: Source) -> Target:
        """Scrape ``source`` from now on; it raises TargetDown when nobody is there."""
        target = Target(job, instance, source)
        self._targets.append(target)
        return target

    def add_rule(
        self,
        alertname: str,
        expr: str,
        *,
        for_s: float = 0.0,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> AlertRule:
        """Evaluate an alerting rule at each scrape."""
        rule = AlertRule(alertname, expr, for_s, labels or {}, annotations or {})
        self.rules.append(rule)
        return rule

    def set_alert(
        self, alertname: str, labels: Mapping[str, str] | None = None, state: AlertState | None = "firing"
    ) -> None:
        """Put an alert into a state by hand, or end it with ``None``; it stays so until it is set again."""
        now = self.clock.time()
        full = {**(labels or {}), "alertname": alertname}
        key = tuple(sorted(full.items()))
        before = self._manual.pop(key, None)
        if before is not None and before.state != state:
            record(self.store, before, now, ended=True)
        if state is not None:
            since = before.active_at if before is not None else now
            self._manual[key] = alert = Alert(full, {}, state, since, 1.0)
            record(self.store, alert, now)

    def alerts(self) -> list[Alert]:
        """All active alerts: those of rules, and those set by hand."""
        return [alert for rule in self.rules for alert in rule.active.values()] + list(self._manual.values())

    def keep_alerts(self) -> None:
        """Record the alerts set by hand once more, so that they do not go stale between scrapes."""
        for alert in self._manual.values():
            record(self.store, alert, self.clock.time())

    def scrape(self, at: float | None = None) -> None:
        """Sample every target, then evaluate every rule, now or at ``at``."""
        when = self.clock.time() if at is None else at
        for target in self._targets:
            self._scrape(target, when)
        for rule in self.rules:
            try:
                rule.evaluate(self.store, when)
                rule.failure = ""
            except ExecutionError as exc:
                # As in Prometheus: a rule that fails keeps its state, says so, and is tried again.
                rule.failure = str(exc)
        for alert in self._manual.values():
            record(self.store, alert, when)

    def _scrape(self, target: Target, at: float) -> None:
        try:
            exposed = list(target.source())
        except TargetDown:
            exposed, up = [], 0.0
        else:
            up = 1.0
        seen: dict[tuple[str, tuple[tuple[str, str], ...]], None] = {}
        for name, labels, value in exposed:
            full = {**labels, **target.labels}
            seen[name, tuple(sorted(full.items()))] = None
            self.store.add(name, full, at, value)
        for name, key in target.last.keys() - seen.keys():
            self.store.add(name, dict(key), at, STALE)
        target.last = seen
        self.store.add("up", target.labels, at, up)
        self.store.add("scrape_samples_scraped", target.labels, at, float(len(exposed)))

    async def run(self) -> None:
        """Scrape at every interval until cancelled."""
        while True:
            self.scrape()
            await self.clock.sleep(self.scrape_interval_s)
