"""The sandbox's Prometheus and a real one answer the same queries over the same samples the same way."""

from __future__ import annotations

import asyncio
import math
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers.installed import path_of
from servers.prometheus import Prometheus as RealPrometheus
from sreops.sandbox.clock import ManualClock
from sreops.sandbox.prometheus.api import prometheus_api
from sreops.sandbox.prometheus.server import Prometheus
from sreops.sandbox.server import Server

pytestmark = pytest.mark.needs("prometheus")

# Samples lie 7 s off the query's time, so that no window's edge meets one: whether an edge belongs to the window
# differs between Prometheus 2 and 3.
END = int(datetime(2026, 1, 15, 12, 0, tzinfo=UTC).timestamp())
QUERIES = """
memory_bytes
memory_bytes{name="pay"}
memory_bytes{name=~"pa.|x"}
memory_bytes{name=~"pa"}
memory_bytes{name!~"p.*"}
memory_bytes{name='cart',absent=''}
memory_bytes offset 10m
{__name__=~"memory.*|limit_bytes"}
memory_bytes[1m]
memory_bytes[1m] offset 2m
rate(http_requests_total[5m])
rate(http_requests_total[40s])
rate(http_requests_total[20s])
rate(late_total[5m])
increase(http_requests_total[5m])
increase(late_total[10m])
irate(http_requests_total[5m])
idelta(memory_bytes[5m])
delta(memory_bytes[5m])
deriv(memory_bytes[5m])
predict_linear(memory_bytes[5m], 600)
changes(memory_bytes[5m])
resets(http_requests_total[15m])
avg_over_time(memory_bytes[5m])
min_over_time(memory_bytes[5m])
max_over_time(memory_bytes[5m])
sum_over_time(memory_bytes[5m])
count_over_time(memory_bytes[5m])
last_over_time(memory_bytes[5m])
stddev_over_time(memory_bytes[5m])
quantile_over_time(0.9, memory_bytes[5m])
present_over_time(memory_bytes[5m])
absent_over_time(nothing{a="b"}[5m])
sum by (service) (rate(http_requests_total[5m]))
sum without (status) (rate(http_requests_total[5m]))
sum(rate(http_requests_total{status=~"5.."}[5m])) by (service) / sum by (service) (rate(http_requests_total[5m]))
(sum(rate(http_requests_total{status=~"6.."}[5m])) or vector(0)) / (sum(rate(http_requests_total[5m])) > 0)
sum(rate(http_requests_total{service="nobody"}[5m]))
avg(memory_bytes)
min(memory_bytes)
max without (name) (memory_bytes)
count by (name) (memory_bytes)
group(memory_bytes)
quantile(0.3, memory_bytes)
topk(1, memory_bytes)
bottomk(1, memory_bytes)
topk(1, http_requests_total) by (service)
memory_bytes / limit_bytes
memory_bytes / on (name) (limit_bytes > 0)
memory_bytes / ignoring (zone) limit_bytes
http_requests_total / on (service) group_left sum by (service) (http_requests_total)
sum by (service) (http_requests_total) * on (service) group_right http_requests_total
http_requests_total * on (service) group_left (zone) zone_info
memory_bytes > 6e8
6e8 > memory_bytes
memory_bytes > bool 6e8
memory_bytes == memory_bytes
memory_bytes >= on (name) limit_bytes
memory_bytes and limit_bytes
memory_bytes and on (name) limit_bytes
memory_bytes unless limit_bytes
limit_bytes or memory_bytes
memory_bytes or on () vector(1)
absent(nothing{a="b",c=~"d"})
absent(memory_bytes)
absent(sum(nothing))
scalar(limit_bytes)
scalar(memory_bytes)
scalar(memory_bytes) == bool 0
vector(1) / 0
vector(0) / 0
vector(-1) / 0
rate(idle_total[5m]) / rate(idle_total[5m])
abs(memory_bytes * -1)
-memory_bytes
ceil(memory_bytes / 7)
floor(memory_bytes / -7)
round(memory_bytes / 7, 0.5)
round(memory_bytes / 7)
sqrt(memory_bytes)
ln(memory_bytes)
exp(memory_bytes / 1e9)
clamp_min(memory_bytes, 6e8)
clamp_max(memory_bytes, 6e8)
clamp(memory_bytes, 6e8, 7e8)
sort(memory_bytes)
sort_desc(memory_bytes)
timestamp(memory_bytes)
time()
time() - timestamp(memory_bytes)
histogram_quantile(0.5, sum by (le) (rate(latency_bucket[5m])))
histogram_quantile(0.95, rate(latency_bucket[5m]))
histogram_quantile(0.99, rate(latency_bucket[5m]))
histogram_quantile(2, rate(latency_bucket[5m]))
histogram_quantile(0.5, memory_bytes)
2 + 3 * 4 ^ 2 - -1
-2 ^ 2
2 ^ 3 ^ 2
10 % 4
-7 % 3
1 / 0
0 / 0
1e3
0x1F
.5
Inf
"text"
1 > bool 2
vector(1) == 1 and vector(2)
memory_bytes{name="pay"} + memory_bytes{name="pay"} * 2 > 1
sum(memory_bytes) by (name) > 6e8 or vector(0)
nonsense(up)
rate(up)
rate(up[5m]
sum(up
sum(up, up)
topk(up)
{a=~".*"}
{}
up{a="b}
up{a=~"("}
up{a.b='c'}
up{a}
up{="b"}
1 > 2
up or 1
up up
up[0s]
sum(up)[5m]
up and on (a) group_left up
"a" + 1
memory_bytes[5m] > 1
bool
group_left
sum + 1
offset
1 + bool 2
rate({service="pay"}[2m])
http_requests_total / on (service) http_requests_total
http_requests_total / on (service) sum by (service) (http_requests_total)
sum by (service) (http_requests_total) / on (service) http_requests_total
up{a="\\q"}
abs(1)
abs(memory_bytes, 1)
vector(memory_bytes)
""".strip().splitlines()
RANGES = [
    ({"query": "memory_bytes", "step": "15"}, 200),
    ({"query": "sum by (service) (rate(http_requests_total[1m]))", "step": "1m"}, 200),
    ({"query": "time()", "step": "1m"}, 200),
    ({"query": "late_total", "step": "30"}, 200),
    ({"query": "gone_bytes", "step": "30"}, 200),
    ({"query": "up[5m]", "step": "15"}, 400),
    ({"query": "up", "step": "0"}, 400),
    ({"query": "up", "step": "x"}, 400),
    ({"query": "up", "step": "0.01"}, 400),
    ({"query": "up", "step": "15", "start": "yesterday"}, 400),
    ({"query": "up", "step": "15", "end": "1"}, 400),
    ({"query": "up"}, 400),
]

Sample = tuple[str, dict[str, str], float, int]


def samples() -> Iterator[Sample]:
    for step in range(120):
        at = END - 1800 + step * 15 + 7
        yield "http_requests_total", {"service": "pay", "status": "200"}, 10 * step, at
        yield "http_requests_total", {"service": "pay", "status": "500"}, 2 * step, at
        yield "http_requests_total", {"service": "cart", "status": "200"}, 5 * (step % 97), at
        yield "memory_bytes", {"name": "pay"}, 1e9 + 1e6 * step + 1000 * (step % 7), at
        yield "memory_bytes", {"name": "cart"}, 5e8, at
        yield "limit_bytes", {"name": "pay"}, 2e9, at
        yield "zone_info", {"service": "pay", "zone": "a"}, 1, at
        yield "zone_info", {"service": "cart", "zone": "b"}, 1, at
        yield "idle_total", {}, 3, at
        if step >= 112:
            yield "late_total", {}, 100 + 3 * step, at
        if step < 40:
            yield "gone_bytes", {}, 5, at
        for bound, count in (("0.1", 6), ("0.5", 9), ("+Inf", 10)):
            yield "latency_bucket", {"service": "pay", "le": bound}, count * step, at


def fill(real: RealPrometheus) -> None:
    """Write the samples into the real one's storage before it starts."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value, at in samples():
        shown = ",".join(f'{key}="{text}"' for key, text in labels.items())
        by_name.setdefault(name, []).append(f"{name}{{{shown}}} {value!r} {at}")
    lines = [line for name, own in by_name.items() for line in (f"# TYPE {name} unknown", *own)]
    source = Path(real.directory) / "samples.om"
    source.write_text("\n".join([*lines, "# EOF", ""]))
    promtool = path_of("prometheus").with_name("promtool")
    data = Path(real.directory) / "data"
    subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", source, data], check=True, timeout=60)


@pytest.fixture(scope="module")
def real_url() -> Iterator[str]:
    # Fifty years, or the old samples are deleted as it starts.
    real = RealPrometheus(flags=["--storage.tsdb.retention.time=50y"])
    fill(real)
    with real:
        yield real.url


@pytest.fixture
async def our_url() -> AsyncIterator[str]:
    clock = ManualClock(datetime.fromtimestamp(END, UTC))
    ours = Prometheus(clock)
    for name, labels, value, at in samples():
        ours.record(name, labels, value, at)
    async with Server(prometheus_api(ours)) as server:
        yield server.url


def rounded(text: str) -> str:
    value = float(text)
    return text if not math.isfinite(value) else f"{value:.9g}"


def essence(answer: httpx.Response, query: str) -> Any:
    body = answer.json()
    if body["status"] != "success":
        return answer.status_code, body["errorType"]
    data = body["data"]
    if data["resultType"] in ("scalar", "string"):
        when, value = data["result"]
        return data["resultType"], when, value if data["resultType"] == "string" else rounded(value)
    rows = []
    for row in data["result"]:
        points = row.get("values") or [row["value"]]
        rows.append((sorted(row["metric"].items()), [[when, rounded(value)] for when, value in points]))
    ordered = query.startswith(("sort", "topk", "bottomk")) and " by " not in query
    return data["resultType"], rows if ordered else sorted(rows)


async def compare(client: httpx.AsyncClient, urls: tuple[str, str], path: str, params: dict[str, str]) -> str:
    real, ours = await asyncio.gather(*(client.post(url + path, data=params) for url in urls))
    types = real.headers["content-type"], ours.headers["content-type"]
    query = params["query"]
    if types[0] != types[1] or essence(real, query) != essence(ours, query):
        return f"{params}\n  real {real.text[:500]}\n  ours {ours.text[:500]}"
    return ""


async def test_instant_queries_agree(real_url: str, our_url: str) -> None:
    async with httpx.AsyncClient(timeout=20) as client:
        urls = (real_url, our_url)
        asked = [{"query": query, "time": str(END)} for query in QUERIES]
        found = [await compare(client, urls, "/api/v1/query", params) for params in asked]
    different = [text for text in found if text]
    assert not different, "\n".join(different)


@pytest.mark.parametrize(("params", "status"), RANGES)
async def test_range_queries_agree(real_url: str, our_url: str, params: dict[str, str], status: int) -> None:
    full = {"start": str(END - 1200), "end": str(END), **params}
    async with httpx.AsyncClient(timeout=20) as client:
        different = await compare(client, (real_url, our_url), "/api/v1/query_range", full)
        assert not different, different
        assert (await client.get(f"{our_url}/api/v1/query_range", params=full)).status_code == status


async def test_lists_of_series_and_labels_agree(real_url: str, our_url: str) -> None:
    window = {"start": str(END - 1200), "end": str(END)}
    asked: list[tuple[str, dict[str, str]]] = [
        ("/api/v1/series", {"match[]": '{name="pay"}', **window}),
        ("/api/v1/series", window),
        ("/api/v1/series", {"match[]": "{}", **window}),
        ("/api/v1/labels", {"match[]": "memory_bytes", **window}),
        ("/api/v1/label/name/values", {"match[]": "memory_bytes", **window}),
        ("/api/v1/label/na-me/values", window),
        ("/api/v1/nothing", {}),
        ("/-/ready", {}),
        ("/-/healthy", {}),
    ]
    async with httpx.AsyncClient(timeout=20) as client:
        for path, params in asked:
            real, ours = [await client.get(url + path, params=params) for url in (real_url, our_url)]
            assert ours.status_code == real.status_code, path
            kind = real.headers["content-type"].partition(";")[0]
            assert ours.headers["content-type"].partition(";")[0] == kind, path
            if kind == "application/json":
                found = [sorted(answer.json().get("data") or [], key=str) for answer in (real, ours)]
                assert found[0] == found[1], path
