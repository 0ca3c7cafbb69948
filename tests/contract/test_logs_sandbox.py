"""The sandbox's Loki keeps the contract; and what a broken, slow or foreign server in its place becomes."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from contract.logs_suite import LogsContract
from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.loki import LokiLogs, from_ns, to_ns
from sreops.domain.evidence.evidence import Window
from sreops.errors import LogsUnavailable, QueryRefused
from sreops.sandbox.clock import WallClock
from sreops.sandbox.grafana.server import DataSource
from sreops.sandbox.grafana.server import Grafana as SandboxGrafana
from sreops.sandbox.loki.server import Loki
from sreops.sandbox.server import Server
from sreops.settings import GrafanaSettings, LokiSettings

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
WINDOW = Window(start=NOW - timedelta(minutes=5), end=NOW)


@pytest.fixture
def world():
    return Loki(WallClock())


@pytest.fixture
def push(world):
    def do(labels, lines):
        for at, text in lines:
            world.push(labels, text, to_ns(at))

    return do


class TestSandboxLoki(LogsContract):
    @pytest.fixture
    async def url(self, world):
        async with Server(world.app) as server:
            yield server.url


class TestSandboxLokiThroughGrafana(LogsContract):
    """The same through Grafana's data source proxy: paths, queries and statuses pass unchanged."""

    @pytest.fixture
    async def url(self, world):
        grafana = SandboxGrafana("glsa_x", {"loki uid": DataSource("loki", world.app)})
        async with Server(grafana.app) as server:
            self.settings = GrafanaSettings(url=server.url, token=SecretStr("glsa_x"))
            yield server.url

    @pytest.fixture
    async def logs(self, url):
        client = Grafana(self.settings)
        uid = (await client.data_sources(timeout_s=5)).loki_uid
        adapter = client.loki(uid, LokiSettings())
        yield adapter
        await adapter.aclose()
        await client.aclose()

    test_an_answer_over_the_byte_cap_gives_the_newest_lines_and_says_so = None


async def ask(answer, *, timeout_s: float = 5.0, attempts: int = 1, **settings_of):
    """Ask a server that answers each request with ``answer`` (a response, or a function of the request)."""
    handler = answer if callable(answer) else lambda request: answer
    adapter = LokiLogs(
        LokiSettings(url="http://loki.test", **settings_of), attempts=attempts, transport=httpx.MockTransport(handler)
    )
    try:
        return await adapter.lines({"container": "x"}, WINDOW, limit=10, timeout_s=timeout_s)
    finally:
        await adapter.aclose()


def streams(*values) -> dict:
    return {
        "status": "success",
        "data": {"resultType": "streams", "result": [{"stream": {"a": "b"}, "values": list(values)}]},
    }


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>please log in</html>"),
        httpx.Response(200, text=""),
        httpx.Response(200, text='{"status":"success","data":{"resultType":"streams","result":[{"st'),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(200, content=b"\xff\xfe\x00\x01" * 50),
        httpx.Response(200, json=[]),
        httpx.Response(200, json=None),
        httpx.Response(200, json="streams"),
        httpx.Response(200, json={"status": "success"}),
        httpx.Response(200, json={"status": "success", "data": []}),
        httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": []}}),
        httpx.Response(200, json={"status": "success", "data": {"resultType": "streams", "result": {"a": 1}}}),
        httpx.Response(200, json={"status": "error", "data": {"resultType": "streams", "result": []}}),
        httpx.Response(500, text="internal error"),
        httpx.Response(503, text="<html>down</html>"),
        httpx.Response(429, text="too many outstanding requests"),
        httpx.Response(504, text="request timed out"),
        httpx.Response(499, text=""),
    ],
)
async def test_what_is_no_answer_of_loki_is_unavailable_with_its_words(answer):
    with pytest.raises(LogsUnavailable, match=r"http://loki\.test/loki/api/v1/query_range"):
        await ask(answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(400, text="parse error at line 1, col 5: unexpected"), "parse error at line 1"),
        (httpx.Response(401, text="no org id"), "SREOPS_LOKI__TENANT"),
        (httpx.Response(403, text="denied"), "SREOPS_LOKI__TOKEN"),
        (httpx.Response(404, text="404 page not found"), "without /loki/api/v1"),
        (httpx.Response(302, headers={"location": "http://elsewhere.test/"}), "without a redirect"),
    ],
)
async def test_what_loki_refuses_is_refused_with_its_words_and_the_cure(answer, words):
    with pytest.raises(QueryRefused, match=words) as refused:
        await ask(answer)
    assert refused.value.status == answer.status_code


@pytest.mark.parametrize(
    "values",
    [
        [["1768478400000000000", "good"], "bad"],
        [["1768478400000000000", "good"], ["not a number", "x"]],
        [["1768478400000000000", "good"], ["1768478400000000000"]],
        [["1768478400000000000", "good"], ["9" * 40, "x"], ["1768478400000000000", 7], [None, None], {}, 3],
    ],
)
async def test_unreadable_entries_are_left_out_and_told(values):
    found = await ask(httpx.Response(200, json=streams(*values)))
    assert [line.text for line in found.lines] == ["good"]
    assert found.partial
    assert "could not be read" in found.notes[0]


async def test_structured_metadata_and_warnings_are_taken():
    body = streams(["1768478400000000000", "good", {"trace_id": "1"}]) | {"warnings": ["maximum number of series"]}
    found = await ask(httpx.Response(200, json=body))
    assert [line.text for line in found.lines] == ["good"]
    assert (found.partial, found.notes) == (True, ("maximum number of series",))


async def test_lines_of_one_nanosecond_keep_their_order():
    values = [["1768478400000000002", "third"], ["1768478400000000001", "second"], ["1768478400000000001", "first"]]
    found = await ask(httpx.Response(200, json=streams(*values)))
    assert [line.text for line in found.lines] == ["first", "second", "third"]


keys = st.sampled_from(["status", "data", "result", "resultType", "stream", "values", "warnings"]) | st.text(max_size=3)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
shaped = st.fixed_dictionaries(
    {
        "status": st.just("success"),
        "data": st.fixed_dictionaries({"resultType": st.just("streams"), "result": json_like}),
    }
)


@given(st.sampled_from([200, 204, 301, 400, 500]), shaped | json_like)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_json_makes_anything_but_lines_or_our_errors(status, body):
    try:
        found = await ask(httpx.Response(status, json=body))
    except (LogsUnavailable, QueryRefused):
        return
    assert all(isinstance(line.text, str) for line in found.lines)


async def test_a_busy_server_is_asked_again_and_a_refusal_is_not():
    asked = []

    def busy_twice(request):
        asked.append(request)
        return httpx.Response(429, text="busy") if len(asked) < 3 else httpx.Response(200, json=streams())

    assert (await ask(busy_twice, attempts=3)).lines == ()
    assert len(asked) == 3
    asked.clear()

    def refuses(request):
        asked.append(request)
        return httpx.Response(400, text="parse error")

    with pytest.raises(QueryRefused):
        await ask(refuses, attempts=3)
    assert len(asked) == 1


async def test_the_wait_that_the_server_asks_for_is_told_and_the_deadline_holds():
    answer = httpx.Response(429, headers={"retry-after": "120"}, text="later")
    with pytest.raises(LogsUnavailable):
        await ask(answer, attempts=3, timeout_s=0.3)
    with pytest.raises(LogsUnavailable) as told:
        await ask(answer, attempts=1)
    assert told.value.retry_after_s == 120


async def test_what_never_connects_and_what_breaks_off_is_unavailable(world):
    async with Server(world.app) as server:
        adapter = LokiLogs(LokiSettings(url=server.url), attempts=1)
        world.faults.cut()
        with pytest.raises(LogsUnavailable, match="query_range"):
            await adapter.lines({"container": "x"}, WINDOW, limit=10, timeout_s=5)
        world.faults.reset()
        with pytest.raises(LogsUnavailable, match="query_range"):
            await adapter.lines({"container": "x"}, WINDOW, limit=10, timeout_s=5)
        world.faults.hang()
        with pytest.raises(LogsUnavailable, match=r"no answer within 0\.2 s"):
            await adapter.lines({"container": "x"}, WINDOW, limit=10, timeout_s=0.2)
    with pytest.raises(LogsUnavailable, match="cannot connect"):
        await adapter.lines({"container": "x"}, WINDOW, limit=10, timeout_s=5)
    health = await adapter.health()
    assert health.status == "down"
    assert "SREOPS_LOKI__URL" in health.cure
    await adapter.aclose()


async def test_a_tenant_is_sent_and_a_missing_one_is_named_with_its_cure():
    world = Loki(WallClock(), auth_enabled=True)
    async with Server(world.app) as server:
        without, with_tenant = (
            LokiLogs(LokiSettings(url=server.url)),
            LokiLogs(LokiSettings(url=server.url, tenant="shop")),
        )
        health = await without.health()
        assert (health.status, health.cure) == ("down", "set SREOPS_LOKI__TENANT (X-Scope-OrgID)")
        assert (await with_tenant.health()).status == "up"
        await without.aclose()
        await with_tenant.aclose()


@pytest.mark.parametrize("url", ["http://", "not a url", "ftp://x", "http://a b/", "http://[::1", "http://x:99999"])
async def test_a_url_that_is_none_is_unavailable_and_no_crash(url):
    adapter = LokiLogs(LokiSettings().model_copy(update={"url": url}), attempts=1)  # past the settings' own check
    with pytest.raises(LogsUnavailable):
        await adapter.lines({"container": "x"}, WINDOW, limit=10, timeout_s=2)


async def test_credentials_do_not_show_in_errors():
    adapter = LokiLogs(LokiSettings(url="http://user:hunter2@127.0.0.1:1", token=SecretStr("tok3n")), attempts=1)
    with pytest.raises(LogsUnavailable) as told:
        await adapter.lines({"container": "x"}, WINDOW, limit=10, timeout_s=2)
    assert "hunter2" not in str(told.value)
    assert "tok3n" not in str(told.value)


async def test_a_lower_entries_limit_of_the_server_is_kept():
    asked = []

    def strict(request):
        asked.append(request.url.params["limit"])
        if int(asked[-1]) > 3:
            text = "max entries limit per query exceeded, limit > max_entries_limit_per_query (10 > 3)"
            return httpx.Response(400, text=text)
        return httpx.Response(200, json=streams(["1768478400000000000", "a"]))

    found = await ask(strict)
    assert asked == ["10", "3"]
    assert found.partial
    assert "at most 3 lines" in found.notes[0]


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_nanoseconds_are_exact(at):
    assert from_ns(to_ns(at)) == at
