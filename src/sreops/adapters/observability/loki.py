"""Loki over HTTP: lines of a window, direct or through Grafana's data source proxy.

Source: Loki docs/sources/reference/loki-http-api.md, pkg/loghttp/params.go, pkg/util/server/error.go.
"""

import re
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from sreops.adapters.answers import read_aside
from sreops.adapters.http import HttpAnswer, HttpRoom
from sreops.domain.evidence.evidence import LogLine, LogLines, Window
from sreops.domain.evidence.log_selection import LogSelector
from sreops.domain.text.quoting import logql_filters, logql_selector
from sreops.errors import LogsUnavailable, QueryRefused, SreopsError
from sreops.ports import Health
from sreops.settings import LokiSettings

NAMES_KEPT_S = 120.0
"""So long the label names that exist are kept: each incident asks for them."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENTRIES_LIMIT = re.compile(r"max_entries_limit_per_query \(\d{1,9} > (\d{1,9})\)")
_SHRINK = 8  # how much smaller the next page is asked for when an answer was over the byte cap
_API = "/loki/api/v1"


def to_ns(at: datetime) -> int:
    """Return nanoseconds since the epoch, exactly (a float would lose the last three digits)."""
    span = at - _EPOCH
    return ((span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds) * 1_000


def from_ns(value: int) -> datetime:
    """Return the time; raises OverflowError beyond year 9999."""
    return _EPOCH + timedelta(microseconds=value // 1_000)


class LokiLogs:
    """Implements ports.Logs. ``via`` names Grafana's data source where the URL is its proxy."""

    def __init__(
        self,
        settings: LokiSettings,
        *,
        via: str = "",
        attempts: int = 3,
        names_kept: bool = False,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._via = via
        self._names: frozenset[str] | None = None
        self._names_at = 0.0
        self._names_kept = names_kept
        self._room = HttpRoom(
            "loki",
            settings.url or "",
            unavailable=LogsUnavailable,
            token=settings.token,
            username=settings.username,
            password=settings.password,
            headers={"X-Scope-OrgID": settings.tenant} if settings.tenant else None,
            max_response_bytes=settings.max_response_bytes,
            attempts=attempts,
            trust=trust,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._room.aclose()

    async def lines(
        self,
        labels: Mapping[str, str],
        window: Window,
        *,
        limit: int,
        timeout_s: float,
        contains: Sequence[str] = (),
        excludes: Sequence[str] = (),
    ) -> LogLines:
        """Return lines of the streams that match, oldest first, the newest ``limit`` of the window."""
        return await self._lines(logql_selector(labels) + logql_filters(contains, excludes), window, limit, timeout_s)

    async def select(
        self,
        selector: LogSelector,
        window: Window,
        *,
        limit: int,
        timeout_s: float,
        contains: Sequence[str] = (),
        excludes: Sequence[str] = (),
    ) -> LogLines:
        """Return the lines that a selector finds, oldest first, the newest ``limit`` of the window."""
        return await self._lines(selector.logql + logql_filters(contains, excludes), window, limit, timeout_s)

    async def streams(self, selector: LogSelector, window: Window, *, timeout_s: float) -> Sequence[Mapping[str, str]]:
        """Return the label sets of the streams that a selector's matchers take in."""
        path = f"{_API}/series"
        params = [("match[]", selector.streams), *self._span(window)]
        answer = await self._room.request(
            "GET", path, params=params, timeout_s=min(timeout_s, self._settings.timeout_s)
        )
        if answer.cut and answer.ok:
            raise self._room.unavailable(path, answer, f"{selector.streams}: more streams than are read; narrow it")
        body = await read_aside(len(answer.text), self._body, path, answer, selector.streams)
        found = body.get("data")
        if not isinstance(found, list | None):
            raise self._room.unavailable(path, answer, "the answer is JSON, but not a list of streams")
        return [{str(k): str(v) for k, v in stream.items()} for stream in found or () if isinstance(stream, dict)]

    def _span(self, window: Window) -> list[tuple[str, str]]:
        return [("start", str(to_ns(window.start))), ("end", str(to_ns(window.end) + 1_000))]

    async def _lines(self, query: str, window: Window, limit: int, timeout_s: float) -> LogLines:
        wanted = max(1, min(limit, self._settings.max_lines))
        deadline = time.monotonic() + min(timeout_s, self._settings.timeout_s)
        notes: list[str] = []
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise LogsUnavailable(f"loki: {query}: the deadline passed while asking for smaller answers")
            answer = await self._query_range(query, window, wanted, left_s)
            if answer.cut and answer.ok:
                limit = self._settings.max_response_bytes
                note = f"the answer was over {limit} bytes, or too dense: only the newest lines were read"
                if note not in notes:
                    notes.append(note)
                if wanted == 1:
                    notes.append("a single line is more than is read: it was left out")
                    return LogLines(query=query, lines=(), partial=True, notes=tuple(notes))
                wanted = max(1, wanted // _SHRINK)
                continue
            allowed = _entries_allowed(answer)
            if allowed is not None and 0 < allowed < wanted:
                notes.append(f"Loki gives at most {allowed} lines a query")
                wanted = allowed
                continue
            return await read_aside(len(answer.text), self._read_lines, query, answer, wanted, notes)

    async def _query_range(self, query: str, window: Window, limit: int, timeout_s: float) -> HttpAnswer:
        params = [
            ("query", query),
            ("start", str(to_ns(window.start))),
            # Loki's end is exclusive, a Window's is not.
            ("end", str(to_ns(window.end) + 1_000)),
            ("limit", str(limit)),
            ("direction", "backward"),
        ]
        return await self._room.request("GET", f"{_API}/query_range", params=params, timeout_s=timeout_s)

    def _read_lines(self, query: str, answer: HttpAnswer, wanted: int, notes: list[str]) -> LogLines:
        path = f"{_API}/query_range"
        body = self._body(path, answer, query)
        data = body.get("data")
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(data, dict) or data.get("resultType") != "streams" or not isinstance(result, list | None):
            raise self._room.unavailable(path, answer, "the answer is JSON, but not Loki's streams")
        found: list[tuple[int, str, dict[str, str]]] = []
        unreadable = 0
        for item in result or ():
            entries, bad = _stream(item)
            unreadable += bad
            found += entries
        # Stable: lines of one nanosecond keep the order of their stream.
        found.sort(key=lambda entry: entry[0])
        if unreadable:
            notes.append(f"{unreadable} entries could not be read and were left out")
        if len(found) >= wanted:
            notes.append(f"the limit of {wanted} lines was reached: older lines of the window were not read")
            found = found[-wanted:]
        notes += _texts(body.get("warnings")) + _texts(data.get("warnings"))
        lines = tuple(LogLine(at=from_ns(ns), text=text, labels=labels) for ns, text, labels in found)
        return LogLines(query=query, lines=lines, partial=bool(notes), notes=tuple(notes))

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        """Return the stream labels that exist, so that selectors use real ones."""
        if self._names is None or time.monotonic() - self._names_at > NAMES_KEPT_S:
            found = await self._labels(self._span(window), min(timeout_s, self._settings.timeout_s))
            if not found or not self._names_kept:
                return found
            self._names, self._names_at = found, time.monotonic()
        return self._names

    async def _labels(self, params: list[tuple[str, str]], timeout_s: float) -> frozenset[str]:
        path = f"{_API}/labels"
        answer = await self._room.request("GET", path, params=params, timeout_s=timeout_s)
        body = await read_aside(len(answer.text), self._body, path, answer, "labels")
        names = body.get("data")  # absent where there is no stream at all
        if not isinstance(names, list | None):
            raise self._room.unavailable(path, answer, "the answer is JSON, but not a list of labels")
        return frozenset(name for name in names or () if isinstance(name, str))

    def _body(self, path: str, answer: HttpAnswer, query: str) -> dict[str, Any]:
        """Judge the status and parse; errors are text/plain, so nothing else is parsed before."""
        if answer.status >= 500 or answer.status in (408, 429, 499):
            raise self._room.unavailable(path, answer, "Loki cannot answer now")
        if not answer.ok:
            raise QueryRefused(
                f"loki: {self._room.shown_url}{path} refused {query}: status {answer.status}: {answer.shown}"
                + self._cure(answer.status, answer.text, prefix="; "),
                status=answer.status,
            )
        try:
            body = answer.json()
        except ValueError as exc:
            raise self._room.unavailable(path, answer, f"the answer is not JSON ({exc})") from exc
        if not isinstance(body, dict) or body.get("status", "success") != "success":
            raise self._room.unavailable(path, answer, "the answer is JSON, but not Loki's")
        return body

    def _cure(self, status: int, text: str, *, prefix: str = "") -> str:
        setting = "SREOPS_GRAFANA__" if self._via else "SREOPS_LOKI__"
        if "no org id" in text:
            cure = f"set the tenant header on {self._via}" if self._via else "set SREOPS_LOKI__TENANT (X-Scope-OrgID)"
        elif status in (401, 403):
            cure = f"set {setting}TOKEN" + ("" if self._via else ", or SREOPS_LOKI__USERNAME and __PASSWORD")
        elif status == 404 or 300 <= status < 400:
            cure = f"set {setting}URL to the base URL, without /loki/api/v1 and without a redirect"
        else:
            return ""
        return prefix + cure

    async def health(self) -> Health:
        """Ask for the labels of the last minutes: proves address, credentials and tenant."""
        where = self._via or self._room.shown_url
        try:
            await self._labels([("since", "5m")], self._settings.timeout_s)
        except QueryRefused as exc:
            return Health("down", str(exc), self._cure(exc.status, str(exc)) or "check SREOPS_LOKI__URL")
        except SreopsError as exc:
            setting = "SREOPS_GRAFANA__URL" if self._via else "SREOPS_LOKI__URL"
            return Health(
                "down", str(exc), exc.cure or f"start Loki, or correct {setting} (now {self._room.shown_url})"
            )
        return Health("up", f"Loki at {where}")


def _entries_allowed(answer: HttpAnswer) -> int | None:
    """Return the server's own ceiling, where that is what it complains of."""
    found = _ENTRIES_LIMIT.search(answer.text[:2_000]) if answer.status == 400 else None
    return int(found[1]) if found else None


def _texts(value: object) -> list[str]:
    return [str(item)[:500] for item in value] if isinstance(value, list) else []


def _stream(item: object) -> tuple[list[tuple[int, str, dict[str, str]]], int]:
    """Return a stream's entries, oldest first, and how many could not be read."""
    if not isinstance(item, dict) or not isinstance(item.get("values"), list):
        return [], 1
    raw = item.get("stream")
    labels = {str(k): str(v) for k, v in raw.items()} if isinstance(raw, dict) else {}
    entries, unreadable = [], 0
    for value in reversed(item["values"]):  # backward: newest first
        try:
            ns, text = int(value[0]), value[1]
            from_ns(ns)
        except (TypeError, ValueError, IndexError, KeyError, OverflowError):
            unreadable += 1
            continue
        if isinstance(text, str):
            entries.append((ns, text, labels))
        else:
            unreadable += 1
    return entries, unreadable
