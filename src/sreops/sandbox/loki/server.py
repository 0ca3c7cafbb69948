"""A Loki for the sandbox: push, range and instant queries, labels and series, with Loki's own refusals.

Source: loki-http-api.md and pkg/loghttp of grafana/loki @65e30f8. Errors are plain text; only a 200 is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sreops.sandbox.clock import NS, Clock
from sreops.sandbox.faults import Faults
from sreops.sandbox.loki.logql import LogQLError, parse, parse_duration_ns, parse_selector
from sreops.sandbox.loki.logql_tree import LogExpr, MetricExpr
from sreops.sandbox.loki.request import Refused, check_range, forward, limit, parse_time_ns, step_ns
from sreops.sandbox.loki.streams import Labels, Streams, Vector
from sreops.sandbox.request_params import Params, read_params

MAX_ENTRIES = 5000
MAX_SERIES = 500
MAX_POINTS = 11_000
_HOUR_NS = 3600 * NS


class Loki:
    """Loki in a process: ``app`` for its HTTP API, ``push`` for the shop, ``faults`` for tests.

    With ``auth_enabled`` every request needs ``X-Scope-OrgID``; without it the header is ignored and all
    lines belong to the tenant ``fake``, as in Loki.
    """

    def __init__(self, clock: Clock, *, auth_enabled: bool = False) -> None:
        self._clock = clock
        self._auth_enabled = auth_enabled
        self._tenants: dict[str, Streams] = {}
        self.faults = Faults(lambda status: (f"sandbox fault: {status}\n".encode(), "text/plain; charset=utf-8"))
        both = ["GET", "POST"]
        api = "/loki/api/v1"
        routes = [
            Route(f"{api}/push", self._push, methods=["POST"]),
            Route(f"{api}/query_range", self._query_range, methods=both),
            Route(f"{api}/query", self._query, methods=both),
            Route(f"{api}/labels", self._labels, methods=both),
            Route(f"{api}/label/{{name}}/values", self._label_values, methods=["GET"]),
            Route(f"{api}/series", self._series, methods=both),
            Route(f"{api}/index/stats", self._index_stats, methods=both),
            Route(f"{api}/format_query", self._format_query, methods=both),
            Route(f"{api}/status/buildinfo", _buildinfo, methods=["GET"]),
            Route("/ready", _ready, methods=["GET"]),
        ]
        handlers: Mapping[Any, Any] = {
            Refused: _refused,
            LogQLError: _bad_query,
            HTTPException: _no_such_page,
        }
        self.app: ASGIApp = self.faults.wrap(Starlette(routes=routes, exception_handlers=handlers))

    def push(self, labels: Mapping[str, str], line: str, ts_ns: int | None = None, *, tenant: str = "fake") -> None:
        """Take one line, now or at ``ts_ns``, without the way over HTTP."""
        at_ns = self._clock.time_ns() if ts_ns is None else ts_ns
        self._streams(tenant).push(labels, [(at_ns, line)])

    def _streams(self, tenant: str) -> Streams:
        return self._tenants.setdefault(tenant, Streams())

    def _of(self, request: Request) -> Streams:
        if not self._auth_enabled:
            return self._streams("fake")
        tenant = request.headers.get("x-scope-orgid", "")
        if not tenant:
            raise Refused(401, "no org id\n")
        return self._streams(tenant)

    async def _push(self, request: Request) -> Response:
        streams = self._of(request)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refused(400, "snappy: corrupt input")
        try:
            batches = [_batch(item) for item in json.loads(await request.body())["streams"]]
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise Refused(400, f"loghttp.PushRequest.Streams: {exc}") from exc
        for labels, entries in batches:
            if not labels:
                raise Refused(400, "error at least one label pair is required per stream")
            streams.push(labels, entries)
        return Response(status_code=204)

    async def _query_range(self, request: Request) -> Response:
        streams, params = self._of(request), await read_params(request)
        start_ns, end_ns = self._window(params, _HOUR_NS)
        most, oldest_first = limit(params), forward(params)
        every_ns = step_ns(params, start_ns, end_ns)
        expr = parse(params.get("query", ""))
        check_range(start_ns, end_ns)
        if isinstance(expr, LogExpr):
            if most > MAX_ENTRIES:
                raise Refused(
                    400,
                    "max entries limit per query exceeded, limit > max_entries_limit_per_query "
                    f"({most} > {MAX_ENTRIES})",
                )
            found = streams.select(expr, start_ns, end_ns, most, forward=oldest_first)
            result: list[dict[str, Any]] = [
                {"stream": stream.labels, "values": [[str(ts_ns), line] for ts_ns, line in entries]}
                for stream, entries in found
            ]
            size = sum(len(line) for _, entries in found for _, line in entries)
            return _success("streams", result, size)
        if (end_ns - start_ns) // every_ns > MAX_POINTS:
            raise Refused(
                400,
                "exceeded maximum resolution of 11,000 points per time series. "
                "Try increasing the value of the step parameter",
            )
        return _success("matrix", _matrix(streams, expr, start_ns, end_ns, every_ns), 0)

    async def _query(self, request: Request) -> Response:
        streams, params = self._of(request), await read_params(request)
        at_ns = parse_time_ns(params["time"], "time") if params.get("time") else self._clock.time_ns()
        limit(params)
        expr = parse(params.get("query", ""))
        if isinstance(expr, LogExpr):
            raise Refused(
                400,
                "log queries are not supported as an instant query type, please change your query to a range "
                "query type",
            )
        vector = streams.evaluate(expr, at_ns)
        _check_series(vector)
        at = at_ns / NS
        rows = [{"metric": dict(key), "value": [at, _number(value)]} for key, value in vector.items()]
        return _success("vector", rows, 0)

    async def _labels(self, request: Request) -> Response:
        found = await self._matching(request)
        return _data(sorted({name for labels in found for name in labels}))

    async def _label_values(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = await self._matching(request)
        return _data(sorted({labels[name] for labels in found if name in labels}))

    async def _matching(self, request: Request) -> list[dict[str, str]]:
        streams, params = self._of(request), await read_params(request)
        start_ns, end_ns = self._window(params, 6 * _HOUR_NS)
        check_range(start_ns, end_ns)
        selectors = [parse_selector(params["query"])] if params.get("query") else []
        return [stream.labels for stream in streams.series(selectors, start_ns, end_ns)]

    async def _series(self, request: Request) -> Response:
        streams, params = self._of(request), await read_params(request)
        start_ns, end_ns = self._window(params, 6 * _HOUR_NS)
        check_range(start_ns, end_ns)
        selectors = [parse_selector(text) for text in params.getlist("match[]") + params.getlist("match")]
        data = [stream.labels for stream in streams.series(selectors, start_ns, end_ns)]
        return _json({"status": "success", "data": data})

    async def _index_stats(self, request: Request) -> Response:
        streams, params = self._of(request), await read_params(request)
        start_ns, end_ns = self._window(params, _HOUR_NS)
        found = streams.series([parse_selector(params.get("query", ""))], start_ns, end_ns)
        entries = [entry for stream in found for entry in stream.between(start_ns, end_ns)]
        size = sum(len(line) for _, line in entries)
        return _json({"streams": len(found), "chunks": len(found), "bytes": size, "entries": len(entries)})

    async def _format_query(self, request: Request) -> Response:
        self._of(request)
        query = (await read_params(request)).get("query", "")
        try:
            parse(query)
        except LogQLError as exc:
            return _json({"status": "invalid-query", "error": str(exc)})
        return _json({"status": "success", "data": query})

    def _window(self, params: Params, default_ns: int) -> tuple[int, int]:
        now_ns = self._clock.time_ns()
        end_ns = parse_time_ns(params["end"], "end") if params.get("end") else now_ns
        if params.get("start"):
            return parse_time_ns(params["start"], "start"), end_ns
        since = params.get("since", "")
        try:
            since_ns = parse_duration_ns(since) if since else default_ns
        except ValueError as exc:
            raise Refused(400, f"could not parse 'since' parameter: {exc}") from exc
        return min(end_ns, now_ns) - since_ns, end_ns


def _batch(item: Any) -> tuple[dict[str, str], list[tuple[int, str]]]:
    labels = {str(name): value for name, value in item["stream"].items() if isinstance(value, str)}
    entries = [(int(value[0]), value[1]) for value in item["values"]]
    if len(labels) != len(item["stream"]) or any(
        not isinstance(value[0], str) or not isinstance(value[1], str) for value in item["values"]
    ):
        raise TypeError("labels, times and lines must be strings")
    return labels, entries


def _check_series(series: Mapping[Labels, Any]) -> None:
    if len(series) > MAX_SERIES:
        raise Refused(400, f"maximum number of series ({MAX_SERIES}) reached for a single query")


def _matrix(streams: Streams, expr: MetricExpr, start_ns: int, end_ns: int, every_ns: int) -> list[dict[str, Any]]:
    series: dict[Labels, list[list[Any]]] = {}
    for at_ns in range(start_ns, end_ns + 1, every_ns):
        vector: Vector = streams.evaluate(expr, at_ns)
        for key, value in vector.items():
            series.setdefault(key, []).append([at_ns / NS, _number(value)])
        _check_series(series)
    return [{"metric": dict(key), "values": values} for key, values in series.items()]


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _json(body: Any) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), media_type="application/json; charset=UTF-8")


def _data(values: list[str]) -> Response:
    return _json({"status": "success", "data": values} if values else {"status": "success"})


def _success(kind: str, result: list[dict[str, Any]], size: int) -> Response:
    summary = {
        "bytesProcessedPerSecond": size,
        "linesProcessedPerSecond": 0,
        "totalBytesProcessed": size,
        "totalLinesProcessed": sum(len(row.get("values", ())) for row in result),
        "execTime": 0.001,
        "queueTime": 0,
        "subqueries": 0,
        "totalEntriesReturned": sum(len(row.get("values", ())) for row in result) if kind == "streams" else 0,
    }
    stats = {"summary": summary, "querier": {"store": {}}, "ingester": {"store": {}}}
    return _json({"status": "success", "data": {"resultType": kind, "result": result, "stats": stats}})


async def _refused(_request: Request, exc: Refused) -> Response:
    return PlainTextResponse(str(exc), exc.status)


async def _bad_query(_request: Request, exc: LogQLError) -> Response:
    return PlainTextResponse(str(exc), 400)


async def _no_such_page(_request: Request, exc: HTTPException) -> Response:
    return PlainTextResponse("404 page not found\n" if exc.status_code == 404 else "", exc.status_code)


async def _ready(_request: Request) -> Response:
    return PlainTextResponse("ready\n")


async def _buildinfo(_request: Request) -> Response:
    return _json(
        {
            "version": "3.5.5",
            "revision": "sandbox",
            "branch": "HEAD",
            "buildUser": "sreops",
            "buildDate": "",
            "goVersion": "",
        }
    )
