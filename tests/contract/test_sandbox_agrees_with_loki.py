"""The sandbox's Loki and a real one answer the same requests the same way."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sreops.sandbox.clock import NS, WallClock
from sreops.sandbox.loki.server import Loki as SandboxLoki
from sreops.sandbox.server import Server

if TYPE_CHECKING:
    from servers.loki import Loki

pytestmark = pytest.mark.needs("loki")

RANGE = "/loki/api/v1/query_range"
INSTANT = "/loki/api/v1/query"
REFUSED: list[tuple[str, dict[str, str]]] = [
    (RANGE, {"query": ""}),
    (RANGE, {}),
    (RANGE, {"query": "{run='RUN'}"}),
    (RANGE, {"query": '{run="RUN"'}),
    (RANGE, {"query": '{run="\\q"}'}),
    (RANGE, {"query": '{run=~"("}'}),
    (RANGE, {"query": '{run=~".*"}'}),
    (RANGE, {"query": "{}"}),
    (RANGE, {"query": '{run!="a"}'}),
    (RANGE, {"query": '{run=""}'}),
    (RANGE, {"query": '{run="RUN"} |= "x'}),
    (RANGE, {"query": '{run="RUN"} |= oops'}),
    (RANGE, {"query": '{run="RUN"} |~ "("'}),
    (RANGE, {"query": 'count_over_time({run="RUN"})'}),
    (RANGE, {"query": '{my.run="RUN"}'}),
    (RANGE, {"query": '{run="RUN"}', "limit": "5001"}),
    (RANGE, {"query": '{run="RUN"}', "limit": "0"}),
    (RANGE, {"query": '{run="RUN"}', "limit": "many"}),
    (RANGE, {"query": '{run="RUN"}', "direction": "sideways"}),
    (RANGE, {"query": '{run="RUN"}', "start": "yesterday"}),
    (RANGE, {"query": '{run="RUN"}', "start": "1700000000", "end": "1710000000"}),
    (RANGE, {"query": '{run="RUN"}', "start": "1700000100", "end": "1700000000"}),
    (RANGE, {"query": '{run="RUN"}', "step": "0"}),
    (RANGE, {"query": 'count_over_time({run="RUN"}[1m])', "start": "1700000000", "end": "1700090000", "step": "1"}),
    (INSTANT, {"query": '{run="RUN"}'}),
    ("/loki/api/v1/series", {"match[]": '{run=~".*"}'}),
    ("/api/v1/query", {"query": "up"}),
]
ANSWERED: list[tuple[str, dict[str, str]]] = [
    (RANGE, {"query": '{run="RUN"}', "limit": "1000"}),
    (RANGE, {"query": '{run="RUN"}', "limit": "7"}),
    (RANGE, {"query": '{run="RUN"}', "limit": "7", "direction": "forward"}),
    (RANGE, {"query": '{run="RUN",level=~"err.*"}'}),
    (RANGE, {"query": '{run="RUN",level=~"err"}'}),
    (RANGE, {"query": '{run="RUN",level!~"error|warn"} |= "7"'}),
    (RANGE, {"query": '{run="RUN"} |= `"quoted"`'}),
    (RANGE, {"query": '{run="RUN"} |= "\\"quoted\\"" != "13"'}),
    (RANGE, {"query": '{run="RUN"} |~ "(?i)LINE 1[0-9]"'}),
    (RANGE, {"query": '{run="RUN"} !~ "line" '}),
    (RANGE, {"query": '{run="RUN"} | level="error"'}),
    (RANGE, {"query": '{run="RUN",absent=""} |= "line 3"'}),
    (RANGE, {"query": '{run="RUN"} |= "\\ud83d\\ude00"'}),
    (RANGE, {"query": '{run="RUN"} |= "\U0001f600"'}),
    (RANGE, {"query": '{run="RUN"}', "start": "START_MS", "end": "END_MS"}),
    (INSTANT, {"query": 'sum by (level) (count_over_time({run="RUN"}[10m]))', "time": "END_S"}),
    (INSTANT, {"query": 'sum(bytes_over_time({run="RUN"} |= "line"[10m]))', "time": "END_S"}),
    (INSTANT, {"query": 'topk(1, sum by (level) (count_over_time({run="RUN"}[10m])))', "time": "END_S"}),
]


def filled(params: dict[str, str], run: str, start_s: int, end_s: int) -> dict[str, str]:
    marks = {"START_MS": f"{start_s}000", "END_MS": f"{end_s}000", "END_S": str(end_s), "RUN": run}
    out: dict[str, str] = {}
    for name, value in params.items():
        for mark, real in marks.items():
            value = value.replace(mark, real)
        out[name] = value
    return out


def essence(answer: httpx.Response) -> Any:
    """What both must agree on: lines per stream in order, or values per series; without what only one adds."""
    data = answer.json()["data"]
    added = {"detected_level", "service_name"}
    rows = []
    for row in data["result"]:
        labels = {k: v for k, v in row.get("stream", row.get("metric", {})).items() if k not in added}
        rows.append((sorted(labels.items()), row.get("values") or row.get("value")))
    return data["resultType"], sorted(rows, key=str)


async def test_refusals_and_answers_are_the_real_ones(loki: Loki) -> None:
    run = uuid.uuid4().hex
    end_s = int(time.time())
    start_s = end_s - 300
    streams = []
    for level in ("info", "error"):
        entries = [
            [str((start_s + 2 * index + (level == "error")) * NS + 7), f'line {index} says "quoted" {level} \U0001f600']
            for index in range(40 + (level == "info"))  # no tie, which topk decides by chance
        ]
        streams.append({"stream": {"run": run, "level": level, "service": "x"}, "values": entries})
    sandbox = SandboxLoki(WallClock())
    async with Server(sandbox.app) as server, httpx.AsyncClient(timeout=20) as client:
        urls = (loki.url, server.url)
        for url in urls:
            pushed = await client.post(f"{url}/loki/api/v1/push", json={"streams": streams})
            assert pushed.status_code == 204
        different: list[str] = []
        for path, params in REFUSED:
            asked = filled(params, run, start_s, end_s)
            real, ours = await asyncio.gather(*(client.get(url + path, params=asked) for url in urls))
            same_type = real.headers.get("content-type") == ours.headers.get("content-type")
            if real.status_code != ours.status_code or real.status_code < 400 or not same_type:
                different.append(
                    f"{path} {asked}\n  real {real.status_code} {real.headers.get('content-type')}"
                    f" {real.text[:200]!r}\n  ours {ours.status_code} {ours.text[:200]!r}"
                )
            elif real.text != ours.text:
                different.append(f"{path} {asked}\n  real {real.text[:250]!r}\n  ours {ours.text[:250]!r}")
        for path, params in ANSWERED:
            asked = {"start": str(start_s), "end": str(end_s), **filled(params, run, start_s, end_s)}
            real, ours = await asyncio.gather(*(client.get(url + path, params=asked) for url in urls))
            if real.status_code != 200 or ours.status_code != 200 or essence(real) != essence(ours):
                different.append(
                    f"{path} {asked}\n  real {real.status_code} {real.text[:600]}\n  ours {ours.text[:600]}"
                )
        assert not different, "\n".join(different)
