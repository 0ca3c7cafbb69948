"""Servers behind a private CA, and a proxy: every client takes them, and says what a certificate lacks."""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from private_ca import PrivateCa
from sreops.adapters.claude import ClaudeAnalyst
from sreops.adapters.docker import DockerContainers
from sreops.adapters.gitlab import GitLabIssues
from sreops.adapters.mcp_tools import McpTools
from sreops.adapters.observability.grafana import Grafana
from sreops.adapters.observability.loki import LokiLogs
from sreops.adapters.observability.prometheus import PrometheusMetrics
from sreops.adapters.prober import HttpProber
from sreops.adapters.trust import client_trust, write_bundle
from sreops.errors import SettingsInvalid
from sreops.ports import Health
from sreops.settings import (
    DockerSettings,
    GitLabSettings,
    GrafanaSettings,
    LLMSettings,
    LokiSettings,
    McpSettings,
    PrometheusSettings,
)

ANSWERS: dict[str, Any] = {
    "/loki/api/v1/labels": {"status": "success", "data": ["service"]},
    "/api/v1/query": {"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}},
    "/api/datasources": [],
    "/api/v4/version": {"version": "18.0"},
    "/api/v4/personal_access_tokens/self": {"scopes": ["api"], "active": True},
    "/api/v4/projects/a%2Fb": {"id": 1},
    "/version": {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "26"},
    "/v1/models/m": {"id": "m", "type": "model", "display_name": "M", "created_at": "2026-01-01T00:00:00Z"},
    "/probed": {},
}  # fmt: skip


class Inside:
    """A server of many names that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.readexactly(1)
            if first == b"\x16":  # somebody begins to speak TLS
                writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                return
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ", 2)[1].partition("?")[0]
            self.asked.append(target)
            self.headers += head.lower().split("\r\n")[1:]
            path = target if target.startswith("/") else "/" + target.partition("://")[2].partition("/")[2]
            body = json.dumps(ANSWERS.get(path, {})).encode()
            status = "200 OK" if path in ANSWERS else "404 Not Found"
            told = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
            writer.write(f"{told}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncIterator[tuple[Inside, str]]:
    inside = Inside()
    server = await asyncio.start_server(inside.serve, "127.0.0.1", 0, ssl=context)
    scheme = "http" if context is None else "https"
    try:
        yield inside, f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


Look = Callable[[str, ssl.SSLContext | None], Awaitable[Health]]


async def loki(url: str, trust: ssl.SSLContext | None) -> Health:
    logs = LokiLogs(LokiSettings(url=url), trust=trust, attempts=1)
    try:
        return await logs.health()
    finally:
        await logs.aclose()


async def prometheus(url: str, trust: ssl.SSLContext | None) -> Health:
    metrics = PrometheusMetrics(PrometheusSettings(url=url), trust=trust, attempts=1)
    try:
        return await metrics.health()
    finally:
        await metrics.aclose()


async def grafana(url: str, trust: ssl.SSLContext | None) -> Health:
    asked = Grafana(GrafanaSettings(url=url, token=SecretStr("t")), trust=trust, attempts=1)
    try:
        return await asked.health()
    finally:
        await asked.aclose()


async def gitlab(url: str, trust: ssl.SSLContext | None) -> Health:
    issues = GitLabIssues(GitLabSettings(url=url, token=SecretStr("t"), project="a/b"), trust=trust, attempts=1)
    try:
        return await issues.health()
    finally:
        await issues.aclose()


async def docker(url: str, trust: ssl.SSLContext | None) -> Health:
    containers = DockerContainers(DockerSettings(host=url), trust=trust)
    try:
        return await containers.health()
    finally:
        await containers.close()


async def claude(url: str, trust: ssl.SSLContext | None) -> Health:
    analyst = ClaudeAnalyst(LLMSettings(base_url=url, model="m"), SecretStr("sk-ant-k"), trust=trust)
    try:
        return await analyst.health()
    finally:
        await analyst.aclose()


async def mcp(url: str, trust: ssl.SSLContext | None) -> Health:
    server = {"url": f"{url}/mcp", "tools": ["*"]}
    return await McpTools(McpSettings.model_validate({"servers": {"a": server}}), trust).health()


LOOKS: dict[str, Look] = {one.__name__: one for one in (loki, prometheus, grafana, gitlab, docker, claude, mcp)}


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    return PrivateCa(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize("name", LOOKS)
async def test_a_private_ca_is_named_as_what_is_missing_and_trusted_where_it_is_set(name: str, ca: PrivateCa) -> None:
    async with listening(ca.server()) as (inside, url):
        unknown = await LOOKS[name](url, client_trust())
        assert unknown.status == "down"
        assert "SREOPS_CA_FILE" in unknown.detail + unknown.cure
        assert not any(word in unknown.cure for word in ("TOKEN", "API_KEY"))
        assert not inside.asked, "nothing was sent: neither token nor question"
        known = await LOOKS[name](url, client_trust(ca.file))
        assert inside.asked
        assert "SREOPS_CA_FILE" not in known.detail + known.cure
        if name != "mcp":  # which has no server here: it was spoken to, and that is what is looked at
            assert known.status == "up", known


async def test_a_probe_trusts_it_too(ca: PrivateCa) -> None:
    async with listening(ca.server()) as (_, url):
        for trust, status in ((client_trust(), None), (client_trust(ca.file), 200)):
            prober = HttpProber(trust=trust)
            assert await prober.status(f"{url}/probed", timeout_s=5) == status
            await prober.aclose()


async def test_ssl_cert_file_is_honoured(ca: PrivateCa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.file))
    async with listening(ca.server()) as (_, url):
        assert (await loki(url, client_trust())).status == "up"


@pytest.mark.parametrize(
    ("address", "days", "cure"), [("127.0.0.2", 7.0, "another name"), ("127.0.0.1", -1.0, "has expired")]
)
async def test_what_else_is_wrong_with_a_certificate_is_named(
    ca: PrivateCa, address: str, days: float, cure: str
) -> None:
    async with listening(ca.server(address, days=days)) as (_, url):
        for name in ("loki", "docker", "claude", "mcp"):
            found = await LOOKS[name](url, client_trust(ca.file))
            assert cure in found.detail + found.cure, name
            assert "SREOPS_CA_FILE" not in found.cure


async def test_https_to_a_port_that_speaks_http_is_named(ca: PrivateCa) -> None:
    async with listening(None) as (_, url):
        for name in ("loki", "docker", "claude"):
            found = await LOOKS[name](url.replace("http://", "https://"), client_trust(ca.file))
            assert "http:// instead of https://" in found.detail + found.cure, name


def test_a_file_that_holds_no_certificate_stops_the_start(tmp_path: Path) -> None:
    nothing = tmp_path / "ca.pem"
    nothing.write_text("hello")
    with pytest.raises(SettingsInvalid, match=r"SREOPS_CA_FILE: .*PEM"):
        client_trust(nothing)


async def test_a_bundle_for_programs_that_take_one_file_holds_both(ca: PrivateCa, tmp_path: Path) -> None:
    bundle = await asyncio.to_thread(write_bundle, ca.file, tmp_path / "notify" / "trust.pem")
    both = ssl.create_default_context(cafile=str(bundle))
    assert both.cert_store_stats()["x509_ca"] > 50
    async with listening(ca.server()) as (_, url):
        assert (await loki(url, both)).status == "up"


async def test_the_proxies_of_the_environment_are_used_but_not_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with listening(None) as (proxy, url), listening(None) as (here, local):
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, url)
        for name in ("loki", "prometheus", "grafana", "gitlab", "claude"):
            found = await LOOKS[name]("http://inside.example", None)
            assert found.status == "up", (name, found)
            assert any(target.startswith("http://inside.example/") for target in proxy.asked), name
            proxy.asked.clear()
            assert (await LOOKS[name](local, None)).status == "up"
        assert not proxy.asked
        assert here.asked
        monkeypatch.setenv("NO_PROXY", "inside.example")
        assert (await loki("http://inside.example", None)).status == "down"
        assert not proxy.asked


async def test_check_names_the_certificate_and_is_content_with_the_ca(ca: PrivateCa, tmp_path: Path) -> None:
    async with listening(ca.server()) as (_, url):
        environment = {
            "PATH": os.environ["PATH"],
            "SREOPS_DATA_DIR": str(tmp_path / "data"),
            "SREOPS_LOKI__URL": url,
            "COLUMNS": "250",
        }
        for given, status, told in (({}, 1, "SREOPS_CA_FILE"), ({"SREOPS_CA_FILE": str(ca.file)}, 0, "Loki at")):
            check = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sreops", "check", env=environment | given, cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            shown, _ = await check.communicate()
            assert check.returncode == status, shown.decode()
            assert told in shown.decode()
