"""Grafana: its data sources as Loki and Prometheus, and the state of alerts.

Source: Grafana docs/sources/developers/http_api/data_source.md, alerting's Prometheus-compatible API
(``/api/prometheus/grafana/api/v1/rules``) and alertmanager API (``/api/alertmanager/grafana/api/v2/alerts``);
annotations.md for what was changed (``/api/annotations``).
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import httpx

from sreops.adapters.http import HttpAnswer, HttpRoom
from sreops.adapters.observability.loki import LokiLogs
from sreops.adapters.observability.prometheus import PrometheusMetrics
from sreops.domain.evidence.changes import NotedChange
from sreops.domain.evidence.evidence import Window
from sreops.errors import MetricsUnavailable, QueryRefused, SreopsError
from sreops.ports import Health
from sreops.settings import GrafanaSettings, LokiSettings, PrometheusSettings

_MAX_NOTES = 200
_MAX_NOTE_CHARS = 2000


@dataclass(frozen=True)
class DataSources:
    """The uids to go through; empty where Grafana has none of that type."""

    loki_uid: str = ""
    prometheus_uid: str = ""


class Grafana:
    """Grafana's HTTP API with a service account's token."""

    def __init__(
        self,
        settings: GrafanaSettings,
        *,
        attempts: int = 3,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self._trust = trust
        self._room = HttpRoom(
            "grafana",
            settings.url or "",
            unavailable=MetricsUnavailable,
            token=settings.token,
            attempts=attempts,
            trust=trust,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._room.aclose()

    async def get(self, path: str, params: Sequence[tuple[str, str]] = (), *, timeout_s: float) -> Any:
        """Return the parsed answer; raises MetricsUnavailable or QueryRefused."""
        allowed_s = min(timeout_s, self.settings.timeout_s)
        answer = await self._room.request("GET", path, params=list(params), timeout_s=allowed_s)
        if answer.status >= 500 or answer.status in (408, 429):
            raise self._room.unavailable(path, answer, "Grafana cannot answer now")
        if not answer.ok:
            raise QueryRefused(
                f"grafana: {self._room.shown_url}{path}: status {answer.status}: {answer.shown}; " + _cure(answer),
                status=answer.status,
            )
        try:
            return await answer.parsed()
        except ValueError as exc:
            raise self._room.unavailable(path, answer, f"the answer is not JSON ({exc})") from exc

    async def data_sources(self, *, timeout_s: float) -> DataSources:
        """Find the data sources to query through: the uids that are set, else Grafana's default or first of each type.

        Raises MetricsUnavailable or QueryRefused where Grafana has to be asked and does not say.
        """
        loki_uid, prometheus_uid = self.settings.loki_uid, self.settings.prometheus_uid
        if not (loki_uid and prometheus_uid):
            listed = await self.get("/api/datasources", timeout_s=timeout_s)
            if not isinstance(listed, list):
                raise MetricsUnavailable(f"grafana: {self._room.shown_url}/api/datasources did not answer with a list")
            loki_uid = loki_uid or _first(listed, "loki")
            prometheus_uid = prometheus_uid or _first(listed, "prometheus")
        return DataSources(loki_uid, prometheus_uid)

    async def noted(self, window: Window, *, timeout_s: float) -> Sequence[NotedChange]:
        """Implements ports.ChangeNotes: the annotations of the window, newest first, less those that alerts made."""
        span = [("from", f"{window.start.timestamp() * 1000:.0f}"), ("to", f"{window.end.timestamp() * 1000:.0f}")]
        params = [*span, ("type", "annotation"), ("limit", str(_MAX_NOTES))]
        listed = await self.get("/api/annotations", params, timeout_s=timeout_s)
        if not isinstance(listed, list):
            raise MetricsUnavailable(f"grafana: {self._room.shown_url}/api/annotations did not answer with a list")
        return tuple(note for item in listed[:_MAX_NOTES] if (note := _note(item)) is not None)

    def _proxy(self, uid: str) -> str:
        return f"{self._room.base_url}/api/datasources/proxy/uid/{quote(uid, safe='')}"

    def loki(self, uid: str, settings: LokiSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> LokiLogs:
        """Return Loki through this data source; of ``settings`` only the limits hold."""
        through = settings.model_copy(
            update={
                "url": self._proxy(uid), "token": self.settings.token, "username": "", "password": None, "tenant": "",
                "timeout_s": self.settings.timeout_s,
            }
        )  # fmt: skip
        return LokiLogs(through, via=f"Grafana's data source {uid}", trust=self._trust, transport=transport)

    def prometheus(
        self, uid: str, settings: PrometheusSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> PrometheusMetrics:
        """Return Prometheus through this data source; of ``settings`` only the limits hold."""
        through = settings.model_copy(
            update={
                "url": self._proxy(uid), "token": self.settings.token, "username": "", "password": None, "tenant": "",
                "timeout_s": self.settings.timeout_s,
            }
        )  # fmt: skip
        return PrometheusMetrics(through, via=f"Grafana's data source {uid}", trust=self._trust, transport=transport)

    async def health(self) -> Health:
        """List the data sources: proves address and token."""
        where = self._room.shown_url
        try:
            found = await self.data_sources(timeout_s=self.settings.timeout_s)
            listed = await self.get("/api/datasources", timeout_s=self.settings.timeout_s)
        except QueryRefused as exc:
            if exc.status == 403 and self.settings.loki_uid and self.settings.prometheus_uid:
                told = "the token may not list the data sources, and need not: both uids are set"
                return Health("up", f"Grafana at {where}: {told}")
            return Health("down", str(exc), "set SREOPS_GRAFANA__TOKEN to a service account's token (role Viewer)")
        except SreopsError as exc:
            return Health("down", str(exc), exc.cure or f"start Grafana, or correct SREOPS_GRAFANA__URL ({where})")
        count = len(listed) if isinstance(listed, list) else 0
        names = f"loki: {found.loki_uid or 'none'}, prometheus: {found.prometheus_uid or 'none'}"
        return Health("up", f"Grafana at {where}, {count} data sources ({names})")


def _cure(answer: HttpAnswer) -> str:
    if answer.status in (401, 403):
        return "set SREOPS_GRAFANA__TOKEN to a service account's token (role Viewer; datasources:read and :query)"
    return "check SREOPS_GRAFANA__URL: the base URL, without a redirect"


def _note(item: object) -> NotedChange | None:
    """Read one annotation; None where it is none."""
    if not isinstance(item, dict) or isinstance(item.get("time"), bool) or not isinstance(item.get("time"), int):
        return None
    text, tags = item.get("text"), item.get("tags")
    try:
        at = datetime.fromtimestamp(item["time"] / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return NotedChange(
        at=at,
        text=text[:_MAX_NOTE_CHARS] if isinstance(text, str) else "",
        tags=tuple(tag[:200] for tag in tags[:20] if isinstance(tag, str)) if isinstance(tags, list) else (),
    )


def _first(listed: Sequence[object], kind: Literal["loki", "prometheus"]) -> str:
    """Return the uid of Grafana's default of this type, else of the first one."""
    fitting = [item for item in listed if isinstance(item, dict) and item.get("type") == kind and item.get("uid")]
    fitting.sort(key=lambda item: not item.get("isDefault"))
    return str(fitting[0]["uid"]) if fitting else ""
