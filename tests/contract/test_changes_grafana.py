"""Grafana's annotations as notes of changes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr

from sreops.adapters.observability.grafana import Grafana
from sreops.domain.evidence.evidence import Window
from sreops.errors import MetricsUnavailable, QueryRefused
from sreops.sandbox.grafana.server import Grafana as SandboxGrafana
from sreops.sandbox.server import Server
from sreops.settings import GrafanaSettings

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)


def ms(minutes: float) -> int:
    return int((NOW - timedelta(minutes=minutes)).timestamp() * 1000)


@pytest.fixture
async def served() -> AsyncIterator[tuple[SandboxGrafana, str]]:
    world = SandboxGrafana("glsa_x", {})
    async with Server(world.app) as server:
        yield world, server.url


async def test_the_notes_of_the_window_are_returned_newest_first(served: tuple[SandboxGrafana, str]) -> None:
    world, url = served
    world.annotate("payments 1.5.0", ["deploy", "payments"], ms(20))
    world.annotate("too old", ["deploy"], ms(90))
    world.annotate("flag on", [], ms(5))
    client = Grafana(GrafanaSettings(url=url, token=SecretStr("glsa_x")))
    found = await client.noted(WINDOW, timeout_s=2)
    await client.aclose()
    assert [(note.text, note.tags) for note in found] == [("flag on", ()), ("payments 1.5.0", ("deploy", "payments"))]
    assert found[1].at == NOW - timedelta(minutes=20)


async def test_a_token_that_may_not_read_them_is_told(served: tuple[SandboxGrafana, str]) -> None:
    client = Grafana(GrafanaSettings(url=served[1], token=SecretStr("bad")))
    with pytest.raises(QueryRefused, match="SREOPS_GRAFANA__TOKEN"):
        await client.noted(WINDOW, timeout_s=2)
    await client.aclose()


async def test_what_is_no_annotation_is_left_out() -> None:
    odd = [{"time": 10**30, "text": "x"}, {"time": True}, 7, {"text": "no time"}, {"time": ms(1), "tags": ["a", 3]}]

    def answer(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params)["type"] == "annotation"
        return httpx.Response(200, json=odd)

    client = Grafana(GrafanaSettings(url="http://grafana.test"), transport=httpx.MockTransport(answer))
    [note] = await client.noted(WINDOW, timeout_s=2)
    assert (note.text, note.tags) == ("", ("a",))
    await client.aclose()
    client = Grafana(
        GrafanaSettings(url="http://grafana.test"),
        transport=httpx.MockTransport(lambda request: httpx.Response(200, json={"message": "?"})),
    )
    with pytest.raises(MetricsUnavailable, match="did not answer with a list"):
        await client.noted(WINDOW, timeout_s=2)
    await client.aclose()
