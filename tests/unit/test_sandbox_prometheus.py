import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from sreops.sandbox.clock import ManualClock
from sreops.sandbox.prometheus.api import prometheus_api
from sreops.sandbox.prometheus.server import Exposed, Prometheus, TargetDown


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def prometheus(clock: ManualClock) -> Prometheus:
    """Two services over twenty minutes, one sample each 15 s; `pay` has errors, and a counter reset at -600 s."""
    prometheus = Prometheus(clock)
    now = clock.time()
    for step in range(80):
        at = now - 1200 + step * 15 + 7
        prometheus.record("http_requests_total", {"service": "pay", "status": "200"}, 10 * step, at)
        prometheus.record("http_requests_total", {"service": "pay", "status": "500"}, 2 * step, at)
        prometheus.record("http_requests_total", {"service": "cart", "status": "200"}, 5 * (step % 40), at)
        prometheus.record("memory_bytes", {"name": "pay"}, 1e9 + 1e6 * step, at)
        prometheus.record("limit_bytes", {"name": "pay"}, 2e9, at)
        prometheus.record("memory_bytes", {"name": "cart"}, 5e8, at)
        for bound, count in (("0.1", 6), ("0.5", 9), ("+Inf", 10)):
            prometheus.record("latency_bucket", {"service": "pay", "le": bound}, count * step, at)
    return prometheus


@pytest.fixture
async def client(prometheus: Prometheus) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(prometheus_api(prometheus))
    async with httpx.AsyncClient(transport=transport, base_url="http://prometheus") as client:
        yield client


async def values(client: httpx.AsyncClient, query: str) -> dict[str, float]:
    """Answer of an instant query: value by the labels' values."""
    answer = await client.post("/api/v1/query", data={"query": query})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    if data["resultType"] == "scalar":
        return {"": float(data["result"][1])}
    assert all(isinstance(row["value"][1], str) for row in data["result"])
    return {" ".join(row["metric"].values()): float(row["value"][1]) for row in data["result"]}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('memory_bytes{name="pay"}', {"memory_bytes pay": 1.079e9}),
        ('memory_bytes{name=~"pa.|x"}', {"memory_bytes pay": 1.079e9}),
        ('memory_bytes{name!~"p.*"}', {"memory_bytes cart": 5e8}),
        ("memory_bytes{name='cart',absent=''}", {"memory_bytes cart": 5e8}),
        ("memory_bytes offset 10m", {"memory_bytes pay": 1.039e9, "memory_bytes cart": 5e8}),
        ('sum(rate(http_requests_total{service="pay"}[5m]))', {"": 0.8}),
        ('sum by (status) (rate(http_requests_total{service="pay"}[5m]))', {"200": 10 / 15, "500": 2 / 15}),
        ('increase(http_requests_total{service="cart"}[5m])', {"cart 200": 100.0}),
        ('irate(http_requests_total{status="500"}[5m])', {"pay 500": 2 / 15}),
        (
            'sum(rate(http_requests_total{service="pay",status=~"5.."}[5m]))'
            ' / sum(rate(http_requests_total{service="pay"}[5m]))',
            {"": 1 / 6},
        ),
        (
            '(sum(rate(http_requests_total{service="cart",status=~"5.."}[5m])) or vector(0))'
            ' / (sum(rate(http_requests_total{service="cart"}[5m])) > 0)',
            {"": 0.0},
        ),
        ('sum(rate(http_requests_total{service="nobody"}[5m]))', {}),
        ("memory_bytes / on (name) (limit_bytes > 0)", {"pay": 0.5395}),
        ("memory_bytes / limit_bytes", {"pay": 0.5395}),
        ("memory_bytes / ignoring (missing) limit_bytes > bool 0.9", {"pay": 0.0}),
        ("memory_bytes > 6e8", {"memory_bytes pay": 1.079e9}),
        ("6e8 > memory_bytes", {"memory_bytes cart": 5e8}),
        ("memory_bytes unless limit_bytes", {"memory_bytes cart": 5e8}),
        ("memory_bytes and on (name) limit_bytes", {"memory_bytes pay": 1.079e9}),
        ("count(memory_bytes)", {"": 2.0}),
        ("topk(1, memory_bytes)", {"memory_bytes pay": 1.079e9}),
        ("max without (name) (memory_bytes)", {"": 1.079e9}),
        ("avg(memory_bytes) - min(memory_bytes)", {"": 289500000.0}),
        ('deriv(memory_bytes{name="pay"}[5m])', {"pay": 1e6 / 15}),
        ('delta(memory_bytes{name="pay"}[5m])', {"pay": 20e6}),
        ('changes(memory_bytes{name="cart"}[5m])', {"cart": 0.0}),
        ('resets(http_requests_total{service="cart"}[15m])', {"cart 200": 1.0}),
        ('max_over_time(memory_bytes{name="pay"}[5m])', {"pay": 1.079e9}),
        ('count_over_time(memory_bytes{name="pay"}[5m])', {"pay": 20.0}),
        ('last_over_time(memory_bytes{name="pay"}[5m])', {"memory_bytes pay": 1.079e9}),
        ('absent(nothing{a="b"})', {"b": 1.0}),
        ("absent(memory_bytes)", {}),
        ("scalar(limit_bytes)", {"": 2e9}),
        ("scalar(memory_bytes) == bool 0", {"": 0.0}),
        ("clamp_min(abs(memory_bytes * -1), 6e8)", {"pay": 1.079e9, "cart": 6e8}),
        ("histogram_quantile(0.5, sum by (le) (rate(latency_bucket[5m])))", {"": 0.1 * 5 / 6}),
        ("histogram_quantile(0.99, rate(latency_bucket[5m]))", {"pay": 0.5}),
        ("2 + 3 * 4 ^ 2 - -1", {"": 51.0}),
        ("-2 ^ 2", {"": -4.0}),
        ("2 ^ 3 ^ 2", {"": 512.0}),
        ("1 / 0", {"": math.inf}),
        ("10 % 4", {"": 2.0}),
        ("1h30m", {"": 5400.0}),
        ("vector(1) == 1 and vector(2)", {"": 1.0}),
    ],
)
async def test_queries_of_runbooks_have_their_values(
    client: httpx.AsyncClient, query: str, expected: dict[str, float]
) -> None:
    assert await values(client, query) == pytest.approx(expected)


async def test_no_traffic_is_nan_and_not_zero(client: httpx.AsyncClient, prometheus: Prometheus) -> None:
    for seconds in (200, 100, 0):
        prometheus.record("idle_total", {}, 0, prometheus.clock.time() - seconds)
    answer = await client.get("/api/v1/query", params={"query": "rate(idle_total[5m]) / rate(idle_total[5m])"})
    assert answer.json()["data"]["result"][0]["value"][1] == "NaN"
    infinite = await client.get("/api/v1/query", params={"query": "vector(1) / 0"})
    assert infinite.json()["data"]["result"][0]["value"][1] == "+Inf"


async def test_a_sample_answers_for_five_minutes(
    clock: ManualClock, prometheus: Prometheus, client: httpx.AsyncClient
) -> None:
    prometheus.record("seen", {}, 1)
    clock.advance(299)
    assert await values(client, "seen") == {"seen": 1.0}
    clock.advance(1)
    assert await values(client, "seen") == {}


@pytest.mark.parametrize(
    ("query", "status", "kind", "said"),
    [
        ("", 400, "bad_data", "no expression found in input"),
        ("nonsense(up)", 400, "bad_data", '1:1: parse error: unknown function with name "nonsense"'),
        ("rate(up)", 400, "bad_data", 'expected type range vector in call to function "rate", got instant vector'),
        ('{a=~".*"}', 400, "bad_data", "vector selector must contain at least one non-empty matcher"),
        ("{}", 400, "bad_data", "vector selector must contain at least one non-empty matcher"),
        ('up{a="b}', 400, "bad_data", "1:6: parse error: unterminated quoted string"),
        ('up{a=~"("}', 400, "bad_data", "parse error: error parsing regexp"),
        ("up{a.b='c'}", 400, "bad_data", "parse error: unexpected"),
        ("1 > 2", 400, "bad_data", "comparisons between scalars must use BOOL modifier"),
        ("up or 1", 400, "bad_data", 'set operator "or" not allowed in binary scalar expression'),
        ("sum(up", 400, "bad_data", "1:7: parse error: unexpected end of input"),
        ("up up", 400, "bad_data", '1:4: parse error: unexpected "up"'),
        ('rate({service="pay"}[2m])', 422, "execution", "vector cannot contain metrics with the same labelset"),
        ("http_requests_total / on (service) http_requests_total", 422, "execution", "many-to-many matching not"),
        ("http_requests_total / on (service) sum by (service) (http_requests_total)", 422, "execution", "group_left"),
    ],
)
async def test_what_prometheus_refuses_is_refused_in_its_envelope(
    client: httpx.AsyncClient, prometheus: Prometheus, query: str, status: int, kind: str, said: str
) -> None:
    for at in (90, 45, 0):
        prometheus.record("latency_bucket_copy", {"service": "pay", "le": "0.1"}, 1, prometheus.clock.time() - at)
    answer = await client.get("/api/v1/query", params={"query": query})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (body["status"], body["errorType"]) == ("error", kind)
    assert said in body["error"]


async def test_a_range_query_has_points_up_to_and_with_its_end(clock: ManualClock, client: httpx.AsyncClient) -> None:
    now = clock.time()
    params = {"query": 'memory_bytes{name="cart"}', "start": str(now - 60), "end": str(now), "step": "30s"}
    data = (await client.get("/api/v1/query_range", params=params)).json()["data"]
    assert data["resultType"] == "matrix"
    assert data["result"][0]["values"] == [[now - 60, "500000000"], [now - 30, "500000000"], [now, "500000000"]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": "0"}, "zero or negative query resolution step widths are not accepted"),
        ({"step": "x"}, 'cannot parse "x" to a valid duration'),
        ({"start": "0", "end": "11001", "step": "1"}, "exceeded maximum resolution of 11,000 points"),
        ({"start": "2", "end": "1"}, "end timestamp must not be before start time"),
        ({"start": "yesterday"}, 'cannot parse "yesterday" to a valid timestamp'),
        ({"query": "up[5m]"}, 'invalid expression type "range vector" for range query'),
    ],
)
async def test_range_parameters_have_prometheus_s_limits(
    client: httpx.AsyncClient, change: Mapping[str, str], said: str
) -> None:
    params = {"query": "up", "start": "0", "end": "60", "step": "15", **change}
    answer = await client.get("/api/v1/query_range", params=params)
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
    assert said in answer.json()["error"]


async def test_rate_of_a_gauge_is_remarked_upon(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/query", params={"query": "rate(memory_bytes[5m])"})
    assert "metric might not be a counter" in answer.json()["infos"][0]
    fine = await client.get("/api/v1/query", params={"query": "rate(http_requests_total[5m])"})
    assert "infos" not in fine.json()


class Machine:
    def __init__(self) -> None:
        self.up = True
        self.disks = ["a", "b"]

    def expose(self) -> list[Exposed]:
        if not self.up:
            raise TargetDown
        return [("disk_free_bytes", {"disk": disk}, 5.0) for disk in self.disks]


async def test_a_target_that_goes_away_ends_its_series_at_once(
    clock: ManualClock, prometheus: Prometheus, client: httpx.AsyncClient
) -> None:
    machine = Machine()
    prometheus.add_target("node", "host:9100", machine.expose)
    prometheus.scrape()
    assert await values(client, "count(disk_free_bytes)") == {"": 2.0}
    assert list(await values(client, 'up{job="node"}')) == ["up node host:9100"]
    clock.advance(15)
    machine.disks = ["a"]
    prometheus.scrape()
    assert await values(client, "count(disk_free_bytes)") == {"": 1.0}
    clock.advance(15)
    machine.up = False
    prometheus.scrape()
    assert await values(client, "disk_free_bytes") == {}
    assert list((await values(client, "up")).values()) == [0.0]


async def test_an_alert_rule_is_pending_then_firing_then_gone(
    clock: ManualClock, prometheus: Prometheus, client: httpx.AsyncClient
) -> None:
    level: dict[str, float] = {"now": 10.0}
    prometheus.add_target("gauge", "g", lambda: [("level", {"name": "tank"}, level["now"])])
    prometheus.add_rule("TankFull", "level > 5", for_s=30, labels={"severity": "critical"})
    seen: list[dict[str, str]] = []
    for reading in (10, 10, 10, 1):
        level["now"] = reading
        prometheus.scrape()
        answer = await client.get("/api/v1/query", params={"query": 'ALERTS{alertname="TankFull"}'})
        seen.append({row["metric"]["alertstate"]: row["metric"]["severity"] for row in answer.json()["data"]["result"]})
        listed: list[dict[str, Any]] = (await client.get("/api/v1/alerts")).json()["data"]["alerts"]
        assert [alert["state"] for alert in listed] == list(seen[-1])
        clock.advance(15)
    assert seen == [{"pending": "critical"}, {"pending": "critical"}, {"firing": "critical"}, {}]
    rules = (await client.get("/api/v1/rules")).json()["data"]["groups"][0]["rules"]
    assert (rules[0]["name"], rules[0]["state"]) == ("TankFull", "inactive")


async def test_an_alert_set_by_hand_stays_until_it_is_ended(
    clock: ManualClock, prometheus: Prometheus, client: httpx.AsyncClient
) -> None:
    query = 'ALERTS{alertname="X",alertstate="firing"}'
    prometheus.set_alert("X", {"service": "pay"})
    clock.advance(3600)
    assert len(await values(client, query)) == 1
    prometheus.set_alert("X", {"service": "pay"}, None)
    assert await values(client, query) == {}


async def test_series_labels_values_and_health(client: httpx.AsyncClient) -> None:
    series = await client.get("/api/v1/series", params={"match[]": 'memory_bytes{name="pay"}'})
    assert series.json()["data"] == [{"__name__": "memory_bytes", "name": "pay"}]
    assert (await client.get("/api/v1/series")).status_code == 400
    assert "le" in (await client.get("/api/v1/labels")).json()["data"]
    names = await client.get("/api/v1/label/__name__/values", params={"match[]": '{name="pay"}'})
    assert names.json()["data"] == ["limit_bytes", "memory_bytes"]
    assert (await client.get("/-/ready")).text == "Prometheus Server is Ready.\n"
    assert (await client.get("/-/healthy")).status_code == 200
    assert (await client.get("/api/v1/status/buildinfo")).json()["data"]["version"]
    assert (await client.get("/loki/api/v1/query")).text == "404 page not found\n"


async def test_faults_speak_prometheus_s_envelope(prometheus: Prometheus, client: httpx.AsyncClient) -> None:
    prometheus.faults.fail(503)
    answer = await client.get("/api/v1/query", params={"query": "up"})
    assert (answer.status_code, answer.json()["errorType"]) == (503, "timeout")
