"""What every Metrics must do; subclasses serve the samples below (see test_metrics_*.py).

``lively`` is a gauge that rises, of two instances; ``odd`` holds NaN and infinities; ``jobs_total`` counts.
"""

from datetime import datetime, timedelta
from urllib.parse import quote

import pytest

from sreops.adapters.observability.alert_states import PrometheusAlertStates
from sreops.adapters.observability.prometheus import MAX_POINTS, PrometheusMetrics
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.evidence.evidence import Window
from sreops.domain.evidence.golden_signals import choose
from sreops.domain.evidence.metric_selection import MetricSelector
from sreops.domain.text.quoting import promql_selector
from sreops.errors import QueryRefused
from sreops.settings import PrometheusSettings

HOSTILE = [
    'a"} or vector(1) #', "back\\slash", "new\nline", "`tick`", "größe 東京 😀", "\ufffd", "\x7f\x01", '\\"', "\u2028",
    "{{ .Values }}", "x" * 1500,
]  # fmt: skip


def event(alertname: str, now: datetime, *, expression: str = "", source: str = "alertmanager", **labels: str):
    url = f"http://prometheus:9090/graph?g0.expr={quote(expression)}&g0.tab=1" if expression else ""
    return AlertEvent(
        event_id="1", source=source, fingerprint="f", status=AlertStatus.firing,
        labels={"alertname": alertname, **labels}, annotations={}, starts_at=now, received_at=now,
        tier=Tier.autonomous, severity=Severity.critical, service="shop", generatorURL=url,
    )  # fmt: skip


class MetricsContract:
    """Subclasses give ``url``, ``now`` (when all samples are there) and serve series and rules:

    lively{service="shop",part="a|b"}, odd{service="shop",kind="nan|inf|ninf"} and jobs_total{service="shop"};
    rules Firing (labels severity="critical") of part a, Quiet (never), Broken (its evaluation fails).
    """

    @pytest.fixture
    async def metrics(self, url):
        adapter = PrometheusMetrics(PrometheusSettings(url=url))
        yield adapter
        await adapter.aclose()

    def window(self, now: datetime) -> Window:
        return Window(start=now - timedelta(seconds=60), end=now)

    async def test_the_label_names_of_all_series_are_told(self, metrics):
        names = await metrics.label_names(timeout_s=10)
        assert {"service", "part", "kind"} <= names
        assert await metrics.label_names(timeout_s=10) == names

    async def test_the_series_of_a_selector_are_told_with_all_their_labels(self, metrics, now):
        found = await metrics.series(
            MetricSelector({"service": "shop"}, {"part": "a|b"}), self.window(now), timeout_s=10
        )
        told = {(one["__name__"], one["service"], one["part"]) for one in found if one["__name__"] == "lively"}
        assert told == {("lively", "shop", "a"), ("lively", "shop", "b")}
        assert await metrics.series(MetricSelector({"service": "blog"}), self.window(now), timeout_s=10) == []

    async def test_an_instant_query_gives_one_point_a_series(self, metrics, now):
        found = await metrics.instant('lively{service="shop"}', at=now, timeout_s=10)
        assert {series.labels["part"] for series in found.series} == {"a", "b"}
        assert all(len(series.points) == 1 for series in found.series)
        assert found.series[0].labels["__name__"] == "lively"
        assert (found.partial, found.query) == (False, 'lively{service="shop"}')

    async def test_now_is_the_default_instant(self, metrics):
        found = await metrics.instant("count(lively)", at=None, timeout_s=10)
        assert [series.points[0][1] for series in found.series] == [2.0]

    async def test_a_scalar_is_a_series_without_labels(self, metrics, now):
        found = await metrics.instant("1 + 1", at=now, timeout_s=10)
        assert [(series.labels, series.points[0][1]) for series in found.series] == [({}, 2.0)]

    async def test_a_string_is_refused(self, metrics, now):
        with pytest.raises(QueryRefused, match="string"):
            await metrics.instant('"text"', at=now, timeout_s=10)

    async def test_nan_and_infinities_are_values(self, metrics, now):
        found = await metrics.instant("odd", at=now, timeout_s=10)
        values = {series.labels["kind"]: series.points[0][1] for series in found.series}
        assert values["nan"] != values["nan"]
        assert (values["inf"], values["ninf"]) == (float("inf"), float("-inf"))

    async def test_no_series_is_an_answer_and_not_zero(self, metrics, now):
        found = await metrics.instant("no_such_metric", at=now, timeout_s=10)
        assert (found.series, found.partial) == ((), False)

    async def test_a_range_query_gives_the_points_of_its_window(self, metrics, now):
        window = self.window(now)
        found = await metrics.range('lively{part="a"}', window, step_s=1, timeout_s=10)
        (series,) = found.series
        assert len(series.points) >= 2
        assert all(window.start.timestamp() <= at <= window.end.timestamp() + 1 for at, _ in series.points)
        assert [at for at, _ in series.points] == sorted(at for at, _ in series.points)

    async def test_a_step_that_makes_too_many_points_is_widened_and_told(self, metrics, now):
        window = Window(start=now - timedelta(days=2), end=now)
        found = await metrics.range("vector(1)", window, step_s=1, timeout_s=10)
        assert f"{MAX_POINTS}" in found.notes[0]
        assert MAX_POINTS - 100 < len(found.series[0].points) <= MAX_POINTS
        assert not found.partial

    @pytest.mark.parametrize("step_s", [0, -1, float("nan"), float("inf")])
    async def test_a_step_that_is_none_is_refused(self, metrics, now, step_s):
        with pytest.raises(QueryRefused, match="step"):
            await metrics.range("lively", self.window(now), step_s=step_s, timeout_s=10)

    async def test_a_bad_query_is_refused_with_the_servers_words(self, metrics, now):
        with pytest.raises(QueryRefused, match="parse error") as refused:
            await metrics.instant("sum(", at=now, timeout_s=10)
        assert refused.value.status == 400

    async def test_a_query_that_fails_when_it_runs_is_refused(self, metrics, now):
        query = 'lively * on (service) group_left lively{service="shop"}'
        with pytest.raises(QueryRefused) as refused:
            await metrics.instant(query, at=now, timeout_s=10)
        assert refused.value.status == 422

    async def test_the_names_of_what_has_these_labels_are_told_sorted(self, metrics, now):
        found = await metrics.names({"service": "shop"}, self.window(now), timeout_s=10)
        assert [name for name in found if not name.startswith("ALERTS")] == ["jobs_total", "lively", "odd"]
        assert list(found) == sorted(found)
        assert await metrics.names({"service": "none such"}, self.window(now), timeout_s=10) == []

    async def test_names_of_everything_are_refused(self, metrics, now):
        with pytest.raises(QueryRefused, match="needs"):
            await metrics.names({"service": ""}, self.window(now), timeout_s=10)

    @pytest.mark.parametrize("value", HOSTILE)
    async def test_any_label_value_is_a_value_and_nothing_else(self, metrics, now, value):
        found = await metrics.instant(promql_selector("lively", {"service": value}), at=now, timeout_s=10)
        assert found.series == ()
        other = promql_selector("lively", {"service": "shop"}, patterns={"part": "a|b"})
        assert len((await metrics.instant(other, at=now, timeout_s=10)).series) == 2
        for signal in choose({"service": value}, ["http_requests_total", "process_resident_memory_bytes", "up"]):
            await metrics.instant(signal.promql, at=now, timeout_s=10)
        assert await metrics.names({"service": value}, self.window(now), timeout_s=10) == []

    async def test_health_says_up(self, metrics):
        assert (await metrics.health()).status == "up"

    async def test_a_firing_alert_is_known_by_its_labels_with_and_without_those_of_an_alertmanager(self, metrics, now):
        states = PrometheusAlertStates(metrics)
        [rule] = [rule for rule in await metrics.alert_rules(timeout_s=10) if rule.name == "Firing"]
        labels = {name: value for name, value in rule.firing[0].items() if name != "alertname"}
        assert labels.items() >= {"service": "shop", "part": "a", "severity": "critical"}.items()
        assert await states.firing(event("Firing", now, **labels), timeout_s=10) is True
        assert await states.firing(event("Firing", now, **labels, cluster="eu"), timeout_s=10) is True

    async def test_labels_that_may_have_been_rewritten_on_the_way_are_not_known(self, metrics, now):
        states = PrometheusAlertStates(metrics)
        expression = await self.expression_of("Firing", metrics)
        rewritten = event("Firing", now, expression=expression, service="shop")
        assert await states.firing(rewritten, timeout_s=10) is None

    async def test_the_rule_that_the_alert_names_and_that_does_not_hold_it_says_that_it_is_over(self, metrics, now):
        states = PrometheusAlertStates(metrics)
        firing, quiet = await self.expression_of("Firing", metrics), await self.expression_of("Quiet", metrics)
        over = event("Firing", now, expression=firing, service="shop", part="b")
        assert await states.firing(over, timeout_s=10) is False
        assert await states.firing(event("Quiet", now, expression=quiet), timeout_s=10) is False

    async def test_a_rule_of_the_same_name_elsewhere_says_nothing(self, metrics, now):
        states = PrometheusAlertStates(metrics)
        other = event("Quiet", now, expression="errors > 9", service="shop")
        assert await states.firing(other, timeout_s=10) is None
        assert await states.firing(event("Quiet", now, service="shop"), timeout_s=10) is None

    async def expression_of(self, alertname: str, metrics) -> str:
        return next(rule.query for rule in await metrics.alert_rules(timeout_s=10) if rule.name == alertname)

    async def test_an_unknown_rule_and_one_that_cannot_be_evaluated_are_not_known(self, metrics, now):
        states = PrometheusAlertStates(metrics)
        assert await states.firing(event("NobodysRule", now), timeout_s=10) is None
        assert await states.firing(event('x"} or vector(1) #', now), timeout_s=10) is None
        broken = event("Broken", now, expression=await self.expression_of("Broken", metrics))
        assert await states.firing(broken, timeout_s=10) is None
