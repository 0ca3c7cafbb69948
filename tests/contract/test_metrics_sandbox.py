"""The sandbox's Prometheus keeps the contract; and what a broken, slow or foreign server in its place becomes."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from contract.metrics_suite import MetricsContract, event
from sreops.adapters.observability.alert_states import BySource, GrafanaAlertStates, PrometheusAlertStates
from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.prometheus import PrometheusMetrics
from sreops.domain.evidence.evidence import Window
from sreops.errors import MetricsUnavailable, QueryRefused, SettingsInvalid
from sreops.sandbox.clock import WallClock
from sreops.sandbox.grafana.server import DataSource
from sreops.sandbox.grafana.server import Grafana as SandboxGrafana
from sreops.sandbox.prometheus.api import prometheus_api
from sreops.sandbox.prometheus.server import Prometheus
from sreops.sandbox.server import Server
from sreops.settings import GrafanaSettings, LokiSettings, PrometheusSettings

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
WINDOW = Window(start=NOW - timedelta(minutes=5), end=NOW)


def shop():
    yield "lively", {"service": "shop", "part": "a"}, 1.0
    yield "lively", {"service": "shop", "part": "b"}, 1.0
    for kind, value in (("nan", float("nan")), ("inf", float("inf")), ("ninf", float("-inf"))):
        yield "odd", {"service": "shop", "kind": kind}, value
    yield "jobs_total", {"service": "shop"}, 7.0


@pytest.fixture
def world():
    made = Prometheus(WallClock())
    made.add_target("shop", "127.0.0.1:1", shop)
    made.add_rule("Firing", 'lively{part="a"} > 0', labels={"severity": "critical"})
    made.add_rule("Quiet", "lively < 0")
    made.add_rule("Broken", "lively * on (service) group_left lively")
    for ago_s in (20, 10):  # a scrape is of now
        made.record(
            "lively", {"service": "shop", "part": "a", "job": "shop", "instance": "127.0.0.1:1"}, 1.0,
            made.clock.time() - ago_s,
        )  # fmt: skip
    made.scrape()
    return made


class TestSandboxPrometheus(MetricsContract):
    @pytest.fixture
    async def url(self, world):
        async with Server(prometheus_api(world)) as server:
            yield server.url

    @pytest.fixture
    def now(self, url):
        return datetime.now(UTC)


class TestSandboxPrometheusThroughGrafana(TestSandboxPrometheus):
    """The same through Grafana's data source proxy."""

    @pytest.fixture
    async def url(self, world):
        grafana = SandboxGrafana(
            "glsa_x",
            {"l": DataSource("loki", "http://127.0.0.1:1"), "p": DataSource("prometheus", prometheus_api(world))},
        )
        async with Server(grafana.app) as server:
            self.settings = GrafanaSettings(url=server.url, token=SecretStr("glsa_x"))
            yield server.url

    @pytest.fixture
    async def metrics(self, url):
        client = Grafana(self.settings)
        adapter = client.prometheus((await client.data_sources(timeout_s=5)).prometheus_uid, PrometheusSettings())
        yield adapter
        await adapter.aclose()
        await client.aclose()


async def ask(answer, *, attempts: int = 1, timeout_s: float = 5.0, **settings_of):
    handler = answer if callable(answer) else lambda request: answer
    adapter = PrometheusMetrics(
        PrometheusSettings(url="http://prom.test", **settings_of), attempts=attempts,
        transport=httpx.MockTransport(handler),
    )  # fmt: skip
    try:
        return await adapter.instant("up", at=NOW, timeout_s=timeout_s)
    finally:
        await adapter.aclose()


def vector(*items, **more) -> dict:
    return {"status": "success", "data": {"resultType": "vector", "result": list(items)}, **more}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>please log in</html>"),
        httpx.Response(200, text=""),
        httpx.Response(200, text='{"status":"success","data":{"resultType":"vector","resu'),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"status": "success"}),
        httpx.Response(200, json={"status": "success", "data": []}),
        httpx.Response(200, json={"status": "success", "data": {"resultType": "cube", "result": []}}),
        httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": {}}}),
        httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": [1]}}),
        httpx.Response(200, json={"status": "success", "data": {"resultType": "scalar", "result": None}}),
        httpx.Response(503, json={"status": "error", "errorType": "timeout", "error": "query timed out"}),
        httpx.Response(500, text="<html>oops</html>"),
        httpx.Response(429, text="slow down"),
    ],
)
async def test_what_is_no_answer_of_prometheus_is_unavailable_with_its_words(answer):
    with pytest.raises(MetricsUnavailable, match=r"http://prom\.test/api/v1/query"):
        await ask(answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            httpx.Response(400, json={"status": "error", "errorType": "bad_data", "error": "parse error: x"}),
            "parse error: x",
        ),
        (
            httpx.Response(422, json={"status": "error", "errorType": "execution", "error": "too many samples"}),
            "too many",
        ),
        (httpx.Response(200, json={"status": "error", "errorType": "bad_data", "error": "odd"}), "odd"),
        (httpx.Response(401, text="Unauthorized"), "SREOPS_PROMETHEUS__TOKEN"),
        (httpx.Response(404, text="<html>nginx</html>"), "without /api/v1"),
        (httpx.Response(301, headers={"location": "/prometheus/"}), "without a redirect"),
    ],
)
async def test_what_prometheus_refuses_is_refused_with_its_words_and_the_cure(answer, words):
    with pytest.raises(QueryRefused, match=words) as refused:
        await ask(answer)
    assert refused.value.status == answer.status_code


async def test_histograms_and_unreadable_samples_are_left_out_and_told():
    good = {"metric": {"a": "b"}, "value": [1, "2"]}
    histogram = {"metric": {}, "histogram": [1, {"count": "1"}]}
    found = await ask(httpx.Response(200, json=vector(good, histogram, {"metric": {}, "value": [1]}, {"metric": {}})))
    assert found.series[0].points == ((1.0, 2.0),)
    assert found.partial
    assert found.notes == ("1 native histograms were left out", "2 samples could not be read and were left out")


async def test_warnings_make_it_partial_and_infos_do_not():
    warned = await ask(httpx.Response(200, json=vector(warnings=["some store is away"])))
    told = await ask(httpx.Response(200, json=vector(infos=["might not be a counter"])))
    assert (warned.partial, warned.notes) == (True, ("some store is away",))
    assert (told.partial, told.notes) == (False, ("might not be a counter",))


async def test_queries_go_as_a_form_with_time_and_timeout():
    seen = []

    def look(request):
        seen.append((request.method, dict(httpx.QueryParams(request.content.decode()))))
        return httpx.Response(200, json=vector())

    await ask(look, timeout_s=2)
    assert seen == [("POST", {"query": "up", "time": f"{NOW.timestamp():.3f}", "timeout": "1800ms"})]


async def test_an_answer_over_the_byte_cap_is_unavailable_and_says_what_to_do():
    with pytest.raises(MetricsUnavailable, match="over 2000 bytes, or too dense; aggregate"):
        await ask(httpx.Response(200, text="x" * 5000), max_response_bytes=2000)


keys = st.sampled_from(["metric", "value", "values", "histogram", "groups", "rules", "name", "alerts"])
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
    max_leaves=12,
)
shaped = st.builds(
    lambda kind, result: {"status": "success", "data": {"resultType": kind, "result": result}},
    st.sampled_from(["vector", "matrix", "scalar"]),
    json_like,
)


@given(st.sampled_from([200, 301, 400, 500]), shaped | json_like)
@settings(max_examples=150, deadline=None)
async def test_no_json_makes_anything_but_series_or_our_errors(status, body):
    try:
        found = await ask(httpx.Response(status, json=body))
    except (MetricsUnavailable, QueryRefused):
        return
    assert all(isinstance(value, float) for series in found.series for _, value in series.points)


@given(json_like)
@settings(max_examples=100, deadline=None)
async def test_no_rules_answer_makes_anything_but_a_judgement_or_our_errors(data):
    def answer(request):
        return httpx.Response(
            200, json=vector() if "query" in request.url.path else {"status": "success", "data": data}
        )

    adapter = PrometheusMetrics(PrometheusSettings(url="http://prom.test"), transport=httpx.MockTransport(answer))
    try:
        assert await PrometheusAlertStates(adapter).firing(event("A", NOW), timeout_s=5) in (True, False, None)
    except (MetricsUnavailable, QueryRefused):
        pass
    finally:
        await adapter.aclose()


async def test_the_server_gone_is_unavailable_and_health_says_what_to_do(world):
    async with Server(prometheus_api(world)) as server:
        adapter = PrometheusMetrics(PrometheusSettings(url=server.url), attempts=1)
        world.faults.cut()
        with pytest.raises(MetricsUnavailable):
            await adapter.instant("up", at=None, timeout_s=5)
        world.faults.hang()
        with pytest.raises(MetricsUnavailable, match="no answer within"):
            await adapter.instant("up", at=None, timeout_s=0.2)
    health = await adapter.health()
    await adapter.aclose()
    assert (health.status, "SREOPS_PROMETHEUS__URL" in health.cure) == ("down", True)


class Says:
    def __init__(self, answer):
        self.answer = answer

    async def firing(self, event, *, timeout_s):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([], None),
        ([None, False], False),
        ([None, True, False], True),
        ([MetricsUnavailable("away"), False], False),
        ([MetricsUnavailable("away"), None], None),
        ([SettingsInvalid(["x"]), QueryRefused("no")], None),
    ],
)
async def test_the_first_that_knows_decides_and_who_fails_is_passed_over(sources, expected):
    states = BySource({"alertmanager": [Says(answer) for answer in sources], "grafana": [Says(True)]})
    assert await states.firing(event("A", NOW), timeout_s=1) is expected


async def test_the_state_is_asked_of_the_system_that_fired_the_alert_and_of_no_other():
    states = BySource({"alertmanager": [Says(False)], "grafana": [Says(True)]})
    assert await states.firing(event("A", NOW, source="alertmanager"), timeout_s=1) is False
    assert await states.firing(event("A", NOW, source="grafana"), timeout_s=1) is True
    assert await states.firing(event("A", NOW, source="someone"), timeout_s=1) is None
    assert (
        await BySource({"alertmanager": [Says(False)]}).firing(event("A", NOW, source="grafana"), timeout_s=1) is None
    )


async def test_an_answer_that_its_server_calls_partial_is_partial():
    body = {"status": "success", "isPartial": True, "data": {"resultType": "scalar", "result": [1, "0"]}}
    found = await ask(httpx.Response(200, json=body))
    assert (found.partial, found.series[0].points) == (True, ((1.0, 0.0),))


async def test_an_alert_that_is_kept_firing_beyond_its_condition_is_neither_ill_nor_over():
    kept = {"state": "firing", "keepFiringSince": "2026-11-30T03:00:00Z", "labels": {"alertname": "A"}}
    data = {"groups": [{"name": "g", "rules": [{"name": "A", "query": "up == 0", "health": "ok", "alerts": [kept]}]}]}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"status": "success", "data": data}))
    adapter = PrometheusMetrics(PrometheusSettings(url="http://prom.test"), transport=transport)
    told = event("A", NOW, expression="up == 0")
    assert await PrometheusAlertStates(adapter).firing(told, timeout_s=5) is None
    await adapter.aclose()


@pytest.fixture
async def grafana_world():
    world = SandboxGrafana(
        "glsa_x", {"a": DataSource("tempo", "http://127.0.0.1:1"), "l1": DataSource("loki", "http://127.0.0.1:1")}
    )
    async with Server(world.app) as server:
        client = Grafana(GrafanaSettings(url=server.url, token=SecretStr("glsa_x")))
        yield world, client, server.url
        await client.aclose()


async def test_grafana_knows_a_firing_alert_by_fingerprint_and_by_labels(grafana_world):
    world, client, _ = grafana_world
    states = GrafanaAlertStates(client)
    world.fire({"alertname": "A", "service": "shop", "__alert_rule_uid__": "u1"}, fingerprint="other")
    assert await states.firing(event("A", NOW, service="shop"), timeout_s=5) is True
    assert await states.firing(event("A", NOW, service="else"), timeout_s=5) is None
    world.fire({"alertname": "B"}, fingerprint="f")
    assert await states.firing(event("Renamed", NOW), timeout_s=5) is True


def rules(*found, folder: str = "shop") -> dict:
    return {"status": "success", "data": {"groups": [{"name": "g", "file": folder, "rules": list(found)}]}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rules({"name": "A", "health": "ok", "alerts": []}), False),
        (rules({"name": "A", "health": "ok", "alerts": [{"state": "Normal", "labels": {}}]}), False),
        (rules({"name": "A", "health": "ok", "alerts": [{"state": "Alerting", "labels": {"service": "shop"}}]}), True),
        (rules({"name": "A", "health": "ok", "alerts": [{"state": "Pending", "labels": {"service": "shop"}}]}), None),
        (rules({"name": "A", "health": "nodata", "alerts": []}), None),
        (rules({"name": "Other", "health": "ok", "alerts": []}), None),
        (rules({"name": "A", "health": "ok", "alerts": []}, folder="elsewhere"), None),
        (rules({"name": "A", "health": "ok", "alerts": []}, folder="shop"), False),
        ({"status": "success"}, None),
    ],
)
async def test_grafanas_rules_tell_resolved_from_unknown(body, expected):
    def answer(request):
        return httpx.Response(200, json=[] if "alertmanager" in request.url.path else body)

    client = Grafana(GrafanaSettings(url="http://grafana.test"), transport=httpx.MockTransport(answer))
    alert = event("A", NOW, source="grafana", service="shop", grafana_folder="shop")
    assert await GrafanaAlertStates(client).firing(alert, timeout_s=5) is expected
    await client.aclose()


async def test_data_sources_are_found_by_type_and_uids_that_are_set_are_taken(grafana_world):
    _, client, _ = grafana_world
    found = await client.data_sources(timeout_s=5)
    assert (found.loki_uid, found.prometheus_uid) == ("l1", "")
    set_ones = Grafana(GrafanaSettings(url="http://127.0.0.1:1", loki_uid="x", prometheus_uid="y"))
    assert (await set_ones.data_sources(timeout_s=5)).prometheus_uid == "y"
    await set_ones.aclose()


async def test_a_wrong_token_and_an_absent_grafana_say_what_to_do(grafana_world):
    _, client, url = grafana_world
    assert (await client.health()).status == "up"
    wrong = Grafana(GrafanaSettings(url=url, token=SecretStr("bad")))
    health = await wrong.health()
    assert (health.status, "SREOPS_GRAFANA__TOKEN" in health.cure) == ("down", True)
    absent = Grafana(GrafanaSettings(url="http://127.0.0.1:1"), attempts=1)
    assert "SREOPS_GRAFANA__URL" in (await absent.health()).cure
    through = wrong.loki("l1", LokiSettings())
    assert "SREOPS_GRAFANA__TOKEN" in (await through.health()).cure
    for each in (wrong, absent, through):
        await each.aclose()
