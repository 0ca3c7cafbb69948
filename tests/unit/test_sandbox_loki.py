from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from sreops.sandbox.clock import NS, ManualClock
from sreops.sandbox.loki.server import Loki

RANGE = "/loki/api/v1/query_range"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def loki(clock: ManualClock) -> Loki:
    return Loki(clock)


@pytest.fixture
async def client(loki: Loki) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(loki.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://loki") as client:
        yield client


def lines(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["resultType"] == "streams"
    return [line for stream in answer.json()["data"]["result"] for _, line in stream["values"]]


async def test_newest_lines_come_first_and_the_limit_spans_streams(
    loki: Loki, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    now = clock.time_ns()
    for index in range(10):
        loki.push(
            {"service": "shop", "level": "info" if index % 2 else "warn"},
            f"line {index}",
            now - index * NS - 1,
        )
    answer = await client.get(RANGE, params={"query": '{service="shop"}', "limit": 3})
    data = answer.json()["data"]
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert sorted(lines(answer)) == ["line 0", "line 1", "line 2"]
    assert {stream["stream"]["service_name"] for stream in data["result"]} == {"shop"}
    for stream in data["result"]:
        stamps = [int(ts) for ts, _ in stream["values"]]
        assert stamps == sorted(stamps, reverse=True)
    forward = await client.get(RANGE, params={"query": '{service="shop"}', "limit": 1, "direction": "forward"})
    assert lines(forward) == ["line 9"]


async def test_start_is_inclusive_and_end_exclusive(loki: Loki, clock: ManualClock, client: httpx.AsyncClient) -> None:
    now = clock.time_ns()
    for offset in (0, 1, 2):
        loki.push({"app": "a"}, str(offset), now + offset)
    answer = await client.post(RANGE, data={"query": '{app="a"}', "start": str(now), "end": str(now + 2)})
    assert sorted(lines(answer)) == ["0", "1"]


@pytest.mark.parametrize(
    ("stamp", "found"),
    [
        (lambda clock: str(clock.time_ns() - 60 * NS), True),
        (lambda clock: str(clock.time_ns() // NS - 60), True),
        (lambda clock: f"{clock.time() - 60:.3f}", True),
        (lambda clock: (clock.now() - timedelta(seconds=60)).isoformat().replace("+00:00", "Z"), True),
        (lambda clock: (clock.now() - timedelta(seconds=60)).isoformat(), True),
    ],
)
async def test_timestamps_are_read_as_loki_reads_them(
    loki: Loki, clock: ManualClock, client: httpx.AsyncClient, stamp: object, found: bool
) -> None:
    loki.push({"app": "a"}, "old", clock.time_ns() - 61 * NS)
    loki.push({"app": "a"}, "new", clock.time_ns() - 59 * NS)
    answer = await client.get(RANGE, params={"query": '{app="a"}', "start": stamp(clock)})  # type: ignore[operator]
    assert lines(answer) == ["new"]


async def test_a_range_in_milliseconds_lands_in_1970_without_an_error(
    loki: Loki, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    loki.push({"app": "a"}, "now", clock.time_ns() - 1)
    now_ms = clock.time_ns() // 1_000_000
    answer = await client.get(RANGE, params={"query": '{app="a"}', "start": str(now_ms - 60_000), "end": str(now_ms)})
    assert lines(answer) == []


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ('{app="a"} |= "error"', ["an error: disk"]),
        ('{app="a"} != "error"', ['he said "no"', "disk is fine\\x", "ERROR"]),
        ('{app="a"} |~ "(?i)^error$"', ["ERROR"]),
        ('{app="a"} !~ "disk|no"', ["ERROR"]),
        ('{app="a"} |= "disk" != "error"', ["disk is fine\\x"]),
        ('{app="a"} |= "\\"no\\""', ['he said "no"']),
        ('{app="a"} |= `"no"`', ['he said "no"']),
        ('{app="a"} |= "e\\\\x"', ["disk is fine\\x"]),
        ('{app="a"} |= "an error" or "said"', ["an error: disk", 'he said "no"']),
        ('{app=~"a|ab|x"} |= "i"', ["an error: disk", 'he said "no"', "disk is fine\\x"]),
        ('{app=~"a.+"}', ["another"]),
        ('{app=~".+", app!~"a|b"}', ["another"]),
        ('{app!="",absent=""} |= "another"', ["another"]),
        ('{app=~".+"} | app="ab"', ["another"]),
        ('{app="b"} |= "\\U0001F600"', ["smile \U0001f600"]),
        ('{app="b"} |= "\\ud83d\\ude00"', []),
    ],
)
async def test_selectors_and_line_filters(
    loki: Loki, clock: ManualClock, client: httpx.AsyncClient, query: str, kept: list[str]
) -> None:
    for line in ("an error: disk", 'he said "no"', "disk is fine\\x", "ERROR"):
        loki.push({"app": "a"}, line, clock.time_ns() - 5)
    loki.push({"app": "ab"}, "another", clock.time_ns() - 5)
    loki.push({"app": "b"}, "smile \U0001f600", clock.time_ns() - 5)
    assert sorted(lines(await client.get(RANGE, params={"query": query}))) == sorted(kept)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "parse error : syntax error: unexpected $end"),
        ("{app='a'}", "parse error at line 1, col 6: "),
        ('{app="a"', "parse error at line 1, col 9: syntax error: unexpected $end"),
        ('{app="\\q"}', "parse error at line 1, col 6: "),
        ('{app=~"("}', "parse error : error parsing regexp: missing closing ): `(`"),
        ('{app=~".*"}', "parse error : queries require at least one regexp or equality matcher"),
        ("{}", "parse error : queries require at least one"),
        ('{app!="a"}', "parse error : queries require at least one"),
        ('{app=""}', "parse error : queries require at least one"),
        ('{app="a"} |= "x', "parse error at line 1, col 14: literal not terminated"),
        ('{app="a"}\n  |= oops', "parse error at line 2, col 6: syntax error: unexpected IDENTIFIER"),
        ('count_over_time({app="a"})', "parse error at line 1, col 26: syntax error: unexpected )"),
        ('{my.label="a"}', "parse error at line 1, col 4: "),
    ],
)
async def test_a_query_that_loki_refuses_is_a_400_in_plain_text(
    client: httpx.AsyncClient, query: str, said: str
) -> None:
    answer = await client.get(RANGE, params={"query": query})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith(said)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"limit": "5001"},
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)",
        ),
        ({"limit": "0"}, "limit must be a positive value"),
        ({"limit": "many"}, "invalid syntax"),
        ({"direction": "sideways"}, "invalid direction"),
        ({"start": "yesterday"}, "could not parse 'start' parameter"),
        ({"since": "an hour"}, "not a valid duration"),
        ({"start": "1", "end": "2592000"}, ""),
        (
            {"start": "1", "end": "2595602"},
            "the query time range exceeds the limit (query length: 721h0m1s, limit:",
        ),
        ({"start": "100", "end": "50"}, "end timestamp must not be before"),
        ({"step": "0"}, "zero or negative query resolution"),
    ],
)
async def test_parameters_have_loki_s_limits(client: httpx.AsyncClient, params: dict[str, str], said: str) -> None:
    answer = await client.get(RANGE, params={"query": '{app="a"}', **params})
    assert answer.status_code == (400 if said else 200)
    assert said in answer.text


async def test_an_instant_query_is_for_metrics_only(loki: Loki, clock: ManualClock, client: httpx.AsyncClient) -> None:
    loki.push({"app": "a", "level": "error"}, "x", clock.time_ns() - NS)
    loki.push({"app": "a", "level": "info"}, "yy", clock.time_ns() - NS)
    loki.push({"app": "a", "level": "info"}, "yyy", clock.time_ns() - 2 * NS)
    loki.push({"app": "a", "level": "info"}, "too old", clock.time_ns() - 301 * NS)
    refused = await client.get("/loki/api/v1/query", params={"query": '{app="a"}'})
    assert refused.status_code == 400
    assert refused.text.startswith("log queries are not supported as an instant query type")
    answer = await client.get("/loki/api/v1/query", params={"query": 'sum by (level) (count_over_time({app="a"}[5m]))'})
    data = answer.json()["data"]
    assert data["resultType"] == "vector"
    counts = {row["metric"]["level"]: row["value"] for row in data["result"]}
    assert counts == {"error": [clock.time(), "1"], "info": [clock.time(), "2"]}
    top = await client.get(
        "/loki/api/v1/query", params={"query": 'topk(1, sum(bytes_over_time({app="a"}[5m])) by (level))'}
    )
    assert [row["value"][1] for row in top.json()["data"]["result"]] == ["5"]


async def test_a_metric_query_over_a_range_has_points_at_each_step(
    loki: Loki, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    now = clock.time_ns() // NS
    loki.push({"app": "a"}, "x", (now - 50) * NS)
    params = {"query": 'count_over_time({app="a"}[30s])', "start": now - 90, "end": now, "step": "10"}
    data = (await client.get(RANGE, params=params)).json()["data"]
    assert data["resultType"] == "matrix"
    assert data["result"][0]["values"] == [[now - 50, "1"], [now - 40, "1"], [now - 30, "1"]]
    too_many = await client.get(RANGE, params={**params, "start": now - 86400, "step": "1"})
    assert too_many.status_code == 400
    assert "exceeded maximum resolution of 11,000 points" in too_many.text


async def test_labels_values_and_series_tell_what_there_is(
    loki: Loki, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    empty = await client.get("/loki/api/v1/labels")
    assert empty.json() == {"status": "success"}
    loki.push({"app": "a", "level": "info"}, "x", clock.time_ns() - 1)
    loki.push({"app": "b", "level": "error"}, "x", clock.time_ns() - 1)
    assert (await client.get("/loki/api/v1/labels")).json()["data"] == ["app", "level", "service_name"]
    values = await client.get("/loki/api/v1/label/level/values", params={"query": '{app="b"}'})
    assert values.json()["data"] == ["error"]
    series = await client.get("/loki/api/v1/series", params={"match[]": '{app=~"a|b",level="info"}'})
    assert series.json()["data"] == [{"app": "a", "level": "info", "service_name": "a"}]
    refused = await client.get("/loki/api/v1/series", params={"match[]": '{app=~".*"}'})
    assert refused.status_code == 400


async def test_push_over_http_is_what_comes_back(client: httpx.AsyncClient, clock: ManualClock) -> None:
    stamp = str(clock.time_ns() - 1)
    body = {"streams": [{"stream": {"app": "a"}, "values": [[stamp, "hello"], [stamp, "hello"]]}]}
    pushed = await client.post("/loki/api/v1/push", json=body)
    assert (pushed.status_code, pushed.content) == (204, b"")
    answer = await client.get(RANGE, params={"query": '{app="a"}'})
    assert answer.json()["data"]["result"][0]["values"] == [[stamp, "hello"]]
    for wrong in (
        {},
        {"streams": [{"stream": {}, "values": []}]},
        {"streams": [{"stream": {"a": "b"}, "values": [[1, "x"]]}]},
    ):
        refused = await client.post("/loki/api/v1/push", json=wrong)
        assert refused.status_code == 400
    assert (await client.post("/loki/api/v1/push", content=b"\x00")).status_code == 400


async def test_tenants_are_demanded_and_kept_apart(clock: ManualClock) -> None:
    loki = Loki(clock, auth_enabled=True)
    loki.push({"app": "a"}, "ours", clock.time_ns() - 1, tenant="us")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(loki.app), base_url="http://loki") as client:
        refused = await client.get(RANGE, params={"query": '{app="a"}'})
        assert (refused.status_code, refused.text) == (401, "no org id\n")
        assert refused.headers["content-type"].startswith("text/plain")
        for tenant, found in (("us", ["ours"]), ("them", [])):
            answer = await client.get(RANGE, params={"query": '{app="a"}'}, headers={"X-Scope-OrgID": tenant})
            assert lines(answer) == found


async def test_health_version_and_wrong_paths(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ready")).text == "ready\n"
    assert "version" in (await client.get("/loki/api/v1/status/buildinfo")).json()
    missing = await client.get("/api/v1/query")
    assert (missing.status_code, missing.text) == (404, "404 page not found\n")


async def test_faults_answer_in_loki_s_plain_text(loki: Loki, client: httpx.AsyncClient) -> None:
    loki.faults.fail(429, "too many outstanding requests", path=RANGE)
    answer = await client.get(RANGE, params={"query": '{app="a"}'})
    assert (answer.status_code, answer.text) == (429, "too many outstanding requests")
    assert (await client.get(RANGE, params={"query": '{app="a"}'})).status_code == 200
