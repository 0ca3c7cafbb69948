"""One adapter against every ill-willed server, as a program: what it took of memory and of the loop is its own.

Arguments: the adapter. Input: JSON, behaviour → port. Output: a JSON line for each.
"""

import asyncio
import gc
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from sreops.adapters.claude.api import Api
from sreops.adapters.docker import DockerContainers
from sreops.adapters.gitlab.api import GitLabApi
from sreops.adapters.mcp_tools import McpTools
from sreops.adapters.notify.apprise import AppriseNotifier
from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.loki import LokiLogs
from sreops.adapters.observability.prometheus import PrometheusMetrics
from sreops.adapters.prober import HttpProber
from sreops.domain.evidence.evidence import Window
from sreops.domain.records.message import Message
from sreops.domain.records.notice import NoticeKind
from sreops.errors import SreopsError, Unavailable
from sreops.ports import SendState
from sreops.settings import (
    DockerSettings,
    GitLabSettings,
    GrafanaSettings,
    LLMSettings,
    LokiSettings,
    McpSettings,
    NotifySettings,
    PrometheusSettings,
)

TIMEOUT_S = 1.0
AT_ONCE = {"notify": 6}
"""Servers that are asked at the same time: what is sent to people is sent by processes, which have little in common."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(start=NOW - timedelta(minutes=5), end=NOW)
MESSAGE = Message(
    kind=NoticeKind.attention, key="i1", severity="critical", needs="attention", status="escalated",
    service="payments", alertname="HighMemory", headline="payments needs you", what="memory at 98 %", cause="a leak",
    done="Nothing was changed.", asked="Restart it by hand.", at=NOW, links=(),
)  # fmt: skip
Asked = Callable[[str], Awaitable[Any]]


async def loki(url: str) -> None:
    logs = LokiLogs(LokiSettings(url=url))
    try:
        with suppress(SreopsError):
            await logs.label_names(WINDOW, timeout_s=TIMEOUT_S)
        await logs.lines({"service": "a"}, WINDOW, limit=1000, timeout_s=TIMEOUT_S)
    finally:
        await logs.aclose()


async def prometheus(url: str) -> None:
    metrics = PrometheusMetrics(PrometheusSettings(url=url))
    try:
        with suppress(SreopsError):
            await metrics.names({"a": "b"}, WINDOW, timeout_s=TIMEOUT_S)
        await metrics.instant("up", at=None, timeout_s=TIMEOUT_S)
    finally:
        await metrics.aclose()


async def grafana(url: str) -> None:
    asked = Grafana(GrafanaSettings(url=url, token=SecretStr("t")))
    try:
        await asked.noted(WINDOW, timeout_s=TIMEOUT_S)
    finally:
        await asked.aclose()


async def gitlab(url: str) -> None:
    api = GitLabApi(GitLabSettings(url=url, token=SecretStr("t"), project="a/b"))
    try:
        with suppress(SreopsError):
            await api.post("/api/v4/x", time.monotonic() + TIMEOUT_S, {"a": "b"})
        await api.page("/api/v4/x", time.monotonic() + TIMEOUT_S, [])
    finally:
        await api.aclose()


async def docker(url: str) -> None:
    containers = DockerContainers(DockerSettings(host=url))
    try:
        with suppress(SreopsError):
            await containers.events(["a"], WINDOW, limit=100, timeout_s=TIMEOUT_S)
        with suppress(SreopsError):
            await containers.restart("a" * 64, stop_timeout_s=1, timeout_s=TIMEOUT_S)
        await containers.find("a", timeout_s=TIMEOUT_S)
    finally:
        await containers.close()


async def claude(url: str) -> None:
    api = Api(LLMSettings(base_url=url, model="m"), SecretStr("sk-ant-k"))
    request = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
    try:
        with suppress(SreopsError):
            await api.model("m", timeout_s=TIMEOUT_S)
        await api.message(request, timeout_s=TIMEOUT_S, silence_s=TIMEOUT_S)
    finally:
        await api.aclose()


async def mcp(url: str) -> None:
    server = {"url": url, "tools": ["*"], "timeout_s": TIMEOUT_S}
    await McpTools(McpSettings.model_validate({"servers": {"a": server}})).call("a__b", {}, timeout_s=TIMEOUT_S)


async def prober(url: str) -> None:
    probe = HttpProber()
    try:
        await probe.status(url, timeout_s=TIMEOUT_S)
    finally:
        await probe.aclose()


async def notify(url: str) -> None:
    """Apprise reads by requests, in a process of its own, which has limits of its own."""
    settings = NotifySettings.model_validate({"urls": url.replace("http:", "json:"), "timeout_s": TIMEOUT_S})
    with tempfile.TemporaryDirectory() as folder:
        notifier = AppriseNotifier(settings, Path(folder))
        sent = await notifier.send(
            notifier.channels[0].name, [MESSAGE], attempt_id=uuid.uuid4().hex, digest=False, maybe_again=False
        )
        if sent.state is not SendState.sent:
            raise Unavailable(sent.why or sent.state.value)


ADAPTERS: dict[str, Asked] = {
    one.__name__: one for one in (loki, prometheus, grafana, gitlab, docker, claude, mcp, prober, notify)
}


def status_mib(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"the kernel does not tell {name}")


def begin_peak_anew() -> None:
    Path("/proc/self/clear_refs").write_text("5")


class Stillness:
    """The longest time that the loop was still, in seconds of this process's work: others' does not count."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def watch(self) -> None:
        before_s = time.process_time()
        while True:
            await asyncio.sleep(0.005)
            now_s = time.process_time()
            self.longest_s = max(self.longest_s, now_s - before_s)
            before_s = now_s


async def tried(ask: Asked, port: int, scheme: str) -> dict[str, Any]:
    gc.collect()
    begin_peak_anew()
    still = Stillness()
    watching = asyncio.create_task(still.watch())
    began_s = time.monotonic()
    told = "answered"
    try:
        await ask(f"{scheme}://127.0.0.1:{port}")
    except SreopsError as exc:
        told = f"{type(exc).__name__}: {str(exc)[:200]}"
    except Exception as exc:  # noqa: BLE001  # what escapes is what the test looks for
        told = f"ESCAPED {exc!r}"[:300]
    seconds = time.monotonic() - began_s
    watching.cancel()
    return {"told": told, "seconds": seconds, "still_s": still.longest_s, "peak_mib": status_mib("VmHWM")}


async def main() -> None:
    name = sys.argv[1]
    ports = json.load(sys.stdin)
    ask, scheme = ADAPTERS[name], "tcp" if name == "docker" else "http"
    await tried(ask, 9, scheme)  # nobody is there: imports, certificates and pools are made
    gc.collect()
    idle_mib = status_mib("VmRSS")
    for some in batched(ports.items(), AT_ONCE.get(name, 1)):
        found = await asyncio.gather(*(tried(ask, port, scheme) for _, port in some))
        for (behaviour, _), seen in zip(some, found, strict=True):
            print(json.dumps({"behaviour": behaviour, "idle_mib": idle_mib, **seen}), flush=True)  # noqa: T201


def batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


if __name__ == "__main__":
    asyncio.run(main())
