"""A Grafana 13: its data source proxy, its alertmanager and its annotations, for one service account token."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sreops.sandbox.clock import Clock, WallClock
from sreops.sandbox.faults import Faults
from sreops.sandbox.grafana.alerts import GrafanaAlert, GrafanaRule, GrafanaSilence, rules_shown
from sreops.sandbox.grafana.annotations import Annotations
from sreops.sandbox.told import Told

__all__ = ["DataSource", "Grafana", "GrafanaAlert", "GrafanaRule", "GrafanaSilence", "grafana_error"]

VERSION = "13.0.1"
_PROXY = "/api/datasources/proxy/uid/"
# Of one hop, or the credentials of the caller, which are not the data source's.
_NOT_FORWARDED = frozenset({
    "authorization", "connection", "content-length", "cookie", "host", "keep-alive", "te", "trailer",
    "transfer-encoding", "upgrade", "x-grafana-org-id",
})  # fmt: skip
_NOT_RETURNED = frozenset({"connection", "content-encoding", "content-length", "set-cookie", "transfer-encoding"})
_HEALTH_PATHS = {"loki": "/loki/api/v1/labels", "prometheus": "/api/v1/query?query=1%2B1"}


@dataclass(frozen=True)
class DataSource:
    """A data source: `upstream` is its address (no trailing slash), or its app where it runs in this process.

    `headers` are what Grafana adds to each request, such as a tenant.
    """

    type: str
    upstream: str | ASGIApp
    name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def grafana_error(status: int) -> tuple[bytes, str]:
    """Report an error as Grafana does."""
    return json.dumps({"message": f"sandbox fault: {status}"}).encode(), "application/json"


class Grafana:
    """One Grafana; `app` is the server, `faults` breaks it. A data source is added by its uid.

    `can_query`, `can_list`, `can_read_rules`: what the token's role allows (`datasources:query`,
    `datasources:read`, `alert.rules:read`). `rules` are the alert rules that exist, `alerts` what is active.
    """

    def __init__(
        self,
        token: str,
        datasources: Mapping[str, DataSource],
        *,
        clock: Clock | None = None,
        can_query: bool = True,
        can_list: bool = True,
        can_read_rules: bool = True,
        timeout_s: float = 30.0,
    ) -> None:
        self.faults = Faults(grafana_error)
        self.datasources = dict(datasources)
        self.alerts: list[GrafanaAlert] = []
        self.rules: list[GrafanaRule] = []
        self.silences: list[GrafanaSilence] = []
        self._token = token
        self._clock = clock or WallClock()
        self._annotations = Annotations(self._clock)
        self._can_query = can_query
        self._can_list = can_list
        self._can_read_rules = can_read_rules
        self._timeout_s = timeout_s
        datasource_path = "/api/datasources/uid/{uid}"
        alerts = "/api/alertmanager/grafana/api/v2/alerts"
        served = Starlette(
            routes=[
                Route("/api/health", self._health),
                Route("/api/datasources", self._list_datasources),
                Route(datasource_path, self._show_datasource),
                Route(f"{datasource_path}/health", self._datasource_health),
                Route(f"{_PROXY}{{uid}}/{{path:path}}", self._proxy, methods=["GET", "POST"]),
                Route(f"{datasource_path}/resources/{{path:path}}", self._resources, methods=["GET", "POST"]),
                Route(alerts, self._list_alerts),
                Route("/api/alertmanager/grafana/api/v2/silences", self._list_silences),
                Route("/api/prometheus/grafana/api/v1/rules", self._list_rules),
                Route("/api/annotations", self._list_annotations, methods=["GET"]),
                Route("/api/annotations", self._create_annotation, methods=["POST"]),
            ],
            exception_handlers={Told: _tell, 404: _no_route, 405: _no_route},
        )
        served.router.redirect_slashes = False
        self.app: ASGIApp = self.faults.wrap(served)

    def fire(
        self, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None, *, fingerprint: str = ""
    ) -> GrafanaAlert:
        """Let an alert be active from now on; `resolve` ends it. The fingerprint is made of the labels."""
        now = self._clock.now()
        made = hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]
        alert = GrafanaAlert(labels, annotations or {}, now, now, now, fingerprint=fingerprint or made)
        self.alerts.append(alert)
        return alert

    def silence(self, seconds: float, **labels: str) -> GrafanaSilence:
        """Silence what has exactly these labels from now on for so long."""
        now = self._clock.now()
        made = GrafanaSilence(labels, now, now + timedelta(seconds=seconds))
        self.silences.append(made)
        return made

    def resolve(self, alert: GrafanaAlert) -> None:
        """End an alert: Grafana's alertmanager no longer lists what has resolved."""
        self.alerts.remove(alert)

    @property
    def annotations(self) -> list[dict[str, Any]]:
        """The annotations that exist, as they are shown."""
        return self._annotations.kept

    def annotate(self, text: str, tags: Sequence[str], time_ms: int, time_end_ms: int | None = None) -> int:
        """Add an annotation, such as of a deployment; times are milliseconds since the epoch."""
        return self._annotations.add(text, tags, time_ms, time_end_ms)

    def _authorise(self, request: Request, *, allowed: bool = True, needed: str = "") -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Told(401, {"message": "Unauthorized", "messageId": "auth.unauthorized", "statusCode": 401})
        if given != self._token:
            body = {"message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401}
            raise Told(401, {**body, "traceID": ""})
        if not allowed:
            told = f"You'll need additional permissions to perform this action. Permissions needed: {needed}"
            raise Told(403, {"accessErrorId": "ACE0000000001", "message": told, "title": "Access denied"})

    def _datasource(self, uid: str) -> DataSource:
        found = self.datasources.get(uid)
        if found is None:
            raise Told(404, {"message": "Data source not found", "traceID": ""})
        return found

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"commit": "b9d3a1c", "database": "ok", "version": VERSION})

    async def _list_datasources(self, request: Request) -> Response:
        self._authorise(request, allowed=self._can_list, needed="datasources:read")
        return JSONResponse([self._shown(uid, source) for uid, source in self.datasources.items()])

    async def _show_datasource(self, request: Request) -> Response:
        self._authorise(request, allowed=self._can_list, needed="datasources:read")
        uid = request.path_params["uid"]
        return JSONResponse(self._shown(uid, self._datasource(uid)))

    def _shown(self, uid: str, source: DataSource) -> dict[str, Any]:
        return {
            "id": list(self.datasources).index(uid) + 1,
            "uid": uid,
            "orgId": 1,
            "name": source.name or uid,
            "type": source.type,
            "typeName": source.type.title(),
            "access": "proxy",
            "url": source.upstream if isinstance(source.upstream, str) else "http://in-process",
            "user": "",
            "database": "",
            "basicAuth": False,
            "isDefault": uid == next(iter(self.datasources)),
            "jsonData": {},
            "readOnly": True,
        }

    async def _datasource_health(self, request: Request) -> Response:
        self._authorise(request, allowed=self._can_query, needed="datasources:query")
        source = self._datasource(request.path_params["uid"])
        path = _HEALTH_PATHS.get(source.type)
        if path is None:
            return JSONResponse({"message": "Plugin unavailable"}, 404)
        try:
            answer = await self._call(source, "GET", path, {}, b"")
        except httpx.HTTPError as exc:
            return JSONResponse({"message": f"unable to connect: {exc!r}", "status": "ERROR"}, 400)
        if answer.status_code != 200:
            return JSONResponse({"message": f"upstream answered {answer.status_code}", "status": "ERROR"}, 400)
        return JSONResponse({"message": "Data source successfully connected.", "status": "OK"})

    async def _proxy(self, request: Request) -> Response:
        uid = request.path_params["uid"]
        return await self._forward(request, uid, f"{_PROXY}{quote(uid)}")

    async def _resources(self, request: Request) -> Response:
        """Ask the data source's plugin; Prometheus' hands `api/v1/…` on as it is (pkg/promlib/resource)."""
        uid = request.path_params["uid"]
        if self._datasource(uid).type != "prometheus":
            return JSONResponse({"message": "Not found", "traceID": ""}, 404)
        return await self._forward(request, uid, f"/api/datasources/uid/{quote(uid)}/resources")

    async def _forward(self, request: Request, uid: str, prefix: str) -> Response:
        self._authorise(request, allowed=self._can_query, needed="datasources:query")
        source = self._datasource(uid)
        # Of the path as it was sent: what was escaped stays so on its way up.
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        sent = raw.decode("ascii").removeprefix(prefix)
        path = f"{sent}?{request.url.query}" if request.url.query else sent
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_FORWARDED}
        try:
            answer = await self._call(source, request.method, path, headers, await request.body())
        except httpx.TimeoutException:
            return Response(status_code=504)
        except httpx.HTTPError:
            # Go's reverse proxy, as Grafana uses it, answers this without a body.
            return Response(status_code=502)
        kept = {name: value for name, value in answer.headers.items() if name not in _NOT_RETURNED}
        return Response(answer.content, answer.status_code, kept)

    async def _call(
        self, source: DataSource, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        inside = not isinstance(source.upstream, str)
        transport = httpx.ASGITransport(app=source.upstream) if not isinstance(source.upstream, str) else None
        base = "http://in-process" if inside else str(source.upstream)
        async with httpx.AsyncClient(transport=transport, timeout=self._timeout_s, trust_env=False) as client:
            return await client.request(
                method, f"{base}{path}", headers={**headers, **source.headers}, content=body or None
            )

    async def _list_alerts(self, request: Request) -> Response:
        self._authorise(request)
        flags = request.query_params
        shown = [
            alert.shown()
            for alert in self.alerts
            if not (alert.state == "active" and flags.get("active") == "false")
            and not (alert.silenced_by and flags.get("silenced") == "false")
            and not (alert.inhibited_by and flags.get("inhibited") == "false")
            and all(alert.matches(matcher) for matcher in flags.getlist("filter"))
        ]
        return JSONResponse(shown)

    async def _list_silences(self, request: Request) -> Response:
        self._authorise(request, allowed=self._can_read_rules, needed="alert.silences:read")
        return JSONResponse([silence.shown(self._clock.now()) for silence in self.silences])

    async def _list_rules(self, request: Request) -> Response:
        self._authorise(request, allowed=self._can_read_rules, needed="alert.rules:read")
        return JSONResponse(rules_shown(self.rules, self.alerts, self._clock.now()))

    async def _list_annotations(self, request: Request) -> Response:
        self._authorise(request)
        return JSONResponse(self._annotations.found(request.query_params))

    async def _create_annotation(self, request: Request) -> Response:
        self._authorise(request)
        number = self._annotations.create(await request.body())
        return JSONResponse({"id": number, "message": "Annotation added"})


async def _tell(request: Request, error: Exception) -> Response:
    if not isinstance(error, Told):
        raise error
    return JSONResponse(error.body, error.status)


async def _no_route(request: Request, error: Exception) -> Response:
    # Also for `/api/datasources/<id>` and `/proxy/<id>/…`: numeric ids are off by default since Grafana 13.
    return JSONResponse({"message": "Not found", "traceID": ""}, 404)
