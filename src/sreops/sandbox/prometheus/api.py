"""The HTTP API of the sandbox's Prometheus (docs/querying/api.md of prometheus/prometheus @d15adb9)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sreops.sandbox.matchers import Matcher
from sreops.sandbox.prometheus.params import ApiError, check_timeout, read_duration, read_query, read_time, within_limit
from sreops.sandbox.prometheus.reply import STATUS, format_value
from sreops.sandbox.prometheus.rules import iso
from sreops.sandbox.prometheus.series import LOOKBACK_S, Series
from sreops.sandbox.prometheus.server import Prometheus
from sreops.sandbox.promql.engine import Engine
from sreops.sandbox.promql.operators import ExecutionError
from sreops.sandbox.promql.parser import parse_selector
from sreops.sandbox.promql.tokens import PromQLError
from sreops.sandbox.promql.tree import Kind, Selector, Text
from sreops.sandbox.request_params import Params, read_params

MAX_POINTS = 11_000
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def prometheus_api(prometheus: Prometheus) -> ASGIApp:
    """Build the HTTP API over a Prometheus and its faults."""
    pages = _Pages(prometheus)
    both = ["GET", "POST"]
    routes = [
        Route("/api/v1/query", pages.query, methods=both),
        Route("/api/v1/query_range", pages.query_range, methods=both),
        Route("/api/v1/series", pages.series, methods=both),
        Route("/api/v1/labels", pages.labels, methods=both),
        Route("/api/v1/label/{name}/values", pages.label_values, methods=["GET"]),
        Route("/api/v1/metadata", pages.metadata, methods=["GET"]),
        Route("/api/v1/alerts", pages.alerts, methods=["GET"]),
        Route("/api/v1/rules", pages.rules, methods=["GET"]),
        Route("/api/v1/format_query", pages.format_query, methods=both),
        Route("/api/v1/status/buildinfo", pages.buildinfo, methods=["GET"]),
        Route("/-/ready", pages.ready, methods=["GET"]),
        Route("/-/healthy", pages.healthy, methods=["GET"]),
    ]
    handlers: Mapping[Any, Any] = {ApiError: _api_error, HTTPException: _no_such_page}
    return prometheus.faults.wrap(Starlette(routes=routes, exception_handlers=handlers))


class _Pages:
    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    async def query(self, request: Request) -> Response:
        params = await read_params(request)
        at = read_time(params, "time", self._prometheus.clock.time())
        check_timeout(params)
        node = read_query(params)
        self._prometheus.keep_alerts()
        engine = self._engine(params)
        result: list[Any]
        try:
            if isinstance(node, Text):
                result = [at, node.value]
            elif node.kind is Kind.SCALAR:
                result = [at, format_value(engine.scalar(node, at))]
            elif isinstance(node, Selector) and node.kind is Kind.MATRIX:
                result = [
                    {"metric": labels, "values": [[when, format_value(value)] for when, value in samples]}
                    for labels, samples in engine.matrix(node, at)
                ]
            else:
                result = [
                    {"metric": dict(point.labels), "value": [at, format_value(point.value)]}
                    for point in engine.vector(node, at)
                ]
        except ExecutionError as exc:
            raise ApiError("execution", str(exc)) from exc
        kinds = {Kind.SCALAR: "scalar", Kind.STRING: "string", Kind.MATRIX: "matrix", Kind.VECTOR: "vector"}
        limited = within_limit(params, result) if node.kind in (Kind.VECTOR, Kind.MATRIX) else result
        return _success({"resultType": kinds[node.kind], "result": limited}, engine.infos)

    async def query_range(self, request: Request) -> Response:
        params = await read_params(request)
        start, end = read_time(params, "start"), read_time(params, "end")
        if end < start:
            raise ApiError("bad_data", 'invalid parameter "end": end timestamp must not be before start time')
        step = read_duration(params, "step")
        if step <= 0:
            raise ApiError(
                "bad_data",
                'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
                "Try a positive integer",
            )
        if (end - start) / step > MAX_POINTS:
            raise ApiError(
                "bad_data",
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
                "resolution (?step=XX)",
            )
        check_timeout(params)
        node = read_query(params)
        if node.kind in (Kind.MATRIX, Kind.STRING):
            raise ApiError(
                "bad_data",
                f'invalid parameter "query": invalid expression type "{node.kind}" for range query, must be '
                "Scalar or instant Vector",
            )
        self._prometheus.keep_alerts()
        engine = self._engine(params)
        rows: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
        try:
            for index in range(int((end - start) / step + 1e-9) + 1):
                at = start + index * step
                if node.kind is Kind.SCALAR:
                    rows.setdefault((), []).append([at, format_value(engine.scalar(node, at))])
                    continue
                for point in engine.vector(node, at):
                    key = tuple(sorted(point.labels.items()))
                    rows.setdefault(key, []).append([at, format_value(point.value)])
        except ExecutionError as exc:
            raise ApiError("execution", str(exc)) from exc
        result = [{"metric": dict(key), "values": values} for key, values in rows.items()]
        return _success({"resultType": "matrix", "result": within_limit(params, result)}, engine.infos)

    def _engine(self, params: Params) -> Engine:
        lookback = read_duration(params, "lookback_delta") if params.get("lookback_delta") else LOOKBACK_S
        return Engine(self._prometheus.store, lookback)

    async def _matching(self, request: Request, *, required: bool) -> list[Series]:
        params = await read_params(request)
        texts = params.getlist("match[]")
        if required and not texts:
            raise ApiError("bad_data", "no match[] parameter provided")
        groups: list[tuple[Matcher, ...]] = []
        for text in texts:
            try:
                groups.append(parse_selector(text))
            except PromQLError as exc:
                raise ApiError("bad_data", f'invalid parameter "match[]": {exc}') from exc
        now = self._prometheus.clock.time()
        start, end = read_time(params, "start", -math.inf), read_time(params, "end", max(now, 0) + 3600)
        return [
            series
            for series in self._prometheus.store
            if series.lives(start, end)
            and (not groups or any(all(matcher.matches(series.labels) for matcher in group) for group in groups))
        ]

    async def series(self, request: Request) -> Response:
        return _success([series.labels for series in await self._matching(request, required=True)])

    async def labels(self, request: Request) -> Response:
        found = await self._matching(request, required=False)
        return _success(sorted({name for series in found for name in series.labels}))

    async def label_values(self, request: Request) -> Response:
        name = request.path_params["name"]
        if not _LABEL.fullmatch(name):
            raise ApiError("bad_data", f'invalid label name: "{name}"')
        found = await self._matching(request, required=False)
        return _success(sorted({series.labels[name] for series in found if name in series.labels}))

    async def metadata(self, request: Request) -> Response:
        wanted = request.query_params.get("metric")
        return _success(
            {
                name: [{"type": kind, "help": text, "unit": ""}]
                for name, (kind, text) in self._prometheus.metadata.items()
                if wanted in (None, "", name)
            }
        )

    async def alerts(self, _request: Request) -> Response:
        return _success({"alerts": [alert.shown() for alert in self._prometheus.alerts()]})

    async def rules(self, _request: Request) -> Response:
        group = {
            "name": "sandbox",
            "file": "/etc/prometheus/rules.yml",
            "interval": self._prometheus.scrape_interval_s,
            "limit": 0,
            "evaluationTime": 0.001,
            "lastEvaluation": iso(max((rule.evaluated_at for rule in self._prometheus.rules), default=0.0)),
            "rules": [rule.shown() for rule in self._prometheus.rules],
        }
        return _success({"groups": [group] if self._prometheus.rules else []})

    async def format_query(self, request: Request) -> Response:
        params = await read_params(request)
        read_query(params)
        return _success(params.get("query", ""))

    async def buildinfo(self, _request: Request) -> Response:
        names = ("revision", "branch", "buildUser", "buildDate", "goVersion")
        return _success({"version": "3.14.0", **dict.fromkeys(names, "sandbox")})

    async def ready(self, _request: Request) -> Response:
        return PlainTextResponse("Prometheus Server is Ready.\n")

    async def healthy(self, _request: Request) -> Response:
        return PlainTextResponse("Prometheus Server is Healthy.\n")


def _success(data: Any, infos: list[str] | None = None) -> Response:
    body = {"status": "success", "data": data}
    if infos:
        body["infos"] = infos
    return Response(json.dumps(body, ensure_ascii=False), media_type="application/json")


async def _api_error(_request: Request, exc: ApiError) -> Response:
    body = {"status": "error", "errorType": exc.kind, "error": str(exc)}
    return Response(json.dumps(body), STATUS.get(exc.kind, 500), media_type="application/json")


async def _no_such_page(_request: Request, exc: HTTPException) -> Response:
    return PlainTextResponse("404 page not found\n" if exc.status_code == 404 else "", exc.status_code)
